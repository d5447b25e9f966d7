"""CP-SAT in its own process: right answers, live bounds, and no harm when it dies, hangs or is interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from cp_programmes import Broken, Cover, MarketSplit

from hcb_opt.cpsat import CpSatProcess, Search
from hcb_opt.solver_process import Report

ROOT = Path(__file__).parents[1]
EASY = Cover((2, 3), ((1, 1),), (1,))


@pytest.fixture(scope="module")
def process() -> Iterator[CpSatProcess]:
    """One process for all tests: what one leaves behind must not trouble the next."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    shared = CpSatProcess()
    yield shared
    shared.stop()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def keep(reports: list[Report]) -> Callable[[Report], bool]:
    """A listener that notes every report and lets the solve go on."""

    def note(report: Report) -> bool:
        reports.append(report)
        return False

    return note


def assert_works(process: CpSatProcess) -> None:
    report = process.solve(Search(EASY))
    assert report.optimal and report.last and not report.message
    assert report.objective == report.bound == 2
    assert report.values is not None and report.values.tolist() == [1.0, 0.0]


def cheapest(cover: Cover) -> int | None:
    """By trying everything."""
    costs = []
    for choice in product((0, 1), repeat=len(cover.costs)):
        sums = [sum(each * chosen for each, chosen in zip(row, choice, strict=True)) for row in cover.rows]
        if all(total >= least for total, least in zip(sums, cover.least, strict=True)):
            costs.append(sum(cost * chosen for cost, chosen in zip(cover.costs, choice, strict=True)))
    return min(costs, default=None)


@pytest.mark.parametrize("workers", [1, 2])
def test_optima_are_the_cheapest(process: CpSatProcess, workers: int) -> None:
    infeasible = 0
    for seed in range(30):
        rng = random.Random(seed)
        rows = tuple(tuple(rng.choice((-3, -1, 0, 2, 5)) for _ in range(8)) for _ in range(5))
        cover = Cover(tuple(rng.randrange(20) for _ in range(8)), rows, tuple(rng.randint(1, 9) for _ in rows))
        reports: list[Report] = []
        last = process.solve(Search(cover, workers=workers), keep(reports))
        best = cheapest(cover)
        assert last.last and not any(each.last for each in reports)
        assert last.objective == best
        if best is None:
            assert last.infeasible and last.values is None and last.bound is None
            infeasible += 1
            continue
        assert last.optimal and last.bound == best and last.values is not None
        assert sum(cost * value for cost, value in zip(cover.costs, last.values, strict=True)) == best
        assert all(each.bound is None or each.bound <= best for each in reports)
        assert all(each.objective is None or each.objective >= best for each in reports)
    assert 3 < infeasible < 27


def test_time_limit_gives_solution_bound_and_message(process: CpSatProcess) -> None:
    assert_works(process)
    began = time.perf_counter()
    report = process.solve(Search(MarketSplit(), seconds=1.0))
    assert time.perf_counter() - began < 4
    assert report.last and not report.optimal and not report.infeasible
    assert report.values is not None and report.bound is not None and report.message
    assert_works(process)


def kill_soon(process: CpSatProcess, seconds: float, how: int = signal.SIGKILL) -> threading.Timer:
    def kill() -> None:
        assert process._process is not None
        process._process.send_signal(how)

    timer = threading.Timer(seconds, kill)
    timer.start()
    return timer


def test_a_killed_process_leaves_what_it_found(process: CpSatProcess) -> None:
    assert_works(process)
    reports: list[Report] = []
    timer = kill_soon(process, 1.0)
    last = process.solve(Search(MarketSplit()), keep(reports))
    timer.join()
    assert last.died and "CP-SAT process ended without an answer" in last.message and not last.optimal
    found = [each.objective for each in reports if each.values is not None]
    assert found and last.objective == found[-1] == min(found) and last.values is not None
    assert_works(process)


def test_the_watchdog_ends_a_process_that_hangs(monkeypatch: pytest.MonkeyPatch, process: CpSatProcess) -> None:
    monkeypatch.setattr("hcb_opt.solver_process._GRACE_SECONDS", 0.5)
    assert_works(process)
    timer = kill_soon(process, 0.3, signal.SIGSTOP)
    began = time.perf_counter()
    last = process.solve(Search(MarketSplit(), seconds=1.0))
    timer.join()
    assert time.perf_counter() - began < 5
    assert last.died
    monkeypatch.undo()
    assert_works(process)


def test_a_programme_that_cannot_be_built_is_an_end(process: CpSatProcess) -> None:
    last = process.solve(Search(Broken()))
    assert last.died and last.values is None and "without an answer" in last.message
    assert_works(process)


def test_too_little_memory_is_an_end(process: CpSatProcess) -> None:
    last = process.solve(Search(MarketSplit(), memory_limit_bytes=2**20))
    assert last.died and "memory limit" in last.message
    assert_works(process)


def test_an_interrupted_solve_does_not_answer_the_next_one(process: CpSatProcess) -> None:
    def interrupt(report: Report) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.solve(Search(MarketSplit()), interrupt)
    assert_works(process)


def test_a_listener_can_end_a_solve(process: CpSatProcess) -> None:
    began = time.perf_counter()
    report = process.solve(Search(MarketSplit()), lambda report: report.values is not None)
    assert time.perf_counter() - began < 4
    assert report.last and not report.optimal and report.values is not None and report.message
    assert_works(process)


def test_a_gap_is_enough(process: CpSatProcess) -> None:
    rng = random.Random(0)
    rows = tuple(tuple(rng.randrange(9) for _ in range(40)) for _ in range(20))
    cover = Cover(tuple(rng.randint(10, 30) for _ in range(40)), rows, (60,) * 20)
    report = process.solve(Search(cover, relative_gap=0.5))
    assert report.optimal and report.objective is not None and report.bound is not None
    assert report.objective - report.bound <= 0.5 * report.objective


def test_the_caller_imports_no_solver() -> None:
    code = (
        "import sys; from hcb_opt.layered import random_layered; from hcb_opt.solve import solve_schedule\n"
        "result = solve_schedule(random_layered(20, seed=2), 0.9, 'retention_intervals')\n"
        "assert result.cost > result.base_cost and 'solver_peak_memory_bytes' in result.provenance\n"
        "print(sorted({'ortools', 'highspy'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert finished.stdout == "[]\n", finished.stderr


def test_the_process_imports_no_other_solver() -> None:
    code = "import sys, hcb_opt.cpsat_worker; print('highspy' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert finished.stdout == "False\n", finished.stderr
