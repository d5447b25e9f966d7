"""The experiments on chains: what their tables must show, and their files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hcb_opt.experiments import disk_hierarchy, mixed_vs_revolve, revolve_table, rotor_chains
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.chain_report import write_report


def test_revolve_table_agrees_everywhere() -> None:
    rows = revolve_table.measure((10, 100, 300), (3, 5, 10))
    assert [(row.steps, row.snapshots) for row in rows] == [
        (10, 3), (10, 5), (100, 3), (100, 5), (100, 10), (300, 3), (300, 5), (300, 10),
    ]  # fmt: skip
    for row in rows:
        assert row.closed_form == row.recursion == row.played == row.replayed <= row.online
        assert row.known in (None, row.closed_form)
    assert sum(row.known is not None for row in rows) == 2
    assert "32 of 32 figures agree" in revolve_table.report(rows)


def test_known_values_are_all_in_the_full_table() -> None:
    assert set(revolve_table.KNOWN) <= {(n, s) for n in revolve_table.STEPS for s in revolve_table.SNAPSHOTS if s < n}


def test_mixed_saves_steps_wherever_there_is_a_slot() -> None:
    rows = mixed_vs_revolve.measure((16, 24), (1, 4, 8))
    assert all(row.replayed == row.mixed < row.revolve for row in rows)
    assert "in 6 of 6 cases" in mixed_vs_revolve.report(rows)


@pytest.mark.parametrize("disk_cost", [0, 2, 30])
def test_the_hierarchys_order(disk_cost: int) -> None:
    """More room, and better use of it, never cost more."""
    for steps in (10, 60, 120):
        cost = {row.algorithm: row.cost for row in disk_hierarchy.measure([steps], disk_cost)}
        assert cost["Disk-Revolve"] <= cost["periodic Disk-Revolve"]
        assert cost["Disk-Revolve"] <= cost["H-Revolve"] <= cost["multistage"]
        assert cost["H-Revolve"] <= cost["Revolve, memory alone"]


def test_rotor_needs_less_memory_for_more_work() -> None:
    rows = rotor_chains.measure((8, 16))
    for count in (8, 16):
        overheads = [row.overhead for row in rows if row.stages == count and row.overhead is not None]
        assert overheads == sorted(overheads) and len(overheads) > 1


def test_files_come_from_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(disk_hierarchy.measure((10, 30), 5))
    text, panels = disk_hierarchy.report(rows), disk_hierarchy.panels(rows)
    write_report(tmp_path / "made", disk_hierarchy.NAME, rows, text, panels, {"steps": [10, 30]})
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names == {f"disk-hierarchy.{suffix}" for suffix in ("csv", "json", "md", "png", "pdf")}
    with (tmp_path / "made" / "disk-hierarchy.csv").open(newline="") as file:
        assert [int(record["cost"]) for record in csv.DictReader(file)] == [row.cost for row in rows]
    document = json.loads((tmp_path / "made" / "disk-hierarchy.json").read_text())
    assert document["provenance"]["steps"] == [10, 30] and document["provenance"]["python"]
    assert "| Disk-Revolve " in capsys.readouterr().out
    drawn = {curve.label: curve.heights for curve in panels[0].curves}
    assert drawn["Revolve, memory alone"] == [
        row.cost / row.steps for row in rows if row.algorithm.startswith("Revolve")
    ]


def test_they_are_listed() -> None:
    assert {"revolve-table", "mixed-vs-revolve", "disk-hierarchy", "rotor-chains"} <= set(experiments())
