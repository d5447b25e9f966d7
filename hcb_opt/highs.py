"""HiGHS in a process of its own: warm starts, live bounds, and no harm if it hangs or dies."""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Model:
    """Minimise ``costs @ x`` with ``rows @ x >= row_lower`` and bounded columns.

    Attributes
    ----------
    costs, lower, upper : ndarray of float64, shape (columns,)
    row_lower : ndarray of float64, shape (rows,)
    row_starts, row_columns, row_coefficients : ndarray
        The rows in compressed sparse form.
    integral : bool
        Whether all columns must be whole.
    start : ndarray of float64, shape (columns,), or None
        A solution to start from.
    seconds, relative_gap, seed
        Limits, as in `hcb_opt.progress.Problem`.
    """

    costs: Vector
    lower: Vector
    upper: Vector
    row_lower: Vector
    row_starts: NDArray[np.int32]
    row_columns: NDArray[np.int32]
    row_coefficients: Vector
    integral: bool = True
    start: Vector | None = None
    seconds: float = 60.0
    relative_gap: float = 0.0
    seed: int = 0

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
    message : str
        Why it ended early; else empty.
    """

    values: Vector | None
    objective: float | None
    bound: float | None
    infeasible: bool = False
    optimal: bool = False
    last: bool = False
    message: str = ""


class HighsProcess:
    """One HiGHS process, started when first used and kept for further solves."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._limit_seconds = 0.0
        self._pending = False

    def start(self) -> None:
        """Start the process, without waiting for it."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hcb_opt.highs_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None
            self._pending = False

    def submit(self, model: Model) -> None:
        """Begin to solve a model; `collect` has the answer. An answer not collected is lost."""
        if self._pending:
            self.stop()
        self._pending = True
        self._limit_seconds = model.seconds * 1.1 + _GRACE_SECONDS
        with contextlib.suppress(OSError):  # a process that died is found by collect
            self.start()
            assert self._process is not None and self._process.stdin is not None
            pickle.dump(model, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def collect(self, on_report: Callable[[Report], bool] | None = None) -> Report:
        """Wait for the submitted model, telling of better solutions and bounds as they come.

        Parameters
        ----------
        on_report : callable, optional
            Called with every report but the last; True ends the solve.

        Returns
        -------
        Report
            The last; if the solve was ended, or the process died or overran its
            limit, what was found until then, with a message.
        """
        assert self._process is not None and self._process.stdout is not None
        found = Report(None, None, None)
        watchdog = threading.Timer(self._limit_seconds, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            while True:
                report: Report = pickle.load(self._process.stdout)
                if report.last:
                    return report
                found = Report(
                    found.values if report.values is None else report.values,
                    found.objective if report.objective is None else report.objective,
                    found.bound if report.bound is None else report.bound,
                )
                if on_report is not None and on_report(report):
                    self.stop()
                    return replace(found, last=True, message="ended on request")
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.stop()
            return replace(found, last=True, message=f"HiGHS ended without an answer ({type(error).__name__})")
        except BaseException:
            self.stop()  # an interrupted solve must not answer the next question
            raise
        finally:
            watchdog.cancel()
            self._pending = False

    def solve(self, model: Model, on_report: Callable[[Report], bool] | None = None) -> Report:
        """`submit` and `collect` in one."""
        self.submit(model)
        return self.collect(on_report)


_SHARED = HighsProcess()
atexit.register(_SHARED.stop)


def highs() -> HighsProcess:
    """The process that all solves of this interpreter share."""
    return _SHARED
