"""The Pareto figure: overhead against peak, between schedules from above and bounds from below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.figure_style import BYTE_UNITS, FIGURE_STYLE, save_figure, scale_overheads
from hcb_opt.pareto_front import ParetoFront
from hcb_opt.result import Status, relative_gap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COST: dict[str, Any] = {"color": "black", "linewidth": 1.2}
_BOUND: dict[str, Any] = {"color": "#0072B2", "linewidth": 1.0, "linestyle": "--"}
_POINT: dict[str, Any] = {"color": "black", "marker": "o", "markersize": 4.5, "linestyle": ""}


def pareto_figure(front: ParetoFront, title: str) -> Figure:
    """Draw overhead against peak.

    The upper staircase is the cheapest schedule known at each peak: filled
    markers are proven optimal, open ones are not. The lower one is the proven
    bound, and the band between them is what is not known. Hatched: peaks that
    are proven infeasible; dotted: peaks for which no schedule is known and none
    is excluded.

    Parameters
    ----------
    front : ParetoFront
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(5.4, 4.0), layout="constrained")
        panel = figure.add_subplot()
        _draw(panel, front)
        panel.set_title(title)
        place: Any = "outside lower center"
        figure.legend(loc=place, ncols=3)
    return figure


def save_pareto_figure(front: ParetoFront, title: str, paths: Iterable[str | Path]) -> None:
    """Write the figure of `pareto_figure` to files.

    Parameters
    ----------
    front : ParetoFront
    title : str
    paths : iterable of str or Path
        Their suffixes choose the formats: ``.png``, ``.pdf``, ``.svg``.

    Raises
    ------
    InvalidInput
        If a file cannot be written.
    """
    save_figure(pareto_figure(front, title), paths)


def _draw(panel: Axes, front: ParetoFront) -> None:
    whole = max(1, front.store_all_peak_bytes)

    def percent(cost: int | None) -> float:
        return 0.0 if cost is None else 100.0 * relative_gap(cost, front.base_cost)

    schedules = front.nondominated
    peaks = [(point.peak_bytes or 0) / whole for point in schedules]
    overheads = [percent(point.cost) for point in schedules]
    # A schedule serves every peak from its own on; a bound every peak up to its budget.
    costs_from = [*peaks, max(1.0, *peaks)]
    costs = [*overheads, overheads[-1]]
    bounded = [point for point in front.points if point.lower_bound is not None]
    bounds_to = [front.minimum_bytes / whole, *(point.budget_bytes / whole for point in bounded)]
    bounds = [percent(point.lower_bound) for point in (bounded[0], *bounded)] if bounded else [0.0]
    panel.step(bounds_to, bounds, where="pre", **_BOUND, label=f"proven lower bound ({front.claim})", zorder=3)
    panel.step(costs_from, costs, where="post", **_COST, label="cheapest schedule found", zorder=4)
    _draw_band(panel, (costs_from, costs), (bounds_to, bounds))
    for proven, face, label in ((True, "black", "proven optimal"), (False, "white", "not proven")):
        chosen = [each for each, point in enumerate(schedules) if (point.status is Status.OPTIMAL) is proven]
        if chosen:
            places, heights = [peaks[each] for each in chosen], [overheads[each] for each in chosen]
            panel.plot(places, heights, **_POINT, markerfacecolor=face, label=label, zorder=5)
    left = _draw_zones(panel, front.minimum_bytes / whole, peaks[0])
    scale_overheads(panel, max(*costs, *bounds))
    panel.set_xlim(left, costs_from[-1] + 0.03 * (costs_from[-1] - left))
    panel.set_xlabel("peak / store-all peak")
    panel.set_ylabel("overhead, %")
    panel.grid(True)
    _add_sizes(panel, whole)


def _add_sizes(panel: Axes, store_all_peak_bytes: int) -> None:
    """A second axis, in bytes."""
    unit, name = next(each for each in BYTE_UNITS if each[0] <= store_all_peak_bytes)
    scale = store_all_peak_bytes / unit

    def sizes(shares: Any) -> Any:
        return shares * scale

    def shares(sizes: Any) -> Any:
        return sizes / scale

    panel.secondary_xaxis("top", functions=(sizes, shares)).set_xlabel(f"peak, {name}")


def _draw_band(
    panel: Axes, costs: tuple[Sequence[float], Sequence[float]], bounds: tuple[Sequence[float], Sequence[float]]
) -> None:
    """Shade what lies between the staircases, wherever there are both."""
    import numpy as np

    edges = np.unique([*costs[0], *bounds[0]])
    edges = edges[(edges >= costs[0][0]) & (edges <= bounds[0][-1])]
    lefts, rights = edges[:-1], edges[1:]
    tops = np.asarray(costs[1])[np.searchsorted(costs[0], lefts, side="right") - 1]
    bottoms = np.asarray(bounds[1])[np.searchsorted(bounds[0], rights, side="left")]
    places = np.column_stack([lefts, rights]).ravel()
    look: dict[str, Any] = {"color": "#BBBBBB", "alpha": 0.6, "linewidth": 0, "zorder": 2}
    panel.fill_between(places, np.repeat(bottoms, 2), np.repeat(tops, 2), **look, label="bound to schedule")


def _draw_zones(panel: Axes, infeasible_below: float, least_peak: float) -> float:
    """Hatch the infeasible peaks, dot the undecided ones; where the panel begins."""
    left = max(0.0, infeasible_below - 0.08 * max(0.1, 1.0 - infeasible_below))
    look: dict[str, Any] = {"facecolor": "none", "edgecolor": "#BBBBBB", "linewidth": 0, "zorder": 1}
    if infeasible_below > 0:
        panel.axvspan(left, infeasible_below, **look, hatch="////", label="proven infeasible")
    if least_peak > infeasible_below:
        panel.axvspan(infeasible_below, least_peak, **look, hatch="...", label="undecided")
    return left
