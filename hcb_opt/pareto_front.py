"""Cost against peak: points that share what each of them knows, and which of them matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hcb_opt.graph import Graph
from hcb_opt.replay import replay
from hcb_opt.result import PRECISION, Result, Status, relative_gap
from hcb_opt.schedule import Schedule


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """What is known of one budget.

    Attributes
    ----------
    budget_bytes : int
    status : Status
        As in `Result`.
    schedule : Schedule or None
        The cheapest known that fits.
    cost, peak_bytes : int or None
        Of the schedule, by `replay`.
    lower_bound : int or None
        No schedule of the front's claim within the budget costs less.
    schedule_from_bytes, bound_from_bytes : int or None
        The budgets whose solves found the schedule and proved the bound.
    seconds : float
        Wall time spent on this budget.
    reason : str
        Why its solve ended without a proof, or why nothing fits; else empty.
    """

    budget_bytes: int
    status: Status
    schedule: Schedule | None = None
    cost: int | None = None
    peak_bytes: int | None = None
    lower_bound: int | None = None
    schedule_from_bytes: int | None = None
    bound_from_bytes: int | None = None
    seconds: float = 0.0
    reason: str = ""

    @classmethod
    def of_result(cls, result: Result, claim: str, seconds: float) -> ParetoPoint:
        """The point of a solve; a bound that speaks of another claim than the front's does not count."""
        bound = result.lower_bound if result.claim == claim else None
        return cls(
            budget_bytes=result.budget_bytes,
            status=result.status,
            schedule=result.schedule,
            cost=result.cost,
            peak_bytes=result.peak_bytes,
            lower_bound=bound,
            schedule_from_bytes=None if result.schedule is None else result.budget_bytes,
            bound_from_bytes=None if bound is None else result.budget_bytes,
            seconds=seconds,
            reason=result.reason,
        )

    @classmethod
    def of_schedule(cls, graph: Graph, schedule: Schedule) -> ParetoPoint:
        """The point of a schedule that is known, at its own peak; nothing is proven."""
        judged = replay(graph, schedule)
        return cls(
            budget_bytes=judged.peak_bytes,
            status=Status.FEASIBLE,
            schedule=schedule,
            cost=judged.cost,
            peak_bytes=judged.peak_bytes,
            schedule_from_bytes=judged.peak_bytes,
        )

    @property
    def gap(self) -> float | None:
        """(cost - lower bound) / lower bound; None without both."""
        if self.cost is None or self.lower_bound is None:
            return None
        return relative_gap(self.cost, self.lower_bound)


@dataclass(frozen=True, slots=True)
class ParetoFront:
    """Cost against peak of one graph, from above by schedules and from below by proofs.

    Attributes
    ----------
    points : tuple of ParetoPoint
        By ascending budget; costs and bounds never rise with the budget.
    minimum_bytes : int
        Proven: no schedule has a smaller peak.
    claim : str
        The problem that bounds and proofs speak of, as in `Result`.
    method, order : str
        As asked for.
    base_cost, store_all_peak_bytes : int
        Of the graph; where the curve ends on the right.
    seconds : float
        Wall time of the whole call.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    points: tuple[ParetoPoint, ...]
    minimum_bytes: int
    claim: str
    method: str
    order: str
    base_cost: int
    store_all_peak_bytes: int
    seconds: float
    interrupted: bool = False

    @property
    def feasible(self) -> tuple[ParetoPoint, ...]:
        """The points with a schedule."""
        return tuple(point for point in self.points if point.schedule is not None)

    @property
    def nondominated(self) -> tuple[ParetoPoint, ...]:
        """Points whose schedules no other one's beats, by ascending peak and falling cost.

        A schedule that several points share counts once, at the smallest budget.
        """
        kept: list[ParetoPoint] = []
        for point in sorted(self.feasible, key=lambda each: (each.peak_bytes, each.cost, each.budget_bytes)):
            if not kept or _known(point.cost) < _known(kept[-1].cost):
                kept.append(point)
        return tuple(kept)


def tightened(points: Iterable[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """Let every point have the best schedule and bound that follow from any of them.

    A schedule fits every budget from its peak on; a bound proven within a budget
    holds within every smaller one, and so does infeasibility.

    Parameters
    ----------
    points : iterable of ParetoPoint
        As solved, one for each budget.

    Returns
    -------
    tuple of ParetoPoint
        By ascending budget; costs and bounds do not rise with it.

    Raises
    ------
    RuntimeError
        If a bound exceeds the cost of a schedule that it speaks of, or a
        schedule fits a budget that is proven infeasible.
    """
    given = sorted(points, key=lambda each: each.budget_bytes)
    return tuple(_tightened(point, given) for point in given)


def _tightened(point: ParetoPoint, given: list[ParetoPoint]) -> ParetoPoint:
    fitting = [each for each in given if each.peak_bytes is not None and each.peak_bytes <= point.budget_bytes]
    if above := [each for each in given if _excludes(each, point.budget_bytes)]:
        if fitting:
            raise RuntimeError(f"a schedule fits {point.budget_bytes} bytes, which are proven infeasible")
        if point.status is Status.INFEASIBLE:
            return point
        reason = f"{above[0].budget_bytes} bytes are proven infeasible"
        return ParetoPoint(point.budget_bytes, Status.INFEASIBLE, seconds=point.seconds, reason=reason)
    best = min(fitting, key=lambda each: (_known(each.cost), each is not point, _known(each.peak_bytes)), default=point)
    proven = [each for each in given if each.lower_bound is not None and each.budget_bytes >= point.budget_bytes]
    strongest = max(proven, key=lambda each: (_known(each.lower_bound), each is point), default=point)
    better = replace(
        point,
        schedule=best.schedule,
        cost=best.cost,
        peak_bytes=best.peak_bytes,
        schedule_from_bytes=best.schedule_from_bytes,
        lower_bound=strongest.lower_bound,
        bound_from_bytes=strongest.bound_from_bytes,
    )
    if better.cost is None:
        return better
    if better.gap is None:
        return replace(better, status=Status.FEASIBLE)
    if better.gap < 0:
        raise RuntimeError(
            f"the bound {better.lower_bound} proven within {better.bound_from_bytes} bytes lies above the "
            f"cost {better.cost} of a schedule of {better.peak_bytes}"
        )
    if better.gap <= PRECISION:
        return replace(better, status=Status.OPTIMAL, reason="")
    return replace(better, status=Status.FEASIBLE)


def _excludes(point: ParetoPoint, budget_bytes: int) -> bool:
    return point.status is Status.INFEASIBLE and point.budget_bytes >= budget_bytes


def _known(figure: int | None) -> int:
    assert figure is not None
    return figure
