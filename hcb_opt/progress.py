"""The question put to a method, and the record of what it finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from hcb_opt.graph import Graph
from hcb_opt.replay import replay
from hcb_opt.result import PRECISION, Event, relative_gap
from hcb_opt.schedule import Schedule


@dataclass(frozen=True)
class Problem:
    """What a method is asked.

    Attributes
    ----------
    graph : Graph
    budget_bytes : int
        The peak may not exceed it.
    time_limit : float
        Seconds from the start of the solve.
    gap : float
        Stop once (cost - bound) / bound is at most this.
    seed : int
        For any random choice; same seed and one worker, same answer.
    workers : int
        Threads or processes a method may use.
    initial : Schedule or None
        A warm start that fits the budget.
    memory_limit_bytes : int or None
        What each solver process that a method starts may allocate.
    order : str
        ``fixed``: the first computes come in the graph's order; ``free``: in any.
    """

    graph: Graph
    budget_bytes: int
    time_limit: float = 60.0
    gap: float = 0.0
    seed: int = 0
    workers: int = 1
    initial: Schedule | None = None
    memory_limit_bytes: int | None = None
    order: str = "fixed"


class Progress:
    """Best schedule, best bound and proofs so far; survives limits and Ctrl-C.

    Every schedule reported goes through `replay`; one that is illegal raises,
    one over budget, or out of the fixed order where that is asked for, is not
    taken.

    Parameters
    ----------
    problem : Problem
    on_event : callable or None
        Called with an `Event` at every improvement.
    """

    def __init__(self, problem: Problem, on_event: Callable[[Event], None] | None = None) -> None:
        self.problem = problem
        self.schedule: Schedule | None = None
        self.cost: int | None = None
        self.peak_bytes: int | None = None
        self.bound: int | None = None
        self.infeasible = ""
        self.reason = ""
        self.solver_peak_memory_bytes: int | None = None
        self.events: list[Event] = []
        self._on_event = on_event
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the solve began."""
        return time.perf_counter() - self._start

    @cached_property
    def _deadline(self) -> float:
        return self._start + self.problem.time_limit

    @property
    def remaining_seconds(self) -> float:
        """Until the time limit; never negative."""
        return max(0.0, self._deadline - time.perf_counter())

    @property
    def done(self) -> bool:
        """Whether the wanted gap is reached, infeasibility proven or time is up."""
        return bool(self.infeasible) or self.closed or self.remaining_seconds <= 0.0

    @property
    def gap(self) -> float | None:
        """(cost - bound) / bound; None without both."""
        if self.cost is None or self.bound is None:
            return None
        return relative_gap(self.cost, self.bound)

    @property
    def closed(self) -> bool:
        """Whether the wanted gap is reached, or the solvers' precision."""
        return self.gap is not None and self.gap <= max(self.problem.gap, PRECISION)

    def offer(self, schedule: Schedule) -> bool:
        """Report a schedule; whether it fits the budget and is the best so far."""
        judged = replay(self.problem.graph, schedule)
        if judged.peak_bytes > self.problem.budget_bytes:
            return False
        if self.problem.order == "fixed" and not judged.fixed_order:
            return False
        if self.cost is not None and judged.cost >= self.cost:
            return False
        self.schedule, self.cost, self.peak_bytes = schedule, judged.cost, judged.peak_bytes
        self._emit()
        return True

    def raise_bound(self, bound: int) -> None:
        """Report a proven lower bound of the claim's cost, in cost units."""
        if self.bound is None or bound > self.bound:
            self.bound = bound
            self._emit()

    def prove_infeasible(self, reason: str) -> None:
        """Report a proof that no schedule fits, in words."""
        self.infeasible = reason

    def give_up(self, reason: str) -> None:
        """Say why the method ends without a proof."""
        self.reason = reason

    def note_solver_memory(self, peak_memory_bytes: int | None) -> None:
        """Report the most memory that a solver process held; the largest figure counts."""
        if peak_memory_bytes is not None:
            self.solver_peak_memory_bytes = max(peak_memory_bytes, self.solver_peak_memory_bytes or 0)

    def _emit(self) -> None:
        event = Event(self.seconds, self.cost, self.bound)
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)
