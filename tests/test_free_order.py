"""Free order: the referee, the bound and the search."""

from __future__ import annotations

import heapq
import random
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs, random_budget, random_graph

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput
from hcb_opt.free_bounds import free_cover_bound
from hcb_opt.generators import chain, random_training
from hcb_opt.graph import Graph
from hcb_opt.layered import random_layered
from hcb_opt.registry import methods_for
from hcb_opt.reordering import reordered
from hcb_opt.replay import replay
from hcb_opt.result import Result, Status
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule

SEEDS = st.integers(0, 100_000)


def naive_optimum(graph: Graph, budget_bytes: int) -> int | None:
    """Cheapest cost in any order by blind search over single actions, straight from the rules."""
    everything = frozenset(range(len(graph.ops)))
    tie = count()
    heap = [(0, next(tie), frozenset[int](), frozenset[int]())]
    seen: set[tuple[frozenset[int], frozenset[int]]] = set()
    while heap:
        cost, _, computed, resident = heapq.heappop(heap)
        if (computed, resident) in seen:
            continue
        seen.add((computed, resident))
        if computed == everything and graph.required <= resident:
            return cost
        for value in resident:
            heapq.heappush(heap, (cost, next(tie), computed, resident - {value}))
        for position, op in enumerate(graph.ops):
            after = resident | set(op.outputs)
            held = sum(graph.values[value].size_bytes for value in after) + op.workspace_bytes
            if resident >= set(op.inputs) and held <= budget_bytes:
                heapq.heappush(heap, (cost + op.cost, next(tie), computed | {position}, after))
    return None


def swapped() -> Graph:
    """Two chains, interleaved: one after the other they fit 11 bytes without recomputes."""
    return build_graph(
        [
            OpSpec("a", 5, (), (("a1", 10),)),
            OpSpec("b", 5, (), (("b1", 10),)),
            OpSpec("shrink_a", 5, ("a1",), (("a2", 1),)),
            OpSpec("shrink_b", 5, ("b1",), (("b2", 0),)),
        ]
    )


def random_order(graph: Graph, rng: random.Random) -> list[int]:
    waiting = [len(op.inputs) for op in graph.ops]
    ready = [op for op, missing in enumerate(waiting) if not missing]
    order = []
    while ready:
        order.append(ready.pop(rng.randrange(len(ready))))
        for value in graph.ops[order[-1]].outputs:
            for reader in graph.consumers[value]:
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
    return order


def test_referee_equals_a_naive_search() -> None:
    compared = cheaper = infeasible = 0
    for seed in range(250):
        graph = random_graph(seed, max_ops=5)
        if len(graph.values) > 7:
            continue
        budget = random_budget(graph, seed)
        free = solve_schedule(graph, budget, "exhaustive", order="free")
        fixed = solve_schedule(graph, budget, "exhaustive")
        assert free.claim == "free-order"
        assert fixed.claim == "fixed-order"
        assert free.cost == naive_optimum(graph, budget), seed
        # What no fixed-order schedule fits, none fits: see Search._solve_in_order.
        assert free.status == fixed.status, seed
        if free.cost is not None and fixed.cost is not None:
            assert free.lower_bound == free.cost <= fixed.cost, seed
            cheaper += free.cost < fixed.cost
        infeasible += free.status == Status.INFEASIBLE
        compared += 1
    assert compared > 150
    assert cheaper > 5
    assert infeasible > 5


def test_free_cover_bound_holds_and_says_something() -> None:
    above = open_cases = 0
    for seed in range(600):
        graph = random_graph(seed)
        budget = random_budget(graph, seed)
        optimum = solve_schedule(graph, budget, "exhaustive", order="free").cost
        if optimum is None:
            continue
        bound = free_cover_bound(graph, budget)
        assert graph.base_cost <= bound <= optimum, seed
        open_cases += optimum > graph.base_cost
        above += bound > graph.base_cost
    assert above > open_cases // 2 > 20


def test_free_cover_bound_in_any_stored_order() -> None:
    graph = random_training(30, seed=1)
    budget = int(0.7 * graph.store_all_peak_bytes)
    rng = random.Random(0)
    bounds = {free_cover_bound(reordered(graph, random_order(graph, rng)), budget) for _ in range(4)}
    assert len(bounds) == 1
    assert bounds.pop() > graph.base_cost


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_reordered_graphs_are_the_same_step(seed: int) -> None:
    graph = random_graph(seed)
    order = random_order(graph, random.Random(seed))
    other = reordered(graph, order)
    assert [op.name for op in other.ops] == [graph.ops[op].name for op in order]
    judged = replay(other, schedule_from_computes(other, range(len(order))))
    before = replay(graph, schedule_from_computes(graph, order))
    assert (judged.cost, judged.peak_bytes, judged.fixed_order) == (before.cost, before.peak_bytes, True)
    inverse = [order.index(op) for op in range(len(order))]
    assert {op.name: op.outputs for op in reordered(other, inverse).ops}.keys() == {op.name for op in graph.ops}


def test_an_order_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not come before"):
        reordered(swapped(), [2, 0, 1, 3])


def test_a_schedule_without_recomputes_is_proven() -> None:
    graph = swapped()
    assert graph.store_all_peak_bytes == 21
    assert solve_schedule(graph, 11, "exhaustive").cost == 30
    for method in ("exhaustive", "auto"):
        result = solve_schedule(graph, 11, method, order="free")
        assert result.status == Status.OPTIMAL
        assert result.claim == "free-order"
        assert result.cost == result.lower_bound == graph.base_cost
        assert result.schedule is not None
        assert not replay(graph, result.schedule).fixed_order
    # It breaks the fixed order, so it is no warm start there.
    assert solve_schedule(graph, 11, "store_all", initial=result.schedule).schedule is None


def check_result(graph: Graph, result: Result, budget_bytes: int) -> None:
    assert result.claim == "free-order"
    if result.schedule is None:
        return
    judged = replay(graph, result.schedule)
    assert judged.peak_bytes == result.peak_bytes
    assert judged.peak_bytes <= budget_bytes
    assert judged.cost == result.cost
    assert result.lower_bound is not None
    assert (result.status == Status.OPTIMAL) == (result.lower_bound == result.cost)


def test_search_against_the_referee() -> None:
    solved = optimal = 0
    for seed in range(1, 60, 2):
        graph = random_graph(seed)
        budget = random_budget(graph, seed)
        referee = solve_schedule(graph, budget, "exhaustive", order="free")
        result = solve_schedule(graph, budget, "free_order", order="free", time_limit=2)
        check_result(graph, result, budget)
        if referee.cost is None:
            assert result.schedule is None, seed
        else:
            assert result.status != Status.INFEASIBLE, seed
            assert result.lower_bound is not None and result.lower_bound <= referee.cost, seed
            if result.cost is not None:
                assert result.cost >= referee.cost, seed
                optimal += result.cost == referee.cost
            solved += 1
    assert optimal >= 0.9 * solved > 10


@given(graphs(6), SEEDS)
@settings(max_examples=5, deadline=None)
def test_legal_whatever_the_graph(graph: Graph, seed: int) -> None:
    budget = random_budget(graph, seed)
    check_result(graph, solve_schedule(graph, budget, order="free", time_limit=0.3, seed=seed), budget)


def test_reorders_a_layered_graph_to_no_overhead_and_repeats_itself() -> None:
    graph = random_layered(100, seed=1)
    first, second = (solve_schedule(graph, 0.9, order="free", seed=3) for _ in range(2))
    assert first.status == Status.OPTIMAL
    assert first.overhead == 0
    assert first.schedule == second.schedule
    fixed = solve_schedule(graph, 0.9, time_limit=2)
    assert fixed.lower_bound is not None
    assert fixed.lower_bound > graph.base_cost


def test_is_no_dearer_than_the_fixed_order_on_a_training_step() -> None:
    graph = random_training(12, seed=4)
    fixed = solve_schedule(graph, 0.8)
    assert fixed.status == Status.OPTIMAL
    free = solve_schedule(graph, 0.8, order="free", time_limit=6)
    assert free.cost is not None and fixed.cost is not None
    assert free.cost <= fixed.cost
    check_result(graph, free, free.budget_bytes)


def test_infeasible_in_one_order_is_so_in_any() -> None:
    for seed in range(2, 400, 3):
        graph = random_graph(seed)
        budget = random_budget(graph, seed)
        fixed = solve_schedule(graph, budget, "exhaustive")
        if fixed.status == Status.INFEASIBLE and "memory states" in fixed.reason:
            result = solve_schedule(graph, budget, order="free", time_limit=10)
            assert result.status == Status.INFEASIBLE
            assert result.reason
            return
    pytest.fail("no such graph among the seeds")


def test_keeps_to_the_time_limit_on_a_large_graph() -> None:
    graph = random_layered(3000, seed=0)
    result = solve_schedule(graph, 0.9, order="free", time_limit=4)
    assert result.seconds < 9
    check_result(graph, result, result.budget_bytes)


def test_methods_of_the_other_order_are_refused_by_name() -> None:
    assert set(methods_for("free")) == {
        "exhaustive", "store_all", "free_order", "block_checkpoints", "interval_tree",
    }  # fmt: skip
    with pytest.raises(InvalidInput, match="method 'frontier_cuts': does not serve order 'free'; use one of auto"):
        solve_schedule(chain(4), 0.9, "frontier_cuts", order="free")
    with pytest.raises(InvalidInput, match="method 'free_order': does not serve order 'fixed'"):
        solve_schedule(chain(4), 0.9, "free_order")


def test_exhaustive_declines_larger_graphs_in_the_free_order() -> None:
    result = solve_schedule(chain(5), 0.9, "exhaustive", order="free")
    assert result.status == Status.NO_SCHEDULE
    assert "10 ops" in result.reason
