"""One row of a measured table: what one method found on one graph at one budget, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hcb_opt.experiments.task import Task
from hcb_opt.result import Rated, Result, Status, relative_gap

ONE_PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class SolveRow(Rated):
    """One solve.

    Attributes
    ----------
    section : str
        The part of the experiment that asked for it.
    instance : str
    seed : int or None
        That the graph was generated from.
    ops : int
    method, order, claim, status, reason : str
        As in `Result`; ``order`` as asked for.
    share : float
        The budget as a share of the store-all peak.
    budget_bytes, store_all_peak_bytes, base_cost : int
    known_cost : int or None
        As in `Task`.
    cost, peak_bytes, lower_bound : int or None
    seconds : float
        Of the whole solve.
    first_seconds, best_seconds : float or None
        Until the first schedule, and until the one that was returned.
    percent_seconds : float or None
        Until cost and bound were within one percent.
    solver_peak_memory_bytes : int or None
        The most that a solver process held, where one ran.
    """

    section: str
    instance: str
    seed: int | None
    ops: int
    method: str
    order: str
    claim: str
    share: float
    budget_bytes: int
    store_all_peak_bytes: int
    status: str
    base_cost: int
    known_cost: int | None
    cost: int | None
    peak_bytes: int | None
    lower_bound: int | None
    seconds: float
    first_seconds: float | None
    best_seconds: float | None
    percent_seconds: float | None
    solver_peak_memory_bytes: int | None
    reason: str

    @classmethod
    def of(cls, task: Task, result: Result) -> SolveRow:
        """The row of a task's result."""
        found = [event for event in result.events if event.cost is not None]
        close = [
            event.seconds
            for event in found
            if event.cost is not None
            and event.bound is not None
            and relative_gap(event.cost, event.bound) <= ONE_PERCENT
        ]
        memory = result.provenance.get("solver_peak_memory_bytes")
        return cls(
            section=task.section,
            instance=task.instance,
            seed=task.seed,
            ops=len(task.graph.ops),
            method=result.method,
            order=task.order,
            claim=result.claim,
            share=result.budget_bytes / max(1, result.store_all_peak_bytes),
            budget_bytes=result.budget_bytes,
            store_all_peak_bytes=result.store_all_peak_bytes,
            status=result.status.value,
            base_cost=result.base_cost,
            known_cost=task.known_cost,
            cost=result.cost,
            peak_bytes=result.peak_bytes,
            lower_bound=result.lower_bound,
            seconds=result.seconds,
            first_seconds=found[0].seconds if found else None,
            best_seconds=next((event.seconds for event in found if event.cost == result.cost), None),
            percent_seconds=close[0] if close else None,
            solver_peak_memory_bytes=int(memory) if memory is not None else None,
            reason=result.reason,
        )

    @property
    def proven(self) -> bool:
        """Whether the solve ended in a proof: an optimum, or that nothing fits."""
        return self.status in (Status.OPTIMAL, Status.INFEASIBLE)

    @property
    def infeasible(self) -> bool:
        """Whether it is proven that nothing fits."""
        return self.status == Status.INFEASIBLE

    def record(self) -> dict[str, Any]:
        """The row as it is written to files, with its derived figures."""
        derived = {"overhead": self.overhead, "bound_overhead": self.bound_overhead, "gap": self.gap}
        record = asdict(self)
        reason = record.pop("reason")
        rounded = {name: round(figure, 6) for name, figure in record.items() if isinstance(figure, float)}
        return {**record, **rounded, **derived, "reason": reason}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SolveRow:
        """The row that `record` was made of."""
        return cls(**{each.name: record[each.name] for each in fields(cls)})
