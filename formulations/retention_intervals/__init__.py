"""Moccasin's retention intervals by CP-SAT, with as many copies as turn out to matter.

Each round looks for a schedule cheaper than the best so far. A few computes of an
op are told apart; where more could pay, one more stands for all further ones and
takes memory only while it runs and is read. So every round is a relaxation, and
what it proves holds for all fixed-order schedules; if its optimum has no such
compute, it is a schedule, and the cheapest. Otherwise the next round tells more
computes of these ops apart.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from hcb_opt.bounds import cover_bound, tightest_position
from hcb_opt.cpsat import MOST_EXACT, Search, cpsat
from hcb_opt.formulations.exhaustive import MAX_OPS as SMALL_OPS
from hcb_opt.formulations.exhaustive import exhaustive
from hcb_opt.formulations.retention_intervals.programme import RetentionIntervals
from hcb_opt.formulations.retention_intervals.scope import scope
from hcb_opt.formulations.retention_intervals.trace import covers, without_unread
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.shake import Shaker
from hcb_opt.solver_process import Report

MAX_OPS = 250
_TOLD_APART = 2
_CUTS = 8
_KICKS = 12
_OPS_PER_SHAKE = 2
_REPAIR_SHARE = 0.1
_MOST_DEATHS = 2


@method(
    "retention_intervals",
    kind="exact",
    graphs=f"any DAG of at most {MAX_OPS} ops",
    cites="Bartan et al., ICML 2023",
    max_ops=MAX_OPS,
)
def retention_intervals(problem: Problem, progress: Progress) -> None:
    """Moccasin's retention intervals by CP-SAT, with copies added where they could pay.

    Where no schedule is known and the first round does not prove that there is
    none, graphs small enough for it go to `exhaustive`: rounds would add copies
    for long.
    """
    cpsat().start()
    _improve(problem, progress, range(len(problem.graph.ops)))
    _shake(problem, progress)
    told_apart = [_TOLD_APART] * len(problem.graph.ops)
    deaths = 0
    while not progress.done:
        programme = _programme(problem, progress, told_apart)
        if programme.most_objective > MOST_EXACT:
            progress.give_up(f"costs of {programme.most_objective} units are beyond exact arithmetic")
            return
        report = _solve(programme, problem, progress)
        deaths = deaths + 1 if report.died else 0
        if progress.closed or report.infeasible:
            return
        if report.optimal and report.values is not None:
            solution = report.values.tolist()
            if progress.schedule is None:
                _improve(problem, progress, programme.computes(solution))
            if progress.schedule is None and len(problem.graph.ops) <= SMALL_OPS:
                exhaustive(problem, progress)
                return
            for op in programme.exceeded(solution):
                told_apart[op] = programme.scope.copies[op]
        elif not report.died or deaths == _MOST_DEATHS:
            progress.give_up(_why_open(programme, report))
            return
    if not progress.closed and not progress.infeasible:
        progress.give_up("time limit reached")


def _improve(problem: Problem, progress: Progress, computes: Sequence[int]) -> None:
    """Repair a sequence until it fits, make it cheap, and offer it."""
    graph, budget_bytes, stop = problem.graph, problem.budget_bytes, _deadline(problem, progress)
    fitting = make_fit(graph, computes, budget_bytes, stop, problem.seed, _KICKS)
    if fitting is not None:
        progress.offer(schedule_from_computes(graph, remove_needless(graph, fitting, budget_bytes, stop)))


def _shake(problem: Problem, progress: Progress) -> None:
    """Make the first schedule cheaper: the less may be spent, the fewer copies can pay."""
    if progress.schedule is None:
        return
    graph, stop = problem.graph, _deadline(problem, progress)
    shaker = Shaker(graph, progress.schedule.computes, problem.budget_bytes, random.Random(problem.seed))
    for _ in range(len(graph.ops) // _OPS_PER_SHAKE):
        if progress.done:
            return
        if shaker.shake(stop):
            progress.offer(schedule_from_computes(graph, shaker.order))


def _deadline(problem: Problem, progress: Progress) -> Callable[[], bool]:
    end = progress.seconds + _REPAIR_SHARE * problem.time_limit
    return lambda: progress.seconds > end


def _programme(problem: Problem, progress: Progress, told_apart: Sequence[int]) -> RetentionIntervals:
    """The search for something cheaper than the best schedule, from it if the scope has it."""
    graph, budget_bytes, cost = problem.graph, problem.budget_bytes, progress.cost
    cuts = _spread_cuts(graph, budget_bytes)
    if progress.schedule is None or cost is None:
        return RetentionIntervals(scope(graph, told_apart), budget_bytes, None, cuts, None)
    cover_cost = cover_bound(graph, budget_bytes) - graph.base_cost
    searched = scope(graph, told_apart, cost - 1 - graph.base_cost, cover_cost)
    known = without_unread(graph, progress.schedule.computes)
    if covers(searched, known):
        return RetentionIntervals(searched, budget_bytes, cost, cuts, tuple(known))
    return RetentionIntervals(searched, budget_bytes, cost - 1, cuts, None)


def _spread_cuts(graph: Graph, budget_bytes: int) -> tuple[int, ...]:
    """The tightest position, and some spread over those where storing everything exceeds the budget."""
    over = [position for position, size in enumerate(graph.store_all_profile_bytes) if size > budget_bytes]
    spread = {over[(2 * each + 1) * len(over) // (2 * _CUTS)] for each in range(_CUTS - 1)} if over else set()
    return tuple(sorted({tightest_position(graph, budget_bytes), *spread}))


def _solve(programme: RetentionIntervals, problem: Problem, progress: Progress) -> Report:
    """One round; what it finds on the way and in the end is told."""

    def tell(report: Report) -> bool:
        _take(programme, report, problem, progress)
        return problem.gap > 0 and progress.closed

    search = Search(
        programme,
        seconds=progress.remaining_seconds,
        relative_gap=problem.gap,
        seed=problem.seed,
        workers=problem.workers,
        memory_limit_bytes=problem.memory_limit_bytes,
    )
    report = cpsat().solve(search, tell)
    progress.note_solver_memory(report.peak_memory_bytes)
    _take(programme, report, problem, progress)
    return report


def _take(programme: RetentionIntervals, report: Report, problem: Problem, progress: Progress) -> None:
    """Offer a solution's schedule; tell a bound or a proof."""
    if report.values is not None and report.objective is not None:
        solution = report.values.tolist()
        computes = programme.computes(solution)
        if not programme.exceeded(solution):
            _check(problem, computes, round(report.objective) * programme.cost_unit)
        progress.offer(schedule_from_computes(problem.graph, computes))
    if report.infeasible and progress.cost is None:
        progress.prove_infeasible(
            f"proven by CP-SAT: whatever is recomputed, {problem.budget_bytes} bytes do not suffice"
        )
    elif report.infeasible and progress.cost is not None:
        progress.raise_bound(progress.cost)
    elif report.bound is not None:
        bound = math.ceil(report.bound) * programme.cost_unit
        # Schedules as dear as the best one were not searched.
        progress.raise_bound(bound if progress.cost is None else min(bound, progress.cost))


def _check(problem: Problem, computes: Sequence[int], cost: int) -> None:
    """What the programme says of a schedule must be what replay finds."""
    judged = replay(problem.graph, schedule_from_computes(problem.graph, computes))
    if judged.cost != cost or judged.peak_bytes > problem.budget_bytes:
        raise RuntimeError(
            f"retention intervals say cost {cost} within {problem.budget_bytes} bytes; "
            f"replay finds {judged.cost} and {judged.peak_bytes}"
        )


def _why_open(programme: RetentionIntervals, report: Report) -> str:
    if report.died:
        return f"{report.message}; this happened {_MOST_DEATHS} times in a row"
    copies = max(programme.scope.copies)
    return f"time limit reached with {len(programme.repeats)} possible repeats, up to {copies} copies of a value"
