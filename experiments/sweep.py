"""Many independent tasks on any `concurrent.futures.Executor`, each answered once, whatever dies on the way."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.journal import Journal, Key
from hcb_opt.experiments.machine import PACKAGES, machine_facts
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.solving import solve_task
from hcb_opt.experiments.task import Task

#: How often a task is tried: its process may be killed, its machine be lost.
ATTEMPTS = 3
#: Tasks handed to the executor at a time: enough for any cluster, while not every graph travels at once.
IN_FLIGHT = 256
_LINE_SECONDS = 10.0
_BAR_WIDTH = 20

Record = dict[str, Any]
Here = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to find out, in another process or on another machine.

    Attributes
    ----------
    key : tuple
        What tells it from the others of its sweep.
    find : callable
        Returns its row as a record; must be picklable.
    """

    key: Key
    find: Callable[[], Record]


class Sweep:
    """Jobs done on an executor, kept as they come; an interrupted or broken sweep goes on where it ended.

    Parameters
    ----------
    directory : Path
        Made if missing.
    name : str
        Of the experiment.
    settings : mapping
        What decides about the rows; another sweep's rows are not taken over.
    stream : TextIO, optional
        Where the progress bar is shown; standard error if not given.

    Attributes
    ----------
    facts : dict
        Machine, versions and settings.
    journal : Journal

    Raises
    ------
    InvalidInput
        If the folder cannot be made.
    """

    def __init__(self, directory: Path, name: str, settings: Mapping[str, Any], stream: TextIO | None = None) -> None:
        self._here = machine_facts()
        self.facts: dict[str, Any] = {**self._here, **settings}
        self.journal = Journal(directory, name, self.facts)
        self._stream = stream or sys.stderr

    def run(self, jobs: Sequence[Job], executor: Executor) -> list[Record]:
        """The records of all jobs, in their order.

        A job whose process dies, or that fails, is tried again, `ATTEMPTS` times
        in all; the others go on. Where rows were found is added to the facts.

        Parameters
        ----------
        jobs : sequence of Job
            Their keys differ.
        executor : Executor
            Stays open.

        Raises
        ------
        InvalidInput
            If some job failed every time; all others are done and kept.
        KeyboardInterrupt
            If the sweep was interrupted; what was found is kept.
        """
        waiting = deque((job, 1) for job in jobs if job.key not in self.journal.rows)
        bar = _Bar(self._stream, len(jobs), cached=len(jobs) - len(waiting))
        pending: dict[Future[tuple[Record, Here]], tuple[Job, int]] = {}
        failed: dict[Key, str] = {}
        try:
            while waiting or pending:
                while waiting and len(pending) < IN_FLIGHT:
                    job, attempt = waiting.popleft()
                    pending[executor.submit(_found, job.find)] = job, attempt
                ended, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in ended:
                    job, attempt = pending.pop(future)
                    try:
                        record, where = future.result()
                    except Exception as error:  # whatever an executor makes of a killed process
                        if attempt < ATTEMPTS:
                            waiting.append((job, attempt + 1))
                        else:
                            failed[job.key] = f"{type(error).__name__}: {error}"
                    else:
                        found = {"row": record, "where": _machine(where, self._here)}
                        self.journal.write(job.key, found)
                        self.journal.rows[job.key] = found
                        bar.solved += 1
                bar.failed = len(failed)
                bar.show()
        finally:
            for future in pending:
                future.cancel()
            bar.close()
        self._note_machines(jobs)
        if failed:
            key, reason = next(iter(failed.items()))
            first = ", ".join(map(str, key))
            what = f"{len(failed)} of {len(jobs)} tasks failed {ATTEMPTS} times; the first, {first}, by {reason}"
            raise InvalidInput("sweep", what, "run it again: only these are tried")
        return [self.journal.rows[job.key]["row"] for job in jobs]

    def solve(self, tasks: Sequence[Task], executor: Executor, *, time_limit: float, workers: int) -> list[SolveRow]:
        """The rows of tasks, in their order; parameters and errors as in `run` and `solve_schedule`."""
        jobs = [Job(task.key, partial(_solved, task, time_limit, workers)) for task in tasks]
        return [SolveRow.from_record(record) for record in self.run(jobs, executor)]

    def _note_machines(self, jobs: Sequence[Job]) -> None:
        counts: dict[str, int] = {}
        for job in jobs:
            if found := self.journal.rows.get(job.key):
                counts[found["where"]] = counts.get(found["where"], 0) + 1
        self.facts["found on"] = [f"{where}: {count} rows" for where, count in counts.items()]


def _found(find: Callable[[], Record]) -> tuple[Record, Here]:
    return find(), machine_facts()


def _solved(task: Task, time_limit: float, workers: int) -> Record:
    return solve_task(task, time_limit, workers).record()


def _machine(where: Here, here: Here) -> str:
    """A machine in words, with the versions in which it differs from this one."""
    others = [f"{name} {where[name]}" for name in ("hcb_opt", "python", *PACKAGES) if where[name] != here[name]]
    return ", ".join([f"{where['processor']}, {where['cpus']} CPUs", *others])


class _Bar:
    """Solved, cached, failed, remaining: one line redrawn on a terminal, else a line now and then."""

    def __init__(self, stream: TextIO, total: int, cached: int) -> None:
        self.solved = self.failed = 0
        self._stream, self._total, self._cached = stream, total, cached
        self._live = stream.isatty()
        self._shown = time.perf_counter()

    def show(self) -> None:
        if self._live:
            self._stream.write(f"\r\x1b[K{self._line()}")
            self._stream.flush()
        elif time.perf_counter() > self._shown + _LINE_SECONDS:
            self._shown = time.perf_counter()
            print(self._line(), file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the last line."""
        print(f"\r\x1b[K{self._line()}" if self._live else self._line(), file=self._stream, flush=True)

    def _line(self) -> str:
        done = self.solved + self._cached + self.failed
        full = _BAR_WIDTH * done // max(1, self._total)
        counts = f"{self.solved} solved, {self._cached} cached, {self.failed} failed, {self._total - done} remaining"
        return f"[{'#' * full}{'.' * (_BAR_WIDTH - full)}] {counts}"
