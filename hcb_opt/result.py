"""What solving a graph for a budget gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hcb_opt.schedule import Schedule

PRECISION = 1e-9
"""Relative gap that floating-point solvers cannot tell from none: their bounds are rounded down by as much."""


class Status(StrEnum):
    """How a solve ended."""

    OPTIMAL = "OPTIMAL"  #: the schedule's cost equals the lower bound, up to `PRECISION`
    FEASIBLE = "FEASIBLE"  #: a schedule, not proven optimal
    INFEASIBLE = "INFEASIBLE"  #: proven: no schedule fits the budget
    NO_SCHEDULE = "NO_SCHEDULE"  #: none found within the limits


@dataclass(frozen=True, slots=True)
class Event:
    """One improvement during a solve.

    Attributes
    ----------
    seconds : float
        Since the solve began.
    cost : int or None
        Of the best schedule so far; None while there is none.
    bound : int or None
        Best proven lower bound so far.
    """

    seconds: float
    cost: int | None
    bound: int | None


class Rated:
    """What follows from a cost, a lower bound and the cost of computing every op once."""

    __slots__ = ()
    base_cost: int
    cost: int | None
    lower_bound: int | None

    @property
    def overhead(self) -> float | None:
        """Cost / cost of computing every op once, minus 1; None without a schedule."""
        return None if self.cost is None else relative_gap(self.cost, self.base_cost)

    @property
    def bound_overhead(self) -> float | None:
        """Overhead that no schedule of the claim's class can go below; None without a bound, as if infeasible."""
        return None if self.lower_bound is None else relative_gap(self.lower_bound, self.base_cost)

    @property
    def gap(self) -> float | None:
        """(cost - lower bound) / lower bound; None without both."""
        if self.cost is None or self.lower_bound is None:
            return None
        return relative_gap(self.cost, self.lower_bound)


@dataclass(frozen=True, slots=True)
class Result(Rated):
    """A schedule with its certificate, or the reason why there is none.

    Attributes
    ----------
    status : Status
    method : str
        The method that ran (for ``auto``, the one it chose).
    claim : str
        The problem that ``lower_bound`` and "optimal" speak of: ``fixed-order``,
        ``free-order`` or a method's own class, such as ``checkmate-stages``.
    budget_bytes, store_all_peak_bytes, persistent_bytes : int
    base_cost : int
        Cost of computing every op once, in the graph's ``cost_unit``.
    schedule : Schedule or None
    cost, peak_bytes : int or None
        As `hcb_opt.replay` found them.
    lower_bound : int or None
        No schedule of the claim's class costs less. None if infeasible.
    reason : str
        Why there is no schedule, or why the solve ended early; else empty.
    events : tuple of Event
        Improvements of cost and bound, in time order.
    seconds : float
        Wall time of the whole call.
    provenance : mapping of str to str or int or float
        Version, seed, limits: what is needed to run it again; and
        ``solver_peak_memory_bytes``, the most that a solver process held, where
        one ran.
    """

    status: Status
    method: str
    claim: str
    budget_bytes: int
    store_all_peak_bytes: int
    persistent_bytes: int
    base_cost: int
    schedule: Schedule | None
    cost: int | None
    peak_bytes: int | None
    lower_bound: int | None
    reason: str
    events: tuple[Event, ...]
    seconds: float
    provenance: Mapping[str, str | int | float] = field(default_factory=dict)


def relative_gap(cost: int, bound: int) -> float:
    """How far a cost lies above a bound, as a share of the bound."""
    if cost == bound:
        return 0.0
    return (cost - bound) / bound if bound else float("inf")
