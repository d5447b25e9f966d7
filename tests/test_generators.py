"""Synthetic graphs have the shapes they name."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_graph

from hcb_opt.errors import InvalidInput
from hcb_opt.generators import (
    GENERATORS,
    ForwardOp,
    binary_tree,
    chain,
    fft_butterfly,
    pyramid,
    random_training,
    training_step,
    u_shape,
)
from hcb_opt.graph import Graph, Phase
from hcb_opt.layered import random_layered
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes


def names(graph: Graph, values: tuple[int, ...]) -> list[str]:
    return [graph.values[value].name for value in values]


def plays(graph: Graph) -> None:
    judged = replay(graph, schedule_from_computes(graph, range(len(graph.ops))))
    assert judged.peak_bytes == graph.store_all_peak_bytes
    assert judged.cost == graph.base_cost


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_gives_a_graph_that_plays(name: str) -> None:
    for size in (3, 4, 5):
        graph = GENERATORS[name](size, 1)
        plays(graph)
        assert graph == GENERATORS[name](size, 1)
        assert len(GENERATORS[name](size + 1, 1).ops) > len(graph.ops)


@pytest.mark.parametrize("name", GENERATORS)
def test_sizes_without_a_graph_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="at least"):
        GENERATORS[name](-1, 0)


def test_chain_reads_the_gradient_and_the_activation_each_step_read() -> None:
    graph = chain(3)
    assert [op.name for op in graph.ops] == ["f1", "f2", "f3", "loss", "b3", "b2", "b1"]
    assert [names(graph, op.inputs) for op in graph.ops] == [
        [], ["x1"], ["x2"], ["x3"], ["x2", "g3_loss"], ["x1", "g2_b3"], ["g1_b2"],
    ]  # fmt: skip
    assert {op.cost for op in graph.ops} == set(graph.sizes) == {1}
    assert names(graph, graph.outputs) == ["p1"]
    assert [op.phase for op in graph.ops] == [Phase.FORWARD] * 4 + [Phase.BACKWARD] * 3


def test_chain_takes_sizes() -> None:
    graph = chain(2, [5, 7])
    sizes = {each.name: each.size_bytes for each in graph.values}
    assert sizes == {"x1": 5, "x2": 7, "g2_loss": 7, "g1_b2": 5, "p1": 5}
    with pytest.raises(InvalidInput, match="one size per step"):
        chain(2, [1])


def test_backward_sums_one_gradient_per_reader() -> None:
    # x1 is read by f2 and f3; both gradients reach b1, and b3 writes one value for each of its inputs.
    graph = training_step([ForwardOp(()), ForwardOp((0,)), ForwardOp((0, 1), saves_output=True)], name="skip")
    backward = {op.name: op for op in graph.ops[4:]}
    assert names(graph, backward["b3"].outputs) == ["g1_b3", "g2_b3"]
    assert names(graph, backward["b3"].inputs) == ["x1", "x2", "x3", "g3_loss"]
    assert names(graph, backward["b1"].inputs) == ["g1_b3", "g1_b2"]


def test_u_shape_skips_reach_their_level() -> None:
    graph = u_shape(2, size_bytes=64)
    assert [graph.sizes[op.outputs[0]] for op in graph.ops[:5]] == [64, 32, 16, 32, 64]
    assert names(graph, graph.ops[3].inputs) == ["x2", "x3"]
    assert names(graph, graph.ops[4].inputs) == ["x1", "x4"]
    assert len(graph.outputs) == 5


@pytest.mark.parametrize("height", [0, 1, 4])
def test_tree_and_pyramid(height: int) -> None:
    tree, triangle = binary_tree(height), pyramid(height)
    assert len(tree.ops) == 2 ** (height + 1) - 1
    assert len(triangle.ops) == (height + 1) * (height + 2) // 2
    for graph in (tree, triangle):
        assert {len(op.inputs) for op in graph.ops} <= {0, 2}
        assert graph.outputs == (len(graph.ops) - 1,)
    # Depth first, a tree holds one value per level, and one more.
    assert tree.store_all_peak_bytes == height + (2 if height else 1)


def test_butterfly_connects_every_input_with_every_output() -> None:
    graph = fft_butterfly(3)
    reach = [{i} for i in range(8)]
    for op in graph.ops[8:]:
        reach.append(set().union(*(reach[value] for value in op.inputs)))
    assert all(each == set(range(8)) for each in reach[-8:])
    assert len(graph.outputs) == 8


def test_layered_family_has_its_published_traits() -> None:
    graph = random_layered(100, seed=3)
    edges = sum(len(op.inputs) for op in graph.ops)
    assert graph.name == "random_layered_n100_w0.27_nlv0.75_ed0.2_scd0.14_s3"
    assert 180 < edges < 270
    assert 1200 < statistics.mean(graph.sizes) < 2800
    assert 400 < statistics.mean(op.cost for op in graph.ops) < 600
    sources = [op for op in graph.ops if not op.inputs]
    sinks = [value for value, readers in enumerate(graph.consumers) if not readers]
    assert len(sources) == len(sinks) == 1
    assert not graph.outputs


def test_layered_density_adds_edges() -> None:
    def edges(density: float, skips: float) -> int:
        graph = random_layered(120, edge_density=density, skip_density=skips, seed=1)
        return sum(len(op.inputs) for op in graph.ops)

    assert edges(0.1, 0.0) < edges(0.3, 0.0) < edges(0.3, 0.3)


@given(st.integers(3, 60), st.integers(0, 10_000))
def test_layered_graphs_play(ops: int, seed: int) -> None:
    graph = random_layered(ops, seed=seed)
    assert len(graph.ops) == ops
    plays(graph)


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_random_training_steps_play(ops: int, seed: int) -> None:
    graph = random_training(ops, seed)
    assert len(graph.ops) == 2 * ops + 1
    plays(graph)


def test_seeds_differ() -> None:
    assert random_layered(30, seed=1).sizes != random_layered(30, seed=2).sizes
    assert random_training(5, 1) != random_training(5, 2)


@given(st.integers(0, 10_000))
def test_graphs_for_tests_play(seed: int) -> None:
    plays(random_graph(seed))
