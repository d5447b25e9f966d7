"""From a graph and a budget to a Result: method, replay, certificate."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

from hcb_opt.bounds import cover_bound, mandatory_memory
from hcb_opt.budget import parse_budget, parse_memory_limit
from hcb_opt.errors import InvalidInput
from hcb_opt.free_bounds import free_cover_bound
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import Method, get_method, methods
from hcb_opt.replay import replay
from hcb_opt.result import PRECISION, Event, Result, Status
from hcb_opt.schedule import Schedule
from hcb_opt.version import __version__

ORDERS = ("fixed", "free")


def solve_schedule(
    graph: Graph,
    budget: int | float | str,
    method: str = "auto",
    order: str = "fixed",
    time_limit: float = 60.0,
    gap: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    initial: Schedule | None = None,
    on_event: Callable[[Event], None] | None = None,
    memory_limit: int | str | None = None,
) -> Result:
    """Find a cheap schedule within a memory budget, and bound what any could cost.

    Parameters
    ----------
    graph : Graph
    budget : int, float or str
        Bytes, ``"8GiB"``, or a share of the store-all peak in (0, 1].
    method : str
        A name from ``hcb-opt methods``, or ``auto``.
    order : str
        ``fixed``: first computes come in the graph's order. ``free``: in any
        topological order.
    time_limit : float
        Seconds; the best schedule and bound so far are returned.
    gap : float
        Stop once (cost - bound) / bound is at most this.
    seed : int
        Same seed and one worker: same answer.
    workers : int
        Threads or processes a method may use.
    initial : Schedule or None
        A warm start; used if it fits the budget.
    on_event : callable or None
        Called with an `Event` whenever cost or bound improves.
    memory_limit : int, str or None
        Bytes, or ``"4GiB"``: what each solver process may allocate, for itself
        and its libraries too. A solver that wants more ends; what it found
        stays. On Linux only.

    Returns
    -------
    Result
        Its cost and peak come from `replay`. Ctrl-C ends the solve like the
        time limit does.

    Raises
    ------
    InvalidInput
        If an argument is out of range, a method is unknown or does not serve the
        order.
    """
    budget_bytes = parse_budget(budget, graph.store_all_peak_bytes)
    _check_arguments(order, time_limit, gap, workers)
    memory_limit_bytes = None if memory_limit is None else _memory_limit(memory_limit)
    chosen = get_method(_choose(graph, budget_bytes, order) if method == "auto" else method, order)
    problem = Problem(graph, budget_bytes, time_limit, gap, seed, workers, initial, memory_limit_bytes, order)
    progress = Progress(problem, on_event)
    try:
        _solve_within(chosen, problem, progress)
    except KeyboardInterrupt:
        progress.give_up("interrupted")
    return _result(chosen, problem, progress)


def _choose(graph: Graph, budget_bytes: int, order: str) -> str:
    if budget_bytes >= graph.store_all_peak_bytes:
        return "store_all"
    if order == "free":
        return "free_order"
    special = (each for each in methods().values() if each.refuses is not None)
    return next((each.name for each in special if not each.declines(graph, budget_bytes)), "frontier_cuts")


def _solve_within(chosen: Method, problem: Problem, progress: Progress) -> None:
    graph = problem.graph
    needed = mandatory_memory(graph)
    if needed.size_bytes > problem.budget_bytes:
        progress.prove_infeasible(f"{needed.reason}; the budget is {problem.budget_bytes}")
        return
    cover = cover_bound if problem.order == "fixed" else free_cover_bound
    progress.raise_bound(cover(graph, problem.budget_bytes))
    if problem.initial is not None:
        progress.offer(problem.initial)
    if progress.done:
        return
    if reason := chosen.declines(graph, problem.budget_bytes):
        progress.give_up(reason)
        return
    chosen.solve(problem, progress)


def _result(chosen: Method, problem: Problem, progress: Progress) -> Result:
    graph = problem.graph
    if progress.infeasible and progress.schedule is not None:
        raise RuntimeError(f"{chosen.name} proved infeasible what it solved: {progress.infeasible}")
    if progress.cost is not None and progress.bound is not None and progress.bound > progress.cost:
        raise RuntimeError(
            f"{chosen.name} reports a bound of {progress.bound} above a schedule of cost {progress.cost}"
        )
    reason = progress.infeasible or progress.reason
    if progress.schedule is None:
        status = Status.INFEASIBLE if progress.infeasible else Status.NO_SCHEDULE
        reason = (
            reason or f"{chosen.name} found no schedule within {problem.budget_bytes} bytes in {progress.seconds:.1f} s"
        )
    else:
        status = Status.OPTIMAL if progress.gap is not None and progress.gap <= PRECISION else Status.FEASIBLE
        judged = replay(graph, progress.schedule)
        if (judged.cost, judged.peak_bytes) != (progress.cost, progress.peak_bytes):
            raise RuntimeError(f"{chosen.name} reports a cost or peak that replay does not find")
    return Result(
        status=status,
        method=chosen.name,
        claim=chosen.claim if problem.order == "fixed" else "free-order",
        budget_bytes=problem.budget_bytes,
        store_all_peak_bytes=graph.store_all_peak_bytes,
        persistent_bytes=graph.persistent_bytes,
        base_cost=graph.base_cost,
        schedule=progress.schedule,
        cost=progress.cost,
        peak_bytes=progress.peak_bytes,
        lower_bound=None if progress.infeasible else progress.bound,
        reason="" if status is Status.OPTIMAL else reason,
        events=tuple(progress.events),
        seconds=progress.seconds,
        provenance=_provenance(problem, progress),
    )


def _provenance(problem: Problem, progress: Progress) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float | None] = {
        "hcb_opt": __version__,
        "seed": problem.seed,
        "workers": problem.workers,
        "time_limit": problem.time_limit,
        "gap": problem.gap,
        "memory_limit_bytes": problem.memory_limit_bytes,
        "solver_peak_memory_bytes": progress.solver_peak_memory_bytes,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _memory_limit(limit: int | str) -> int:
    if sys.platform != "linux":
        raise InvalidInput(f"memory limit {limit!r}", f"cannot be kept on {sys.platform}", "leave it out, or use Linux")
    return parse_memory_limit(limit)


def _check_arguments(order: str, time_limit: float, gap: float, workers: int) -> None:
    if order not in ORDERS:
        raise InvalidInput(f"order {order!r}", "unknown", f"use one of {', '.join(ORDERS)}")
    if not time_limit > 0 or math.isnan(time_limit):
        raise InvalidInput(f"time limit {time_limit!r}", "not above zero", "give seconds, such as 60")
    if not 0 <= gap < math.inf:
        raise InvalidInput(f"gap {gap!r}", "not a share >= 0", "give a share, such as 0.01 for one percent")
    if workers < 1:
        raise InvalidInput(f"workers {workers!r}", "not above zero", "give at least 1")
