"""The tables of the semi-Markov recursion: published figures, and files that hold what is printed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hcb_opt.experiments import semicrf_memory
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.semicrf_memory import memory_rows


def test_published_figures() -> None:
    rows = memory_rows(400_000, 3_000, 24)
    assert [round(row.megabytes, 2) for row in rows] == [38.69, 182.30, 6.21, 4.60, 2.42, 1.77]
    assert [row.formula_megabytes and round(row.formula_megabytes, 2) for row in rows[:3]] == [None, 182.50, 6.94]
    assert [row.most_runs for row in rows] == [1, 2, 2, 2, 3, 4]


def test_quick_run_writes_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "semicrf-memory" in experiments()
    semicrf_memory.run_default(tmp_path, quick=True)
    printed = capsys.readouterr().out
    assert (tmp_path / "semicrf-memory.md").read_text() == printed
    with (tmp_path / "semicrf-memory.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["columns"]) for row in rows] == [row.columns for row in memory_rows(10_000, 500, 16)]
