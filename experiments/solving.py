"""One task solved, from nothing, as every measured experiment does it."""

from __future__ import annotations

from threading import Lock

from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.task import Task
from hcb_opt.layered import random_layered
from hcb_opt.solve import solve_schedule

# Small enough to be solved at once, too large to be solved without a solver.
_TINY, _TINY_SHARE, _TINY_SECONDS = random_layered(30), 0.9, 5.0
_READY: set[tuple[str, str]] = set()
# A process has one solver process of each kind; a cluster's worker may have several threads.
_ONE_AT_A_TIME = Lock()


def solve_task(task: Task, time_limit: float, workers: int) -> SolveRow:
    """The row of a task.

    Before its first task in a process a method solves a tiny graph, so that no
    row pays for starting a solver's process.

    Parameters
    ----------
    task : Task
    time_limit, workers
        As in `solve_schedule`.

    Raises
    ------
    KeyboardInterrupt
        If the solve was interrupted.
    """
    with _ONE_AT_A_TIME:
        if (task.method, task.order) not in _READY:
            _READY.add((task.method, task.order))
            solve_schedule(_TINY, _TINY_SHARE, task.method, task.order, time_limit=_TINY_SECONDS, workers=workers)
        result = solve_schedule(
            task.graph,
            task.budget,
            task.method,
            task.order,
            time_limit=time_limit,
            seed=task.seed or 0,
            workers=workers,
        )
    if result.reason == "interrupted":
        raise KeyboardInterrupt
    return SolveRow.of(task, result)
