"""Checkmate's strategies on networks shaped like its own, at even budgets: the rows of its table and of its curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from hcb_opt.experiments.even_sweep import BUDGETS, solve_evenly
from hcb_opt.experiments.executors import given_or_local
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.sweep import Sweep
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.plot import LEAD_METHOD

#: Methods, and what Jain et al. (MLSys 2020, table 1) call them.
STRATEGIES: Mapping[str, str] = {
    "ap_sqrt": "AP sqrt(n)",
    "ap_greedy": "AP greedy",
    "linearised_sqrt": "linearised sqrt(n)",
    "linearised_greedy": "linearised greedy",
    "griewank_linearised": "Griewank log n",
    "lp_rounding": "two-phase LP rounding",
}
NETWORKS = ("mobilenet", "vgg16", "vgg19", "unet", "resnet50")
QUICK_NETWORKS = ("vgg16", "vgg19", "unet")
QUICK_BUDGETS = 3

#: What stands beside every figure of these networks.
NETWORK_NOTE = (
    "The networks are the toolkit's own, equally shaped, with multiply-adds as costs "
    "(`hcb_opt.layer_graphs`); the paper's are profiled on a GPU, so that its figures are a landmark, no target."
)


def run_strategies(
    directory: Path,
    name: str,
    write_report: Callable[[Sequence[SolveRow], Path, Mapping[str, Any]], None],
    *,
    quick: bool,
    time_limit: float | None,
    workers: int,
    executor: Executor | None,
) -> None:
    """Solve all networks, write their report and print it.

    Parameters
    ----------
    directory : Path
        Made if missing.
    name : str
        Of the experiment.
    write_report : callable
        Takes rows, directory and facts; its table is ``NAME.md``.
    quick : bool
        Three networks at three budgets, 3 s per solve unless told otherwise.
    time_limit, workers, executor
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if time_limit is None:
        time_limit = 3.0 if quick else 60.0
    networks, budgets = (QUICK_NETWORKS, QUICK_BUDGETS) if quick else (NETWORKS, BUDGETS)
    rows, facts, sweep = solve_networks(
        directory, name, networks, budgets, time_limit=time_limit, workers=workers, executor=executor
    )
    write_report(rows, directory, facts)
    sweep.journal.remove()
    print((directory / f"{name}.md").read_text(encoding="utf-8"))


def titled(names: Sequence[str]) -> dict[str, str]:
    """Titles of `LAYER_NETWORKS`, and their names."""
    return {LAYER_NETWORKS[name].title: name for name in names}


def solve_networks(
    directory: Path,
    name: str,
    networks: Sequence[str],
    budgets: int = BUDGETS,
    *,
    time_limit: float,
    workers: int,
    executor: Executor | None,
) -> tuple[list[SolveRow], dict[str, Any], Sweep]:
    """Every network by every strategy and by `frontier_cuts`.

    Parameters
    ----------
    directory : Path
        Made if missing.
    name : str
        Of the experiment.
    networks : sequence of str
        Of `LAYER_NETWORKS`.
    budgets : int
        From 95 % of the store-all peak down to the smallest, evenly.
    time_limit, workers, executor
        As in `solve_schedule` and `given_or_local`.

    Returns
    -------
    tuple of list of SolveRow, dict and Sweep
        The rows; machine, versions and settings; the sweep, whose journal the
        caller removes when all is written.
    """
    settings = {"networks": list(networks), "budgets": budgets, "time_limit": time_limit, "workers": workers}
    sweep = Sweep(directory, name, settings)
    graphs = {title: layer_graph(network) for title, network in titled(networks).items()}
    methods = (LEAD_METHOD, *STRATEGIES)
    with given_or_local(executor, workers) as opened:
        rows = solve_evenly(sweep, graphs, methods, opened, budgets=budgets, time_limit=time_limit, workers=workers)
    return rows, {**sweep.facts, "complete": True}, sweep
