"""The figure of the published-instances experiment: time and gap against the number of ops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import FIGURE_STYLE, save_figure
from hcb_opt.plot import LEAD_LOOK, LEAD_METHOD, OTHER_LOOKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_SECONDS = 1e-3
_LEAST_POINTS = 1e-4


def save_published_figure(rows: Sequence[SolveRow], paths: Iterable[Path]) -> None:
    """Draw seconds and gaps of all fixed-order solves of graphs, chains left out.

    Filled markers ended in a proof.

    Parameters
    ----------
    rows : sequence of SolveRow
    paths : iterable of Path
        Their suffixes choose the formats.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7, 3.3), layout="constrained")
        _draw(figure, [row for row in rows if row.order == "fixed" and row.known_cost is None])
    save_figure(figure, paths)


def _draw(figure: Figure, rows: Sequence[SolveRow]) -> None:
    times, gaps = figure.subplots(1, 2)
    for number, method in enumerate(dict.fromkeys(row.method for row in rows)):
        others = OTHER_LOOKS[number % len(OTHER_LOOKS)]
        colour, marker = others[:2] if method != LEAD_METHOD else (LEAD_LOOK["color"], "o")
        look = {"color": colour, "marker": marker, "linestyle": "", "markersize": 4, "zorder": 4 - (number > 0)}
        times.plot([], [], **look, label=method)
        for row in (each for each in rows if each.method == method):
            face = colour if row.proven else "white"
            times.plot(row.ops, max(row.seconds, _LEAST_SECONDS), **look, markerfacecolor=face)
            if row.overhead is not None and row.bound_overhead is not None:
                points = max(100 * (row.overhead - row.bound_overhead), _LEAST_POINTS)
                gaps.plot(row.ops, points, **look, markerfacecolor=face)
    times.set_ylabel("seconds")
    gaps.set_ylabel(f"gap, points of overhead ({_LEAST_POINTS:g}: closed)")
    for axes in (times, gaps):
        axes.set(xscale="log", yscale="log", xlabel="ops")
        axes.grid(True)
    if rows:
        place: Any = "outside lower center"
        figure.legend(*times.get_legend_handles_labels(), loc=place, ncols=4, title="filled: ended in a proof")
