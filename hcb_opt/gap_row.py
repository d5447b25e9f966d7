"""One row of a comparison: what one method found on one graph at one budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hcb_opt.result import Rated, Result, Status


@dataclass(frozen=True, slots=True)
class GapRow(Rated):
    """What one method found on one graph at one budget.

    Attributes
    ----------
    graph : str
        Label of the panel.
    ops : int
    method, kind, claim : str
        As in `Result` and the registry.
    declined : bool
        Whether the graph is larger than the method takes.
    budget_bytes, store_all_peak_bytes : int
    status : Status
    base_cost : int
    cost, peak_bytes, lower_bound : int or None
    seconds : float
    reason : str
        As in `Result`.
    """

    graph: str
    ops: int
    method: str
    kind: str
    claim: str
    declined: bool
    budget_bytes: int
    store_all_peak_bytes: int
    status: Status
    base_cost: int
    cost: int | None
    peak_bytes: int | None
    lower_bound: int | None
    seconds: float
    reason: str

    @classmethod
    def of(cls, result: Result, *, graph: str, ops: int, kind: str, declined: bool) -> GapRow:
        """The row of a result."""
        return cls(
            graph=graph,
            ops=ops,
            method=result.method,
            kind=kind,
            claim=result.claim,
            declined=declined,
            budget_bytes=result.budget_bytes,
            store_all_peak_bytes=result.store_all_peak_bytes,
            status=result.status,
            base_cost=result.base_cost,
            cost=result.cost,
            peak_bytes=result.peak_bytes,
            lower_bound=result.lower_bound,
            seconds=result.seconds,
            reason=result.reason,
        )

    @property
    def share(self) -> float:
        """Budget as a share of the store-all peak."""
        return self.budget_bytes / self.store_all_peak_bytes if self.store_all_peak_bytes else math.inf


def common_claim(rows: Sequence[GapRow]) -> str:
    """The claim that bounds and optima of several methods are compared under.

    ``fixed-order`` if any row speaks of it, else the first row's. Bounds and
    proofs of a method's own class say nothing about other schedules.
    """
    claims = [row.claim for row in rows]
    return "fixed-order" if "fixed-order" in claims else claims[0]
