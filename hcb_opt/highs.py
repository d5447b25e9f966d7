"""HiGHS in a process of its own: warm starts, live bounds, and no harm if it hangs or dies.

Two builds of HiGHS can serve: highspy, which takes starts and reports on the
way, and the one inside SciPy.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_GRACE_SECONDS = 5.0
COARSE_GAP = 1e-3


@dataclass(frozen=True)
class Model:
    """Minimise ``costs @ x`` with ``row_lower <= rows @ x <= row_upper`` and bounded columns.

    Attributes
    ----------
    costs, lower, upper : ndarray of float64, shape (columns,)
    row_lower, row_upper : ndarray of float64, shape (rows,)
        Infinite where a side is open.
    row_starts, row_columns, row_coefficients : ndarray
        The rows in compressed sparse form.
    integrality : ndarray of uint8, shape (columns,)
        1 where a column must be whole, else 0.
    start : ndarray of float64, shape (columns,), or None
        A solution to start from.
    seconds, relative_gap, seed
        Limits, as in `hcb_opt.progress.Problem`.
    patience_seconds : float
        After this long a gap of `COARSE_GAP` is enough; highspy's build only.
    """

    costs: Vector
    lower: Vector
    upper: Vector
    row_lower: Vector
    row_upper: Vector
    row_starts: NDArray[np.int32]
    row_columns: NDArray[np.int32]
    row_coefficients: Vector
    integrality: NDArray[np.uint8]
    start: Vector | None = None
    seconds: float = 60.0
    relative_gap: float = 0.0
    seed: int = 0
    patience_seconds: float = math.inf

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.row_lower), len(self.costs)


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
        Whether the process ended, by itself or at the watchdog's hand.
    message : str
        Why it ended early; else empty.
    """

    values: Vector | None
    objective: float | None
    bound: float | None
    infeasible: bool = False
    optimal: bool = False
    last: bool = False
    died: bool = False
    message: str = ""

    @property
    def nearly_optimal(self) -> bool:
        """Whether objective and bound are within `COARSE_GAP`."""
        if self.objective is None or self.bound is None:
            return False
        return self.optimal or self.objective - self.bound <= COARSE_GAP * abs(self.objective)


class HighsProcess:
    """One HiGHS process, started when first used and kept for further solves.

    Parameters
    ----------
    worker : str
        The module that the process runs.
    """

    def __init__(self, worker: str = "hcb_opt.highs_worker") -> None:
        self._worker = worker
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: threading.Timer | None = None
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the process, without waiting for it."""
        if self._process is None or self._process.poll() is not None:
            here = str(Path(__file__).resolve().parents[1])
            self._process = subprocess.Popen(
                # -P: files in the current directory must not stand in for the solver's modules.
                [sys.executable, "-P", "-m", self._worker],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))},
                start_new_session=True,
            )

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

    def submit(self, model: Model) -> None:
        """Begin to solve a model; `collect` has the answer. An answer not collected is lost."""
        if self._watchdog is not None:
            self.stop()
        self.start()
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._watchdog = threading.Timer(model.seconds * 1.1 + _GRACE_SECONDS, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        self._reports = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(self._process.stdout, self._reports), daemon=True)
        reader.start()
        with contextlib.suppress(OSError):  # a process that died is found by collect
            pickle.dump(model, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def collect(
        self, on_report: Callable[[Report], bool] | None = None, meanwhile: Callable[[], object] | None = None
    ) -> Report:
        """Wait for the submitted model, telling of better solutions and bounds as they come.

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
        found = Report(None, None, None)
        try:
            while True:
                while meanwhile is not None and self._reports.empty():
                    meanwhile()
                report = self._reports.get()
                if report.died:
                    self.stop()
                    return replace(found, last=True, died=True, message=report.message)
                if report.last:
                    self._call_off_watchdog()
                    return report
                found = Report(
                    found.values if report.values is None else report.values,
                    found.objective if report.objective is None else report.objective,
                    found.bound if report.bound is None else report.bound,
                )
                if on_report is not None and on_report(report):
                    self.stop()
                    return replace(found, last=True, message="ended on request")
        except BaseException:
            self.stop()  # an interrupted solve must not answer the next question
            raise

    def _call_off_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def solve(
        self,
        model: Model,
        on_report: Callable[[Report], bool] | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> Report:
        """`submit` and `collect` in one."""
        self.submit(model)
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
        reports.put(Report(None, None, None, died=True, message="the HiGHS process ended without an answer"))


@cache
def highs(worker: str = "hcb_opt.highs_worker") -> HighsProcess:
    """The process that all solves of this interpreter share, one for each worker module."""
    process = HighsProcess(worker)
    atexit.register(process.stop)
    return process
