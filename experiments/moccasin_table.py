"""Moccasin's tables: graphs shaped and distributed like its own, beside what it and Checkmate's MILP reached there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from hcb_opt.experiments.executors import given_or_local
from hcb_opt.experiments.literature import FIXED_ORDER_SOURCES, published_figure, same_family, same_size
from hcb_opt.experiments.published import RIVALS
from hcb_opt.experiments.published_figure import save_published_figure
from hcb_opt.experiments.row_files import facts_block, markdown_table, percent, save_rows, save_text, seconds, status
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.sweep import Sweep
from hcb_opt.experiments.task import Task
from hcb_opt.graph import Graph
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.layered import random_layered
from hcb_opt.plot import LEAD_METHOD
from hcb_opt.registry import get_method

NAME = "moccasin-table"
SUMMARY = "Moccasin's tables: overhead and seconds on graphs like CM1, CM2 and G1 to G4, beside the published figures"

SHARES = (0.9, 0.8)
NETWORKS = ("fcn8", "resnet50")
LAYERED_OPS = (100, 250, 500, 1000)
_CAPTION = (
    "CM1 and CM2: FCN-8 and ResNet-50 by layers, with the ops and the store-all peak of the published instances and "
    "other costs. G1 to G4: random layered graphs distributed like the published ones and of their size, but others, "
    "so that overheads differ. `retention_intervals` is Moccasin's formulation here, `checkmate_milp` Checkmate's; "
    "each is left out where it takes no graph of this size. Published: Bartan et al., ICML 2023, on 16 to 36 cores. "
    "`hcb-opt reproduce published` has more seeds and budgets of the same."
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
        Gets ``moccasin-table.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        CM1 and G1 only, at one budget, 5 s per solve unless told otherwise.
    time_limit, workers, executor
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if time_limit is None:
        time_limit = 5.0 if quick else 60.0
    if quick:
        run(directory, NETWORKS[:1], LAYERED_OPS[:1], SHARES[:1], time_limit, workers, executor)
    else:
        run(directory, NETWORKS, LAYERED_OPS, SHARES, time_limit, workers, executor)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def run(
    directory: Path,
    networks: Sequence[str],
    layered_ops: Sequence[int],
    shares: Sequence[float],
    time_limit: float,
    workers: int,
    executor: Executor | None = None,
) -> list[SolveRow]:
    """Solve every graph at every budget by `frontier_cuts` and the two formulations, and write rows, table and figure.

    Interrupted, it goes on from there when it is run again.
    """
    settings = {
        "networks": list(networks), "layered ops": list(layered_ops), "shares": list(shares),
        "time_limit": time_limit, "workers": workers,
    }  # fmt: skip
    sweep = Sweep(directory, NAME, settings)
    with given_or_local(executor, workers) as opened:
        tasks = list(_tasks(networks, layered_ops, shares))
        rows = sweep.solve(tasks, opened, time_limit=time_limit, workers=workers)
    write_report(rows, directory, {**sweep.facts, "complete": True})
    sweep.journal.remove()
    return rows


def _tasks(networks: Sequence[str], layered_ops: Sequence[int], shares: Sequence[float]) -> Iterator[Task]:
    graphs: dict[str, tuple[Graph, int | None]] = {
        LAYER_NETWORKS[name].title: (layer_graph(name), None) for name in networks
    }
    graphs |= {f"layered {ops}": (random_layered(ops, seed=0), 0) for ops in layered_ops}
    for title, (graph, seed) in graphs.items():
        for share in shares:
            for method in (LEAD_METHOD, *RIVALS):
                task = Task("table", title, graph, share, method, seed=seed)
                if not get_method(method).declines(graph, task.budget_bytes):
                    yield task


def write_report(rows: Sequence[SolveRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write table, rows and figure."""
    save_rows(rows, directory, NAME, facts)
    text = f"# Moccasin's tables\n\n{_CAPTION}\n\n{table(rows)}\n\n## Machine and settings\n\n{facts_block(facts)}\n"
    save_text(text, directory / f"{NAME}.md")
    save_published_figure(rows, [directory / f"{NAME}.png", directory / f"{NAME}.pdf"])


def table(rows: Sequence[SolveRow]) -> str:
    """A line for each solve; the published figures stand in the line of the first method."""
    lines = []
    for row in rows:
        twin = same_size(row.ops, row.store_all_peak_bytes) or (same_family(row.ops) if row.seed is not None else None)
        first = row.method == LEAD_METHOD
        line = [f"{row.instance} ({row.ops})", twin or "-", f"{100 * row.share:.0f} %"] if first else ["", "", ""]
        line += [f"`{row.method}`", percent(row.overhead), percent(row.bound_overhead), status(row)]
        line.append(seconds(row.seconds))
        figures = [str(published_figure(source, twin, row.share) or "-") for source in FIXED_ORDER_SOURCES]
        lines.append([*line, *(figures if first else ["", ""])])
    header = ["graph (ops)", "like", "budget", "method", "overhead", "lower bound", "status", "seconds"]
    return markdown_table([*header, *(f"{source}, published" for source in FIXED_ORDER_SOURCES)], lines)
