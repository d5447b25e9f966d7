"""The lead method whole: equal to the exhaustive optimum, repeatable, and honest at its limits."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
from strategies import random_budget, random_graph

from hcb_opt.bounds import tightest_position
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.formulations.frontier_cuts import lessons, refinement
from hcb_opt.formulations.frontier_cuts.refinement import Refinement
from hcb_opt.formulations.frontier_cuts.separation import add_best
from hcb_opt.generators import chain, random_layered, random_training, u_shape
from hcb_opt.graph import Graph
from hcb_opt.highs import highs
from hcb_opt.progress import Problem, Progress
from hcb_opt.replay import replay
from hcb_opt.result import Result, Status
from hcb_opt.solve import solve_schedule


def solve(graph: Graph, budget: int | float, seconds: float = 20.0, seed: int = 0) -> Result:
    return solve_schedule(graph, budget, method="frontier_cuts", time_limit=seconds, seed=seed)


def assert_equals_exhaustive(graph: Graph, budget: int) -> None:
    true = solve_schedule(graph, budget, method="exhaustive")
    found = solve(graph, budget, 5.0)
    assert (found.status, found.cost) == (true.status, true.cost), f"{graph.name} at {budget}: {found.reason}"
    if true.cost is not None:
        assert found.lower_bound == true.cost


def test_equals_the_exhaustive_optimum() -> None:
    for seed in range(60):
        graph = random_graph(seed, max_ops=9)
        assert_equals_exhaustive(graph, random_budget(graph, seed))


def test_equals_the_exhaustive_optimum_at_the_least_budgets() -> None:
    for seed in range(12):
        graph = random_training(3, seed)
        least = max(graph.workset_bytes)
        for budget in (least, least + 1):
            assert_equals_exhaustive(graph, budget)


def with_huge_costs(graph: Graph, seed: int) -> Graph:
    """The graph with costs of 1e11 and more without a common divisor: beyond the solver's tolerances."""
    rng = random.Random(seed)
    ops = (replace(op, cost=op.cost * 30_000_000_000 + rng.randint(0, 999)) for op in graph.ops)
    return replace(graph, ops=tuple(ops))


def test_costs_in_flop_give_the_optimum() -> None:
    for seed in range(12):
        graph = with_huge_costs(random_graph(3 * seed, max_ops=8), seed)
        budget = random_budget(graph, seed)
        true = solve_schedule(graph, budget, method="exhaustive")
        found = solve(graph, budget, 4.0)
        assert found.cost == true.cost
        if true.cost is not None:
            assert found.lower_bound is not None
            assert true.cost * (1 - 1e-8) <= found.lower_bound <= true.cost


def test_costs_in_flop_are_solved_to_the_end() -> None:
    found = solve(with_huge_costs(random_layered(60, seed=2), 1), 0.9, 8.0)
    assert found.cost is not None and found.lower_bound is not None
    assert found.cost * (1 - 1e-8) <= found.lower_bound <= found.cost
    assert found.seconds < 6, "the bound is as near as floating point gets: nothing is left to do"


@pytest.mark.parametrize(
    ("graph", "budget"),
    [(random_training(4, 53), 37), (random_training(6, 43), 40), (random_graph(34, 10), 20)],
    ids=lambda each: getattr(each, "name", each),
)
def test_a_round_that_ran_out_of_time_bounds_no_stage_of_several_ops(graph: Graph, budget: int) -> None:
    """Passage bounds speak of stages with one new op; on a stage with more they would be wrong."""
    problem = Problem(graph, budget)
    refinement = Refinement(problem, Progress(problem))
    track = refinement.track(tightest_position(graph, budget), add_best)
    true = solve_schedule(graph, budget, method="exhaustive")
    for _ in range(4):
        track.relaxation, _ = relaxation, _ = track.cuts.relaxation(budget)
        report = highs().solve(relaxation.model(seconds=5.0, seed=0))
        assert report.values is not None and report.bound is not None and true.cost is not None
        assert graph.base_cost + report.bound * relaxation.scale <= true.cost + 1e-6
        refinement.lessons.take(track, replace(report, optimal=False, bound=-1.0))


def test_a_report_goes_to_the_track_that_asked_also_where_tracks_share_a_process() -> None:
    graph = random_layered(40, seed=0)
    problem = Problem(graph, int(0.7 * graph.store_all_peak_bytes), workers=1)
    refinement = Refinement(problem, Progress(problem))
    first = tightest_position(graph, problem.budget_bytes)
    tracks = [refinement.track(first, lambda track, violations: False) for _ in range(2)]
    for track in (*tracks, *reversed(tracks)):
        track.begin()
        told, report = refinement.wait(tracks)
        assert told is track
        refinement.lessons.take(told, report)


def three_saved(size_bytes: int) -> Graph:
    """Three saved tensors; which of them to keep is all there is to choose."""
    saves = [OpSpec(f"save{each}", 3 + each, (), ((f"x{each}", size_bytes),)) for each in range(3)]
    middle = OpSpec("middle", 1, (), (("m", 4 * size_bytes),))
    reads = [OpSpec(f"read{each}", 1, (f"x{each}",), ((f"g{each}", 1),)) for each in range(3)]
    padding = [OpSpec(f"pad{each}", 1) for each in range(20)]  # too many ops for an exhaustive search
    return build_graph([*saves, middle, *reads, *padding], ["g0"], name="three_saved")


@pytest.mark.parametrize("missing_bytes", [0, 1, 100, 10_000])
def test_a_byte_short_among_gibibytes(missing_bytes: int) -> None:
    """Room for two saved tensors of 1 GiB each, or a few bytes less."""
    graph = three_saved(1 << 30)
    found = solve(graph, 6 * (1 << 30) - missing_bytes, 4.0)
    assert found.status == Status.OPTIMAL
    assert found.cost == graph.base_cost + (3 if not missing_bytes else 3 + 4)


@pytest.mark.parametrize(
    ("graph", "share"),
    [
        (random_layered(60, seed=2), 0.9),
        (random_layered(40, seed=3), 0.9),
        (chain(40), 0.4),
        (u_shape(6), 0.9),
    ],
    ids=["layered_60", "layered_40", "chain", "u_shape"],
)
def test_the_same_seed_gives_the_same_schedule(graph: Graph, share: float) -> None:
    first = solve(graph, share)
    highs().stop()
    second = solve(graph, share)
    assert first.status == second.status == Status.OPTIMAL
    assert first.schedule == second.schedule
    assert [(each.cost, each.bound) for each in first.events] == [(each.cost, each.bound) for each in second.events]


def test_any_seed_gives_the_same_cost() -> None:
    graph = random_layered(50, seed=1)
    results = [solve(graph, 0.8, seed=seed) for seed in range(3)]
    assert {each.status for each in results} == {Status.OPTIMAL}
    assert len({each.cost for each in results}) == 1


def test_interrupted_it_keeps_what_it_has() -> None:
    graph = random_layered(100, seed=4)

    def interrupt_after(count: int) -> Callable[[object], None]:
        left = [count]

        def on_event(event: object) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        return on_event

    for events in (1, 2, 3, 4):
        result = solve_schedule(graph, 0.8, method="frontier_cuts", time_limit=10, on_event=interrupt_after(events))
        assert result.reason == "interrupted"
        assert result.lower_bound is not None
    assert solve(chain(12), 0.5).status == Status.OPTIMAL


def test_a_time_limit_is_kept_and_leaves_a_certificate() -> None:
    graph = random_layered(250, seed=5)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(12)  # a broken limit shall not cost minutes
    try:
        result = solve(graph, 0.75, 3.0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert result.seconds < 6
    assert result.lower_bound is not None and result.lower_bound > graph.base_cost
    if result.schedule is not None:
        judged = replay(graph, result.schedule)
        assert judged.fixed_order and judged.peak_bytes <= result.budget_bytes
        assert result.lower_bound <= judged.cost


@pytest.mark.parametrize(("seed", "share"), [(0, 0.8), (2, 0.8), (3, 0.8)])
def test_small_layered_graphs_end_in_a_proof(seed: int, share: float) -> None:
    graph = random_layered(24, seed=seed)
    assert solve_schedule(graph, share, "frontier_cuts", time_limit=60.0).status is Status.OPTIMAL


@pytest.mark.parametrize("workers", [1, 2])
def test_where_no_search_ends_the_time_is_used_all_the_same(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(lessons, "_MOST_MOVES", 10)
    monkeypatch.setattr(refinement, "_SMALL_OPS", 0)
    graph = random_layered(24, seed=0)
    result = solve_schedule(graph, 0.8, "frontier_cuts", time_limit=1.5, workers=workers)
    assert result.status is Status.FEASIBLE
    assert result.seconds > 1.4


def test_workspace_bigger_than_all_else() -> None:
    graph = build_graph(
        [
            OpSpec("a", 2, (), (("x", 3), ("unread", 2))),
            OpSpec("b", 0, ("x",), (("y", 3), ("empty", 0))),
            OpSpec("heavy", 1, ("y",), (("z", 1),), workspace_bytes=100),
            OpSpec("c", 1, ("z", "x", "empty"), (("w", 1),)),
        ],
        ["w", "unread"],
    )
    least = max(graph.workset_bytes)
    for budget in range(least - 1, least + 7):
        assert_equals_exhaustive(graph, budget)


@pytest.mark.parametrize(
    ("forward_ops", "seed", "budget"),
    [(4, 1, 21), (5, 5, 42), (4, 7, 27), (5, 14, 49), (5, 20, 24), (5, 1003895, 52), (5, 1004339, 52), (5, 2, 36)],
)
def test_tight_training_steps_end_as_the_exhaustive_search_does(forward_ops: int, seed: int, budget: int) -> None:
    """Budgets at which values are recomputed more than twice, inside one stage."""
    graph = random_training(forward_ops, seed)
    true = solve_schedule(graph, budget, method="exhaustive")
    found = solve(graph, budget, 60.0)
    assert (found.status, found.cost) == (true.status, true.cost)
