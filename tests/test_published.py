"""The published-instances experiment: rows, tables, files, and going on after an interruption."""

from __future__ import annotations

import csv
import json
import platform
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments import literature, published
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.machine import machine_facts
from hcb_opt.experiments.published_report import CHAINS, FILES, FREE, LAYERED, NETWORKS, RATIOS, report
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import get_method, methods

TINY = published.Extent(("vgg16",), (0.95, 0.5), (30,), (0.9,), (3,), (3,))
CHAINS_ONLY = published.Extent((), (), (), (), (3,), (3,))
CHECKMATE_FILE = {
    "graph": {"name": "five"},
    "nodes": [{"id": each, "cost_cpu": 1 + each, "cost_ram": 4} for each in range(5)],
    "links": [{"source": each, "target": each + 1} for each in range(4)] + [{"source": 0, "target": 4}],
}


def solve(directory: Path, instances: Path | None = None, extent: published.Extent = CHAINS_ONLY) -> list[SolveRow]:
    return published.run(directory, extent, instances=instances, seeds=(0, 1), time_limit=1.0, workers=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on tiny instances, files of the user's own among them."""
    folder = tmp_path_factory.mktemp("published")
    files = folder / "files"
    files.mkdir()
    (files / "five.json").write_text(json.dumps(CHECKMATE_FILE))
    (files / "same.json").write_text(json.dumps(CHECKMATE_FILE))
    (files / "broken.json").write_text("{")
    solve(folder / "out", files, TINY)
    return folder / "out"


def rows_of(folder: Path) -> list[SolveRow]:
    return [SolveRow.from_record(each) for each in json.loads((folder / "published.json").read_text())["rows"]]


def test_every_part_is_there(folder: Path) -> None:
    rows = rows_of(folder)
    assert {row.section for row in rows} == {NETWORKS, FILES, LAYERED, RATIOS, FREE, CHAINS}
    assert [row.instance for row in rows if row.section == FILES] == ["five", "five", "same", "same"]
    assert [row.seed for row in rows if row.section == LAYERED] == [0, 1]
    assert {row.method for row in rows if row.section == RATIOS} == set(published.RIVALS)
    for row in rows:
        assert (row.order, row.claim == "free-order") == (("free", True) if row.section == FREE else ("fixed", False))
    assert not (folder / "published.partial.jsonl").exists()


def test_rows_are_whole(folder: Path) -> None:
    for row in rows_of(folder):
        assert row.ops > 0 and row.seconds >= 0 and row.claim and row.order
        if row.infeasible:
            assert row.cost is None and row.first_seconds is None and row.reason
        elif row.cost is not None:
            assert row.lower_bound is not None and row.lower_bound <= row.cost
            assert row.first_seconds is not None and row.best_seconds is not None
            assert 0 <= row.first_seconds <= row.best_seconds <= row.seconds
            assert row.peak_bytes is not None and row.peak_bytes <= row.budget_bytes
            assert row.proven == (row.gap is not None and row.gap <= 1e-9)
            assert (row.percent_seconds is not None) == (row.gap is not None and row.gap <= 0.01)


def test_vgg16_is_proven_at_95_and_infeasible_at_50_percent(folder: Path) -> None:
    first, second = (row for row in rows_of(folder) if row.section == NETWORKS)
    assert (first.instance, first.ops, first.status) == ("VGG16, 224x224", 45, "OPTIMAL")
    assert second.infeasible


def test_chains_have_their_known_costs(folder: Path) -> None:
    chains = [row for row in rows_of(folder) if row.section == CHAINS]
    assert {row.method for row in chains} == {"unit_chain", "mixed", "frontier_cuts"}
    assert len(chains) == 2 * (3 + 2)
    for row in chains:
        assert row.cost == row.known_cost == row.lower_bound, row.instance


def test_files_agree_and_name_the_machine(folder: Path) -> None:
    document = json.loads((folder / "published.json").read_text())
    with (folder / "published.csv").open(newline="") as file:
        assert [line["instance"] for line in csv.DictReader(file)] == [row["instance"] for row in document["rows"]]
    facts = document["provenance"]
    assert set(machine_facts()) <= set(facts)
    assert (facts["seeds"], facts["time_limit"], facts["complete"]) == ([0, 1], 1.0, True)
    text = (folder / "published.json").read_text() + (folder / "published.md").read_text()
    assert str(folder) not in text
    assert platform.node() not in text
    assert (folder / "published.png").stat().st_size > 10_000


def test_tables(folder: Path) -> None:
    text = (folder / "published.md").read_text()
    assert "but not the published files" in text
    assert "infeasible, proven" in text
    assert "`checkmate_milp`: 2 solves, " in text
    line = next(each for each in text.splitlines() if each.startswith("| layered 30"))
    assert [each.strip() for each in line.split("|")][3:5] == ["2", "0"]


def test_published_figures_stand_beside() -> None:
    row = SolveRow(
        FILES, "mine", None, 353, "frontier_cuts", "fixed", "fixed-order", 0.8, 30_447_484_928, 38_059_356_160,
        "OPTIMAL", 1000, None, 1003, 30_000_000_000, 1003, 0.5, 0.1, 0.4, 0.4, None, "",
    )  # fmt: skip
    line = next(each for each in report([row], {}).splitlines() if each.startswith("| mine (353)"))
    cells = [each.strip() for each in line.split("|")]
    assert cells[2:7] == ["80 %", "0.300 %", "0.300 %", "optimal", "0.50"]
    assert cells[8:10] == ["485 s", "0.3 %, 69 s"]
    layered = replace(row, section=LAYERED, instance="layered 1000", seed=0, ops=1000, store_all_peak_bytes=600_000)
    line = next(each for each in report([layered], {}).splitlines() if each.startswith("| layered 1000"))
    assert [each.strip() for each in line.split("|")][12:15] == ["G4", "-", "3.4 %, 3612 s"]


def test_ratios_say_on_which_side_they_are() -> None:
    ours = SolveRow(
        NETWORKS, "net", None, 50, "frontier_cuts", "fixed", "fixed-order", 0.8, 80, 100,
        "OPTIMAL", 1000, None, 1010, 80, 1010, 2.0, 0.1, 0.4, 0.4, None, "",
    )  # fmt: skip
    theirs = replace(ours, section=RATIOS, method="checkmate_milp", claim="checkmate-stages")
    for first, second, shown in (
        (ours, replace(theirs, seconds=3.0), "1.5"),
        (ours, replace(theirs, seconds=60.0, status="FEASIBLE", cost=1111), ">= 30"),
        (replace(ours, seconds=60.0, status="FEASIBLE"), replace(theirs, seconds=30.0), "<= 0.5"),
        (replace(ours, status="FEASIBLE"), replace(theirs, status="NO_SCHEDULE", cost=None), "-"),
    ):
        text = report([first, second], {})
        line = next(each for each in text.splitlines() if each.startswith("| checkmate_milp"))
        cells = [each.strip() for each in line.split("|")]
        assert cells[8] == shown
        assert cells[9] == ("-" if second.cost is None else f"{second.cost / 1010:.5f}")
        assert shown == "-" or f"median time ratio {shown} over 1" in text


def test_literature_knows_instances_by_size() -> None:
    assert literature.same_size(100, 46_319) == "G1"
    assert literature.same_size(100, 46_320) is None
    assert literature.same_family(250) == "G2"
    assert literature.same_family(73) is None
    assert str(literature.published_figure(literature.FASTSA, "G3", 0.9)) == "0.03 %, 21 s"
    assert literature.published_figure(literature.MOCCASIN, "G1", 0.7) is None


def test_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(problem: Problem, progress: Progress) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(methods(), "mixed", replace(get_method("mixed"), solve=interrupted))
        with pytest.raises(KeyboardInterrupt):
            solve(tmp_path)
    document = json.loads((tmp_path / "published.json").read_text())
    assert document["provenance"]["complete"] is False
    before = rows_of(tmp_path)
    assert before[-1].method == "unit_chain"
    with (tmp_path / "published.partial.jsonl").open("a") as file:
        file.write('["cut sh')
    capsys.readouterr()
    rows = solve(tmp_path)
    assert f"taking over {len(before)} rows" in capsys.readouterr().err
    assert rows[: len(before)] == before
    assert len(rows) == len(before) + 2 + 3 + 2
    assert json.loads((tmp_path / "published.json").read_text())["provenance"]["complete"] is True


def test_other_settings_start_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "published.partial.jsonl").write_text('{"seeds": [7]}\n')
    assert len(solve(tmp_path)) == 2 * (3 + 2)
    assert "starting anew" in capsys.readouterr().err


def test_unusable_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match="is no folder"):
        solve(tmp_path / "out", tmp_path / "missing")
    for line, message in (
        (["gap", "--seeds", "1"], "--seeds: no option of the experiment 'gap'; leave it out"),
        (["published", "--seeds", "1,b"], "'1,b' is no list of whole numbers"),
        (["published", "--time-limit", "0", "--quick", "-o", str(tmp_path)], "time limit 0.0: not above zero"),
    ):
        assert main(["reproduce", *line]) == 2
        assert message in capsys.readouterr().err


def test_columns_are_explained(folder: Path) -> None:
    with (folder / "published.csv").open(newline="") as file:
        written = next(csv.reader(file))
    section = (ROOT / "docs" / "experiments.md").read_text().partition("## Rows")[2]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == written


def test_catalogue_lists_it() -> None:
    found = experiments()["published"]
    assert found.options == {"instances", "seeds", "time_limit", "workers"}
