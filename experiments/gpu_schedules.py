"""Solves what ``gpu`` runs on a CUDA machine, for its next run there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hcb_opt.experiments.gpu.schedules import keep, solve_elsewhere
from hcb_opt.files import read_json
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph
from hcb_opt.replay import replay
from hcb_opt.result import relative_gap

NAME = "gpu-schedules"
SUMMARY = "schedules by frontier_cuts for what 'gpu' runs and captured; with -o results/gpu, its next run takes them"


def run_default(directory: Path, quick: bool = False, *, time_limit: float | None = None, workers: int = 2) -> None:
    """Solve the random layered graph, and every graph of the folder ``graphs``, into the folder ``schedules``.

    Parameters
    ----------
    directory : Path
        As ``gpu`` left it; without graphs only the layered one is solved.
    quick : bool
        One share, 5 s per solve unless told otherwise.
    time_limit : float, optional
        Seconds per solve; 120 if not given.
    workers : int
        As in `hcb_opt.solve_schedule`.
    """
    for graph, shares in _instances(directory, quick):
        for share in shares:
            chosen = solve_elsewhere(graph, share, time_limit or (5.0 if quick else 120.0), workers)
            overhead = relative_gap(replay(graph, chosen.schedule).cost, graph.base_cost)
            written = keep(graph, share, chosen, directory)
            print(f"{graph.name} at {share:.0%}: overhead {overhead:.2%} in {chosen.seconds:.0f} s, {written}")


def _instances(directory: Path, quick: bool) -> Iterator[tuple[Graph, Sequence[float]]]:
    """Graphs, and the shares of their store-all peaks that are measured."""
    from hcb_opt.experiments.gpu.instances import SHARE, layered_instance

    paths = sorted((directory / "graphs").glob("*.json"))
    if not paths:
        print(f"no graphs in {directory / 'graphs'}; 'gpu' captures them on a CUDA machine", file=sys.stderr)
    yield layered_instance(quick), [SHARE]
    for path in paths:
        yield load_graph(path), _shares(directory, path.stem, quick)


def _shares(directory: Path, network: str, quick: bool) -> list[float]:
    """Shares of the store-all peak: the usual ones, and others that ``gpu`` tried."""
    from hcb_opt.experiments.gpu.steps import QUICK_SHARES, SHARES

    if quick:
        return list(QUICK_SHARES)
    told = directory / "gpu.json"
    sections = read_json(told)["sections"] if told.is_file() else []
    rows = [row for each in sections if each["name"] == f"steps:{network}" for row in each["rows"]]
    return sorted({*SHARES, *(row["share"] for row in rows if row.get("way") == "ours")}, reverse=True)
