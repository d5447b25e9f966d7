"""Retention intervals against the referee; every schedule is a point of the programme, every round a relaxation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cp_programmes import Hinted
from strategies import random_budget, random_graph
from walks import random_walk

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.cpsat import CpSatProcess, Search, cpsat
from hcb_opt.formulations.retention_intervals.programme import RetentionIntervals
from hcb_opt.formulations.retention_intervals.scope import Scope, scope
from hcb_opt.formulations.retention_intervals.trace import covers, without_unread
from hcb_opt.generators import chain, random_training
from hcb_opt.graph import Graph
from hcb_opt.layered import random_layered
from hcb_opt.progress import Problem, Progress
from hcb_opt.replay import replay
from hcb_opt.result import Event, Status
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule

METHOD = "retention_intervals"


@pytest.fixture(scope="module")
def process() -> Iterator[CpSatProcess]:
    """A process that can import the tests' programmes."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    own = CpSatProcess()
    yield own
    own.stop()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def test_optima_are_the_referees() -> None:
    recomputing = infeasible = several = 0
    for seed in range(5000, 5100):
        graph = random_graph(seed, max_ops=10)
        budget = random_budget(graph, seed)
        referee = solve_schedule(graph, budget, "exhaustive")
        told: list[Event] = []
        result = solve_schedule(graph, budget, METHOD, on_event=told.append)
        assert result.claim == "fixed-order"
        assert (result.status, result.cost) == (referee.status, referee.cost), graph.name
        if referee.cost is None:
            infeasible += 1
            continue
        assert all(each.bound is None or each.bound <= referee.cost for each in told), graph.name
        recomputing += referee.cost > graph.base_cost
        several += result.schedule is not None and max(replay(graph, result.schedule).compute_counts) > 2
    assert recomputing > 15
    assert infeasible > 3
    assert several


@pytest.mark.parametrize(("told_apart", "most_loose"), [(1, 10), (2, 3), (3, 2)])
def test_every_round_is_a_relaxation(told_apart: int, most_loose: int) -> None:
    loose = 0
    for seed in range(0, 90, 3):
        graph = random_graph(seed, max_ops=9)
        budget = random_budget(graph, seed)
        referee = solve_schedule(graph, budget, "exhaustive")
        if referee.cost is None:
            continue
        programme = RetentionIntervals(scope(graph, [told_apart] * len(graph.ops)), budget, None, (), None)
        report = cpsat().solve(Search(programme))
        assert report.optimal and report.objective is not None and report.values is not None
        cost = round(report.objective) * programme.cost_unit
        assert cost <= referee.cost, graph.name
        if not programme.exceeded(report.values.tolist()):
            assert cost == referee.cost, graph.name
        loose += cost < referee.cost
    assert loose <= most_loose


def told_apart_by(graph: Graph, order: list[int]) -> Scope:
    """A scope wide enough for a sequence."""
    counts = [order.count(op) for op in range(len(graph.ops))]
    return scope(graph, counts)


def test_every_schedule_is_a_point_at_its_peak_and_no_lower(process: CpSatProcess) -> None:
    repeating = outside = 0
    for seed in range(60):
        graph = random_graph(seed, max_ops=7)
        order = without_unread(graph, random_walk(graph, seed))
        judged = replay(graph, schedule_from_computes(graph, order))
        searched = told_apart_by(graph, order)
        if not covers(searched, order):
            outside += 1
            continue
        for budget, fits in ((judged.peak_bytes, True), (judged.peak_bytes - 1, False)):
            cuts = tuple(position for position, size in enumerate(graph.workset_bytes) if size <= budget)
            programme = RetentionIntervals(searched, budget, None, cuts, tuple(order))
            report = process.solve(Search(Hinted(programme)))
            assert report.infeasible != fits, (graph.name, budget)
            if fits:
                assert report.values is not None and report.objective is not None
                assert round(report.objective) * programme.cost_unit == judged.cost
                assert sorted(programme.computes(report.values.tolist())) == sorted(order)
        repeating += len(order) > len(graph.ops)
    assert repeating > 20
    assert outside < 10


def test_unread_repeats_are_left_out() -> None:
    for seed in range(200):
        graph = random_graph(seed)
        order = random_walk(graph, seed)
        before = replay(graph, schedule_from_computes(graph, order))
        kept = without_unread(graph, order)
        after = replay(graph, schedule_from_computes(graph, kept))
        assert after.fixed_order
        assert after.cost <= before.cost and after.peak_bytes <= before.peak_bytes
        assert without_unread(graph, kept) == kept


def test_scope_keeps_cheapest_schedules() -> None:
    """No op of an optimum runs more often than the scope of its own cost allows, or later."""
    compared = 0
    for seed in range(0, 400, 3):
        graph = random_graph(seed, max_ops=10)
        result = solve_schedule(graph, random_budget(graph, seed), "exhaustive")
        if result.schedule is None or result.cost is None or result.cost == graph.base_cost:
            continue
        order = without_unread(graph, result.schedule.computes)
        searched = scope(graph, [99] * len(graph.ops), result.cost - graph.base_cost)
        assert not any(searched.open_ended)
        assert covers(searched, order), graph.name
        compared += 1
    assert compared > 20


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
    result = solve_schedule(graph, 15, METHOD)
    assert result.status == Status.OPTIMAL
    assert result.schedule is not None
    assert result.schedule.computes == (0, 1, 2, 0, 3)
    assert solve_schedule(graph, 14, METHOD).status == Status.INFEASIBLE


def test_costs_and_sizes_of_trillions() -> None:
    small = chain(5)
    specs = [
        OpSpec(op.name, 10**12 + 37 * each, tuple(f"v{v}" for v in op.inputs), ((f"v{op.outputs[0]}", 4 * 10**12),))
        for each, op in enumerate(small.ops)
    ]
    graph = build_graph(specs, [f"v{v}" for v in small.outputs])
    exact = solve_schedule(graph, 0.7, method="exhaustive")
    result = solve_schedule(graph, 0.7, METHOD)
    assert exact.cost is not None and exact.cost > graph.base_cost
    assert result.cost == result.lower_bound == exact.cost


def test_costs_beyond_exact_floats_are_declined() -> None:
    graph = random_layered(20, seed=2)
    ops = tuple(replace(op, cost=op.cost * 2**48 + position) for position, op in enumerate(graph.ops))
    result = solve_schedule(replace(graph, ops=ops), 0.9, METHOD)
    assert result.status == Status.FEASIBLE
    assert "exact arithmetic" in result.reason


@pytest.mark.parametrize("share", [0.9, 0.8])
def test_agrees_with_frontier_cuts(share: float) -> None:
    graph = random_layered(40, seed=3)
    ours, other = (solve_schedule(graph, share, method) for method in (METHOD, "frontier_cuts"))
    assert ours.status == other.status == Status.OPTIMAL
    assert ours.cost == other.cost
    assert ours.cost is not None and ours.cost > graph.base_cost


def test_starts_from_what_is_known() -> None:
    graph = random_layered(40, seed=3)
    best = solve_schedule(graph, 0.8, METHOD)
    again = solve_schedule(graph, 0.8, METHOD, initial=best.schedule)
    assert again.status == Status.OPTIMAL
    assert again.cost == best.cost
    assert again.events[1].cost == best.cost


def test_gap_is_kept() -> None:
    graph = random_layered(40, seed=3)
    result = solve_schedule(graph, 0.7, METHOD, gap=0.05)
    assert result.gap is not None
    assert result.gap <= 0.05


HARD = random_layered(150, seed=1)


def test_time_limit_is_kept_and_said() -> None:
    result = solve_schedule(HARD, 0.7, METHOD, time_limit=1.0)
    assert result.status in (Status.FEASIBLE, Status.NO_SCHEDULE)
    assert "time limit" in result.reason
    assert result.lower_bound is not None
    assert result.seconds < 6


def test_a_process_that_dies_loses_nothing() -> None:
    killed = []

    def kill(event: Event) -> None:
        process = cpsat()._process
        if event.cost is not None and process is not None:
            process.kill()
            killed.append(event.cost)

    result = solve_schedule(random_layered(40, seed=3), 0.8, METHOD, on_event=kill, time_limit=20)
    assert killed
    assert result.status in (Status.FEASIBLE, Status.OPTIMAL)
    assert result.cost is not None and result.cost <= min(killed)


def test_an_interrupt_keeps_what_was_found() -> None:
    seen = []

    def interrupt(event: Event) -> None:
        seen.append(event)
        if event.cost is not None:
            raise KeyboardInterrupt

    result = solve_schedule(HARD, 0.85, METHOD, on_event=interrupt)
    assert result.status == Status.FEASIBLE
    assert result.reason == "interrupted"
    assert result.cost == seen[-1].cost


def test_a_wrong_figure_is_an_error() -> None:
    from hcb_opt.formulations.retention_intervals import _check

    graph = random_training(3, seed=1)
    problem = Problem(graph, graph.store_all_peak_bytes)
    _check(problem, range(len(graph.ops)), graph.base_cost)
    with pytest.raises(RuntimeError, match="replay finds"):
        _check(problem, range(len(graph.ops)), graph.base_cost + 1)
    assert Progress(problem).schedule is None
