"""A solver in a process of its own: live bounds, a watchdog, and no harm if it hangs or dies."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hcb_opt.budget import format_bytes

Vector = NDArray[np.float64]

_GRACE_SECONDS = 5.0
COARSE_GAP = 1e-3


class Question(Protocol):
    """What a solver process is asked; travels to it pickled."""

    @property
    def seconds(self) -> float:
        """Time limit; the process is ended soon after."""

    @property
    def memory_limit_bytes(self) -> int | None:
        """What the process may allocate, for itself and its libraries too."""


Asked = TypeVar("Asked", bound=Question)


@dataclass(frozen=True)
class Report:
    """What the solver has found.

    Attributes
    ----------
    values : ndarray of float64 or None
        A new best solution.
    objective : float or None
        Its objective.
    bound : float or None
        No solution has a smaller objective, up to rounding.
    infeasible, optimal : bool
        Proven without solution; bounds met within the wanted gap.
    last : bool
        Whether the solve has ended.
    died : bool
        Whether the process ended, by itself, at the watchdog's hand or for want
        of memory.
    message : str
        Why it ended early; else empty.
    peak_memory_bytes : int or None
        Most memory that the process held during the solve.
    """

    values: Vector | None
    objective: float | None
    bound: float | None
    infeasible: bool = False
    optimal: bool = False
    last: bool = False
    died: bool = False
    message: str = ""
    peak_memory_bytes: int | None = None

    @property
    def nearly_optimal(self) -> bool:
        """Whether objective and bound are within `COARSE_GAP`."""
        if self.objective is None or self.bound is None:
            return False
        return self.optimal or self.objective - self.bound <= COARSE_GAP * abs(self.objective)


class SolverProcess(Generic[Asked]):
    """One solver process, started when first used and kept for further solves.

    Parameters
    ----------
    worker : str
        The module that the process runs; it calls `hcb_opt.worker.serve`.
    name : str
        The solver's, for messages.
    """

    def __init__(self, worker: str, name: str) -> None:
        self._worker = worker
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: threading.Timer | None = None
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._memory_limit_bytes: int | None = None
        self._found = Report(None, None, None)

    def start(self) -> None:
        """Start the process, without waiting for it."""
        if self._process is None or self._process.poll() is not None:
            here = str(Path(__file__).resolve().parents[1])
            path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
            self._process = subprocess.Popen(
                # -P: files in the current directory must not stand in for the solver's modules.
                [sys.executable, "-P", "-m", self._worker],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # OpenBLAS, which no solver uses, takes tens of MiB for each of its threads.
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )

    @property
    def busy(self) -> bool:
        """Whether something was submitted that has no answer yet."""
        return self._watchdog is not None

    def stop(self) -> None:
        """End the process at once."""
        self._call_off_watchdog()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            self._process = None

    def submit(self, question: Asked) -> None:
        """Begin to solve; `collect` has the answer. An answer not collected is lost."""
        if self._watchdog is not None:
            self.stop()
        self.start()
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._watchdog = threading.Timer(question.seconds * 1.1 + _GRACE_SECONDS, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        self._reports = queue.SimpleQueue()
        self._found = Report(None, None, None)
        self._memory_limit_bytes = question.memory_limit_bytes
        reader = threading.Thread(target=_read, args=(self._process.stdout, self._reports), daemon=True)
        reader.start()
        with contextlib.suppress(OSError):  # a process that died is found by collect
            pickle.dump(question, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def collect(
        self, on_report: Callable[[Report], bool] | None = None, meanwhile: Callable[[], object] | None = None
    ) -> Report:
        """Wait for what was submitted, telling of better solutions and bounds as they come.

        Parameters
        ----------
        on_report : callable, optional
            Called with every report but the last; True ends the solve.
        meanwhile : callable, optional
            Called again and again while there is nothing to report.

        Returns
        -------
        Report
            The last; if the solve was ended, or the process died or overran its
            limit, what was found until then, with a message.
        """
        try:
            while True:
                while meanwhile is not None and self._reports.empty():
                    meanwhile()
                answer = self._hear(self._reports.get(), on_report)
                if answer is not None:
                    return answer
        except BaseException:
            self.stop()  # an interrupted solve must not answer the next question
            raise

    def poll(self, on_report: Callable[[Report], bool] | None = None) -> Report | None:
        """The answer to what was submitted, as `collect` gives it; None if there is none yet."""
        while not self._reports.empty():
            answer = self._hear(self._reports.get(), on_report)
            if answer is not None:
                return answer
        return None

    def _hear(self, report: Report, on_report: Callable[[Report], bool] | None) -> Report | None:
        """Take a report in; the answer, if it is the last."""
        found = self._found
        if report.died:
            self.stop()
            return replace(
                found,
                last=True,
                died=True,
                message=report.message or self._silent(),
                peak_memory_bytes=report.peak_memory_bytes or found.peak_memory_bytes,
            )
        if report.last:
            self._call_off_watchdog()
            return report
        self._found = Report(
            found.values if report.values is None else report.values,
            found.objective if report.objective is None else report.objective,
            found.bound if report.bound is None else report.bound,
            peak_memory_bytes=report.peak_memory_bytes,
        )
        if on_report is not None and on_report(report):
            self.stop()
            return replace(self._found, last=True, message="ended on request")
        return None

    def _silent(self) -> str:
        """What to say of a process that ended without saying why."""
        limit = self._memory_limit_bytes
        perhaps = "" if limit is None else f"; if the memory limit of {format_bytes(limit)} is why, raise it"
        return f"the {self._name} process ended without an answer{perhaps}"

    def _call_off_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def solve(
        self,
        question: Asked,
        on_report: Callable[[Report], bool] | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> Report:
        """`submit` and `collect` in one."""
        self.submit(question)
        return self.collect(on_report, meanwhile)


def _read(stream: IO[bytes], reports: queue.SimpleQueue[Report]) -> None:
    """Pass reports on as they come, so that the process never waits to write them."""
    try:
        while True:
            report: Report = pickle.load(stream)
            reports.put(report)
            if report.last:
                return
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):
        reports.put(Report(None, None, None, died=True))
