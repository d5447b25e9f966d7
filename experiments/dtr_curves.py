"""Dynamic tensor rematerialization: slowdown against budget for every heuristic, beside the optimum and its bound."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from hcb_opt.build import counting_persistent
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.bench import Bench
from hcb_opt.experiments.dtr_curves_report import HEURISTICS, write_report
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.task import Task
from hcb_opt.generators import chain
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.layered import random_layered
from hcb_opt.operator_log import is_operator_log
from hcb_opt.plot import LEAD_METHOD

NAME = "dtr-curves"
SUMMARY = "dynamic tensor rematerialization, every heuristic at nine budgets, beside the optimum and its bound"

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
QUICK_SHARES = (0.9, 0.7, 0.5)


def run_default(
    directory: Path,
    quick: bool = False,
    *,
    instances: Path | None = None,
    time_limit: float | None = None,
    workers: int = 2,
) -> None:
    """Run the experiment and print its tables.

    Parameters
    ----------
    directory : Path
        Gets ``dtr-curves.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Two small graphs at three budgets, 3 s per solve unless told otherwise:
        half a minute. Files are solved at three budgets, too.
    instances : Path, optional
        Folder with operator logs, or graphs in JSON; those that can be read are
        solved as well.
    time_limit, workers
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if time_limit is None:
        time_limit = 3.0 if quick else 60.0
    own = {} if instances is None else _load_files(instances)
    graphs = (_quick_graphs() if quick else _graphs()) | own
    run(directory, graphs, QUICK_SHARES if quick else SHARES, time_limit=time_limit, workers=workers)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def run(
    directory: Path,
    graphs: Mapping[str, Graph],
    shares: Sequence[float] = SHARES,
    *,
    time_limit: float = 60.0,
    workers: int = 2,
) -> list[SolveRow]:
    """Solve every graph at every budget by every heuristic and by `frontier_cuts`; write rows, tables and figure.

    Interrupted, it leaves what it has, and the next run with the same settings
    goes on from there.

    Parameters
    ----------
    directory : Path
        Made if missing.
    graphs : mapping of str to Graph
    shares : sequence of float
        Budgets as shares of the store-all peak.
    time_limit, workers
        As in `run_default`.

    Returns
    -------
    list of SolveRow

    Raises
    ------
    KeyboardInterrupt
        If a solve was interrupted.
    """
    settings = {"graphs": list(graphs), "shares": list(shares)}
    bench = Bench(directory, NAME, time_limit=time_limit, workers=workers, settings=settings)
    with bench.reporting(bench.rows, partial(write_report, bench.rows, directory)):
        for task in _tasks(graphs, shares):
            bench.solve(task)
    return bench.rows


def _tasks(graphs: Mapping[str, Graph], shares: Sequence[float]) -> Iterator[Task]:
    for title, graph in graphs.items():
        for share in shares:
            for method in (LEAD_METHOD, *HEURISTICS):
                yield Task("curves", title, graph, share, method)


def _graphs() -> dict[str, Graph]:
    from hcb_opt.models import zoo

    flags: dict[str, int | float] = {"layers": 12}
    return {
        **{LAYER_NETWORKS[name].title: layer_graph(name) for name in ("vgg16", "unet", "resnet50")},
        "U-Net, captured": zoo()["unet"].capture(cost="roofline:h200"),
        "GPT-2, 12 layers, captured": zoo()["gpt2"].capture(cost="roofline:h200", **flags),
        "chain of 100": chain(100),
        "layered 100": random_layered(100),
    }


def _quick_graphs() -> dict[str, Graph]:
    return {LAYER_NETWORKS["unet"].title: layer_graph("unet"), "chain of 40": chain(40)}


def _load_files(folder: Path) -> dict[str, Graph]:
    """The logs and graphs of a folder by name; logs count their constants, as the paper's simulator does."""
    if not folder.is_dir():
        raise InvalidInput(str(folder), "is no folder", "give the folder that holds the logs")
    graphs: dict[str, Graph] = {}
    for path in sorted([*folder.glob("*.log"), *folder.glob("*.json")]):
        try:
            graph = load_graph(path)
        except InvalidInput as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            graphs[path.name] = counting_persistent(graph) if is_operator_log(path) else graph
    return graphs
