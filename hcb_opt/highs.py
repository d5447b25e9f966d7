"""HiGHS in a process of its own: warm starts, live bounds, and no harm if it hangs or dies.

Two builds of HiGHS can serve: highspy, which takes starts and reports on the
way, and the one inside SciPy.
"""

from __future__ import annotations

import atexit
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hcb_opt.solver_process import COARSE_GAP, Report, SolverProcess, Vector

__all__ = ["COARSE_GAP", "HighsProcess", "Model", "Report", "Vector", "highs"]


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
    memory_limit_bytes : int or None
        What the process may allocate, for itself and its libraries too.
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
    memory_limit_bytes: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.row_lower), len(self.costs)


class HighsProcess(SolverProcess[Model]):
    """One HiGHS process, started when first used and kept for further solves.

    Parameters
    ----------
    worker : str
        The module that the process runs.
    """

    def __init__(self, worker: str = "hcb_opt.highs_worker") -> None:
        super().__init__(worker, "HiGHS")


@cache
def highs(worker: str = "hcb_opt.highs_worker", number: int = 0) -> HighsProcess:
    """A process that all solves of this interpreter share: one for each worker module and number."""
    process = HighsProcess(worker)
    atexit.register(process.stop)
    return process
