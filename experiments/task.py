"""What an experiment asks: one graph, one budget, one method."""

from __future__ import annotations

from dataclasses import dataclass

from hcb_opt.budget import parse_budget
from hcb_opt.graph import Graph


@dataclass(frozen=True, slots=True)
class Task:
    """One solve to do.

    Attributes
    ----------
    section, instance, seed, method, order
        As in `SolveRow`.
    graph : Graph
    budget : int, float or str
        As in `solve_schedule`.
    known_cost : int or None
        The optimum, where a closed form tells it.
    """

    section: str
    instance: str
    graph: Graph
    budget: int | float | str
    method: str
    order: str = "fixed"
    seed: int | None = None
    known_cost: int | None = None

    @property
    def budget_bytes(self) -> int:
        """The budget in bytes."""
        return parse_budget(self.budget, self.graph.store_all_peak_bytes)

    @property
    def key(self) -> tuple[str, str, int | None, int, str, str]:
        """What tells it from the others of its experiment."""
        return self.section, self.instance, self.seed, self.budget_bytes, self.method, self.order
