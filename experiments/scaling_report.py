"""The table, the fitted exponents and the figure of the scaling experiment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hcb_opt.budget import format_bytes
from hcb_opt.experiments.row_files import facts_block, markdown_table, percent, save_rows, save_text, seconds
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import FIGURE_STYLE, save_figure
from hcb_opt.plot import OTHER_LOOKS
from hcb_opt.result import Status

_LEAST_SECONDS = 1e-3

#: What is timed: what a solve reached, and after how many seconds; None if it did not.
MILESTONES: Mapping[str, Callable[[SolveRow], float | None]] = {
    "to a proof": lambda row: row.seconds if row.proven else None,
    "to a gap of 1 %": lambda row: row.percent_seconds,
    "to the first schedule": lambda row: row.first_seconds,
}


@dataclass(frozen=True, slots=True)
class Network:
    """A network and its solves.

    Attributes
    ----------
    title : str
    ops, store_all_peak_bytes : int
    smallest_budget_bytes : int
        For which a schedule was found.
    budget_lower_bound_bytes : int
        Below which none exists.
    rows : list of SolveRow
        Largest budget first.
    """

    title: str
    ops: int
    store_all_peak_bytes: int
    smallest_budget_bytes: int
    budget_lower_bound_bytes: int
    rows: list[SolveRow] = field(default_factory=list)

    def median_seconds(self, milestone: str) -> float | None:
        """Median over budgets until a milestone; None if half of the solves or more did not reach it."""
        reached = (MILESTONES[milestone](row) for row in self.rows)
        middle = median([math.inf if each is None else each for each in reached]) if self.rows else math.inf
        return middle if math.isfinite(middle) else None


@dataclass(frozen=True, slots=True)
class Fit:
    """``seconds = factor * ops ** exponent``, by least squares on logarithms.

    Attributes
    ----------
    exponent, factor : float
    networks : int
        How many it was fitted to.
    """

    exponent: float
    factor: float
    networks: int


def fit_growth(networks: Iterable[Network], milestone: str) -> Fit | None:
    """The growth of the median seconds to a milestone with the ops.

    Networks whose median did not reach it are left out.

    Parameters
    ----------
    networks : iterable of Network
    milestone : str
        Of `MILESTONES`.

    Returns
    -------
    Fit or None
        None with fewer than two different numbers of ops.
    """
    points = _points(networks, milestone)
    if len({ops for ops, _ in points}) < 2:
        return None
    logarithms = np.log(np.array(points, dtype=float))
    exponent, offset = np.polyfit(logarithms[:, 0], logarithms[:, 1], 1)
    return Fit(float(exponent), float(np.exp(offset)), len(points))


def write_report(networks: Sequence[Network], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``scaling.md``, ``.csv`` and ``.json``; once complete, ``.png`` and ``.pdf`` too.

    Parameters
    ----------
    networks : sequence of Network
        With at least one row.
    directory : Path
        Must exist.
    facts : mapping
        Machine, versions and settings; whether the run is ``complete``.
    """
    known = {"complete": False, **facts}
    save_rows([row for network in networks for row in network.rows], directory, "scaling", known)
    save_text(report(networks, known), directory / "scaling.md")
    if known["complete"]:
        save_scaling_figure(networks, [directory / "scaling.png", directory / "scaling.pdf"])


def report(networks: Sequence[Network], facts: Mapping[str, Any]) -> str:
    """The table and the exponents as Markdown."""
    header = ["network", "ops", "smallest budget", "proven not below", "schedules", "proven", "worst gap"]
    header += [f"s {milestone}" for milestone in MILESTONES] + ["slowest first schedule, s", "solver memory"]
    lines = [_line(network) for network in networks if network.rows]
    notes = [
        "Budgets at even steps from 95 % of the store-all peak to the smallest for which a schedule was found. Seconds "
        "are medians over the budgets; a dash where half of the solves or more did not get there. Budgets are shares "
        "of the store-all peak, memory is the most that a solver process held."
    ]
    fits = [_fit_line(networks, milestone) for milestone in MILESTONES]
    parts = ["# Scaling", *notes, markdown_table(header, lines), "\n".join(fits)]
    return "\n\n".join([*parts, "## Machine and settings", facts_block(facts)]) + "\n"


def _line(network: Network) -> list[str]:
    rows = network.rows
    found = [row for row in rows if row.cost is not None]
    gaps = [row.gap for row in found if row.gap is not None]
    memory = [row.solver_peak_memory_bytes for row in rows if row.solver_peak_memory_bytes is not None]
    first = [row.first_seconds for row in found if row.first_seconds is not None]
    line = [network.title, str(network.ops)]
    line += [
        percent(size / network.store_all_peak_bytes, 1)
        for size in (network.smallest_budget_bytes, network.budget_lower_bound_bytes)
    ]
    line += [f"{len(found)} of {len(rows)}", str(sum(row.status == Status.OPTIMAL for row in rows))]
    line.append(percent(max(gaps, default=None)))
    line += [seconds(network.median_seconds(milestone)) for milestone in MILESTONES]
    return [*line, seconds(max(first, default=None)), format_bytes(max(memory)) if memory else "-"]


def _fit_line(networks: Sequence[Network], milestone: str) -> str:
    fit = fit_growth(networks, milestone)
    if fit is None:
        return f"- Seconds {milestone}: too few networks got there for a fit."
    return (
        f"- Seconds {milestone} grow as ops^{fit.exponent:.2f}: least squares on the logarithms of the medians of "
        f"{fit.networks} of {sum(bool(network.rows) for network in networks)} networks, those whose median got there."
    )


def save_scaling_figure(networks: Sequence[Network], paths: Iterable[Path]) -> None:
    """Draw the medians against the ops, with the fits.

    Parameters
    ----------
    networks : sequence of Network
    paths : iterable of Path
        Their suffixes choose the formats.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(5, 3.4), layout="constrained")
        axes = figure.subplots()
        for milestone, (colour, marker, _) in zip(MILESTONES, OTHER_LOOKS, strict=False):
            points = _points(networks, milestone)
            fit = fit_growth(networks, milestone)
            label = milestone if fit is None else f"{milestone}: exponent {fit.exponent:.2f}"
            ops, middles = [each for each, _ in points], [each for _, each in points]
            axes.plot(ops, middles, color=colour, marker=marker, markersize=4, linestyle="", label=label)
            if fit is not None:
                ends = np.array([min(ops), max(ops)], dtype=float)
                axes.plot(ends, fit.factor * ends**fit.exponent, color=colour, linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlabel="ops", ylabel="seconds, median over budgets")
        axes.grid(True)
        axes.legend()
    save_figure(figure, paths)


def _points(networks: Iterable[Network], milestone: str) -> list[tuple[int, float]]:
    """Ops and median seconds, where there is a median."""
    points = []
    for network in networks:
        middle = network.median_seconds(milestone)
        if middle is not None:
            points.append((network.ops, max(middle, _LEAST_SECONDS)))
    return points
