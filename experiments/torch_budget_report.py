"""The table and the figure of torch's partitioners beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.row_files import facts_block, markdown_table, percent, save_rows, save_text
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import FIGURE_STYLE, save_figure, scale_overheads
from hcb_opt.plot import LEAD_LOOK, LEAD_METHOD, OTHER_LOOKS
from hcb_opt.result import Rated, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FILES = "torch-budget"
DEFAULT, MINIMUM_CUT = "default", "min-cut"
_KNAPSACKS = {"greedy": "budget, greedy", "dp": "budget, DP", "ilp": "budget, ILP"}
_LABELS: Mapping[str, str] = {DEFAULT: "torch's default", MINIMUM_CUT: "minimum cut", **_KNAPSACKS}

_CAPTION = (
    "Peaks are true peaks: what the schedule of torch's choice holds at most, replayed op by op in the captured order, "
    "as a share of the store-all peak; each value is recomputed when the backward first reads it. Overheads are flops "
    "recomputed, as a share of the step's. `budget` is torch's activation memory budget, a share of what it would "
    f"save: it does not bound the peak. `optimum` is the cheapest schedule that `{LEAD_METHOD}` found within the same "
    "true peak, which is optimal where its gap is 0; no fixed-order schedule is cheaper than `lower bound`."
)


@dataclass(frozen=True)
class BudgetRow(Rated):
    """A choice of torch's, or a solve at a budget.

    Attributes
    ----------
    model : str
    ops : int
    partitioner : str
        ``default``, ``min-cut``, a knapsack's name, or the solver's.
    knob : float or None
        Torch's ``activation_memory_budget``, where one is set.
    status : str
        As in a result; empty for torch's.
    base_cost : int
        Flops of every op once.
    cost : int or None
        Flops of the schedule; None without one.
    lower_bound : int or None
        As in a result.
    budget_bytes : int or None
        That the solver was given.
    peak_bytes : int or None
        By replay.
    store_all_peak_bytes : int
    seconds : float
        Of the choice or the solve.
    """

    model: str
    ops: int
    partitioner: str
    knob: float | None
    status: str
    base_cost: int
    cost: int | None
    lower_bound: int | None
    budget_bytes: int | None
    peak_bytes: int | None
    store_all_peak_bytes: int
    seconds: float

    @classmethod
    def of_solve(cls, row: SolveRow) -> BudgetRow:
        """The row of a solve."""
        return cls(
            row.instance, row.ops, row.method, None, row.status, row.base_cost, row.cost, row.lower_bound,
            row.budget_bytes, row.peak_bytes, row.store_all_peak_bytes, row.seconds,
        )  # fmt: skip

    @property
    def peak_share(self) -> float | None:
        """The peak as a share of the store-all peak."""
        return None if self.peak_bytes is None else self.peak_bytes / max(1, self.store_all_peak_bytes)

    def record(self) -> dict[str, Any]:
        """The row as it is written to files, with its derived figures."""
        derived = {"overhead": self.overhead, "bound_overhead": self.bound_overhead, "peak_share": self.peak_share}
        return asdict(self) | derived | {"seconds": round(self.seconds, 6)}


def write_report(rows: Sequence[BudgetRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``torch-budget.md``, ``.csv`` and ``.json``; once complete, ``.png`` and ``.pdf`` too.

    Parameters
    ----------
    rows : sequence of BudgetRow
        At least one.
    directory : Path
        Must exist.
    facts : mapping
        Machine, versions and settings; whether the run is ``complete``.
    """
    save_rows(rows, directory, _FILES, facts)
    save_text(report(rows, facts), directory / f"{_FILES}.md")
    if facts["complete"]:
        import matplotlib

        with matplotlib.rc_context(FIGURE_STYLE):
            figure = budget_figure(rows)
        save_figure(figure, [directory / f"{_FILES}.png", directory / f"{_FILES}.pdf"])


def report(rows: Sequence[BudgetRow], facts: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = ["# Torch's partitioners and the optimum at the same true peak", _CAPTION]
    for model, own in _models(rows).items():
        parts += [f"## {model} ({own[0].ops} ops)", _table(own)]
    return "\n\n".join([*parts, "## Machine and settings", facts_block(facts)]) + "\n"


def budget_figure(rows: Sequence[BudgetRow]) -> Figure:
    """Recomputed flops against true peak: a panel for each model, a curve for each knapsack, the optimum and its bound.

    A knapsack's points are joined in the order of the budget, not of the peak:
    a smaller budget may have a larger peak.

    Parameters
    ----------
    rows : sequence of BudgetRow

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    models = _models(rows)
    figure = Figure(figsize=(0.9 + 3.2 * len(models), 3.4), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    for panel, (model, own) in zip(panels, models.items(), strict=True):
        _draw(panel, own)
        panel.set_title(f"{model} ({own[0].ops} ops)")
        panel.set_xlabel("true peak / store-all peak")
    panels[0].set_ylabel("recomputed flops, %")
    place: Any = "outside lower center"
    figure.legend(*panels[0].get_legend_handles_labels(), loc=place, ncols=4)
    return figure


def _draw(panel: Axes, rows: Sequence[BudgetRow]) -> None:
    solved = [row for row in sorted(rows, key=_budget) if row.partitioner == LEAD_METHOD and row.cost is not None]
    panel.plot(
        *_points(solved), **{**LEAD_LOOK, "markersize": 4, "markerfacecolor": "white"}, label="optimum; open: unproven"
    )
    proven = [row for row in solved if row.status == Status.OPTIMAL]
    panel.plot(*_points(proven), linestyle="", marker="o", markersize=4, color="black", zorder=6)
    bounds = [100 * (row.bound_overhead or 0.0) for row in solved]
    panel.plot(_points(solved)[0], bounds, color="#666666", marker="_", linewidth=0.9, label="lower bound")
    for (partitioner, label), (colour, marker, dashes) in zip(_LABELS.items(), OTHER_LOOKS, strict=False):
        own = [row for row in rows if row.partitioner == partitioner]
        look = {"color": colour, "marker": marker, "linestyle": dashes, "linewidth": 0.8, "markersize": 4}
        panel.plot(*_points(own), **look, label=label)
    scale_overheads(panel, max(100 * (row.overhead or 0.0) for row in rows))
    panel.grid(True)


def _points(rows: Sequence[BudgetRow]) -> tuple[list[float], list[float]]:
    """Shares of the store-all peak, and overheads in percent; a solve stands at its budget."""
    places = [_budget(row) / max(1, row.store_all_peak_bytes) for row in rows]
    return places, [100 * (row.overhead or 0.0) for row in rows]


def _budget(row: BudgetRow) -> int:
    """What the solver was given, or the peak of torch's choice."""
    return row.budget_bytes or row.peak_bytes or 0


def _table(rows: Sequence[BudgetRow]) -> str:
    """Torch's choices in their order, each beside the solve at its peak; then the solves below them."""
    solved = {_budget(row): row for row in rows if row.partitioner == LEAD_METHOD}
    lines = []
    chosen = [row for row in rows if row.partitioner != LEAD_METHOD]
    for row in chosen:
        knob = "-" if row.knob is None else f"{row.knob:g}"
        own = [_LABELS[row.partitioner], knob, percent(row.peak_share, 1), percent(row.overhead)]
        lines.append([*own, *_optimum(solved.get(_budget(row)))])
    taken = {_budget(row) for row in chosen}
    for budget_bytes in sorted(set(solved) - taken, reverse=True):
        row = solved[budget_bytes]
        lines.append(["-", "-", percent(budget_bytes / max(1, row.store_all_peak_bytes), 1), "-", *_optimum(row)])
    return markdown_table(["torch's", "budget", "true peak", "overhead", "optimum", "lower bound", "gap"], lines)


def _optimum(row: BudgetRow | None) -> list[str]:
    if row is None or row.cost is None:
        found = "infeasible" if row is not None and row.status == Status.INFEASIBLE else "-"
        return [found, percent(None if row is None else row.bound_overhead), "-"]
    return [percent(row.overhead), percent(row.bound_overhead), percent(row.gap)]


def _models(rows: Sequence[BudgetRow]) -> dict[str, list[BudgetRow]]:
    models: dict[str, list[BudgetRow]] = {}
    for row in rows:
        models.setdefault(row.model, []).append(row)
    return models
