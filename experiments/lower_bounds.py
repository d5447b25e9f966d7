"""What lower bounds are worth: each, without and with a solver, beside the optimum."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hcb_opt.bounds import cover_bound, mandatory_memory
from hcb_opt.budget import parse_budget
from hcb_opt.experiments.bench import Bench
from hcb_opt.experiments.chain_report import write_report
from hcb_opt.experiments.lower_bounds_report import BoundRow, panels, report
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.task import Task
from hcb_opt.free_bounds import free_cover_bound
from hcb_opt.generators import chain, random_training
from hcb_opt.graph import Graph
from hcb_opt.highs import highs
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.layered import random_layered
from hcb_opt.minimum import minimum_budget
from hcb_opt.plot import LEAD_METHOD
from hcb_opt.registry import get_method
from hcb_opt.stage_model import StageModel

NAME = "lower-bounds"
SUMMARY = "lower bounds, without and with a solver, beside the optimum at several budgets"

SHARES = (0.9, 0.7, 0.5, 0.35)
QUICK_SHARES = (0.9, 0.7)
#: Those that prove optima, each of its class.
EXACT = (LEAD_METHOD, "exhaustive", "unit_chain", "retention_intervals", "checkmate_milp")
FIXED, FREE, STAGES = "fixed-order", "free-order", "checkmate-stages"
#: The largest graph whose linear relaxation of Checkmate's model is solved.
MOST_STAGES = 300
# HiGHS's tolerance, as an absolute error in the scaled objective.
_HIGHS_ERROR = 1e-5


def run_default(directory: Path, quick: bool = False, *, time_limit: float | None = None, workers: int = 2) -> None:
    """Run the experiment and print its tables.

    Parameters
    ----------
    directory : Path
        Gets ``lower-bounds.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Two tiny graphs at two budgets, 3 s per solve unless told otherwise.
    time_limit, workers
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if time_limit is None:
        time_limit = 3.0 if quick else 60.0
    graphs, shares = (_quick_graphs(), QUICK_SHARES) if quick else (_graphs(), SHARES)
    run(directory, graphs, shares, time_limit=time_limit, workers=workers)


def run(
    directory: Path, graphs: Mapping[str, Graph], shares: Sequence[float], *, time_limit: float, workers: int
) -> list[BoundRow]:
    """Find every bound of every graph at every budget; write rows, tables and figure.

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
        As in `solve_schedule`.

    Returns
    -------
    list of BoundRow
    """
    settings = {"graphs": list(graphs), "shares": list(shares)}
    bench = Bench(directory, NAME, time_limit=time_limit, workers=workers, settings=settings)
    rows: list[BoundRow] = []
    with bench.reporting(rows, lambda facts: write_report(directory, NAME, rows, report(rows), panels(rows), facts)):
        for title, graph in graphs.items():
            rows.append(_memory_row(bench, title, graph, time_limit, workers))
            for share in shares:
                rows += _cost_rows(bench, title, graph, share, time_limit)
    return rows


def _memory_row(bench: Bench, title: str, graph: Graph, time_limit: float, workers: int) -> BoundRow:
    """Mandatory memory beside the smallest budget."""

    def find() -> dict[str, Any]:
        least = minimum_budget(graph, time_limit, workers=workers)
        if least.interrupted:
            raise KeyboardInterrupt
        return {"peak_bytes": least.peak_bytes, "proven": least.proven}

    least = bench.noted(f"least {title}", find)
    bound, seconds = _timed(lambda: mandatory_memory(graph).size_bytes)
    return BoundRow(
        title, len(graph.ops), "memory", None, None, "mandatory_memory", FREE, bound, least["peak_bytes"],
        least["proven"], 0, seconds,
    )  # fmt: skip


def _cost_rows(bench: Bench, title: str, graph: Graph, share: float, time_limit: float) -> Iterator[BoundRow]:
    """All bounds of the cost at a budget beside the cheapest fixed-order schedule; none if nothing fits."""
    budget_bytes = parse_budget(share, graph.store_all_peak_bytes)
    serving = [method for method in EXACT if not get_method(method).declines(graph, budget_bytes)]
    solved = [bench.solve(Task("bounds", title, graph, share, method)) for method in serving]
    if any(row.infeasible for row in solved):
        return
    optimum = min((row.cost for row in solved if row.cost is not None), default=None)
    proven = any(row.claim == FIXED and row.lower_bound == optimum for row in solved)
    found: list[tuple[str, str, int | None, float]] = [
        ("cover_bound", FIXED, *_timed(partial(cover_bound, graph, budget_bytes))),
        ("free_cover_bound", FREE, *_timed(partial(free_cover_bound, graph, budget_bytes))),
    ]
    if len(graph.ops) <= MOST_STAGES:
        relaxed = bench.noted(
            f"relaxed {title} {budget_bytes}", partial(_linear_relaxation, graph, budget_bytes, time_limit)
        )
        found.append(("checkmate, linear", STAGES, relaxed["bound"], relaxed["seconds"]))
    found += [(row.method, row.claim, None if _empty(row) else row.lower_bound, row.seconds) for row in solved]
    for name, claim, bound, seconds in found:
        yield BoundRow(
            title, len(graph.ops), "cost", share, budget_bytes, name, claim, bound, optimum, proven, graph.base_cost,
            seconds,
        )  # fmt: skip


def _empty(row: SolveRow) -> bool:
    """Whether it is proven that the method's own class has no schedule."""
    return row.cost is None and row.claim == STAGES and row.reason.startswith("proven")


def _linear_relaxation(graph: Graph, budget_bytes: int, time_limit: float) -> dict[str, Any]:
    """The bound by the linear relaxation of Checkmate's model; None if it is infeasible or out of time."""
    started = time.perf_counter()
    model = StageModel(graph, budget_bytes)
    answer = highs("hcb_opt.scipy_worker").solve(model.programme(time_limit, 0.0, None, relaxed=True))
    bound = None if answer.bound is None else model.bound(answer.bound, _HIGHS_ERROR)
    return {"bound": bound, "seconds": time.perf_counter() - started}


def _timed(find: Callable[[], int]) -> tuple[int, float]:
    started = time.perf_counter()
    return find(), time.perf_counter() - started


def _graphs() -> dict[str, Graph]:
    return {
        "training step of 13 ops": random_training(6, seed=3),
        "chain of 30": chain(30),
        **{LAYER_NETWORKS[name].title: layer_graph(name) for name in ("vgg16", "fcn8", "unet")},
        "layered 100": random_layered(100),
    }


def _quick_graphs() -> dict[str, Graph]:
    return {"training step of 9 ops": random_training(4, seed=8), "chain of 12": chain(12)}
