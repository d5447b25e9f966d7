"""Runs an experiment's tasks, keeps every row as it comes, and goes on where an interrupted run ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hcb_opt.experiments.journal import Journal
from hcb_opt.experiments.machine import machine_facts
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.solving import solve_task
from hcb_opt.experiments.task import Task
from hcb_opt.result import Status


class Bench:
    """Solves tasks under the same limits, one at a time, each from nothing.

    Rows are appended to ``NAME.partial.jsonl`` as they come. A run that finds
    such a file of the same settings, machine and versions takes its rows over;
    `reporting` removes it.

    Parameters
    ----------
    directory : Path
        Made if missing.
    name : str
        Of the experiment.
    time_limit : float
        Seconds per solve.
    workers : int
        As in `solve_schedule`.
    settings : mapping
        What else decides about the rows, such as seeds.

    Raises
    ------
    InvalidInput
        If the folder cannot be made.
    """

    def __init__(
        self, directory: Path, name: str, *, time_limit: float, workers: int, settings: Mapping[str, Any]
    ) -> None:
        self.facts = {**machine_facts(), "time_limit": time_limit, "workers": workers, **settings}
        self.rows: list[SolveRow] = []
        self._time_limit, self._workers = time_limit, workers
        self._journal = Journal(directory, name, self.facts)

    def solve(self, task: Task) -> SolveRow:
        """The row of a task: from the interrupted run, or solved now.

        Raises
        ------
        KeyboardInterrupt
            If the solve was interrupted; it leaves no row.
        """
        earlier = self._journal.rows.get(task.key)
        if earlier is not None:
            row = SolveRow.from_record(earlier)
        else:
            row = solve_task(task, self._time_limit, self._workers)
            self._journal.write(task.key, row.record())
            if row.cost is None or row.cost != row.known_cost:
                print(f"[{len(self.rows) + 1}] {_progress_line(row)}", file=sys.stderr)
        self.rows.append(row)
        return row

    def noted(self, name: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What an interrupted run noted under a name, or what ``find`` finds now, to be noted."""
        return self._journal.noted(name, find)

    @contextmanager
    def reporting(self, rows: Sequence[object], write: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """Report what there is when the block ends, however it ends; if well, the next run starts anew.

        Parameters
        ----------
        rows : sequence
            Grows in the block; nothing is reported without any.
        write : callable
            Takes the facts, and among them whether the run is ``complete``.
        """
        complete = False
        try:
            yield
            complete = True
        finally:
            if rows:
                write({**self.facts, "complete": complete})
        self._journal.remove()


def _progress_line(row: SolveRow) -> str:
    if row.cost is None:
        found = row.status.lower().replace("_", " ")
    else:
        found = f"{100 * (row.overhead or 0):.3f} %"
        found += ", proven" if row.status == Status.OPTIMAL else f", gap {100 * (row.gap or 0):.3f} %"
    order = "" if row.order == "fixed" else f", {row.order} order"
    seed = "" if row.seed is None else f" seed {row.seed}"
    return f"{row.instance}{seed} ({row.ops} ops) at {row.share:.1%}, {row.method}{order}: {found}, {row.seconds:.1f} s"
