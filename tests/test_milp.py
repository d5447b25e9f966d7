"""The thread around SciPy's HiGHS: answers, limits, failures, Ctrl-C."""

from __future__ import annotations

import _thread
import threading
import time
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from hcb_opt.milp import MilpAnswer, minimise


def solve(rows: Any, least: float, integral: int, **limits: float) -> MilpAnswer:
    """Fewest of x1, x2 in [0, 1] with ``rows @ x >= least``."""
    matrix = csr_matrix(np.array(rows, float).reshape(-1, 2))
    lower, upper = np.full(len(rows), least), np.full(len(rows), np.inf)
    columns = (np.zeros(2), np.ones(2), np.full(2, integral))
    return minimise(np.ones(2), matrix, lower, upper, *columns, **{"seconds": 10.0, **limits})


def hard(seconds: float) -> MilpAnswer:
    """A multidimensional knapsack that HiGHS does not finish in seconds."""
    random = np.random.default_rng(0)
    weights = random.integers(1, 1000, (40, 200)).astype(float)
    return minimise(
        -random.integers(1, 1000, 200).astype(float), csr_matrix(weights), np.zeros(40), weights.sum(axis=1) / 2,
        np.zeros(200), np.ones(200), np.ones(200, int), seconds=seconds,
    )  # fmt: skip


def test_whole_and_relaxed_optima() -> None:
    whole, relaxed = (solve([[1, 1]], 1.5, integral) for integral in (1, 0))
    assert whole.optimal
    assert whole.objective == whole.bound == 2
    assert relaxed.optimal
    assert relaxed.objective == relaxed.bound == pytest.approx(1.5)


@pytest.mark.parametrize("integral", [0, 1])
def test_infeasible_is_proven(integral: int) -> None:
    answer = solve([[1, 1]], 2.5, integral)
    assert answer == MilpAnswer(None, None, None, True, False)


def test_no_rows() -> None:
    assert solve([], 0, 1).objective == 0


def test_no_time_is_an_empty_answer() -> None:
    assert solve([[1, 1]], 1, 1, seconds=0.0) == MilpAnswer(None, None, None, False, False)


def test_time_limit_leaves_solution_and_bound() -> None:
    start = time.perf_counter()
    answer = hard(1.0)
    assert time.perf_counter() - start < 5
    assert not answer.optimal
    assert answer.objective is not None
    assert answer.bound is not None
    assert answer.bound < answer.objective


def test_gap_stops_early() -> None:
    random = np.random.default_rng(0)
    weights = random.integers(1, 1000, (2, 40)).astype(float)
    gains = random.integers(1, 1000, 40).astype(float)
    answer = minimise(
        -gains, csr_matrix(weights), np.zeros(2), weights.sum(axis=1) / 2, np.zeros(40), np.ones(40), np.ones(40, int),
        seconds=30.0, relative_gap=0.1,
    )  # fmt: skip
    assert answer.optimal
    assert answer.objective is not None
    assert answer.bound is not None
    assert answer.objective - answer.bound <= 0.1 * abs(answer.objective)


def test_failures_reach_the_caller() -> None:
    with pytest.raises(ValueError, match=r"nan|NaN|shape|finite"):
        minimise(
            np.array([np.nan, 1]),
            csr_matrix((0, 2)),
            np.zeros(0),
            np.zeros(0),
            np.zeros(2),
            np.ones(2),
            np.ones(2, int),
            seconds=5.0,
        )


def test_ctrl_c_is_prompt() -> None:
    threading.Timer(0.3, _thread.interrupt_main).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        hard(4.0)
    assert time.perf_counter() - start < 2
