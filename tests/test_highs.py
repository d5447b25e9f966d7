"""HiGHS in its own process: right answers, warm starts, and no harm when it dies, hangs or is interrupted."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from hcb_opt.highs import HighsProcess, Model, Report, highs

ROOT = Path(__file__).parents[1]


def model_of(
    costs: np.ndarray,
    rows: np.ndarray,
    row_lower: np.ndarray,
    upper: np.ndarray | None = None,
    integral: bool = True,
    **options: object,
) -> Model:
    """A model from dense rows; its columns lie in 0 .. upper (1 if not given)."""
    present = rows != 0
    return Model(
        costs=costs.astype(float),
        lower=np.zeros(len(costs)),
        upper=np.ones(len(costs)) if upper is None else upper.astype(float),
        row_lower=row_lower.astype(float),
        row_upper=np.full(len(row_lower), np.inf),
        row_starts=np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32),
        row_columns=np.nonzero(present)[1].astype(np.int32),
        row_coefficients=rows[present].astype(float),
        integrality=np.full(len(costs), integral, dtype=np.uint8),
        **options,  # type: ignore[arg-type]
    )


def random_cover(seed: int, rows: int = 8, columns: int = 12, **options: object) -> tuple[Model, np.ndarray]:
    """A small covering problem with some negative coefficients; not always feasible."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-3, 9, (rows, columns)) * (rng.random((rows, columns)) < 0.6)
    return model_of(rng.integers(0, 20, columns), matrix, rng.integers(1, 16, rows), **options), matrix


def hard(seconds: float = 60.0) -> Model:
    """A market split problem, with a poor start: takes far longer than any test (Cornuejols & Dawande, 1998)."""
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 100, (6, 50))
    half = rows.sum(axis=1) // 2
    matrix = np.hstack([np.vstack([rows, -rows]), np.vstack([np.eye(6), np.eye(6)])])
    costs = np.concatenate([np.zeros(50), np.ones(6)])
    upper = np.concatenate([np.ones(50), np.full(6, 10_000)])
    start = np.concatenate([np.zeros(50), half])
    return model_of(costs, matrix, np.concatenate([half, -half]), upper, seconds=seconds, start=start)


@pytest.fixture
def process() -> HighsProcess:
    """The shared process: what one test leaves behind must not trouble the next."""
    return highs()


def keep(reports: list[Report]) -> Callable[[Report], bool]:
    """A listener that notes every report and lets the solve go on."""

    def note(report: Report) -> bool:
        reports.append(report)
        return False

    return note


def assert_works(process: HighsProcess) -> None:
    report = process.solve(model_of(np.array([2.0, 3.0]), np.array([[1, 1]]), np.array([1])))
    assert report.optimal and report.last and not report.message
    assert report.objective == pytest.approx(2) and report.bound == pytest.approx(2)
    assert report.values is not None and report.values.tolist() == [1.0, 0.0]


def test_optima_are_scipys(process: HighsProcess) -> None:
    feasible = infeasible = 0
    for seed in range(150):
        model, matrix = random_cover(seed, rows=4 + seed % 9)
        expected = milp(
            model.costs,
            constraints=LinearConstraint(matrix, model.row_lower, np.inf),
            bounds=Bounds(0, 1),
            integrality=np.ones(len(model.costs)),
        )
        reports: list[Report] = []
        last = process.solve(model, keep(reports))
        assert last.last and not any(each.last for each in reports)
        if expected.status == 2:
            assert last.infeasible and last.values is None
            infeasible += 1
            continue
        assert last.optimal and last.values is not None and last.objective is not None and last.bound is not None
        assert last.objective == pytest.approx(expected.fun)
        assert last.bound == pytest.approx(expected.fun)
        assert (matrix @ last.values >= model.row_lower - 1e-6).all()
        assert last.objective == pytest.approx(model.costs @ last.values)
        for each in reports:
            assert each.bound is None or each.bound <= expected.fun + 1e-6
            assert each.values is None or (matrix @ each.values >= model.row_lower - 1e-6).all()
        feasible += 1
    assert feasible > 40
    assert infeasible > 40


def test_linear_relaxations_are_scipys(process: HighsProcess) -> None:
    for seed in range(40):
        model, matrix = random_cover(seed, integral=False)
        expected = linprog(model.costs, A_ub=-matrix, b_ub=-model.row_lower, bounds=(0, 1))
        report = process.solve(model)
        assert report.infeasible == (expected.status == 2)
        if not report.infeasible:
            assert report.objective == pytest.approx(expected.fun)
            assert report.bound == pytest.approx(expected.fun)


def test_a_model_without_rows_or_without_solution(process: HighsProcess) -> None:
    free = process.solve(model_of(np.array([1.0, -1.0]), np.zeros((0, 2)), np.zeros(0)))
    assert free.optimal and free.objective == pytest.approx(-1)
    assert process.solve(model_of(np.array([1.0]), np.zeros((1, 1)), np.array([1]))).infeasible
    assert process.solve(model_of(np.array([1.0]), np.array([[1]]), np.array([2]))).infeasible


def test_a_warm_start_is_the_first_solution(process: HighsProcess) -> None:
    model = hard(seconds=0.5)
    assert model.start is not None
    reports: list[Report] = []
    last = process.solve(model, keep(reports))
    solutions = [each for each in reports if each.values is not None]
    assert solutions[0].values is not None and np.allclose(solutions[0].values, model.start)
    assert last.objective is not None and last.objective <= model.costs @ model.start


def test_an_optimal_warm_start_survives_no_time_at_all(process: HighsProcess) -> None:
    model, _ = random_cover(5)
    best = process.solve(model)
    assert best.optimal and best.values is not None
    again = process.solve(Model(**{**vars(model), "start": np.round(best.values), "seconds": 1e-6}))
    assert again.values is not None and again.objective == pytest.approx(best.objective)


def test_a_wrong_warm_start_does_no_harm(process: HighsProcess) -> None:
    for seed in range(10):
        model, _ = random_cover(seed)
        best = process.solve(model)
        wrong = process.solve(Model(**{**vars(model), "start": np.zeros(len(model.costs))}))
        assert wrong.infeasible == best.infeasible
        assert wrong.objective == (None if best.objective is None else pytest.approx(best.objective))


def test_time_limit_gives_a_bound_and_a_message(process: HighsProcess) -> None:
    began = time.perf_counter()
    report = process.solve(hard(seconds=0.5))
    assert time.perf_counter() - began < 4
    assert report.last and not report.optimal and not report.infeasible
    assert "ime limit" in report.message
    assert report.bound is not None and report.bound >= -1e-9
    assert_works(process)


def kill_soon(process: HighsProcess, seconds: float, how: int = signal.SIGKILL) -> threading.Timer:
    def kill() -> None:
        assert process._process is not None
        process._process.send_signal(how)

    timer = threading.Timer(seconds, kill)
    timer.start()
    return timer


def test_a_killed_process_leaves_what_it_found(process: HighsProcess) -> None:
    assert_works(process)
    reports: list[Report] = []
    began = time.perf_counter()
    timer = kill_soon(process, 0.8)
    last = process.solve(hard(), keep(reports))
    timer.join()
    assert time.perf_counter() - began < 5
    assert last.last and "without an answer" in last.message and not last.optimal and not last.infeasible
    bounds = [each.bound for each in reports if each.bound is not None]
    assert last.bound == max(bounds, default=None)
    found = [each.objective for each in reports if each.values is not None]
    assert found and last.objective == found[-1] and last.values is not None
    assert_works(process)


def test_a_process_killed_between_solves_is_started_again(process: HighsProcess) -> None:
    assert_works(process)
    assert process._process is not None
    process._process.kill()
    process._process.wait()
    assert_works(process)


def test_the_watchdog_ends_a_process_that_hangs(monkeypatch: pytest.MonkeyPatch, process: HighsProcess) -> None:
    monkeypatch.setattr("hcb_opt.solver_process._GRACE_SECONDS", 0.5)
    assert_works(process)
    timer = kill_soon(process, 0.3, signal.SIGSTOP)
    began = time.perf_counter()
    last = process.solve(hard(seconds=1.0))
    timer.join()
    assert time.perf_counter() - began < 5
    assert "without an answer" in last.message
    assert_works(process)


def test_the_watchdog_ends_a_process_that_hangs_before_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is larger than the pipe, and the process takes nothing out of it."""
    monkeypatch.setattr("hcb_opt.solver_process._GRACE_SECONDS", 0.5)
    process = HighsProcess()
    process.start()
    assert process._process is not None
    process._process.send_signal(signal.SIGSTOP)
    rescue = kill_soon(process, 4.0)
    began = time.perf_counter()
    large, _ = random_cover(1, rows=200, columns=400, seconds=0.5)
    last = process.solve(large)
    rescue.cancel()
    process.stop()
    assert "without an answer" in last.message
    assert time.perf_counter() - began < 3


def test_an_interrupted_solve_does_not_answer_the_next_one(process: HighsProcess) -> None:
    def interrupt(report: Report) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.solve(hard(), interrupt)
    assert_works(process)


def test_a_listener_can_end_a_solve(process: HighsProcess) -> None:
    began = time.perf_counter()
    report = process.solve(hard(), lambda report: report.values is not None)
    assert time.perf_counter() - began < 4
    assert report.last and not report.optimal and report.values is not None and report.message
    assert_works(process)


def test_an_answer_that_is_not_collected_is_lost(process: HighsProcess) -> None:
    process.submit(hard())
    assert_works(process)
    process.submit(model_of(np.array([5.0]), np.array([[1]]), np.array([1])))
    time.sleep(0.2)
    assert process.collect().objective == pytest.approx(5)


def test_stop_can_be_called_twice() -> None:
    process = HighsProcess()
    process.stop()
    assert_works(process)
    process.stop()
    process.stop()
    assert_works(process)
    process.stop()


def test_solves_repeat(process: HighsProcess) -> None:
    for seed in range(5):
        model, _ = random_cover(seed, rows=12, columns=30)
        first, second = process.solve(model), process.solve(model)
        assert first.infeasible == second.infeasible
        assert first.values is None or np.array_equal(first.values, second.values)  # type: ignore[arg-type]


SCRIPT = """
import os, sys
import numpy as np
from hcb_opt.highs import Model, highs
os.chdir(sys.argv[1])
model = Model(np.ones(2), np.zeros(2), np.ones(2), np.ones(1), np.full(1, np.inf), np.array([0, 2], np.int32),
              np.array([0, 1], np.int32), np.ones(2), np.ones(2, np.uint8))
report = highs().solve(model)
assert report.optimal and report.objective == 1, report
"""


def test_files_named_alike_in_the_current_directory_do_not_count(tmp_path: Path) -> None:
    for name in ("hcb_opt.py", "highspy.py", "numpy.py", "pickle.py"):
        (tmp_path / name).write_text("raise RuntimeError('the wrong file')\n")
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == finished.stderr == ""


def test_the_process_ends_with_its_interpreter_and_prints_nothing(tmp_path: Path) -> None:
    tell = SCRIPT + "\nprint(highs()._process.pid)"
    finished = subprocess.run(
        [sys.executable, "-c", tell, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    pid = int(finished.stdout)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_answers_are_all_that_is_on_standard_output() -> None:
    """Whatever HiGHS prints must not mix with the reports."""
    model, _ = random_cover(3)
    line = [sys.executable, "-m", "hcb_opt.highs_worker"]
    worker = subprocess.run(line, cwd=ROOT, input=pickle.dumps(model) * 2, capture_output=True, timeout=60)
    assert worker.returncode == 0
    stream = io.BytesIO(worker.stdout)
    reports = []
    while stream.tell() < len(worker.stdout):
        reports.append(pickle.load(stream))
    assert [each.last for each in reports].count(True) == 2 and reports[-1].last
