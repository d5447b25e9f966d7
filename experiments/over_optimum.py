"""Cost over the optimum: of each method on each instance the geometric mean over the budgets it serves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.result import Status

CLAIM = "fixed-order"
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Reference:
    """What costs at one instance and budget are compared with.

    Attributes
    ----------
    cost : int
        The optimum, or a proven lower bound of it.
    proven : bool
        Whether it is the optimum.
    """

    cost: int
    proven: bool


@dataclass(frozen=True, slots=True)
class Mean:
    """A method's cost over the reference.

    Attributes
    ----------
    ratio : float or None
        Geometric mean over the budgets with a schedule; None without any.
    found, budgets : int
        Budgets with a schedule; budgets at which none is proven impossible.
    """

    ratio: float | None
    found: int
    budgets: int

    def __str__(self) -> str:
        return "-" if self.ratio is None else f"{self.ratio:.3f} ({self.found})"


def references(rows: Iterable[SolveRow]) -> dict[Place, Reference]:
    """Optimum, or best proven bound, by instance and budget; nothing where it is proven that no schedule fits.

    Only what is proven of all fixed-order schedules counts.
    """
    found: dict[Place, Reference] = {}
    impossible: set[Place] = set()
    for row in rows:
        if row.claim == CLAIM:
            place = row.instance, row.budget_bytes
            if row.infeasible:
                impossible.add(place)
            elif row.lower_bound is not None:
                if row.status == Status.OPTIMAL and row.cost is not None:
                    found[place] = Reference(row.cost, True)
                elif place not in found or (found[place].cost < row.lower_bound and not found[place].proven):
                    found[place] = Reference(row.lower_bound, False)
    return {place: each for place, each in found.items() if place not in impossible}


def mean_over(rows: Iterable[SolveRow], known: Mapping[Place, Reference], instance: str, method: str) -> Mean:
    """A method's geometric mean of cost over reference on an instance.

    Parameters
    ----------
    rows : iterable of SolveRow
    known : mapping of tuple to Reference
        From `references`.
    instance, method : str
    """
    own = [row for row in rows if (row.instance, row.method) == (instance, method)]
    return _mean([row for row in own if (row.instance, row.budget_bytes) in known], known)


def mean_over_all(rows: Iterable[SolveRow], known: Mapping[Place, Reference], method: str) -> Mean:
    """The same over all instances: the mean over all their budgets together."""
    return _mean([row for row in rows if row.method == method and (row.instance, row.budget_bytes) in known], known)


def optima(known: Mapping[Place, Reference], instance: str) -> str:
    """At how many of an instance's budgets the reference is the optimum, in words."""
    own = [reference for (name, _), reference in known.items() if name == instance]
    return f"{sum(reference.proven for reference in own)} of {len(own)}"


def _mean(rows: Sequence[SolveRow], known: Mapping[Place, Reference]) -> Mean:
    logarithms = [
        math.log(row.cost / known[row.instance, row.budget_bytes].cost) for row in rows if row.cost is not None
    ]
    ratio = math.exp(sum(logarithms) / len(logarithms)) if logarithms else None
    return Mean(ratio, len(logarithms), len(rows))
