"""Overhead against budget: tables and a figure of any methods' rows beside the optimum and its bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.row_files import markdown_table
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import FIGURE_STYLE, scale_overheads
from hcb_opt.plot import LEAD_LOOK, LEAD_METHOD, OTHER_LOOKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OPTIMUM = "optimum"
_NONE = "-"
_MOST_PERCENT = 100.0


def slowdown_table(rows: Sequence[SolveRow], labels: Mapping[str, str]) -> str:
    """Cost over the cost of every op once, of one instance: the optimum, its bound and the methods, by budget."""
    shares = sorted({row.share for row in rows}, reverse=True)
    optimum = curve_of(rows, LEAD_METHOD)
    lines = [
        [OPTIMUM, *(slowdown(optimum.get(share)) for share in shares)],
        ["lower bound", *(bound_slowdown(optimum.get(share)) for share in shares)],
    ]
    for method, label in labels.items():
        curve = curve_of(rows, method)
        lines.append([f"`{method}` ({label})", *(slowdown(curve.get(share)) for share in shares)])
    return markdown_table(["", *(f"{100 * share:.0f} %" for share in shares)], lines)


def overhead_figure(rows: Sequence[SolveRow], labels: Mapping[str, str]) -> Figure:
    """Overhead against budget: a panel for each instance, a curve for each method, the optimum and its bound.

    Overheads above 100 % are cut off.

    Parameters
    ----------
    rows : sequence of SolveRow
        Those of `frontier_cuts` are the optimum's.
    labels : mapping of str to str
        The other methods and what they are called.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(layout="constrained")
        _fill(figure, rows, labels)
    return figure


def _fill(figure: Figure, rows: Sequence[SolveRow], labels: Mapping[str, str]) -> None:
    instances = by_instance(rows)
    columns = min(3, len(instances))
    lines = math.ceil(len(instances) / columns)
    figure.set_size_inches(0.9 + 2.7 * columns, 0.8 + 2.6 * lines)
    panels = figure.subplots(lines, columns, squeeze=False)
    for panel in panels.flat[len(instances) :]:
        panel.set_visible(False)
    for panel, (instance, own) in zip(panels.flat, instances.items(), strict=False):
        _draw(panel, own, labels)
        panel.set_title(f"{instance} ({own[0].ops} ops)")
        panel.set_xlabel("budget / store-all peak")
    for panel in panels[:, 0]:
        panel.set_ylabel("overhead, %")
    place: Any = "outside lower center"
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc=place, ncols=5)


def _draw(panel: Axes, rows: Sequence[SolveRow], labels: Mapping[str, str]) -> None:
    shares = sorted({row.share for row in rows})
    lead = curve_of(rows, LEAD_METHOD)
    panel.plot(
        *_points(lead), **{**LEAD_LOOK, "markersize": 4, "markerfacecolor": "white"}, label="optimum; open: unproven"
    )
    proven = {share: row for share, row in lead.items() if row.proven}
    panel.plot(*_points(proven), linestyle="", marker="o", markersize=4, color="black", zorder=6)
    bounds = {share: 100 * row.bound_overhead for share, row in lead.items() if row.bound_overhead is not None}
    panel.plot(list(bounds), list(bounds.values()), color="#666666", marker="_", linewidth=0.9, label="lower bound")
    for (method, label), (colour, marker, dashes) in zip(labels.items(), OTHER_LOOKS, strict=False):
        look = {"color": colour, "marker": marker, "linestyle": dashes, "linewidth": 0.8, "markersize": 4}
        panel.plot(*_points(curve_of(rows, method)), **look, label=label)
    scale_overheads(panel, _MOST_PERCENT)
    panel.set_xlim(shares[0] - 0.03, shares[-1] + 0.03)
    panel.grid(True)


def _points(curve: Mapping[float, SolveRow]) -> tuple[list[float], list[float]]:
    """Shares and overheads in percent; without a schedule, a gap in the curve."""
    return list(curve), [math.nan if row.overhead is None else 100 * row.overhead for row in curve.values()]


def by_instance(rows: Sequence[SolveRow]) -> dict[str, list[SolveRow]]:
    """Rows by their instance."""
    instances: dict[str, list[SolveRow]] = {}
    for row in rows:
        instances.setdefault(row.instance, []).append(row)
    return instances


def curve_of(rows: Sequence[SolveRow], method: str) -> dict[float, SolveRow]:
    """A method's rows by share, ascending."""
    return {row.share: row for row in sorted(rows, key=lambda row: row.share) if row.method == method}


def slowdown(row: SolveRow | None) -> str:
    """Of a row's schedule, in words."""
    if row is None or row.cost is None:
        return "infeasible" if row is not None and row.infeasible else _NONE
    return f"{row.cost / max(1, row.base_cost):.3f}"


def bound_slowdown(row: SolveRow | None) -> str:
    """That no schedule of the claim's class can go below, in words."""
    return _NONE if row is None or row.lower_bound is None else f"{row.lower_bound / max(1, row.base_cost):.3f}"
