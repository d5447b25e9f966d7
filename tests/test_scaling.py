"""The scaling experiment: budgets, fits, rows, kept captures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hcb_opt.experiments import scaling
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.scaling import Subject, even_budgets
from hcb_opt.experiments.scaling_report import Network, fit_growth, report
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.generators import u_shape
from hcb_opt.io import save_graph
from hcb_opt.models import zoo

SUBJECTS = (Subject("small", "unet", {"levels": 1}), Subject("large", "unet", {"levels": 2}))


def row(ops: int, seconds: float, *, status: str = "OPTIMAL", percent_seconds: float | None = None) -> SolveRow:
    cost = None if status == "NO_SCHEDULE" else 110
    return SolveRow(
        "scaling", "net", None, ops, "frontier_cuts", "fixed", "fixed-order", 0.5, 50, 100, status, 100, None, cost, 50,
        105, seconds, seconds / 10, seconds, percent_seconds, 2**30, "",
    )  # fmt: skip


def test_budgets_are_even_from_95_percent_to_the_smallest() -> None:
    assert even_budgets(1000, 500, 10) == [950, 900, 850, 800, 750, 700, 650, 600, 550, 500]
    assert even_budgets(1000, 990, 10) == [990]
    assert even_budgets(100, 93, 10) == [95, 94, 93]


def test_fit_finds_the_exponent_of_a_power() -> None:
    networks = [Network(f"n{ops}", ops, 100, 40, 30, [row(ops, 1e-3 * ops**1.5)] * 3) for ops in (10, 100, 1000)]
    fit = fit_growth(networks, "to a proof")
    assert fit is not None
    assert (round(fit.exponent, 6), round(fit.factor, 6), fit.networks) == (1.5, 0.001, 3)
    assert fit_growth(networks[:1], "to a proof") is None


def test_networks_whose_median_did_not_get_there_are_left_out_of_the_fit() -> None:
    open_row = row(500, 60.0, status="FEASIBLE")
    networks = [
        Network("a", 10, 100, 40, 30, [row(10, 1.0, percent_seconds=0.5)] * 2),
        Network("b", 100, 100, 40, 30, [row(100, 10.0, percent_seconds=5.0)] * 2),
        Network("c", 500, 100, 40, 30, [row(500, 50.0), open_row]),
    ]
    assert networks[2].median_seconds("to a proof") is None
    fit = fit_growth(networks, "to a proof")
    assert fit is not None and fit.networks == 2 and fit.exponent == pytest.approx(1.0)
    text = report(networks, {"complete": True})
    assert "Seconds to a proof grow as ops^1.00: least squares on the logarithms of the medians of 2 of 3" in text
    line = next(each for each in text.splitlines() if each.startswith("| c "))
    cells = [each.strip() for each in line.split("|")][1:-1]
    assert cells[:7] == ["c", "500", "40.0 %", "30.0 %", "2 of 2", "1", "4.762 %"]
    assert cells[7:] == ["-", "-", "5.50", "6.00", "1.00 GiB"]


def test_run_on_kept_captures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "graphs"
    kept.mkdir()
    for subject, depth in zip(SUBJECTS, (1, 2), strict=True):
        save_graph(u_shape(depth), kept / subject.file_name)
    networks = scaling.run(tmp_path, SUBJECTS, budgets=3, time_limit=1.0, workers=1)
    printed = capsys.readouterr().err
    assert "captured" not in printed
    assert "small: smallest budget" in printed
    for network, depth in zip(networks, (1, 2), strict=True):
        graph = u_shape(depth)
        assert (network.ops, network.store_all_peak_bytes) == (len(graph.ops), graph.store_all_peak_bytes)
        assert network.budget_lower_bound_bytes <= network.smallest_budget_bytes <= graph.store_all_peak_bytes
        budgets = [each.budget_bytes for each in network.rows]
        assert budgets == even_budgets(graph.store_all_peak_bytes, network.smallest_budget_bytes, 3)
        assert network.rows[0].status == "OPTIMAL"
    document = json.loads((tmp_path / "scaling.json").read_text())
    assert len(document["rows"]) == sum(len(network.rows) for network in networks)
    assert document["provenance"]["complete"] is True
    assert document["provenance"]["networks"] == ["small", "large"]
    text = (tmp_path / "scaling.md").read_text()
    assert "| small " in text and "Seconds to the first schedule grow as ops^" in text
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert not (tmp_path / "scaling.partial.jsonl").exists()


def test_interrupted_search_of_a_smallest_budget_is_done_once(tmp_path: Path) -> None:
    """What was noted before an interruption is taken over with the rows."""
    from hcb_opt.experiments.bench import Bench

    settings = {"networks": ["small"], "budgets": 2}
    first = Bench(tmp_path, "scaling", time_limit=1.0, workers=1, settings=settings)
    assert first.noted("small", lambda: {"smallest_budget_bytes": 7}) == {"smallest_budget_bytes": 7}

    def again() -> dict[str, int]:
        raise AssertionError("searched twice")

    second = Bench(tmp_path, "scaling", time_limit=1.0, workers=1, settings=settings)
    assert second.noted("small", again) == {"smallest_budget_bytes": 7}


def test_subjects_are_of_the_zoo() -> None:
    for subject in (*scaling.FULL, *scaling.QUICK):
        assert set(subject.flags) <= set(zoo()[subject.model].flags)
    assert len({subject.file_name for subject in scaling.FULL}) == len(scaling.FULL) == 13
    assert experiments()["scaling"].options == {"time_limit", "workers"}


@pytest.mark.slow
def test_quick_run_captures_and_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    experiments()["scaling"].run(tmp_path, True)
    printed = capsys.readouterr()
    assert printed.err.count("captured ") == 3
    assert printed.out.startswith("# Scaling")
    experiments()["scaling"].run(tmp_path, True)
    assert "captured " not in capsys.readouterr().err
