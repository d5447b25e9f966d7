"""Mixed-integer programs through SciPy's HiGHS, without holding up Ctrl-C."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_JOIN_SECONDS = 0.05
_TIME_LIMIT, _INFEASIBLE = 1, 2
_UNBOUNDED_OR_INFEASIBLE = "HiGHS Status 9"

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class MilpAnswer:
    """What the solver found out within its time.

    Attributes
    ----------
    values : ndarray of float64, shape (columns,), or None
        Best solution; integer columns are whole numbers up to the solver's
        tolerance of 1e-6.
    objective : float or None
        Its objective.
    bound : float or None
        No solution has a smaller objective, up to rounding; turn it into a
        certificate with `hcb_opt.bounds.integer_bound`.
    proven_infeasible : bool
        The solver proved that there is no solution.
    optimal : bool
        The bounds met within the wanted gap.
    """

    values: Vector | None
    objective: float | None
    bound: float | None
    proven_infeasible: bool
    optimal: bool


def minimise(
    costs: Vector,
    rows: Any,
    row_lower: Vector,
    row_upper: Vector,
    lower: Vector,
    upper: Vector,
    integrality: NDArray[np.integer[Any]],
    *,
    seconds: float,
    relative_gap: float = 0.0,
) -> MilpAnswer:
    """Minimise ``costs @ x`` with ``row_lower <= rows @ x <= row_upper``.

    The solver runs in a thread of its own (it releases the interpreter), which
    is waited for in short steps: a KeyboardInterrupt is raised at once, and the
    abandoned solve ends by itself at its time limit.

    Parameters
    ----------
    costs : ndarray, shape (columns,)
    rows : scipy sparse matrix, shape (rows, columns)
    row_lower, row_upper : ndarray, shape (rows,)
        Infinite where a side is open.
    lower, upper : ndarray, shape (columns,)
        Bounds of the columns.
    integrality : ndarray of int, shape (columns,)
        1 where a column must be whole, else 0.
    seconds : float
        Time limit. Without any time left the answer is empty.
    relative_gap : float
        Stop once the objective is within this share of the bound.

    Returns
    -------
    MilpAnswer
        Deterministic unless the time limit strikes.

    Raises
    ------
    RuntimeError
        If the solver itself fails; the message is the solver's.
    """
    if seconds <= 0.0:
        return MilpAnswer(None, None, None, False, False)
    from scipy.optimize import Bounds, LinearConstraint, milp

    def solve() -> None:
        try:
            answers.append(
                milp(
                    costs,
                    constraints=LinearConstraint(rows, row_lower, row_upper) if rows.shape[0] else None,
                    bounds=Bounds(lower, upper),
                    integrality=integrality,
                    options={"time_limit": seconds, "mip_rel_gap": relative_gap},
                )
            )
        except Exception as error:  # raised again below, in the caller's thread
            failures.append(error)

    answers: list[Any] = []
    failures: list[Exception] = []
    thread = threading.Thread(target=solve, name="milp", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_JOIN_SECONDS)
    if failures:
        raise failures[0]
    return _read(answers[0], bool(np.isfinite(lower).all() and np.isfinite(upper).all()))


def _read(answer: Any, bounded: bool) -> MilpAnswer:
    message = str(answer.message)
    infeasible = answer.status == _INFEASIBLE or (bounded and _UNBOUNDED_OR_INFEASIBLE in message)
    if infeasible:
        return MilpAnswer(None, None, None, True, False)
    if not answer.success and answer.status != _TIME_LIMIT:
        raise RuntimeError(f"the MILP solver failed: {message}")
    objective = None if answer.x is None else float(answer.fun)
    bound = answer.mip_dual_bound
    if bound is None and answer.success:
        bound = objective
    known = bound is not None and math.isfinite(bound)
    return MilpAnswer(answer.x, objective, float(bound) if known else None, False, bool(answer.success))
