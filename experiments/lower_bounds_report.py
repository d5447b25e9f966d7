"""The tables and the figure of the experiment on lower bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hcb_opt.experiments.chain_report import Curve, DataRow, Panel
from hcb_opt.experiments.row_files import markdown_table, percent, seconds


@dataclass(frozen=True)
class BoundRow(DataRow):
    """One bound on one graph at one budget.

    Attributes
    ----------
    instance : str
    ops : int
    of : str
        What is bounded: ``cost`` within the budget, or ``memory``, the smallest budget.
    share : float or None
        The budget as a share of the store-all peak; None for memory.
    budget_bytes : int or None
    name : str
        Of the bound; a method's name for what it proved within the time limit.
    claim : str
        The class of schedules that it speaks of, as in a result.
    bound : int or None
        In cost units, or bytes; None if it says nothing.
    optimum : int or None
        The least cost, or peak, of the fixed-order schedules that were found.
    proven : bool
        Whether that is proven to be the optimum.
    base : int
        What any schedule costs; 0 for memory.
    seconds : float
        To find the bound.
    """

    instance: str
    ops: int
    of: str
    share: float | None
    budget_bytes: int | None
    name: str
    claim: str
    bound: int | None
    optimum: int | None
    proven: bool
    base: int
    seconds: float

    @property
    def reached(self) -> float | None:
        """Share of the way from the base to the optimum; None where there is no such way."""
        if self.bound is None or self.optimum is None or self.optimum == self.base:
            return None
        return (self.bound - self.base) / (self.optimum - self.base)


def report(rows: Sequence[BoundRow]) -> str:
    """The tables as Markdown."""
    parts = [
        "# Lower bounds beside the optimum",
        "Of the recomputation that the optimum cannot avoid, the share that each bound proves: (bound - base) / "
        "(optimum - base), with the cost of computing every op once as the base. An optimum with a question mark is "
        "the cheapest schedule found, and not proven to be one; the shares may then be higher. Bounds of Checkmate's "
        "class (checkmate-stages) hold in that class only, and may exceed 100 % of the fixed-order optimum. A method's "
        "bound is the best of its own within the time limit and the solver-free one. A dash: the method does not take "
        "the graph, or it is proven that its class has no schedule within the budget. Budgets that are proven "
        "infeasible are left out.",
    ]
    costs = [row for row in rows if row.of == "cost"]
    names = list(dict.fromkeys(row.name for row in costs))
    cases: dict[tuple[str, float | None], dict[str, BoundRow]] = {}
    for row in costs:
        cases.setdefault((row.instance, row.share), {})[row.name] = row
    if costs:
        lines = [_case_line(case, names) for case in cases.values()]
        header = ["graph", "ops", "budget", "optimum", *(f"`{name}`" for name in names)]
        parts += [markdown_table(header, lines), "## Means", _means(costs, names)]
    memory = [row for row in rows if row.of == "memory"]
    lines = [
        [row.instance, str(row.bound), f"{row.optimum}{'' if row.proven else '?'}", percent(row.reached, 1)]
        for row in memory
    ]
    header = ["graph", "`mandatory_memory`, bytes", "smallest budget, bytes", "reached"]
    return "\n\n".join([*parts, "## The smallest budget", markdown_table(header, lines)])


def _case_line(case: dict[str, BoundRow], names: Sequence[str]) -> list[str]:
    first = next(iter(case.values()))
    overhead = None if first.optimum is None else first.optimum / first.base - 1
    optimum = f"{percent(overhead, 2)}{'' if first.proven or overhead is None else ' ?'}"
    reached = [percent(case[name].reached, 1) if name in case else "-" for name in names]
    return [first.instance, str(first.ops), f"{first.share:.0%}", optimum, *reached]


def _means(rows: Sequence[BoundRow], names: Sequence[str]) -> str:
    lines = []
    for name in names:
        own = [row for row in rows if row.name == name]
        shares = [row.reached for row in own if row.reached is not None]
        exact = sum(row.proven and row.bound == row.optimum for row in own)
        mean = sum(shares) / len(shares) if shares else None
        slowest = max(row.seconds for row in own)
        lines.append([f"`{name}`", own[0].claim, str(len(own)), percent(mean, 1), str(exact), seconds(slowest)])
    header = ["bound", "claim", "cases", "mean share", "equal to the proven optimum", "most seconds"]
    return markdown_table(header, lines)


def panels(rows: Sequence[BoundRow]) -> list[Panel]:
    """What each bound proves against the budget: a panel for each graph."""
    costs = [row for row in rows if row.of == "cost"]
    names = list(dict.fromkeys(row.name for row in costs))
    made = []
    for instance in dict.fromkeys(row.instance for row in costs):
        curves = []
        for name in names:
            own = [row for row in costs if (row.instance, row.name) == (instance, name)]
            heights = [math.nan if row.reached is None else 100 * row.reached for row in own]
            curves.append(Curve(name, [row.share or 0.0 for row in own], heights))
        made.append(Panel(instance, "budget / store-all peak", "proven of the optimum's recomputation, %", curves))
    return made
