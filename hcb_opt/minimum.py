"""The smallest budget that a step can be run in: from above by schedules, from below by proofs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from hcb_opt.bounds import mandatory_memory
from hcb_opt.chains.least_memory import least_memory_schedules
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph, Phase
from hcb_opt.replay import replay
from hcb_opt.result import Result, Status
from hcb_opt.schedule import Schedule, schedule_from_computes
from hcb_opt.solve import solve_schedule

_ANY_GAP = 1e9
_SOLVES = 12
_PLANS_SHARE = 0.35
_SEARCH_SHARE = 0.6
_LEAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class MinimumBudget:
    """What is known of the smallest feasible budget of a graph in its fixed order.

    Attributes
    ----------
    peak_bytes : int
        Peak of the schedule: the smallest found.
    lower_bound_bytes : int
        Proven: no schedule has a smaller peak.
    schedule : Schedule
        Has this peak; its cost is no concern here.
    seconds : float
        Wall time.
    interrupted : bool
        Whether Ctrl-C ended the search before its time.
    """

    peak_bytes: int
    lower_bound_bytes: int
    schedule: Schedule
    seconds: float
    interrupted: bool = False

    @property
    def proven(self) -> bool:
        """Whether the two meet."""
        return self.peak_bytes == self.lower_bound_bytes


def minimum_budget(
    graph: Graph,
    time_limit: float = 60.0,
    seed: int = 0,
    workers: int = 1,
    on_step: Callable[[int, int], None] | None = None,
    memory_limit: int | str | None = None,
    method: str = "frontier_cuts",
    order: str = "fixed",
) -> MinimumBudget:
    """Find the smallest budget in which a graph can be computed, and bound it from below.

    Of a training step, plans of blocks that need less and less memory come first. Then
    budgets are halved between the largest one proven infeasible and the
    smallest peak found; one that stays undecided is left for the schedules
    above it first, for proofs below it last.

    Parameters
    ----------
    graph : Graph
    time_limit : float
        Seconds in all; each budget tried gets a twelfth.
    seed, workers : int
        As in `solve_schedule`.
    on_step : callable, optional
        Called with the lower bound and the smallest peak, in bytes, whenever
        one of them improves.
    memory_limit, method, order
        As in `solve_schedule`; only a method that takes every graph and proves
        infeasibility brings the bounds together.

    Returns
    -------
    MinimumBudget
        Ctrl-C ends the search like the time limit does.

    Raises
    ------
    InvalidInput
        If the time limit is not above zero.
    """
    if not time_limit > 0 or math.isinf(time_limit):
        raise InvalidInput(f"time limit {time_limit!r}", "not above zero", "give seconds, such as 60")
    started = time.perf_counter()
    schedule = schedule_from_computes(graph, range(len(graph.ops)))
    peak_bytes = replay(graph, schedule).peak_bytes
    lower = mandatory_memory(graph).size_bytes

    def attempt(budget_bytes: int, prove: bool) -> Result | None:
        allowed = time_limit if prove else time_limit * _SEARCH_SHARE
        left = allowed - (time.perf_counter() - started)
        if left <= 0:
            return None
        seconds = min(left, max(_LEAST_SECONDS, time_limit / _SOLVES))
        result = solve_schedule(
            graph,
            budget_bytes,
            method,
            order,
            time_limit=seconds,
            gap=_ANY_GAP,
            seed=seed,
            workers=workers,
            memory_limit=memory_limit,
        )
        if result.reason == "interrupted":
            raise KeyboardInterrupt
        return result

    interrupted = False
    try:
        if any(op.phase is Phase.BACKWARD for op in graph.ops):
            plans_end = started + time_limit * _PLANS_SHARE
            for computes in filter(None, least_memory_schedules(graph, lambda: time.perf_counter() > plans_end)):
                schedule = schedule_from_computes(graph, computes)
                peak_bytes = replay(graph, schedule).peak_bytes
                if on_step is not None:
                    on_step(lower, peak_bytes)
        # First schedules, above what could not be decided; then proofs, below it.
        for prove in (False, True):
            floor, ceiling = lower, peak_bytes - 1
            while floor <= ceiling:
                budget_bytes = (floor + ceiling) // 2
                result = attempt(budget_bytes, prove)
                if result is None:
                    break
                if result.status is Status.INFEASIBLE:
                    lower = floor = budget_bytes + 1
                elif result.schedule is not None and result.peak_bytes is not None:
                    schedule, peak_bytes = result.schedule, min(peak_bytes, result.peak_bytes)
                    ceiling = peak_bytes - 1
                elif prove:
                    ceiling = budget_bytes - 1
                    continue
                else:
                    floor = budget_bytes + 1
                    continue
                if on_step is not None:
                    on_step(lower, peak_bytes)
    except KeyboardInterrupt:
        interrupted = True
    return MinimumBudget(peak_bytes, lower, schedule, time.perf_counter() - started, interrupted)
