"""Checkmate's generalisations of checkpointing for chains: known values, candidates, and the chains they come from."""

from __future__ import annotations

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs

from hcb_opt import Graph, OpSpec, build_graph, replay, schedule_from_computes, solve_schedule
from hcb_opt.blocks import Chain, turn_position
from hcb_opt.checkpoints import CheckpointChain, all_ops, articulation_points, at_thresholds, evenly_spaced
from hcb_opt.generators import chain, random_training, u_shape
from hcb_opt.layer_graphs import layer_graph
from hcb_opt.reversal import binomial_placement, keep_every_cut, reversal_computes

METHODS = ["ap_sqrt", "ap_greedy", "linearised_sqrt", "linearised_greedy", "griewank_linearised"]


def extra_steps(graph: Graph, computes: list[int]) -> int:
    judged = replay(graph, schedule_from_computes(graph, computes))
    assert judged.fixed_order
    return judged.cost - graph.base_cost


@pytest.mark.parametrize(("steps", "spacing"), [(100, 10), (100, 7), (36, 6), (10, 1)])
def test_every_kth_op_of_a_chain(steps: int, spacing: int) -> None:
    """All between two checkpoints runs once more, but the last block and the checkpoints."""
    graph = chain(steps)
    boundaries = (0, *range(spacing, steps, spacing), turn_position(graph))
    checkpoints = len(boundaries) - 2
    computes = reversal_computes(CheckpointChain(graph, boundaries), keep_every_cut)
    assert extra_steps(graph, computes) == checkpoints * (spacing - 1)


def test_a_chain_of_100_needs_the_20_values_of_chen() -> None:
    """Ten checkpoints, the ten values of a block, two gradients: Chen's 2 sqrt(n)."""
    result = solve_schedule(chain(100), 2 * 10 + 2, method="linearised_sqrt")
    assert result.cost is not None and result.cost - chain(100).base_cost <= 90


@pytest.mark.parametrize("boundaries", [tuple(range(42)), (0, 5, 6, 20, 41), (0, 40, 41), (0, 41)])
def test_on_a_chain_a_checkpoint_is_the_whole_frontier(boundaries: tuple[int, ...]) -> None:
    """So that the closed forms of frontier cuts on chains hold here too."""
    graph = chain(40)
    assert turn_position(graph) == 41
    assert CheckpointChain(graph, boundaries).cuts == Chain(graph, boundaries).cuts
    for place in (keep_every_cut, binomial_placement(3)):
        partial, whole = (reversal_computes(kind(graph, boundaries), place) for kind in (CheckpointChain, Chain))
        assert partial == whole


@given(st.lists(st.integers(1, 9), min_size=3, max_size=30), st.floats(0.2, 1))
@settings(max_examples=40, deadline=None)
def test_articulation_points_and_linearised_are_one_on_chains(sizes: list[int], share: float) -> None:
    graph = chain(len(sizes), sizes)
    for articulated, linearised in (("ap_sqrt", "linearised_sqrt"), ("ap_greedy", "linearised_greedy")):
        answers = [solve_schedule(graph, share, method=method).schedule for method in (articulated, linearised)]
        assert answers[0] == answers[1]


@given(graphs(20))
@settings(max_examples=100, deadline=None)
def test_articulation_points_are_those_without_which_the_forward_falls_into_parts(graph: Graph) -> None:
    turn = turn_position(graph)
    network = networkx.Graph([(turn - 1, "behind")])
    for position, op in enumerate(graph.ops[:turn]):
        network.add_edges_from((graph.values[value].producer, position) for value in op.inputs)
        network.add_edges_from([("batch", position)] if not op.inputs else [])
    parts = networkx.number_connected_components(network)
    without = [networkx.restricted_view(network, [position], []) for position in range(turn - 1)]
    falling = [each + 1 for each, rest in enumerate(without) if networkx.number_connected_components(rest) > parts]
    assert articulation_points(graph, turn) == falling


def test_articulation_points_of_known_networks() -> None:
    """A residual hides what it skips; a U hides all but its ends."""
    names = {"resnet50": "block1_1_1", "unet": "down2_1"}
    for network, hidden in names.items():
        graph = layer_graph(network)
        points = {graph.ops[boundary - 1].name for boundary in articulation_points(graph, turn_position(graph))}
        assert hidden not in points
    assert "block1_1_activation" in {
        layer_graph("resnet50").ops[boundary - 1].name
        for boundary in articulation_points(layer_graph("resnet50"), turn_position(layer_graph("resnet50")))
    }
    vgg = layer_graph("vgg16")
    turn = turn_position(vgg)
    assert articulation_points(vgg, turn) == list(all_ops(vgg, turn))


@given(graphs(20))
@settings(max_examples=100, deadline=None)
def test_spacings_keep_some_candidates_and_repeat_none(graph: Graph) -> None:
    turn = turn_position(graph)
    candidates = articulation_points(graph, turn)
    for spacing in (evenly_spaced, at_thresholds):
        tried = list(spacing(graph, turn, candidates))
        assert tried[0] == (0, turn)
        assert len(set(tried)) == len(tried)
        for boundaries in tried:
            assert list(boundaries) == sorted({0, turn, *boundaries[1:-1]})
            assert set(boundaries[1:-1]) <= set(candidates)


def test_what_skips_a_checkpoint_is_recomputed_and_only_that_is_needed() -> None:
    """x1 skips over the checkpoint c: the backward needs it again, and x0 for it."""
    specs = [
        OpSpec("a", 1, (), (("x0", 1),)),
        OpSpec("b", 1, ("x0",), (("x1", 1),)),
        OpSpec("c", 1, ("x1",), (("x2", 1),)),
        OpSpec("d", 1, ("x1", "x2"), (("x3", 1),)),
        OpSpec("e", 1, ("x1", "x3"), (("g", 1),)),
    ]
    graph = build_graph(specs, ["g"])
    partial = CheckpointChain(graph, (0, 3, 4))
    assert partial.cuts == ((), (2,))
    assert Chain(graph, (0, 3, 4)).cuts == ((), (1, 2))
    assert reversal_computes(partial, keep_every_cut) == [0, 1, 2, 3, 0, 1, 4]
    assert reversal_computes(Chain(graph, (0, 3, 4)), keep_every_cut) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100_000), share=st.floats(0.3, 1))
@settings(max_examples=25, deadline=None)
def test_schedules_are_legal_and_within_budget(method: str, seed: int, share: float) -> None:
    graph = random_training(3 + seed % 20, seed)
    result = solve_schedule(graph, share, method=method)
    if result.schedule is not None:
        judged = replay(graph, result.schedule)
        assert judged.fixed_order and judged.peak_bytes <= result.budget_bytes
        assert max(judged.compute_counts[turn_position(graph) :]) == 1


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_recomputed_where_everything_fits(method: str) -> None:
    assert solve_schedule(u_shape(4), 1.0, method=method).overhead == 0.0
