"""The curves of dynamic tensor rematerialization: rows, tables, figure, and the simulator's figures beside ours."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_operator_log import STEP, written

from hcb_opt.cli import main
from hcb_opt.experiments import dtr_curves
from hcb_opt.experiments.dtr_curves_report import HEURISTICS, report
from hcb_opt.experiments.dtr_simulator import LOGS, SimulatedRun, simulated_run
from hcb_opt.experiments.overhead_curves import overhead_figure
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.generators import chain
from hcb_opt.io import load_graph, save_graph
from hcb_opt.layered import random_layered
from hcb_opt.registry import methods

GRAPHS = {"a chain": chain(12), "a layered graph": random_layered(16)}
SHARES = (0.9, 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curves")
    dtr_curves.run(folder, GRAPHS, SHARES, time_limit=2.0, workers=1)
    return folder


def rows_of(folder: Path) -> list[SolveRow]:
    document = json.loads((folder / "dtr-curves.json").read_text())
    return [SolveRow.from_record(each) for each in document["rows"]]


def test_every_graph_is_solved_at_every_budget_by_every_heuristic_and_exactly(folder: Path) -> None:
    rows = rows_of(folder)
    assert set(HEURISTICS) == {name for name in methods() if name.startswith("dtr")}
    assert {(row.instance, row.method) for row in rows} == {
        (graph, method) for graph in GRAPHS for method in ("frontier_cuts", *HEURISTICS)
    }
    assert len(rows) == len(GRAPHS) * len(SHARES) * (len(HEURISTICS) + 1)
    assert json.loads((folder / "dtr-curves.json").read_text())["provenance"]["complete"] is True
    with (folder / "dtr-curves.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert not (folder / "dtr-curves.partial.jsonl").exists()


def test_no_heuristic_beats_the_bound(folder: Path) -> None:
    rows = rows_of(folder)
    bounds = {(row.instance, row.share): row.lower_bound for row in rows if row.method == "frontier_cuts"}
    online = [row for row in rows if row.method in HEURISTICS and row.cost is not None]
    assert len(online) > 10
    for row in online:
        bound = bounds[row.instance, row.share]
        assert row.cost is not None and bound is not None and row.cost >= bound
        assert row.peak_bytes is not None and row.peak_bytes <= row.budget_bytes


def test_figure_and_tables_come_from_rows_alone(folder: Path) -> None:
    figure = overhead_figure(rows_of(folder), HEURISTICS)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [panel.get_title() for panel in panels] == ["a chain (25 ops)", "a layered graph (16 ops)"]
    labels = [line.get_label() for line in panels[0].lines if not str(line.get_label()).startswith("_")]
    assert labels == ["optimum; open: unproven", "lower bound", *HEURISTICS.values()]
    assert (folder / "dtr-curves.png").stat().st_size > 10_000
    text = report(rows_of(folder), {})
    assert "## a chain (25 ops)" in text and "Beside the paper's simulator" not in text
    assert text.count("| `dtr_eq` (h_DTR^eq)") == len(GRAPHS)


def simulated(method: str, share: float, cost: int | None) -> SolveRow:
    log = LOGS[1]
    return SolveRow(
        "curves", "log", None, log.ops, method, "fixed", "fixed-order", share, int(share * log.total_peak_bytes),
        log.total_peak_bytes, "FEASIBLE", 1000, None, cost, 1, 1090, 0.1, 0.1, 0.1, None, None, "",
    )  # fmt: skip


def test_the_simulators_slowdowns_stand_beside_ours() -> None:
    rows = [
        simulated("dtr_eq", 0.5, 1170),
        simulated("dtr_eq", 0.3, None),
        simulated("dtr_msps", 0.7, 1049),
        simulated("dtr_lru", 0.7, 1100),
        simulated("frontier_cuts", 0.5, 1096),
    ]
    table = report(rows, {}).partition("## Beside the paper's simulator")[2]
    cells = [
        [each.strip() for each in line.split("|")][1:-1] for line in table.splitlines() if line.startswith("| log ")
    ]
    assert cells[1:] == [
        ["log", "50 %", "h_DTR^eq", "1.170", "1.159", "+0.95 %", "1.096", "1.090"],
        ["log", "30 %", "h_DTR^eq", "-", "out of memory", "-", "-", "-"],
        ["log", "70 %", "h_MSPS", "1.049", "1.049", "+0.00 %", "-", "-"],
    ]
    other = replace(rows[0], ops=rows[0].ops + 1)
    assert "Beside the paper's simulator" not in report([other], {})


def test_the_simulator_is_known_at_what_it_was_run_on_only() -> None:
    log = LOGS[0]
    assert simulated_run(log.ops, log.total_peak_bytes, "dtr_eq", 0.3) == SimulatedRun(1.179)
    assert simulated_run(log.ops, log.total_peak_bytes, "dtr_eq", 0.4) is None
    assert simulated_run(log.ops, log.total_peak_bytes, "dtr_lru", 0.3) is None
    assert simulated_run(log.ops, log.total_peak_bytes + 1, "dtr_eq", 0.3) is None


def test_logs_of_a_folder_count_their_constants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = tmp_path / "files"
    files.mkdir()
    log = load_graph(written(files / "step.log", STEP))
    save_graph(chain(3), files / "chain.json")
    (files / "broken.json").write_text("{")
    graphs = dtr_curves._load_files(files)
    assert "broken.json: not JSON" in capsys.readouterr().err
    assert {name: graph.store_all_peak_bytes for name, graph in graphs.items()} == {
        "step.log": log.store_all_peak_bytes + log.persistent_bytes,
        "chain.json": chain(3).store_all_peak_bytes,
    }


def test_the_command_line_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "dtr-curves", "--instances", str(tmp_path / "missing"), "-o", str(tmp_path / "out")]) == 2
    assert "is no folder" in capsys.readouterr().err
    assert main(["reproduce"]) == 0
    assert "dtr-curves" in capsys.readouterr().out
