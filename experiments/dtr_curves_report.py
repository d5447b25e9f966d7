"""The tables and the figure of the curves of dynamic tensor rematerialization."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.dtr_simulator import simulated_run
from hcb_opt.experiments.row_files import facts_block, markdown_table, save_rows, save_text
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import FIGURE_STYLE, save_figure, scale_overheads
from hcb_opt.plot import LEAD_LOOK, LEAD_METHOD, OTHER_LOOKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The heuristics, as the paper names them.
HEURISTICS: Mapping[str, str] = {
    "dtr": "h_DTR",
    "dtr_eq": "h_DTR^eq",
    "dtr_local": "h_DTR^local",
    "dtr_msps": "h_MSPS",
    "dtr_lru": "h_LRU",
    "dtr_size": "h_size",
    "dtr_random": "h_rand",
}
_NONE = "-"
_OPTIMUM = "optimum"
_MOST_PERCENT = 100.0

_CAPTION = (
    "Cost over the cost of computing every op once. A dash: no schedule found, since the online run had no memory left "
    f"or computed more than twenty times as many ops as there are. `{_OPTIMUM}` is the cheapest schedule of "
    f"`{LEAD_METHOD}`, proven unless the bound below it, which no fixed-order schedule can beat, is less. Budgets are "
    "shares of the store-all peak; in operator logs, constants count."
)
_SIMULATOR = (
    "Slowdowns of the paper's own simulator on its published logs, told by their size. It lets go of values when the "
    "log releases them, counts outputs twice while an operator with several is run again, and charges a view's time "
    "again when it is needed again."
)


def write_report(rows: Sequence[SolveRow], directory: Path, facts: Mapping[str, Any], *, figures: bool = False) -> None:
    """Write ``dtr-curves.md``, ``.csv`` and ``.json``, and on demand the figure.

    Parameters
    ----------
    rows : sequence of SolveRow
        At least one.
    directory : Path
        Must exist.
    facts : mapping
        Machine, versions and settings.
    figures : bool
        Draw ``dtr-curves.png`` and ``.pdf`` as well.
    """
    name = "dtr-curves"
    save_rows(rows, directory, name, facts)
    save_text(report(rows, facts), directory / f"{name}.md")
    if figures:
        import matplotlib

        with matplotlib.rc_context(FIGURE_STYLE):
            figure = dtr_figure(rows)
        save_figure(figure, [directory / f"{name}.png", directory / f"{name}.pdf"])


def report(rows: Sequence[SolveRow], facts: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = ["# Dynamic tensor rematerialization: slowdown against budget", _CAPTION]
    for instance, own in _instances(rows).items():
        parts += [f"## {instance} ({own[0].ops} ops)", _slowdowns(own)]
    if compared := _beside_the_simulator(rows):
        parts += ["## Beside the paper's simulator", _SIMULATOR, compared]
    return "\n\n".join([*parts, "## Machine and settings", facts_block(facts)]) + "\n"


def dtr_figure(rows: Sequence[SolveRow]) -> Figure:
    """Overhead against budget: a panel for each instance, a curve for each heuristic, the optimum and its bound.

    Overheads above 100 %, where the paper ends a run, are cut off.

    Parameters
    ----------
    rows : sequence of SolveRow

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    instances = _instances(rows)
    columns = min(3, len(instances))
    lines = math.ceil(len(instances) / columns)
    figure = Figure(figsize=(0.9 + 2.7 * columns, 0.8 + 2.6 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False)
    for panel in panels.flat[len(instances) :]:
        panel.set_visible(False)
    for panel, (instance, own) in zip(panels.flat, instances.items(), strict=False):
        _draw(panel, own)
        panel.set_title(f"{instance} ({own[0].ops} ops)")
        panel.set_xlabel("budget / store-all peak")
    for panel in panels[:, 0]:
        panel.set_ylabel("overhead, %")
    place: Any = "outside lower center"
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc=place, ncols=5)
    return figure


def _draw(panel: Axes, rows: Sequence[SolveRow]) -> None:
    shares = sorted({row.share for row in rows})
    lead = _curve(rows, LEAD_METHOD)
    panel.plot(
        *_points(lead), **{**LEAD_LOOK, "markersize": 4, "markerfacecolor": "white"}, label="optimum; open: unproven"
    )
    proven = {share: row for share, row in lead.items() if row.proven}
    panel.plot(*_points(proven), linestyle="", marker="o", markersize=4, color="black", zorder=6)
    bounds = {share: 100 * row.bound_overhead for share, row in lead.items() if row.bound_overhead is not None}
    panel.plot(list(bounds), list(bounds.values()), color="#666666", marker="_", linewidth=0.9, label="lower bound")
    for (method, label), (colour, marker, dashes) in zip(HEURISTICS.items(), OTHER_LOOKS, strict=False):
        look = {"color": colour, "marker": marker, "linestyle": dashes, "linewidth": 0.8, "markersize": 4}
        panel.plot(*_points(_curve(rows, method)), **look, label=label)
    scale_overheads(panel, _MOST_PERCENT)
    panel.set_xlim(shares[0] - 0.03, shares[-1] + 0.03)
    panel.grid(color="#DDDDDD", linewidth=0.4)
    panel.set_axisbelow(True)


def _points(curve: Mapping[float, SolveRow]) -> tuple[list[float], list[float]]:
    """Shares and overheads in percent; without a schedule, a gap in the curve."""
    return list(curve), [math.nan if row.overhead is None else 100 * row.overhead for row in curve.values()]


def _slowdowns(rows: Sequence[SolveRow]) -> str:
    shares = sorted({row.share for row in rows}, reverse=True)
    optimum = _curve(rows, LEAD_METHOD)
    lines = [
        [_OPTIMUM, *(_slowdown(optimum.get(share)) for share in shares)],
        ["lower bound", *(_bound(optimum.get(share)) for share in shares)],
    ]
    for method, label in HEURISTICS.items():
        curve = _curve(rows, method)
        lines.append([f"`{method}` ({label})", *(_slowdown(curve.get(share)) for share in shares)])
    return markdown_table(["", *(f"{100 * share:.0f} %" for share in shares)], lines)


def _beside_the_simulator(rows: Sequence[SolveRow]) -> str:
    lines = []
    for row in rows:
        found = simulated_run(row.ops, row.store_all_peak_bytes, row.method, row.share)
        if found is not None:
            ours = None if row.cost is None else row.cost / row.base_cost
            apart = _NONE if ours is None or found.slowdown is None else f"{100 * (ours / found.slowdown - 1):+.2f} %"
            theirs = "out of memory" if found.slowdown is None else f"{found.slowdown:.3f}"
            best = _curve([each for each in rows if each.instance == row.instance], LEAD_METHOD).get(row.share)
            line = [row.instance, f"{100 * row.share:.0f} %", HEURISTICS[row.method], _slowdown(row), theirs, apart]
            lines.append([*line, _slowdown(best), _bound(best)])
    header = ["log", "budget", "heuristic", "slowdown", "simulator", "apart", _OPTIMUM, "lower bound"]
    return markdown_table(header, lines) if lines else ""


def _instances(rows: Sequence[SolveRow]) -> dict[str, list[SolveRow]]:
    instances: dict[str, list[SolveRow]] = {}
    for row in rows:
        instances.setdefault(row.instance, []).append(row)
    return instances


def _curve(rows: Sequence[SolveRow], method: str) -> dict[float, SolveRow]:
    """A method's rows by share, ascending."""
    return {row.share: row for row in sorted(rows, key=lambda row: row.share) if row.method == method}


def _slowdown(row: SolveRow | None) -> str:
    if row is None or row.cost is None:
        return "infeasible" if row is not None and row.infeasible else _NONE
    return f"{row.cost / max(1, row.base_cost):.3f}"


def _bound(row: SolveRow | None) -> str:
    return _NONE if row is None or row.lower_bound is None else f"{row.lower_bound / max(1, row.base_cost):.3f}"
