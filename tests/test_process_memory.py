"""Memory of solver processes: measured, limited, and a solver that wants more harms nobody."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcb_opt.budget import parse_memory_limit
from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.generators import chain
from hcb_opt.highs import HighsProcess, Model, Report, highs
from hcb_opt.io import save_graph
from hcb_opt.process_memory import (
    allocated_memory_bytes,
    forget_peak_memory,
    limited_memory,
    peak_memory_bytes,
)
from hcb_opt.result import Status
from hcb_opt.solve import solve_schedule

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's account and limit are Linux's")

MIB = 2**20
SMALL = Model(
    costs=np.array([2.0, 3.0]),
    lower=np.zeros(2),
    upper=np.ones(2),
    row_lower=np.ones(1),
    row_upper=np.full(1, np.inf),
    row_starts=np.array([0, 2], dtype=np.int32),
    row_columns=np.array([0, 1], dtype=np.int32),
    row_coefficients=np.ones(2),
    integrality=np.ones(2, dtype=np.uint8),
)


def large() -> Model:
    """A covering problem whose start is known at once, and whose solution takes 50 MiB and a minute or more."""
    rng = np.random.default_rng(0)
    columns, rows, per_row = 20_000, 8_000, 20
    return Model(
        costs=rng.integers(1, 50, columns).astype(float),
        lower=np.zeros(columns),
        upper=np.ones(columns),
        row_lower=np.full(rows, 8.0),
        row_upper=np.full(rows, np.inf),
        row_starts=np.arange(0, per_row * rows + 1, per_row, dtype=np.int32),
        row_columns=np.concatenate([rng.choice(columns, per_row, replace=False) for _ in range(rows)]).astype(np.int32),
        row_coefficients=rng.integers(1, 9, per_row * rows).astype(float),
        integrality=np.ones(columns, dtype=np.uint8),
        start=np.ones(columns),
        seconds=10.0,
    )


def allocated_by(process: HighsProcess) -> int:
    """What the limit counts of an idle solver process."""
    assert process._process is not None
    account = Path(f"/proc/{process._process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in account.splitlines() if line.startswith("VmData"))


def test_a_block_is_held_to_its_limit_and_no_longer() -> None:
    allocated = allocated_memory_bytes()
    assert allocated is not None
    with limited_memory(allocated + 100 * MIB):
        assert np.ones(20 * MIB // 8).size
        with pytest.raises(MemoryError):
            np.ones(200 * MIB // 8)
    assert np.ones(200 * MIB // 8).size


def test_no_limit_and_an_enormous_one_limit_nothing() -> None:
    for limit in (None, 2**70):
        with limited_memory(limit):
            assert np.ones(200 * MIB // 8).size


def test_the_peak_is_of_what_was_held_since() -> None:
    forget_peak_memory()
    before = peak_memory_bytes()
    held = np.ones(100 * MIB // 8)
    peak = peak_memory_bytes()
    assert before is not None and peak is not None and peak >= before + 90 * MIB
    del held
    forget_peak_memory()
    after = peak_memory_bytes()
    assert after is not None and after < before + 20 * MIB


def test_a_report_tells_the_solvers_own_peak() -> None:
    """Not that of the process that started it, and not that of an earlier solve."""
    ballast = np.ones(400 * MIB // 8)
    process = HighsProcess()
    small = process.solve(SMALL)
    large_one = process.solve(replace(large(), seconds=1.0))
    again = process.solve(SMALL)
    process.stop()
    assert ballast.size and small.peak_memory_bytes is not None
    assert 5 * MIB < small.peak_memory_bytes < 200 * MIB
    assert large_one.peak_memory_bytes is not None and again.peak_memory_bytes is not None
    assert large_one.peak_memory_bytes > small.peak_memory_bytes + 20 * MIB
    assert again.peak_memory_bytes < large_one.peak_memory_bytes


def test_highs_out_of_memory_leaves_what_it_found() -> None:
    process = HighsProcess()
    process.solve(SMALL)
    limit = allocated_by(process) + 32 * MIB
    model = replace(large(), memory_limit_bytes=limit)
    reports: list[Report] = []
    last = process.solve(model, lambda report: bool(reports.append(report)))
    assert last.last and last.died and not last.optimal and not last.infeasible
    assert "memory limit of" in last.message and "raise it" in last.message
    assert model.start is not None and last.values is not None and last.objective is not None
    assert last.objective <= model.costs @ model.start
    assert last.peak_memory_bytes is not None and last.peak_memory_bytes <= limit
    after = process.solve(SMALL)
    assert after.optimal and after.objective == pytest.approx(2)
    process.stop()


def test_a_limit_holds_for_one_solve_only() -> None:
    process = HighsProcess()
    assert process.solve(replace(SMALL, memory_limit_bytes=MIB)).died
    assert process.solve(replace(SMALL, memory_limit_bytes=2**33)).optimal
    assert process.solve(SMALL).optimal
    process.stop()


@pytest.mark.parametrize(("method", "limit"), [("checkmate_milp", "1MiB"), ("checkmate_milp_cbc", "8MiB")])
def test_a_solver_out_of_memory_leaves_schedule_and_bound(method: str, limit: str) -> None:
    graph = chain(20, [100] * 20)
    start = solve_schedule(graph, 0.3, "revolve")
    result = solve_schedule(graph, 0.3, method, initial=start.schedule, memory_limit=limit)
    assert result.status is Status.FEASIBLE
    assert (result.cost, result.schedule) == (start.cost, start.schedule)
    assert result.lower_bound == start.lower_bound
    assert "memory limit of" in result.reason and "raise it" in result.reason
    assert result.provenance["memory_limit_bytes"] == parse_memory_limit(limit)


def test_a_result_tells_what_its_solver_took() -> None:
    graph = chain(8)
    with_solver = solve_schedule(graph, 0.6, "checkmate_milp")
    assert with_solver.status is Status.OPTIMAL
    peak = with_solver.provenance["solver_peak_memory_bytes"]
    assert isinstance(peak, int) and 20 * MIB < peak < 1024 * MIB
    assert "solver_peak_memory_bytes" not in solve_schedule(graph, 0.6, "exhaustive").provenance
    highs("hcb_opt.scipy_worker").stop()


@pytest.mark.parametrize("limit", [0, -1, True, 0.5, "0.5", "50%", "much", "4 parsecs", "", None])
def test_bad_limits_are_refused(limit: object) -> None:
    with pytest.raises(InvalidInput, match="memory limit"):
        parse_memory_limit(limit)  # type: ignore[arg-type]


def test_limits_are_read_as_sizes() -> None:
    assert [parse_memory_limit(each) for each in (1, "1", "1.5KiB", "2gib", " 500 MB ")] == [
        1, 1, 1536, 2**31, 500_000_000,
    ]  # fmt: skip


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_graph(chain(8), tmp_path / "chain.json")
    line = ["solve", str(tmp_path / "chain.json"), "--budget", "0.6", "--method", "checkmate_milp"]
    assert main([*line, "--memory-limit", "1MiB"]) == 4
    assert "reached the memory limit of 1.00 MiB" in capsys.readouterr().out
    assert main([*line, "--memory-limit", "4GiB"]) == 0
    assert main([*line, "--memory-limit", "0.5"]) == 2
    assert "memory limit '0.5': not a size" in capsys.readouterr().err
