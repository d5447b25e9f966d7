"""The gap experiment: rows, files, limits."""

from __future__ import annotations

import csv
import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hcb_opt.errors import InvalidInput
from hcb_opt.experiments import gap
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.gap_report import format_table
from hcb_opt.gap_row import GapRow
from hcb_opt.generators import chain, u_shape
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import get_method, methods, methods_for
from hcb_opt.result import Status

METHODS = ["store_all", "exhaustive", "chen_sqrt"]
GRAPHS = {"small": chain(5, [100] * 5), "large": chain(30, [100] * 30)}


def test_without_a_choice_one_method_of_each_family_is_compared_and_all_are_on_request() -> None:
    graph = chain(3, [100] * 3)
    assert tuple(row.method for row in gap.run([graph], [1.0])) == gap.COMPARED
    assert [row.method for row in gap.run([graph], [1.0], ["all"])] == list(methods_for("fixed"))


def test_rows_cover_every_graph_budget_and_method_in_order() -> None:
    seen: list[tuple[str, int, int]] = []
    rows = gap.run(GRAPHS, [1.0, 0.6], METHODS, on_row=lambda row, done, total: seen.append((row.kind, done, total)))
    assert [(row.graph, round(row.share, 1), row.method) for row in rows] == [
        (graph, share, method) for graph in GRAPHS for share in (1.0, 0.6) for method in METHODS
    ]
    assert [done for _, done, _ in seen] == list(range(1, 13))
    assert {total for *_, total in seen} == {12}
    assert [kind for kind, *_ in seen] == ["heuristic"] * 8 + ["exact"] * 4
    by_place = {(row.graph, round(row.share, 1), row.method): row for row in rows}
    assert by_place["small", 0.6, "exhaustive"].status is Status.OPTIMAL
    assert by_place["large", 0.6, "exhaustive"].declined
    assert by_place["large", 1.0, "store_all"].overhead == 0
    assert by_place["large", 0.6, "store_all"].status is Status.NO_SCHEDULE


def test_files_agree_with_the_rows(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "gap"
    rows = gap.run(GRAPHS, [0.7, 0.1], METHODS, folder, time_limit=5, seed=3)
    assert {path.name for path in folder.iterdir()} == {"gap.png", "gap.pdf", "gap.csv", "gap.json"}
    document = json.loads((folder / "gap.json").read_text())
    assert len(document["rows"]) == len(rows)
    for record, row in zip(document["rows"], rows, strict=True):
        assert (record["graph"], record["method"], record["cost"]) == (row.graph, row.method, row.cost)
        assert record["lower_bound"] == row.lower_bound
    assert {"DECLINED", "INFEASIBLE", "OPTIMAL", "FEASIBLE", "NO_SCHEDULE"} >= {
        each["status"] for each in document["rows"]
    }
    with (folder / "gap.csv").open(newline="") as file:
        assert [line["status"] for line in csv.DictReader(file)] == [each["status"] for each in document["rows"]]
    facts = document["provenance"]
    assert (facts["seed"], facts["time_limit"], facts["complete"]) == (3, 5, True)
    text = (folder / "gap.json").read_text()
    assert str(tmp_path) not in text
    assert platform.node() not in text


def test_table_marks_proven_declined_and_infeasible() -> None:
    table = format_table(gap.run(GRAPHS, [1.0, 0.7, 0.1], METHODS)).splitlines()
    small, large = table.index("", 1), table.index("", table.index("", 1) + 1)
    lines = {line.split()[0]: line.split()[1:] for line in table[1:small]}
    assert lines["budget"] == ["100%", "70%", "10%"]
    assert lines["exhaustive"][0] == "0.00*"
    assert lines["exhaustive"][2] == "infeasible"
    assert lines["store_all"][:2] == ["0.00*", "-"]
    assert any(line.split() == ["exhaustive", "declined", "declined", "declined"] for line in table[small:large])


def test_table_says_which_proofs_are_of_another_class() -> None:
    rows = gap.run({"small": GRAPHS["small"]}, [0.6], ["exhaustive"])
    narrow = replace(rows[0], method="narrow", claim="narrow-class", lower_bound=rows[0].base_cost * 9)
    table = format_table([*rows, narrow]).splitlines()
    assert table[-1].endswith("proofs by narrow speak of narrow-class only")
    bounds = next(line for line in table if line.startswith("lower bound"))
    assert float(bounds.split()[-1]) < 100


def test_equal_names_get_labels_of_their_own() -> None:
    rows = gap.run([chain(4), chain(4), u_shape(1)], [1.0], ["store_all"])
    assert [row.graph for row in rows] == ["chain_4", "chain_4 2", "u_shape_1"]


def test_total_limit_is_kept() -> None:
    started = time.perf_counter()
    gap.run([u_shape(20)], [0.95, 0.9, 0.85], ["frontier_cuts", "revolve"], time_limit=30, total_limit=4)
    assert time.perf_counter() - started < 9


@pytest.mark.parametrize(
    ("budgets", "names", "message"),
    [
        ([0.5], ["chen_sqr"], "chen_sqr"),
        ([0.5], ["auto"], "name those to compare"),
        ([5.0], ["store_all"], "ambiguous"),
        ([], ["store_all"], "at least one"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_solved(
    budgets: list[float], names: list[str], message: str, tmp_path: Path
) -> None:
    def fail(row: GapRow, done: int, total: int) -> None:
        raise AssertionError("solved")

    with pytest.raises(InvalidInput, match=message):
        gap.run(GRAPHS, budgets, names, tmp_path / "out", on_row=fail)
    assert not (tmp_path / "out").exists()


def test_interrupted_run_leaves_what_was_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(problem: Problem, progress: Progress) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(methods(), "chen_sqrt", replace(get_method("chen_sqrt"), solve=interrupted))
    with pytest.raises(KeyboardInterrupt, match="2 of 4 solves done, written to"):
        gap.run(GRAPHS, [0.7], ["store_all", "chen_sqrt"], tmp_path)
    document = json.loads((tmp_path / "gap.json").read_text())
    assert [row["method"] for row in document["rows"]] == ["store_all", "store_all"]
    assert document["provenance"]["complete"] is False


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    gap.run([chain(5)], [1.0], ["store_all"], on_row=gap.print_progress)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("[1/1] chain_5 at 100%, store_all: 0.00 % proven")


def test_catalogue_lists_the_experiment() -> None:
    found = experiments()["gap"]
    assert found.run is gap.run_default
    assert found.summary


@pytest.mark.slow
def test_quick_default_run_captures_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    experiments()["gap"].run(tmp_path, True)
    assert (tmp_path / "gap.png").stat().st_size > 10_000
    assert "GPT-2, 1 layer: " in capsys.readouterr().out
