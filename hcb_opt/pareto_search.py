"""Which budgets of a Pareto front are worth solving, and what each learns from the others."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hcb_opt.bounds import mandatory_memory
from hcb_opt.graph import Graph
from hcb_opt.pareto_front import ParetoPoint, tightened
from hcb_opt.result import PRECISION, Result, Status, relative_gap
from hcb_opt.schedule import Schedule

_LEAST_SECONDS = 0.5
_WHOLE = 0.9
_MOST_FAILURES = 3

Solve = Callable[[int, float, str, Schedule | None], Result]
OnPoint = Callable[[ParetoPoint], None]


@dataclass
class ParetoSearch:
    """The points found so far, and the time that is left.

    Attributes
    ----------
    graph : Graph
    method, claim : str
        The method that solves, and the problem that its bounds speak of.
    time_limit : float
        Seconds in all.
    solve : callable
        Takes budget in bytes, seconds, method and a schedule to start from.
    on_point : callable or None
        Called with each point that is told.
    points : dict of int to ParetoPoint
        By budget, each as its own solves found it.
    started : float
    minimum_bytes : int
        Proven: no schedule has a smaller peak.
    cut_short : set of int
        Budgets whose last solve took all its time.
    failures : int
        Solves in a row without a schedule.
    """

    graph: Graph
    method: str
    claim: str
    time_limit: float
    solve: Solve
    on_point: OnPoint | None
    points: dict[int, ParetoPoint] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    minimum_bytes: int = 0
    cut_short: set[int] = field(default_factory=set)
    failures: int = 0

    def __post_init__(self) -> None:
        self.minimum_bytes = mandatory_memory(self.graph).size_bytes

    @property
    def seconds(self) -> float:
        """Since the search began."""
        return time.perf_counter() - self.started

    @property
    def left_seconds(self) -> float:
        """Until the time limit; negative once it has passed."""
        return self.time_limit - self.seconds

    def take(self, point: ParetoPoint) -> None:
        """Keep a point; of two at the same budget what is better of each."""
        old = self.points.get(point.budget_bytes)
        if old is not None and point.status is not Status.INFEASIBLE:
            schedule = old if point.cost is None or (old.cost is not None and old.cost <= point.cost) else point
            bound = old if (old.lower_bound or 0) >= (point.lower_bound or 0) else point
            point = replace(
                point,
                schedule=schedule.schedule,
                cost=schedule.cost,
                peak_bytes=schedule.peak_bytes,
                schedule_from_bytes=schedule.schedule_from_bytes,
                lower_bound=bound.lower_bound,
                bound_from_bytes=bound.bound_from_bytes,
                seconds=old.seconds + point.seconds,
            )
        self.points[point.budget_bytes] = point

    def tell(self, point: ParetoPoint) -> None:
        """Keep a point, and tell what is now known of its budget."""
        self.take(point)
        if self.on_point is not None:
            now = tightened(self.points.values())
            self.on_point(next(each for each in now if each.budget_bytes == point.budget_bytes))

    def start_from(self, schedule: Schedule, minimum_bytes: int) -> None:
        """Keep the schedule of the smallest peak, and the largest budget that is proven infeasible."""
        self.minimum_bytes = max(self.minimum_bytes, minimum_bytes)
        point = ParetoPoint.of_schedule(self.graph, schedule)
        if 0 < point.budget_bytes < self.graph.store_all_peak_bytes:
            self.take(point)
        if self.minimum_bytes > 1:
            reason = f"proven: no schedule has a peak below {self.minimum_bytes} bytes"
            self.take(ParetoPoint(self.minimum_bytes - 1, Status.INFEASIBLE, reason=reason))

    def place(self, count: int) -> None:
        """Solve at the smallest peak found, then in the largest open box, until there are enough points."""
        least = min(point.budget_bytes for point in self.points.values() if point.schedule is not None)
        for place in range(1, count):
            # The store-all peak is solved from the start, the smallest peak found has only a schedule.
            box = (least, least) if place == 1 and least < self.graph.store_all_peak_bytes else self._largest_box()
            if box is None or self.left_seconds <= 0:
                return
            budget_bytes = sum(box) // 2
            self._solve(budget_bytes, max(_LEAST_SECONDS, self.left_seconds / (count - place)))

    def close_gaps(self) -> None:
        """Solve points again that had too little time, each in at least twice as much: first those with least."""
        while True:
            open_points = [
                point
                for point in tightened(self.points.values())
                if point.budget_bytes in self.cut_short
                and (point.gap is None or point.gap > PRECISION)
                and 2 * point.seconds <= self.left_seconds
            ]
            if not open_points or self.left_seconds <= _LEAST_SECONDS:
                return
            chosen = min(open_points, key=lambda point: (point.seconds, point.budget_bytes))
            seconds = max(_LEAST_SECONDS, 2 * chosen.seconds, self.left_seconds / len(open_points))
            self._solve(chosen.budget_bytes, min(self.left_seconds, seconds))

    def _solve(self, budget_bytes: int, seconds: float) -> None:
        """Solve within a budget from the cheapest schedule that fits it."""
        known = [point for point in self.points.values() if _fits(point, budget_bytes)]
        start = min(known, key=lambda point: (point.cost, point.peak_bytes), default=None)
        began = time.perf_counter()
        result = self.solve(budget_bytes, seconds, self.method, None if start is None else start.schedule)
        point = ParetoPoint.of_result(result, self.claim, time.perf_counter() - began)
        if point.seconds >= _WHOLE * seconds:
            self.cut_short.add(budget_bytes)
        else:
            self.cut_short.discard(budget_bytes)
        if start is not None and point.cost == start.cost:
            point = replace(point, schedule_from_bytes=start.schedule_from_bytes)
        if point.status is Status.INFEASIBLE:
            self.minimum_bytes = max(self.minimum_bytes, budget_bytes + 1)
        self.failures = self.failures + 1 if point.status is Status.NO_SCHEDULE else 0
        self.tell(point)
        if result.reason == "interrupted":
            raise KeyboardInterrupt

    def _largest_box(self) -> tuple[int, int] | None:
        """Smallest and largest budget inside the largest open box; None if the curve is fully known."""
        now = tightened(self.points.values())
        feasible = [point for point in now if point.schedule is not None]
        best = self._undecided_box(now, feasible[0]) if self.failures < _MOST_FAILURES else (0.0, 0, 0)
        for left, right in itertools.pairwise(feasible):
            assert left.cost is not None and right.peak_bytes is not None
            first, last = left.budget_bytes + 1, right.peak_bytes - 1
            bound = self.graph.base_cost if right.lower_bound is None else right.lower_bound
            area = max(0, last - first + 1) * (self._seen(left.cost) - self._seen(bound))
            best = max(best, (area, first, last))
        return best[1:] if best[0] > 0 else None

    def _undecided_box(self, now: Sequence[ParetoPoint], least: ParetoPoint) -> tuple[float, int, int]:
        """Area, smallest and largest budget between what was not solved and the smallest peak found."""
        assert least.cost is not None and least.peak_bytes is not None
        failed = (point.budget_bytes for point in now if point.status is Status.NO_SCHEDULE)
        first, last = max(self.minimum_bytes, 1, *(each + 1 for each in failed)), least.peak_bytes - 1
        # How dear the schedules in it are is not known; dearer than the least.
        return max(0, last - first + 1) * (1.0 + self._seen(least.cost)), first, last

    def _seen(self, cost: int) -> float:
        """Where a cost stands in a figure."""
        return math.log1p(100 * relative_gap(cost, self.graph.base_cost))


def _fits(point: ParetoPoint, budget_bytes: int) -> bool:
    return point.peak_bytes is not None and point.peak_bytes <= budget_bytes
