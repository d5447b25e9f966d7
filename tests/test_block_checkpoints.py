"""Height-compressed backpropagation: block lengths, and what the guarantees promise at their own budgets."""

from __future__ import annotations

from math import ceil, isqrt, log2, sqrt

import pytest
from test_block_checkpointing import GRAPHS, InBlocks, in_blocks

from hcb_opt.baselines.block_checkpoints import block_length, equal_blocks, lengths_near
from hcb_opt.blocks import frontier_bytes, turn_position
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.generators import chain
from hcb_opt.graph import Graph, Phase
from hcb_opt.replay import replay
from hcb_opt.reversal import keep_every_cut, reversal_computes
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule


def wide(layers: int, width: int) -> Graph:
    """Layers of ops, each of which reads all of the layer before: frontiers of ``width`` values between layers."""
    forward = [
        OpSpec(
            f"f{layer}.{place}",
            1,
            tuple(f"x{layer - 1}.{each}" for each in range(width)) if layer else (),
            ((f"x{layer}.{place}", 1),),
        )
        for layer in range(layers)
        for place in range(width)
    ]
    backward = [
        OpSpec(
            f"b{layer}",
            1,
            tuple(f"x{layer}.{each}" for each in range(width)) + ((f"g{layer + 1}",) if layer + 1 < layers else ()),
            ((f"g{layer}", 1),),
            phase=Phase.BACKWARD,
        )
        for layer in range(layers - 1, -1, -1)
    ]
    return build_graph([*forward, *backward], ["g0"], name=f"wide_{layers}_{width}")


def test_the_length_is_sqrt_on_a_chain_and_longer_where_frontiers_are_wide() -> None:
    assert block_length(chain(100), 100) == pytest.approx(10, rel=0.01)
    graph = wide(40, 9)
    turn = turn_position(graph)
    assert turn == 360
    widths = frontier_bytes(graph, turn)[1:-1]
    assert block_length(graph, turn) == pytest.approx(sqrt(sum(widths) / len(widths) * turn))
    assert 3 * sqrt(turn) < block_length(graph, turn) < 5 * sqrt(turn)


def test_the_theorys_length_needs_less_than_sqrt_where_frontiers_are_wide() -> None:
    graph = wide(40, 9)
    turn = turn_position(graph)

    def peak(length: int) -> int:
        computes = reversal_computes(equal_blocks(graph, turn, length), keep_every_cut)
        return replay(graph, schedule_from_computes(graph, computes)).peak_bytes

    assert peak(round(block_length(graph, turn))) < 0.8 * peak(isqrt(turn))


def test_lengths_are_tried_around_the_theorys() -> None:
    lengths = lengths_near(10.0, 100)
    assert lengths[0] == 100 and 10 in lengths and lengths[-1] == 1
    assert lengths == sorted(set(lengths), reverse=True)
    assert lengths_near(3.0, 2) == [2, 1]
    assert lengths_near(1.0, 1) == [1]


def test_a_forward_that_writes_nothing() -> None:
    specs = [OpSpec("f1", 1, (), (("x", 0),)), OpSpec("f2", 1, ("x",), (("y", 0),))]
    graph = build_graph([*specs, OpSpec("b", 1, ("y",), (("g", 4),), phase=Phase.BACKWARD)], ["g"], name="empty")
    assert block_length(graph, 2) == 2
    assert solve_schedule(graph, 4, "block_checkpoints").cost == 3


def in_theorys_blocks() -> dict[str, InBlocks]:
    """The steps whose backward comes block by block, as the proof asks, for blocks near the theory's length."""
    steps = {}
    for name, graph in GRAPHS.items():
        theory = block_length(graph, turn_position(graph))
        for length in dict.fromkeys(max(1, round(theory * ratio)) for ratio in (0.5, 1, 2)):
            step = in_blocks(graph, length)
            if step is not None:
                steps[f"{name} by {length}"] = step
    return steps


STEPS = in_theorys_blocks()


def test_the_condition_is_met_often() -> None:
    assert len(STEPS) >= 15


@pytest.mark.parametrize("name", STEPS)
def test_at_most_one_extra_forward_at_the_proved_peak(name: str) -> None:
    step = STEPS[name]
    result = solve_schedule(step.graph, step.peak(len(step.start) - 2), "block_checkpoints")
    forward = sum(op.cost for op in step.graph.ops[: step.turn])
    assert result.cost is not None and result.cost <= step.graph.base_cost + forward


@pytest.mark.parametrize("steps", [16, 50, 200])
def test_on_a_chain_two_sqrt_n_states_cost_one_forward_and_log_n_cost_log_n(steps: int) -> None:
    graph = chain(steps)
    block = max(1, round(block_length(graph, steps)))
    blocks = ceil(steps / block)
    one = solve_schedule(graph, blocks + block + 2, "block_checkpoints")
    assert one.cost is not None and one.cost <= graph.base_cost + steps
    tree = solve_schedule(graph, ceil(log2(steps)) + 5, "interval_tree")
    assert tree.cost is not None and tree.cost <= graph.base_cost + ceil(log2(steps)) * steps
