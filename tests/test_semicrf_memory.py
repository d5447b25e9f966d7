"""Memory of the semi-Markov recursion: published figures, files that hold what is printed, and measured peaks."""

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


def test_a_gradient_holds_little_beside_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond inputs and the budget: the gradient, and less than a third of its size."""
    torch = pytest.importorskip("torch")
    from hcb_opt.runtime.measure import peak_bytes
    from hcb_opt.runtime.semicrf import chain, log_partition

    # Work space that does not grow with time is kept small.
    monkeypatch.setattr(chain, "LONGEST_BLOCK", 2)
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 501, 8), (8, 8), (4, 8)
    given = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    lengths, budget, scores_bytes = torch.tensor([400, 500]), 4_000, given[0].nbytes

    def step() -> None:
        log_partition(*given, lengths, budget=budget).sum().backward()

    assert scores_bytes < peak_bytes(step, torch.device("cpu")) < budget + 1.3 * scores_bytes
