"""The optimality-gap figure: overhead against budget, exact curve, bound and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.errors import InvalidInput
from hcb_opt.figure_style import FIGURE_STYLE, save_figure, scale_overheads
from hcb_opt.gap_row import GapRow, common_claim
from hcb_opt.result import Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAD_METHOD = "frontier_cuts"

LEAD_LOOK: dict[str, Any] = {
    "color": "black", "marker": "o", "linestyle": "-", "linewidth": 1.4, "markersize": 5.5, "zorder": 5,
}  # fmt: skip
# Distinct in shape, in lightness and for colour-blind readers (after Okabe and Ito 2008).
OTHER_LOOKS: tuple[tuple[str, str, Any], ...] = (
    ("#0072B2", "s", "--"),
    ("#E69F00", "^", ":"),
    ("#009E73", "D", "-."),
    ("#D55E00", "v", (0, (1, 1))),
    ("#56B4E9", "P", (0, (5, 1))),
    ("#CC79A7", "X", (0, (3, 1, 1, 1))),
    ("#7F7F7F", "<", (0, (6, 3))),
    ("#B8A800", ">", (0, (2, 2))),
    ("#5A3E85", "p", (0, (4, 1, 1, 1))),
    ("#A0522D", "h", (0, (1, 3))),
)
# One more than there are looks: where these begin again, the same colour comes with another shape.
_MARKERS = (*(marker for _, marker, _ in OTHER_LOOKS), "*")
_NONE_EXISTS = "proven infeasible"


def gap_figure(rows: Sequence[GapRow]) -> Figure:
    """Draw the optimality-gap figure.

    One panel per graph. The exact curve is `frontier_cuts` (or, without it, the
    first exact method): filled markers are proven optimal, open ones are not. The
    band reaches from the best lower bound any method proved up to the cheapest
    schedule any method found, so it closes where the optimum is known. A strip
    above each panel marks the budgets that are proven infeasible and, method by
    method, those at which it found no schedule. Methods that declined a graph do
    not appear. Bounds and proofs count that speak of `common_claim`; the legend
    names it.

    Parameters
    ----------
    rows : sequence of GapRow

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInput
        If there is nothing to draw.
    """
    import matplotlib
    from matplotlib.figure import Figure

    shown = [row for row in rows if not row.declined]
    if not shown:
        raise InvalidInput("rows", "no method took any of the graphs", "name a method that takes graphs of this size")
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(layout="constrained")
        _draw(figure, shown)
    return figure


def save_gap_figure(rows: Sequence[GapRow], paths: Iterable[str | Path]) -> None:
    """Write the figure of `gap_figure` to files, with fonts as text.

    Parameters
    ----------
    rows : sequence of GapRow
    paths : iterable of str or Path
        Their suffixes choose the formats: ``.png``, ``.pdf``, ``.svg``.

    Raises
    ------
    InvalidInput
        If there is nothing to draw, or a file cannot be written.
    """
    save_figure(gap_figure(rows), paths)


def _draw(figure: Figure, rows: Sequence[GapRow]) -> None:
    graphs = list(dict.fromkeys(row.graph for row in rows))
    styles = _styles(rows)
    claim = common_claim(rows)
    lanes = _lanes(rows, styles, claim)
    lines = math.ceil(len(graphs) / 3)
    columns = math.ceil(len(graphs) / lines)
    strip_inches, panel_inches = 0.13 * len(lanes) + 0.1, 2.6
    figure.set_size_inches(0.9 + 2.9 * columns, lines * (strip_inches + panel_inches + 0.5) + 0.7)
    grid = figure.add_gridspec(2 * lines, columns, height_ratios=[strip_inches, panel_inches] * lines)
    handles: dict[str, Any] = {}
    for index, graph in enumerate(graphs):
        line, column = divmod(index, columns)
        own = [row for row in rows if row.graph == graph]
        panel = figure.add_subplot(grid[2 * line + 1, column])
        strip = figure.add_subplot(grid[2 * line, column], sharex=panel)
        handles |= _draw_panel(panel, own, styles, claim)
        handles |= _draw_strip(strip, own, styles, lanes, claim, labelled=column == 0)
        strip.set_title(f"{graph} ({own[0].ops} ops)")
        panel.set_xlabel("budget / store-all peak")
        if column == 0:
            panel.set_ylabel("overhead, %")
    place: Any = "outside lower center"
    figure.legend(handles.values(), handles.keys(), loc=place, ncols=min(5, len(handles)), handlelength=2.6)


def _lanes(rows: Sequence[GapRow], methods: Iterable[str], claim: str) -> list[str]:
    """What the strips have to show, top down: infeasible budgets, and methods that found nothing."""
    infeasible = {(row.graph, row.share) for row in rows if _proves_infeasible(row, claim)}
    unsolved = {row.method for row in rows if row.cost is None and (row.graph, row.share) not in infeasible}
    return [_NONE_EXISTS] * bool(infeasible) + [method for method in methods if method in unsolved]


def _styles(rows: Sequence[GapRow]) -> dict[str, dict[str, Any]]:
    """For each method, lead first, how it is drawn."""
    kinds = {row.method: row.kind for row in rows}
    exact = [method for method, kind in kinds.items() if kind == "exact"]
    lead = LEAD_METHOD if LEAD_METHOD in kinds else next(iter(exact), None)
    styles = {} if lead is None else {lead: LEAD_LOOK}
    for number, method in enumerate(method for method in kinds if method != lead):
        colour, _, dashes = OTHER_LOOKS[number % len(OTHER_LOOKS)]
        marker = _MARKERS[number % len(_MARKERS)]
        styles[method] = {
            "color": colour, "marker": marker, "linestyle": dashes, "linewidth": 0.8, "markersize": 4.5, "zorder": 4,
        }  # fmt: skip
    return styles


def _draw_panel(panel: Axes, rows: Sequence[GapRow], styles: dict[str, dict[str, Any]], claim: str) -> dict[str, Any]:
    handles: dict[str, Any] = {}
    for method, style in styles.items():
        found = [row for row in rows if row.method == method and row.cost is not None]
        found.sort(key=lambda row: row.share)
        panel.plot([row.share for row in found], [_percent(row.overhead) for row in found], **{**style, "marker": ""})
        for row in found:
            face = style["color"] if row.status is Status.OPTIMAL and row.claim == claim else "white"
            panel.plot(row.share, _percent(row.overhead), **style, markerfacecolor=face)
        handles[method] = _handle(**style, markerfacecolor="white")
    handles[f"proven optimal ({claim})"] = _handle(color="black", marker="o", linestyle="", markersize=5.5)
    handles |= _draw_band(panel, rows, claim)
    if infeasible := {row.share for row in rows if _proves_infeasible(row, claim)}:
        # Less memory does not help: all budgets below are infeasible as well.
        panel.axvspan(-1, max(infeasible), facecolor="none", edgecolor="#CCCCCC", hatch="///", linewidth=0, zorder=1)
    _scale(panel, rows)
    panel.grid(True)
    return handles


def _draw_band(panel: Axes, rows: Sequence[GapRow], claim: str) -> dict[str, Any]:
    from matplotlib.patches import Patch

    bounds: dict[float, float] = {}
    cheapest: dict[float, float] = {}
    for row in rows:
        if row.bound_overhead is not None and row.claim == claim:
            bounds[row.share] = max(_percent(row.bound_overhead), bounds.get(row.share, 0.0))
        if row.overhead is not None:
            cheapest[row.share] = min(_percent(row.overhead), cheapest.get(row.share, math.inf))
    shares = sorted(bounds)
    closed = [share for share in shares if share in cheapest]
    panel.fill_between(
        closed, [bounds[share] for share in closed], [cheapest[share] for share in closed],
        color="#BBBBBB", alpha=0.6, linewidth=0, zorder=2,
    )  # fmt: skip
    look: dict[str, Any] = {"color": "#666666", "linewidth": 0.9, "marker": "_", "markersize": 7}
    panel.plot(shares, [bounds[share] for share in shares], **look, zorder=3)
    return {
        f"proven lower bound ({claim})": _handle(**look),
        "bound to best schedule": Patch(facecolor="#BBBBBB", alpha=0.6),
    }


def _draw_strip(
    strip: Axes,
    rows: Sequence[GapRow],
    styles: dict[str, dict[str, Any]],
    lanes: list[str],
    claim: str,
    *,
    labelled: bool,
) -> dict[str, Any]:
    """Where no schedule exists and, one lane per method, where it found none."""
    infeasible = {row.share for row in rows if _proves_infeasible(row, claim)}
    look: dict[str, Any]
    for row in rows:
        if row.share in infeasible:
            lane, look = _NONE_EXISTS, {"marker": "x", "color": "black"}
        elif row.cost is None:
            lane, look = row.method, {**styles[row.method], "markerfacecolor": "white"}
        else:
            continue
        strip.plot(row.share, lanes.index(lane), **{**look, "linestyle": "", "markersize": 4, "zorder": 3})
    strip.set_ylim(len(lanes) - 0.4, -0.6)
    strip.set_yticks(range(len(lanes)), lanes if labelled else [""] * len(lanes), fontsize=5.5)
    strip.tick_params(axis="y", length=0)
    strip.tick_params(axis="x", labelbottom=False, length=0)
    strip.set_facecolor("#F4F4F4")
    for spine in strip.spines.values():
        spine.set_visible(False)
    return {
        "no schedule found (strip)": _handle(color="#444444", marker="s", linestyle="", markersize=4, mfc="white"),
        _NONE_EXISTS: _handle(color="black", marker="x", linestyle="", markersize=4),
    }


def _proves_infeasible(row: GapRow, claim: str) -> bool:
    return row.status is Status.INFEASIBLE and row.claim == claim


def _scale(panel: Axes, rows: Sequence[GapRow]) -> None:
    scale_overheads(
        panel, max((_percent(each) for row in rows for each in (row.overhead, row.bound_overhead)), default=1.0)
    )
    shares = {row.share for row in rows}
    margin = 0.06 * (max(shares) - min(shares)) or 0.05
    panel.set_xlim(min(shares) - margin, max(shares) + margin)


def _handle(**style: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], **style)


def _percent(share: float | None) -> float:
    return 0.0 if share is None else 100.0 * share
