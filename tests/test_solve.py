"""From arguments to a result: statuses, limits, warm starts, and methods that misreport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hcb_opt.errors import InvalidInput
from hcb_opt.generators import chain, pyramid, random_layered, random_training
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import Method, get_method, methods
from hcb_opt.replay import IllegalSchedule
from hcb_opt.result import Event, Status
from hcb_opt.schedule import Compute, Schedule, schedule_from_computes
from hcb_opt.solve import solve_schedule


@pytest.fixture
def graph() -> Graph:
    return random_training(4, seed=3)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers a solver as the method ``trial`` for one test."""

    def register(solver: Callable[[Problem, Progress], None], **fields: Any) -> None:
        trial = Method(**{
            "name": "trial", "kind": "heuristic", "graphs": "any", "cites": "", "solve": solver, "max_ops": None,
            "claim": "fixed-order", "summary": "For a test.", **fields,
        })  # fmt: skip
        monkeypatch.setitem(methods(), "trial", trial)

    return register


def store_all(graph: Graph) -> Schedule:
    return schedule_from_computes(graph, range(len(graph.ops)))


def test_all_statuses(graph: Graph) -> None:
    assert solve_schedule(graph, 1.0, method="store_all").status == Status.OPTIMAL
    assert solve_schedule(graph, 1.0, method="store_all").overhead == 0
    no_schedule = solve_schedule(graph, 0.9, method="store_all")
    assert no_schedule.status == Status.NO_SCHEDULE
    assert no_schedule.cost is no_schedule.schedule is no_schedule.gap is no_schedule.overhead is None
    assert str(graph.store_all_peak_bytes) in no_schedule.reason
    assert no_schedule.lower_bound is not None
    infeasible = solve_schedule(pyramid(3), 4, method="exhaustive")
    assert infeasible.status == Status.INFEASIBLE
    assert infeasible.lower_bound is None


def test_a_schedule_above_its_bound_is_feasible(graph: Graph, registered: Callable[..., None]) -> None:
    again = schedule_from_computes(graph, [0, *range(len(graph.ops))])
    registered(lambda problem, progress: progress.offer(again))
    result = solve_schedule(graph, 1.0, method="trial")
    assert result.status == Status.FEASIBLE
    assert result.cost == graph.base_cost + graph.ops[0].cost
    assert result.lower_bound == graph.base_cost
    assert result.gap == result.overhead
    assert result.schedule == again


def test_auto_takes_store_all_where_it_fits(graph: Graph) -> None:
    assert solve_schedule(graph, 1.0).method == "store_all"
    below = solve_schedule(graph, graph.store_all_peak_bytes - 1)
    assert below.method == "frontier_cuts"
    assert below.status == Status.OPTIMAL


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"order": "random"}, "order 'random': unknown; use one of fixed, free"),
        ({"time_limit": 0}, "time limit 0"),
        ({"time_limit": -1.0}, "time limit -1.0"),
        ({"time_limit": float("nan")}, "time limit nan"),
        ({"gap": -0.1}, "gap -0.1"),
        ({"gap": float("inf")}, "gap inf"),
        ({"gap": float("nan")}, "gap nan"),
        ({"workers": 0}, "workers 0"),
        ({"method": "magic"}, "method 'magic': unknown"),
        ({"budget": 0}, "budget 0"),
        ({"budget": 5.0}, "ambiguous"),
    ],
)
def test_bad_arguments(graph: Graph, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        solve_schedule(graph, **{"budget": 0.9, **arguments})


def test_budget_forms_agree(graph: Graph) -> None:
    peak = graph.store_all_peak_bytes
    forms = (peak, str(peak), 1.0, "1.0", "100%", f"{peak}B")
    assert {solve_schedule(graph, budget).budget_bytes for budget in forms} == {peak}


@pytest.mark.parametrize("method", ["exhaustive", "frontier_cuts", "checkmate_milp"])
def test_events_improve_and_are_seen_as_they_come(graph: Graph, method: str) -> None:
    seen: list[Event] = []
    result = solve_schedule(graph, 0.8, method=method, on_event=seen.append)
    assert tuple(seen) == result.events
    assert [event.seconds for event in seen] == sorted(event.seconds for event in seen)
    bounds = [event.bound for event in seen if event.bound is not None]
    costs = [event.cost for event in seen if event.cost is not None]
    assert bounds == sorted(bounds)
    assert costs == sorted(costs, reverse=True)
    assert (seen[-1].cost, seen[-1].bound) == (result.cost, result.lower_bound)
    assert seen[-1].seconds <= result.seconds


def test_initial_schedule_counts_if_it_fits(graph: Graph) -> None:
    best = solve_schedule(graph, 0.8, method="exhaustive").schedule
    assert solve_schedule(graph, 0.8, method="store_all").schedule is None
    warm = solve_schedule(graph, 0.8, method="store_all", initial=best)
    assert warm.schedule == best
    cold = solve_schedule(graph, 0.8, method="store_all", initial=store_all(graph))
    assert cold.schedule is None


def test_initial_schedule_of_another_graph_is_an_error(graph: Graph) -> None:
    with pytest.raises(IllegalSchedule, match="never computed"):
        solve_schedule(graph, 0.8, initial=Schedule((Compute(0),)))


def test_initial_schedule_may_beat_a_methods_narrower_class() -> None:
    graph = random_training(5, seed=38)
    best = solve_schedule(graph, 0.92, method="exhaustive")
    cold = solve_schedule(graph, 0.92, method="checkmate_milp")
    warm = solve_schedule(graph, 0.92, method="checkmate_milp", initial=best.schedule)
    assert best.cost is not None
    assert cold.cost is not None
    assert cold.lower_bound == cold.cost > best.cost
    assert warm.cost == warm.lower_bound == best.cost


def test_initial_that_meets_the_bound_ends_the_solve(graph: Graph, registered: Callable[..., None]) -> None:
    def never(problem: Problem, progress: Progress) -> None:
        raise AssertionError("there was nothing left to do")

    registered(never)
    assert solve_schedule(graph, 1.0, method="trial", initial=store_all(graph)).status == Status.OPTIMAL


def test_gap_stops_the_solve(graph: Graph) -> None:
    exact = solve_schedule(graph, 0.8, method="frontier_cuts")
    loose = solve_schedule(graph, 0.8, method="frontier_cuts", gap=0.5)
    assert exact.gap == 0
    assert loose.gap is not None
    assert loose.gap <= 0.5
    assert loose.provenance["gap"] == 0.5


@pytest.mark.parametrize("method", [name for name in methods() if name != "exhaustive"])
def test_time_limit_ends_every_method(method: str) -> None:
    graph = random_layered(80, seed=5)
    result = solve_schedule(graph, 0.7, method=method, order=get_method(method).orders[0], time_limit=1.0)
    assert result.seconds < 6
    assert result.lower_bound is not None
    assert result.reason or result.schedule is not None


def test_graphs_beyond_a_method_are_declined() -> None:
    result = solve_schedule(chain(20), 0.9, method="exhaustive")
    assert result.status == Status.NO_SCHEDULE
    assert result.reason == "exhaustive takes graphs of at most 14 ops; this one has 41"


def test_ctrl_c_keeps_the_incumbent_and_its_bound(graph: Graph, registered: Callable[..., None]) -> None:
    def interrupted(problem: Problem, progress: Progress) -> None:
        progress.offer(schedule_from_computes(graph, [0, *range(len(graph.ops))]))
        raise KeyboardInterrupt

    registered(interrupted)
    result = solve_schedule(graph, 1.0, method="trial")
    assert result.status == Status.FEASIBLE
    assert result.reason == "interrupted"
    assert result.lower_bound == graph.base_cost


@pytest.mark.parametrize(
    ("computes", "budget"),
    [((1, 0, *range(2, 10)), 5), ((0, 1, 2, 3, 0, *range(4, 10)), 4)],
    ids=["out of order", "over budget"],
)
def test_what_is_not_taken(computes: tuple[int, ...], budget: int, registered: Callable[..., None]) -> None:
    graph = pyramid(3)
    taken: list[bool] = []
    registered(lambda problem, progress: taken.append(progress.offer(schedule_from_computes(graph, computes))))
    assert solve_schedule(graph, budget, method="trial").schedule is None
    assert taken == [False]


def test_illegal_schedules_are_errors(graph: Graph, registered: Callable[..., None]) -> None:
    registered(lambda problem, progress: progress.offer(Schedule((Compute(1),))))
    with pytest.raises(IllegalSchedule):
        solve_schedule(graph, 1.0, method="trial")


def test_contradictions_are_errors(graph: Graph, registered: Callable[..., None]) -> None:
    def high_bound(problem: Problem, progress: Progress) -> None:
        progress.raise_bound(graph.base_cost + 1)
        progress.offer(store_all(graph))

    def false_proof(problem: Problem, progress: Progress) -> None:
        progress.offer(store_all(graph))
        progress.prove_infeasible("so it seems")

    registered(high_bound)
    with pytest.raises(RuntimeError, match="bound of"):
        solve_schedule(graph, 1.0, method="trial")
    registered(false_proof)
    with pytest.raises(RuntimeError, match="proved infeasible what it solved"):
        solve_schedule(graph, 1.0, method="trial")


def test_bounds_never_fall(graph: Graph, registered: Callable[..., None]) -> None:
    registered(lambda problem, progress: progress.raise_bound(0))
    assert solve_schedule(graph, 1.0, method="trial").lower_bound == graph.base_cost


def test_claim_is_the_methods(graph: Graph, registered: Callable[..., None]) -> None:
    registered(lambda problem, progress: None, claim="some class")
    result = solve_schedule(graph, 1.0, method="trial")
    assert result.claim == "some class"
    assert "found no schedule" in result.reason


def test_registered_methods_say_what_they_are() -> None:
    assert {"exhaustive", "frontier_cuts", "checkmate_milp", "checkmate_milp_cbc", "store_all"} <= set(methods())
    for name, each in methods().items():
        assert get_method(name) is each
        assert each.name == name
        assert each.kind in ("exact", "heuristic")
        assert each.summary.endswith((".", ")")), name
        assert each.graphs
        assert each.cites
