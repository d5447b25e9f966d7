"""Checkmate's figure 5: overhead against budget for each strategy, a panel for each network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from hcb_opt.experiments.checkmate_strategies import NETWORK_NOTE, STRATEGIES, run_strategies
from hcb_opt.experiments.overhead_curves import by_instance, overhead_figure, slowdown_table
from hcb_opt.experiments.row_files import facts_block, save_rows, save_text
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import save_figure

NAME = "checkmate-budget"
SUMMARY = "Checkmate's figure 5: overhead against budget for each of its strategies, a panel for each network"

_CAPTION = (
    "Cost over the cost of computing every op once; a dash: no schedule found. Budgets are shares of the store-all "
    "peak, from 95 % to the smallest found. `optimum` is `frontier_cuts`' schedule, proven where it equals the lower "
    f"bound. {NETWORK_NOTE} The paper (Jain et al., MLSys 2020, figure 5) draws its curves without numbers."
)


def run_default(
    directory: Path,
    quick: bool = False,
    *,
    time_limit: float | None = None,
    workers: int = 2,
    executor: Executor | None = None,
) -> None:
    """Run the experiment and print its tables.

    Parameters
    ----------
    directory : Path
        Gets ``checkmate-budget.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Three networks at three budgets, 3 s per solve unless told otherwise.
    time_limit, workers, executor
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    run_strategies(
        directory, NAME, write_report, quick=quick, time_limit=time_limit, workers=workers, executor=executor
    )


def write_report(rows: Sequence[SolveRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write tables, rows and figure."""
    save_rows(rows, directory, NAME, facts)
    parts = ["# Checkmate's strategies: overhead against budget", _CAPTION]
    for instance, own in by_instance(rows).items():
        parts += [f"## {instance} ({own[0].ops} ops)", slowdown_table(own, STRATEGIES)]
    text = "\n\n".join([*parts, "## Machine and settings", facts_block(facts)])
    save_text(f"{text}\n", directory / f"{NAME}.md")
    save_figure(overhead_figure(rows, STRATEGIES), [directory / f"{NAME}.png", directory / f"{NAME}.pdf"])
