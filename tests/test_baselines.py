"""The classical checkpointing methods on chains, skips and arbitrary DAGs."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_budget, random_graph

from hcb_opt import Graph, OpSpec, Phase, Schedule, Status, build_graph, replay, schedule_from_computes, solve_schedule
from hcb_opt.blocks import Chain, balanced_chain, turn_position
from hcb_opt.bounds import mandatory_memory
from hcb_opt.generators import chain, random_training, u_shape
from hcb_opt.reversal import keep_every_cut, reversal_computes

METHODS = ["chen_sqrt", "chen_greedy", "revolve", "interval_tree"]


def found(graph: Graph, budget: int | float, method: str) -> Schedule:
    result = solve_schedule(graph, budget, method=method)
    assert result.schedule is not None, result.reason
    return result.schedule


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=60, deadline=None)
def test_schedules_are_legal_in_order_and_within_budget(method: str, seed: int) -> None:
    graph = random_graph(seed, 14)
    budget_bytes = random_budget(graph, seed)
    result = solve_schedule(graph, budget_bytes, method=method)
    if result.schedule is not None:
        judged = replay(graph, result.schedule)
        assert judged.fixed_order
        assert judged.peak_bytes <= budget_bytes
        assert solve_schedule(graph, budget_bytes, method=method).schedule == result.schedule
    elif result.status is Status.NO_SCHEDULE:
        assert result.reason.endswith(f"the budget is {budget_bytes}")


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=30, deadline=None)
def test_the_smallest_peak_named_is_the_smallest_budget_solved(method: str, seed: int) -> None:
    graph = random_training(3 + seed % 20, seed)
    least = mandatory_memory(graph).size_bytes
    refused = solve_schedule(graph, least, method=method)
    if refused.status is Status.NO_SCHEDULE:
        match = re.search(r"need at least (\d+) bytes", refused.reason)
        assert match is not None, refused.reason
        smallest = int(match[1])
        assert solve_schedule(graph, smallest, method=method).schedule is not None
        assert solve_schedule(graph, smallest - 1, method=method).schedule is None


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_recomputed_where_everything_fits(method: str) -> None:
    graph = u_shape(4)
    assert found(graph, 1.0, method).computes == tuple(range(len(graph.ops)))


@pytest.mark.parametrize("method", ["chen_sqrt", "chen_greedy"])
@pytest.mark.parametrize("share", [0.9, 0.6, 0.4])
def test_chen_recomputes_forward_ops_at_most_once(method: str, share: float) -> None:
    graph = chain(100)
    counts = replay(graph, found(graph, share, method)).compute_counts
    assert max(counts[: turn_position(graph)]) == 2
    assert max(counts[turn_position(graph) :]) == 1


@pytest.mark.parametrize("method", ["chen_sqrt", "chen_greedy"])
def test_chen_reaches_the_order_of_sqrt_n(method: str) -> None:
    steps = 400
    assert found(chain(steps), 2 * math.isqrt(steps) + 5, method)


def test_interval_tree_reaches_the_order_of_log_n() -> None:
    steps = 255
    levels = math.log2(steps + 1)
    graph = chain(steps)
    judged = replay(graph, found(graph, int(levels) + 5, "interval_tree"))
    assert max(judged.compute_counts) <= levels + 1
    assert judged.cost - graph.base_cost <= steps * (levels / 2 + 1)


def test_interval_tree_reverses_the_last_block_first() -> None:
    """Without the tree, running forward to the last block again and again costs n^2 / 2."""
    graph = chain(64)
    schedule = found(graph, 12, "interval_tree")
    recomputed = schedule.computes[turn_position(graph) :]
    first_reruns = [position for position in recomputed if position < turn_position(graph)]
    assert first_reruns[0] >= 48


def test_revolve_is_no_worse_than_equal_segments_on_a_chain() -> None:
    graph = chain(120)
    for budget_bytes in (60, 30, 15, 10):
        binomial = solve_schedule(graph, budget_bytes, method="revolve").cost
        tree = solve_schedule(graph, budget_bytes, method="interval_tree").cost
        assert binomial is not None
        assert tree is None or binomial <= tree


def masked_chain(steps: int, reads_mask: int) -> Graph:
    """A chain in which one backward op also reads what the first forward op wrote down."""
    specs = []
    for step in range(steps):
        writes = ((f"x{step}", 4), *([("mask", 1)] if step == 0 else []))
        specs.append(OpSpec(f"f{step}", 1, (f"x{step - 1}",) if step else (), writes))
    for step in reversed(range(steps)):
        reads = [f"x{step}", *([f"g{step + 1}"] if step + 1 < steps else []), *(["mask"] if step == reads_mask else [])]
        specs.append(OpSpec(f"b{step}", 1, tuple(reads), ((f"g{step}", 4),), phase=Phase.BACKWARD))
    return build_graph(specs, ["g0"])


def test_a_single_early_read_of_a_far_block_leaves_the_kept_cuts() -> None:
    plain, early = masked_chain(40, 0), masked_chain(40, 38)

    def cost(graph: Graph) -> int:
        computes = reversal_computes(Chain(graph, (*range(0, 40, 5), 40)), keep_every_cut)
        return replay(graph, schedule_from_computes(graph, computes)).cost

    assert cost(early) == cost(plain) + 1


def test_outputs_of_the_forward_stay() -> None:
    specs = [
        OpSpec("a", 1, (), (("x", 8), ("kept", 2))),
        OpSpec("b", 1, ("x",), (("y", 8),)),
        OpSpec("c", 1, ("y",), (("z", 8),)),
        OpSpec("d", 1, ("z",), (("u", 1),), phase=Phase.BACKWARD),
        OpSpec("e", 1, ("u",), (("w", 1),), phase=Phase.BACKWARD),
    ]
    graph = build_graph(specs, ["kept", "w"])
    computes = reversal_computes(balanced_chain(graph, [1, 1, 1], 3), keep_every_cut)
    assert computes == [0, 1, 2, 3, 4]
