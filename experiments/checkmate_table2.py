"""Checkmate's table 2: each strategy's cost over the optimum, as a geometric mean over budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.checkmate_strategies import NETWORK_NOTE, STRATEGIES, run_strategies, titled
from hcb_opt.experiments.over_optimum import mean_over, optima, references
from hcb_opt.experiments.row_files import facts_block, markdown_table, save_rows, save_text
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import FIGURE_STYLE, save_figure
from hcb_opt.plot import LEAD_METHOD, OTHER_LOOKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "checkmate-table2"
SUMMARY = "Checkmate's table 2: cost over the optimum for each of its strategies, beside the paper's figures"

#: Jain et al., MLSys 2020, table 2; a dash in it, or a strategy that is no column of it, is left out.
TABLE_2: Mapping[str, Mapping[str, float]] = {
    "mobilenet": {"ap_sqrt": 1.14, "ap_greedy": 1.07, "griewank_linearised": 7.07, "lp_rounding": 1.06},
    "vgg16": {"ap_sqrt": 1.28, "ap_greedy": 1.06, "griewank_linearised": 1.44, "lp_rounding": 1.01},
    "vgg19": {"ap_sqrt": 1.54, "ap_greedy": 1.39, "griewank_linearised": 1.75, "lp_rounding": 1.00},
    "unet": {"ap_sqrt": 1.27, "ap_greedy": 1.23, "lp_rounding": 1.03},
    "resnet50": {"ap_sqrt": 1.20, "ap_greedy": 1.25, "lp_rounding": 1.05},
}
_PAPER: dict[str, Any] = {"color": "black", "marker": "_", "markersize": 8, "markeredgewidth": 1.2, "linestyle": ""}
_CAPTION = (
    "Cost over the optimum, the geometric mean over the budgets at which the strategy has a schedule; how many these "
    "are is in brackets, so that means of few budgets, the generous ones, do not compare with those of many. "
    f"{NETWORK_NOTE} Where no optimum is proven, the best proven lower bound stands for it, and ratios are upper "
    "bounds. Paper: Jain et al., MLSys 2020, table 2, over its own budgets."
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
        Gets ``checkmate-table2.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Three networks at three budgets, 3 s per solve unless told otherwise.
    time_limit, workers, executor
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    run_strategies(
        directory, NAME, write_report, quick=quick, time_limit=time_limit, workers=workers, executor=executor
    )


def write_report(rows: Sequence[SolveRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write table, rows and figure."""
    save_rows(rows, directory, NAME, facts)
    table = f"# Checkmate's strategies over the optimum\n\n{_CAPTION}\n\n{ratio_table(rows)}"
    save_text(f"{table}\n\n## Machine and settings\n\n{facts_block(facts)}\n", directory / f"{NAME}.md")
    save_figure(ratio_figure(rows), [directory / f"{NAME}.png", directory / f"{NAME}.pdf"])


def ratio_table(rows: Sequence[SolveRow]) -> str:
    """Networks against strategies, the paper's figures below ours."""
    known = references(rows)
    lines = []
    for title, name in _networks(rows).items():
        ours = [str(mean_over(rows, known, title, method)) for method in STRATEGIES]
        paper = [f"{TABLE_2[name][method]:.2f}" if method in TABLE_2[name] else "-" for method in STRATEGIES]
        lead = str(mean_over(rows, known, title, LEAD_METHOD))
        lines += [[title, optima(known, title), *ours, lead], ["paper", "", *paper, ""]]
    header = ["network", "optimum known", *STRATEGIES.values(), f"`{LEAD_METHOD}`"]
    return markdown_table(header, lines)


def ratio_figure(rows: Sequence[SolveRow]) -> Figure:
    """The same as bars, the paper's figures as marks beside them; bars above 3 are cut off."""
    import matplotlib
    from matplotlib.figure import Figure

    known = references(rows)
    networks = _networks(rows)
    width = 0.8 / len(STRATEGIES)
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(0.9 + 1.5 * len(networks), 3.2), layout="constrained")
        axes = figure.subplots()
        for number, (method, label) in enumerate(STRATEGIES.items()):
            places = [place + width * (number - (len(STRATEGIES) - 1) / 2) for place in range(len(networks))]
            means = [mean_over(rows, known, title, method).ratio for title in networks]
            axes.bar(places, [mean or 0.0 for mean in means], width, color=OTHER_LOOKS[number][0], label=label)
            for place, name in zip(places, networks.values(), strict=True):
                if method in TABLE_2[name]:
                    axes.plot(place, TABLE_2[name][method], **_PAPER)
        axes.plot([], [], **_PAPER, label="paper")
        axes.set_xticks(range(len(networks)), list(networks))
        axes.set_ylim(1.0, min(3.0, axes.get_ylim()[1]))
        axes.set_ylabel("cost over optimum")
        below: Any = "outside lower center"
        figure.legend(loc=below, ncols=4)
    return figure


def _networks(rows: Sequence[SolveRow]) -> dict[str, str]:
    """The networks that have rows: titles and names."""
    solved = {row.instance for row in rows}
    return {title: name for title, name in titled(tuple(TABLE_2)).items() if title in solved}
