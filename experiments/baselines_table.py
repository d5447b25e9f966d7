"""Every baseline on the whole zoo at nine budgets: cost over the optimum, in one table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.even_sweep import BUDGETS, solve_evenly
from hcb_opt.experiments.executors import given_or_local
from hcb_opt.experiments.over_optimum import Mean, mean_over, mean_over_all, optima, references
from hcb_opt.experiments.row_files import facts_block, markdown_table, save_rows, save_text
from hcb_opt.experiments.scaling import QUICK as QUICK_SUBJECTS
from hcb_opt.experiments.scaling import Subject, captured
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.sweep import Sweep
from hcb_opt.figure_style import FIGURE_STYLE, save_figure
from hcb_opt.models import zoo
from hcb_opt.plot import LEAD_METHOD
from hcb_opt.registry import methods_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "baselines"
SUMMARY = "every baseline on the whole zoo at nine budgets: cost over the optimum, in one table"

QUICK_BUDGETS = 3
_CAPTION = (
    "Cost over the optimum, the geometric mean over the budgets at which the method has a schedule; how many these are "
    "is in brackets. Budgets are even steps from 95 % of the store-all peak to the smallest found; means of few "
    "budgets, the generous ones, do not compare with those of many. Where the optimum is not known, the best proven "
    "lower bound of any fixed-order schedule stands for it, and the ratio is an upper bound: the first line says at "
    "how many budgets it is known. Methods are in the order of budgets served, then of ratios."
)


def run_default(
    directory: Path,
    quick: bool = False,
    *,
    time_limit: float | None = None,
    workers: int = 2,
    executor: Executor | None = None,
) -> None:
    """Run the experiment and print its table.

    Parameters
    ----------
    directory : Path
        Gets ``baselines.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``, and
        under ``graphs`` what was captured, which later runs take from there.
    quick : bool
        Two small networks at three budgets, a second per solve unless told
        otherwise.
    time_limit, workers, executor
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if time_limit is None:
        time_limit = 1.0 if quick else 60.0
    subjects = QUICK_SUBJECTS[:2] if quick else whole_zoo()
    budgets = QUICK_BUDGETS if quick else BUDGETS
    run(directory, subjects, budgets, time_limit=time_limit, workers=workers, executor=executor)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def whole_zoo() -> tuple[Subject, ...]:
    """Every model of the zoo at its own sizes."""
    return tuple(Subject(name, name) for name in zoo())


def baselines() -> tuple[str, ...]:
    """Every heuristic that serves the fixed order; `store_all` serves no budget below its peak."""
    return tuple(
        name for name, each in methods_for("fixed").items() if each.kind == "heuristic" and name != "store_all"
    )


def run(
    directory: Path,
    subjects: Sequence[Subject],
    budgets: int = BUDGETS,
    *,
    time_limit: float,
    workers: int,
    executor: Executor | None = None,
) -> list[SolveRow]:
    """Solve every subject by every baseline and by `frontier_cuts`, and write rows, table and figure.

    Interrupted, it goes on from there when it is run again.
    """
    settings = {
        "networks": [subject.title for subject in subjects], "methods": list(baselines()), "budgets": budgets,
        "time_limit": time_limit, "workers": workers,
    }  # fmt: skip
    sweep = Sweep(directory, NAME, settings)
    graphs = {subject.title: captured(subject, directory / "graphs") for subject in subjects}
    with given_or_local(executor, workers) as opened:
        rows = solve_evenly(
            sweep,
            graphs,
            (LEAD_METHOD, *baselines()),
            opened,
            budgets=budgets,
            time_limit=time_limit,
            workers=workers,
        )
    write_report(rows, directory, {**sweep.facts, "complete": True})
    sweep.journal.remove()
    return rows


def write_report(rows: Sequence[SolveRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write table, rows and figure."""
    save_rows(rows, directory, NAME, facts)
    text = f"# Baselines over the optimum\n\n{_CAPTION}\n\n{table(rows)}\n\n## Machine and settings\n\n"
    save_text(f"{text}{facts_block(facts)}\n", directory / f"{NAME}.md")
    save_figure(ratio_figure(rows), [directory / f"{NAME}.png", directory / f"{NAME}.pdf"])


def table(rows: Sequence[SolveRow]) -> str:
    """Methods against networks, and all networks together."""
    known = references(rows)
    networks = {row.instance: row.ops for row in rows}
    total = f"{sum(each.proven for each in known.values())} of {len(known)}"
    lines = [["optimum known", *(optima(known, network) for network in networks), total]]
    for method, overall in ranked(rows).items():
        own = [row for row in rows if row.method == method]
        means = [str(mean_over(own, known, network, method)) for network in networks]
        lines.append([f"`{method}`", *means, str(overall)])
    return markdown_table(["method", *(f"{network} ({ops})" for network, ops in networks.items()), "all"], lines)


def ranked(rows: Sequence[SolveRow]) -> dict[str, Mean]:
    """Methods and their means over all networks, those that serve most budgets first."""
    known = references(rows)
    means = {method: mean_over_all(rows, known, method) for method in dict.fromkeys(row.method for row in rows)}
    return dict(sorted(means.items(), key=lambda item: (-item[1].found, item[1].ratio or 0.0)))


def ratio_figure(rows: Sequence[SolveRow]) -> Figure:
    """For each method its cost over the optimum, less one, and the share of budgets that it serves."""
    import matplotlib
    from matplotlib.figure import Figure

    means = ranked(rows)
    places = range(len(means))
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(6.5, 0.9 + 0.17 * len(means)), layout="constrained")
        ratios, served = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        excess = [math.nan if mean.ratio is None else 100 * (mean.ratio - 1) for mean in means.values()]
        ratios.plot(excess, places, color="black", marker="o", markersize=3.5, linestyle="")
        served.barh(places, [100 * mean.found / max(1, mean.budgets) for mean in means.values()], color="#999999")
        ratios.set_xscale("symlog", linthresh=1.0)
        ratios.set_xlim(-0.05, None)
        ratios.set_xlabel("mean cost above the optimum, %")
        served.set_xlabel("budgets served, %")
        served.set_xlim(0, 100)
        ratios.set_yticks(places, list(means))
        ratios.invert_yaxis()
        for axes in (ratios, served):
            axes.grid(True)
    return figure
