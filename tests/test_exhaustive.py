"""The referee against a second, naive search, and against known pebbling numbers."""

from __future__ import annotations

import heapq
from itertools import count

import pytest
from strategies import random_budget, random_graph

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.generators import binary_tree, chain, pyramid, random_training
from hcb_opt.graph import Graph
from hcb_opt.replay import replay
from hcb_opt.result import Status
from hcb_opt.schedule import Action, Compute, Drop, Schedule
from hcb_opt.solve import solve_schedule

NaiveState = tuple[int, frozenset[int]]


def naive_optimum(graph: Graph, budget_bytes: int) -> Schedule | None:
    """Cheapest schedule by blind search over single actions, straight from the rules."""
    tie = count()
    heap: list[tuple[int, int, NaiveState, tuple[Action, ...]]] = [(0, next(tie), (0, frozenset()), ())]
    seen: set[NaiveState] = set()
    while heap:
        cost, _, (computed, resident), actions = heapq.heappop(heap)
        if (computed, resident) in seen:
            continue
        seen.add((computed, resident))
        if computed == len(graph.ops) and graph.required <= resident:
            return Schedule(actions)
        for value in resident:
            heapq.heappush(heap, (cost, next(tie), (computed, resident - {value}), (*actions, Drop(value))))
        for position in range(min(computed + 1, len(graph.ops))):
            op = graph.ops[position]
            after = resident | set(op.outputs)
            held = sum(graph.values[value].size_bytes for value in after) + op.workspace_bytes
            if resident >= set(op.inputs) and held <= budget_bytes:
                state = (max(computed, position + 1), after)
                heapq.heappush(heap, (cost + op.cost, next(tie), state, (*actions, Compute(position))))
    return None


def test_equals_a_naive_search_over_single_actions() -> None:
    compared = infeasible = recomputing = 0
    for seed in range(700):
        graph = random_graph(seed, max_ops=5)
        if len(graph.values) > 8:
            continue
        budget = random_budget(graph, seed)
        result = solve_schedule(graph, budget, method="exhaustive")
        naive = naive_optimum(graph, budget)
        if naive is None:
            assert result.status == Status.INFEASIBLE, graph.name
            infeasible += 1
        else:
            judged = replay(graph, naive)
            assert judged.peak_bytes <= budget
            assert judged.fixed_order
            assert result.status == Status.OPTIMAL, graph.name
            assert result.cost == result.lower_bound == judged.cost, graph.name
            recomputing += judged.cost > graph.base_cost
        compared += 1
    assert compared > 400
    assert infeasible > 15
    assert recomputing > 40


@pytest.mark.parametrize(
    ("graph", "pebbles"),
    [(binary_tree(2), 4), (pyramid(2), 4), (pyramid(3), 5)],
    ids=lambda each: getattr(each, "name", each),
)
def test_pebbling_numbers(graph: Graph, pebbles: int) -> None:
    # A tree or pyramid of height h needs h + 2 pebbles (Cook & Sethi 1976; Cook 1974).
    assert solve_schedule(graph, pebbles, method="exhaustive").status == Status.OPTIMAL
    short = solve_schedule(graph, pebbles - 1, method="exhaustive")
    assert short.status == Status.INFEASIBLE
    assert short.reason


def test_proof_of_infeasibility_needs_the_search() -> None:
    result = solve_schedule(pyramid(3), 4, method="exhaustive")
    assert "memory states" in result.reason


def test_chain_recomputes_one_step_when_one_byte_short() -> None:
    graph = chain(3)
    result = solve_schedule(graph, graph.store_all_peak_bytes - 1, method="exhaustive")
    assert result.status == Status.OPTIMAL
    assert result.cost == graph.base_cost + 1


def test_costless_recomputation_is_found() -> None:
    ops = [OpSpec("a", 0, (), (("x", 4),)), OpSpec("b", 3, (), (("y", 4),)), OpSpec("c", 1, ("x", "y"), (("z", 1),))]
    ops.insert(1, OpSpec("big", 1, (), (("t", 6),)))
    graph = build_graph(ops, ["z"])
    result = solve_schedule(graph, 9, method="exhaustive")
    assert result.status == Status.OPTIMAL
    assert result.cost == graph.base_cost
    assert result.schedule is not None
    assert sorted(result.schedule.computes) == [0, 0, 1, 2, 3]


def test_more_than_64_values() -> None:
    wide = [(f"w{each}", 20 if each > 67 else 0) for each in range(70)]
    reads = tuple(name for name, _ in wide)
    graph = build_graph(
        [
            OpSpec("wide", 1, (), tuple(wide)),
            OpSpec("big", 1, ("w69",), (("t", 40),)),
            OpSpec("end", 1, reads, (("z", 1),)),
        ]
    )
    result = solve_schedule(graph, 71, method="exhaustive")
    assert result.status == Status.OPTIMAL
    assert result.cost == graph.base_cost + 1


def test_time_is_checked_while_one_state_has_very_many_successors() -> None:
    wide = tuple((f"w{each}", 1) for each in range(60))
    reads = tuple(name for name, _ in wide)
    graph = build_graph(
        [OpSpec("wide", 1, (), wide), OpSpec("big", 1, (), (("t", 40),)), OpSpec("end", 1, reads, (("z", 1),))]
    )
    result = solve_schedule(graph, 70, method="exhaustive", time_limit=0.2)
    assert result.status == Status.NO_SCHEDULE
    assert result.seconds < 2


def test_time_limit_leaves_a_bound_and_a_reason() -> None:
    graph = random_training(6, seed=18)
    result = solve_schedule(graph, 0.85, method="exhaustive", time_limit=0.2)
    assert result.status == Status.NO_SCHEDULE
    assert "time limit" in result.reason
    assert result.lower_bound is not None
    assert result.lower_bound > graph.base_cost
    bounds = [event.bound for event in result.events if event.bound is not None]
    assert bounds == sorted(bounds)


def test_larger_graphs_are_declined() -> None:
    result = solve_schedule(chain(8), 0.9, method="exhaustive")
    assert result.status == Status.NO_SCHEDULE
    assert "14 ops" in result.reason
