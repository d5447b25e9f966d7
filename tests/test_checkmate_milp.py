"""Checkmate's programme against an enumeration of its class of schedules."""

from __future__ import annotations

from itertools import chain as joined
from itertools import combinations, product

import numpy as np
import pytest
from strategies import random_budget, random_graph

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.formulations.checkmate_milp import _cbc_lower_bound
from hcb_opt.generators import chain, random_layered, random_training, u_shape
from hcb_opt.graph import Graph
from hcb_opt.replay import IllegalSchedule, replay
from hcb_opt.result import Status
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule
from hcb_opt.stage_model import StageModel

METHODS = ("checkmate_milp", "checkmate_milp_cbc")


def cheapest_of_the_class(graph: Graph, budget_bytes: int) -> int | None:
    """Tries, for every stage, every set of earlier ops to run again."""
    stages = [
        [(*again, stage) for size in range(stage + 1) for again in combinations(range(stage), size)]
        for stage in range(len(graph.ops))
    ]
    best = None
    for choice in product(*stages):
        try:
            judged = replay(graph, schedule_from_computes(graph, joined(*choice)))
        except IllegalSchedule:
            continue
        if judged.peak_bytes <= budget_bytes and (best is None or judged.cost < best):
            best = judged.cost
    return best


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_enumerated_class(method: str) -> None:
    empty = recomputing = compared = 0
    for seed in range(180):
        graph = random_graph(seed, max_ops=5)
        budget = random_budget(graph, seed)
        result = solve_schedule(graph, budget, method=method)
        assert result.claim == "checkmate-stages"
        expected = cheapest_of_the_class(graph, budget)
        if expected is None:
            assert result.status == Status.INFEASIBLE or "no schedule of class" in result.reason, graph.name
            empty += 1
        else:
            assert result.status == Status.OPTIMAL, graph.name
            assert result.cost == expected, graph.name
            recomputing += expected > graph.base_cost
        compared += 1
    assert empty > 5
    assert recomputing > 5
    assert compared == 180


def test_several_outputs_are_dropped_independently() -> None:
    # 'both' writes a small value, needed throughout, and a large one, needed at once and at the end.
    graph = build_graph(
        [
            OpSpec("both", 2, (), (("small", 1), ("large", 10))),
            OpSpec("use", 1, ("small", "large"), (("a", 1),)),
            OpSpec("big", 1, ("small", "a"), (("b", 1),), workspace_bytes=12),
            OpSpec("end", 1, ("b", "large"), (("c", 1),)),
        ],
        ["c"],
    )
    assert graph.store_all_peak_bytes == 25
    for method in METHODS:
        result = solve_schedule(graph, 15, method=method)
        assert result.status == Status.OPTIMAL
        assert result.cost == graph.base_cost + 2
        assert result.schedule is not None
        assert result.schedule.computes == (0, 1, 2, 0, 3)


@pytest.mark.parametrize("method", METHODS)
def test_costs_of_trillions(method: str) -> None:
    small = chain(5)
    specs = [
        OpSpec(op.name, 10**12 + 37 * each, tuple(f"v{v}" for v in op.inputs), ((f"v{op.outputs[0]}", 4 * 10**9),))
        for each, op in enumerate(small.ops)
    ]
    graph = build_graph(specs, [f"v{v}" for v in small.outputs])
    exact = solve_schedule(graph, 0.7, method="exhaustive")
    result = solve_schedule(graph, 0.7, method=method)
    assert exact.cost is not None
    assert exact.cost > graph.base_cost
    assert result.cost == exact.cost
    assert result.lower_bound is not None
    assert exact.cost * (1 - 1e-6) < result.lower_bound <= exact.cost


def test_both_solvers_agree_on_a_training_step() -> None:
    graph = u_shape(3)
    highs, cbc = (solve_schedule(graph, 0.85, method=method) for method in METHODS)
    assert highs.status == cbc.status == Status.OPTIMAL
    assert highs.cost == cbc.cost
    assert highs.cost is not None
    assert highs.cost > graph.base_cost


@pytest.mark.parametrize("method", METHODS)
def test_time_limit_is_kept_and_said(method: str) -> None:
    graph = random_layered(60, seed=1)
    result = solve_schedule(graph, 0.75, method=method, time_limit=2.0)
    assert result.status in (Status.FEASIBLE, Status.NO_SCHEDULE)
    assert "time limit" in result.reason
    assert result.lower_bound is not None
    assert result.seconds < 5


@pytest.mark.parametrize("method", METHODS)
def test_gap_is_kept(method: str) -> None:
    graph = random_training(7, seed=3)
    result = solve_schedule(graph, 0.75, method=method, gap=0.2)
    assert result.gap is not None
    assert result.gap <= 0.2


def test_bound_of_cbc_is_read_from_its_summary() -> None:
    log = "Result - Stopped on time limit\n\nObjective value:        12.00\nLower bound:        10.250\nGap: 0.17\n"
    assert _cbc_lower_bound(log) == 10.25
    assert _cbc_lower_bound("Result - Optimal solution found\n") is None


def test_relaxation_admits_every_schedule_of_the_class() -> None:
    graph = random_training(2, seed=1)
    model = StageModel(graph, graph.store_all_peak_bytes)
    assert model.rows.shape == (len(model.row_lower), len(model.costs))
    solution = np.zeros(len(model.costs))
    for stage in range(len(graph.ops)):
        solution[model.R[stage, stage]] = 1
    assert model.computes(solution) == list(range(len(graph.ops)))
