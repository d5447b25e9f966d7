"""Graphs at even budgets down to the smallest, by several methods, as one sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial

from hcb_opt.experiments.scaling import even_budgets
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.sweep import Job, Record, Sweep
from hcb_opt.experiments.task import Task
from hcb_opt.graph import Graph
from hcb_opt.minimum import minimum_budget
from hcb_opt.plot import LEAD_METHOD

BUDGETS = 9


def solve_evenly(
    sweep: Sweep,
    graphs: Mapping[str, Graph],
    methods: Sequence[str],
    executor: Executor,
    *,
    budgets: int,
    time_limit: float,
    workers: int,
) -> list[SolveRow]:
    """Solve every graph by every method at even budgets from 95 % of its store-all peak to the smallest found.

    Parameters
    ----------
    sweep : Sweep
    graphs : mapping of str to Graph
    methods : sequence of str
        `frontier_cuts` comes first, named or not.
    executor : Executor
    budgets : int
        At least 2; fewer result where the smallest is above 95 %.
    time_limit : float
        Seconds per solve, and for the search of each smallest budget.
    workers : int
        As in `solve_schedule`.

    Raises
    ------
    InvalidInput, KeyboardInterrupt
        As in `Sweep.run`.
    """
    searches = [
        Job(("smallest", title), partial(_smallest_budget, graph, time_limit, workers))
        for title, graph in graphs.items()
    ]
    smallest = sweep.run(searches, executor)
    tasks = [
        Task("sweep", title, graph, budget_bytes, method)
        for (title, graph), found in zip(graphs.items(), smallest, strict=True)
        for budget_bytes in even_budgets(graph.store_all_peak_bytes, found["smallest_bytes"], budgets)
        for method in dict.fromkeys((LEAD_METHOD, *methods))
    ]
    return sweep.solve(tasks, executor, time_limit=time_limit, workers=workers)


def _smallest_budget(graph: Graph, time_limit: float, workers: int) -> Record:
    found = minimum_budget(graph, time_limit=time_limit, workers=workers)
    if found.interrupted:
        raise KeyboardInterrupt
    return {"smallest_bytes": found.peak_bytes}
