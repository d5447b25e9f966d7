"""Runs an experiment's tasks, keeps every row as it comes, and goes on where an interrupted run ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.machine import machine_facts
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.task import Task
from hcb_opt.layered import random_layered
from hcb_opt.result import Status
from hcb_opt.solve import solve_schedule

# Small enough to be solved at once, too large to be solved without a solver.
_TINY, _TINY_SHARE, _TINY_SECONDS = random_layered(30), 0.9, 5.0
Key = tuple[str | int | None, ...]


class Bench:
    """Solves tasks under the same limits, one at a time, each from nothing.

    Before its first task a method solves a tiny graph, so that no row pays for
    starting a solver's process.

    Rows are appended to ``NAME.partial.jsonl`` as they come. A run that finds
    such a file of the same settings, machine and versions takes its rows over;
    `finish` removes it.

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
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(str(directory), f"cannot be made ({error.strerror})", "give a writable folder") from None
        self.facts = {**machine_facts(), "time_limit": time_limit, "workers": workers, **settings}
        self.rows: list[SolveRow] = []
        self._time_limit, self._workers = time_limit, workers
        self._journal = directory / f"{name}.partial.jsonl"
        self._earlier: dict[Key, SolveRow] = {}
        self._notes: dict[str, dict[str, Any]] = {}
        self._ready: set[tuple[str, str]] = set()
        self._take_over()

    def solve(self, task: Task) -> SolveRow:
        """The row of a task: from the interrupted run, or solved now.

        Raises
        ------
        KeyboardInterrupt
            If the solve was interrupted; it leaves no row.
        """
        row = self._earlier.get(task.key)
        if row is None:
            row = self._solved(task)
            self._write(task.key, row.record())
            if row.cost is None or row.cost != row.known_cost:
                print(f"[{len(self.rows) + 1}] {_progress_line(row)}", file=sys.stderr)
        self.rows.append(row)
        return row

    def noted(self, name: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What an interrupted run noted under a name, or what ``find`` finds now, to be noted."""
        if name not in self._notes:
            self._notes[name] = find()
            self._write(name, self._notes[name])
        return self._notes[name]

    def finish(self) -> None:
        """Say that every task was done: the next run starts anew."""
        self._journal.unlink(missing_ok=True)

    def _solved(self, task: Task) -> SolveRow:
        if (task.method, task.order) not in self._ready:
            self._ready.add((task.method, task.order))
            solve_schedule(_TINY, _TINY_SHARE, task.method, task.order, time_limit=_TINY_SECONDS, workers=self._workers)
        result = solve_schedule(
            task.graph,
            task.budget,
            task.method,
            task.order,
            time_limit=self._time_limit,
            seed=task.seed or 0,
            workers=self._workers,
        )
        if result.reason == "interrupted":
            raise KeyboardInterrupt
        return SolveRow.of(task, result)

    def _write(self, key: Key | str, record: Mapping[str, Any]) -> None:
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps([key, record])}\n")

    def _take_over(self) -> None:
        """Take rows and notes of an interrupted run with the same facts; the journal then holds these and no others."""
        head = json.dumps(self.facts)
        lines: list[str] = []
        with suppress(OSError):
            lines = self._journal.read_text(encoding="utf-8").splitlines()
        if lines and lines[0] != head:
            print(f"starting anew: {self._journal.name} was measured otherwise", file=sys.stderr)
        kept = [head]
        if lines and lines[0] == head:
            with suppress(ValueError):  # the last line may have been cut short
                for line in lines[1:]:
                    key, record = json.loads(line)
                    if isinstance(key, str):
                        self._notes[key] = record
                    else:
                        section, instance, seed, budget_bytes, method, order = key
                        self._earlier[section, instance, seed, budget_bytes, method, order] = SolveRow.from_record(
                            record
                        )
                    kept.append(line)
            print(f"taking over {len(self._earlier)} rows of an interrupted run", file=sys.stderr)
        try:
            self._journal.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        except OSError as error:
            what = f"cannot be written ({error.strerror})"
            raise InvalidInput(str(self._journal), what, "give a writable folder") from None


def _progress_line(row: SolveRow) -> str:
    if row.cost is None:
        found = row.status.lower().replace("_", " ")
    else:
        found = f"{100 * (row.overhead or 0):.3f} %"
        found += ", proven" if row.status == Status.OPTIMAL else f", gap {100 * (row.gap or 0):.3f} %"
    order = "" if row.order == "fixed" else f", {row.order} order"
    seed = "" if row.seed is None else f" seed {row.seed}"
    return f"{row.instance}{seed} ({row.ops} ops) at {row.share:.1%}, {row.method}{order}: {found}, {row.seconds:.1f} s"
