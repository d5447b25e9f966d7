"""What every registered method must keep, against the referee on random small graphs.

The fast run takes 2000 graphs for all methods that speak of the fixed order, and
`FEW` of the same for those of a narrower class, whose models take ten times as
long; the slow run takes all 2000 for all, and larger graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
from strategies import random_budget, random_graph

from hcb_opt.graph import Graph
from hcb_opt.registry import Method, methods_for
from hcb_opt.replay import replay
from hcb_opt.result import Result, Status
from hcb_opt.solve import solve_schedule

GRAPHS = 2000
FEW = 250
LARGER = 300
TWICE_EVERY = 10
REFEREE = "exhaustive"


@dataclass(frozen=True)
class Case:
    """A graph, a budget, and what the referee says."""

    seed: int
    graph: Graph
    budget_bytes: int
    referee: Result


@cache
def case(seed: int, max_ops: int = 8) -> Case:
    graph = random_graph(seed, max_ops)
    budget = random_budget(graph, seed)
    return Case(seed, graph, budget, solve_schedule(graph, budget, method=REFEREE))


@pytest.fixture(params=methods_for("fixed").values(), ids=lambda method: method.name)
def method(request: pytest.FixtureRequest) -> Method:
    chosen = request.param
    assert isinstance(chosen, Method)
    return chosen


def test_cases_cover_what_matters() -> None:
    cases = [case(seed) for seed in range(GRAPHS)]
    graphs = [each.graph for each in cases]
    optima = [each for each in cases if each.referee.cost is not None]
    searched = [each for each in cases if "memory states" in each.referee.reason]
    assert {each.referee.status for each in cases} == {Status.OPTIMAL, Status.INFEASIBLE}
    assert sum(each.referee.cost != each.graph.base_cost for each in optima) > 300
    assert len(searched) > 20
    assert len(cases) - len(optima) - len(searched) > 20
    assert sum(any(len(op.outputs) > 1 for op in graph.ops) for graph in graphs) > 500
    assert sum(any(op.workspace_bytes for op in graph.ops) for graph in graphs) > 500
    assert sum(bool(graph.outputs) for graph in graphs) > 500


def test_conforms(method: Method) -> None:
    for seed in range(seeds(method)):
        check(case(seed), method)


@pytest.mark.slow
def test_conforms_on_all(method: Method) -> None:
    for seed in range(seeds(method), GRAPHS):
        check(case(seed), method)


@pytest.mark.slow
def test_conforms_on_larger(method: Method) -> None:
    for seed in range(LARGER):
        check(case(seed, 12), method)


def test_same_answer_twice(method: Method) -> None:
    for seed in range(0, seeds(method), TWICE_EVERY):
        first, second = (solve(case(seed), method) for _ in range(2))
        assert first.status == second.status, seed
        assert first.schedule == second.schedule, seed
        assert first.lower_bound == second.lower_bound, seed


def seeds(method: Method) -> int:
    return GRAPHS if method.claim == "fixed-order" else FEW


def solve(each: Case, method: Method) -> Result:
    return solve_schedule(each.graph, each.budget_bytes, method=method.name, workers=1, seed=7)


def check(each: Case, method: Method) -> None:
    result = solve(each, method)
    optimum = each.referee.cost
    case_name = f"{method.name} on {each.graph.name} (seed {each.seed}) within {each.budget_bytes} bytes"
    label = f"{case_name}: {result.status}, {result.reason}"
    assert result.claim == method.claim, label
    check_schedule(each, result, label)
    if optimum is None:
        assert result.schedule is None, label
    else:
        assert result.status != Status.INFEASIBLE, label
        assert result.lower_bound is not None, label
        assert result.cost is None or optimum <= result.cost, label
        if method.claim == "fixed-order":
            assert result.lower_bound <= optimum, label
    declined = bool(method.declines(each.graph, each.budget_bytes))
    if method.kind == "exact" and method.claim == "fixed-order" and not declined:
        assert result.status == each.referee.status, label
        assert result.cost == optimum, label
    if method.kind == "exact":
        assert result.status != Status.FEASIBLE, label


def check_schedule(each: Case, result: Result, label: str) -> None:
    if result.schedule is None:
        assert result.status in (Status.INFEASIBLE, Status.NO_SCHEDULE), label
        assert result.reason, label
        assert result.cost is None, label
        assert result.peak_bytes is None, label
        return
    judged = replay(each.graph, result.schedule)
    assert result.status in (Status.OPTIMAL, Status.FEASIBLE), label
    assert judged.fixed_order, label
    assert judged.peak_bytes == result.peak_bytes, label
    assert judged.peak_bytes <= each.budget_bytes, label
    assert judged.cost == result.cost, label
    assert result.lower_bound is not None, label
    assert result.lower_bound <= judged.cost, label
    assert (result.status == Status.OPTIMAL) == (result.lower_bound == judged.cost), label
