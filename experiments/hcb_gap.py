"""What height compression leaves: interval tree and block checkpoints beside the optimum, by depth, width and skips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hcb_opt.experiments.bench import Bench
from hcb_opt.experiments.chain_report import write_report
from hcb_opt.experiments.hcb_gap_report import METHODS, panels, report
from hcb_opt.experiments.skip_network import Shape
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.task import Task
from hcb_opt.plot import LEAD_METHOD

NAME = "hcb-gap"
SUMMARY = "interval tree and block checkpoints beside the optimum, over depth, width and skip length"

SHARES = (0.7, 0.5, 0.35, 0.25, 0.15)
QUICK_SHARES = (0.7, 0.5)


Varied = Mapping[str, Sequence[int]]
CENTRE, QUICK_CENTRE = Shape(64, 2, 2), Shape(32, 2, 2)
VARIED: Varied = {"depth": (16, 32, 64, 128, 256), "width": (1, 2, 4, 8), "skip": (1, 2, 4, 8, 16)}
QUICK_VARIED: Varied = {"depth": (16, 32), "width": (1, 2), "skip": (1, 2)}


def run_default(directory: Path, quick: bool = False, *, time_limit: float | None = None, workers: int = 2) -> None:
    """Run the experiment and print its tables.

    Parameters
    ----------
    directory : Path
        Gets ``hcb-gap.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Shallow networks at two budgets, 3 s per solve unless told otherwise.
    time_limit, workers
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if time_limit is None:
        time_limit = 3.0 if quick else 60.0
    centre, varied, shares = (QUICK_CENTRE, QUICK_VARIED, QUICK_SHARES) if quick else (CENTRE, VARIED, SHARES)
    run(directory, centre, varied, shares, time_limit=time_limit, workers=workers)


def run(
    directory: Path,
    centre: Shape,
    varied: Varied,
    shares: Sequence[float],
    *,
    time_limit: float,
    workers: int,
) -> list[SolveRow]:
    """Vary one of depth, width and skip length at a time; write rows, tables and figure.

    Interrupted, it leaves what it has, and the next run with the same settings
    goes on from there.

    Parameters
    ----------
    directory : Path
        Made if missing.
    centre : Shape
        What the others are, while one varies.
    varied : mapping of str to sequence of int
        Values of ``depth``, ``width`` and ``skip``.
    shares : sequence of float
        Budgets as shares of the store-all peak.
    time_limit, workers
        As in `solve_schedule`.

    Returns
    -------
    list of SolveRow
    """
    settings = {"centre": centre.title, **{axis: list(each) for axis, each in varied.items()}, "shares": list(shares)}
    bench = Bench(directory, NAME, time_limit=time_limit, workers=workers, settings=settings)
    rows = bench.rows
    with bench.reporting(rows, lambda facts: write_report(directory, NAME, rows, report(rows), panels(rows), facts)):
        for task in _tasks(centre, varied, shares):
            bench.solve(task)
    return rows


def _tasks(centre: Shape, varied: Varied, shares: Sequence[float]) -> Iterator[Task]:
    shapes = dict.fromkeys(replace(centre, **{axis: each}) for axis, values in varied.items() for each in values)
    for shape in shapes:
        graph = shape.graph()
        for share in shares:
            for method in (LEAD_METHOD, *METHODS):
                yield Task("shapes", shape.title, graph, share, method)
