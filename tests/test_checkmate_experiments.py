"""Checkmate's and Moccasin's tables, and every baseline over the optimum: rows, means, tables and figures."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hcb_opt.cli import main
from hcb_opt.experiments import baselines_table, checkmate_budget, checkmate_maxbatch, checkmate_table2, moccasin_table
from hcb_opt.experiments.checkmate_strategies import NETWORKS, STRATEGIES, solve_networks
from hcb_opt.experiments.largest_batch import BatchRow, cost_limit, largest_batch
from hcb_opt.experiments.over_optimum import Mean, Reference, mean_over, mean_over_all, optima, references
from hcb_opt.experiments.overhead_curves import overhead_figure
from hcb_opt.experiments.scaling import Subject
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.generators import chain
from hcb_opt.graph import Phase
from hcb_opt.io import save_graph
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.registry import methods
from hcb_opt.solve import solve_schedule


def row(method: str, cost: int | None, bound: int | None, **changes: Any) -> SolveRow:
    status = "NO_SCHEDULE" if cost is None else "OPTIMAL" if cost == bound else "FEASIBLE"
    fields: dict[str, Any] = {
        "section": "sweep", "instance": "net", "seed": None, "ops": 9, "method": method, "order": "fixed",
        "claim": "fixed-order", "share": 0.5, "budget_bytes": 50, "store_all_peak_bytes": 100, "status": status,
        "base_cost": 100, "known_cost": None, "cost": cost, "peak_bytes": 1, "lower_bound": bound, "seconds": 0.1,
        "first_seconds": None, "best_seconds": None, "percent_seconds": None, "solver_peak_memory_bytes": None,
        "reason": "",
    }  # fmt: skip
    return SolveRow(**{**fields, **changes})


def test_references_are_optima_or_the_best_bound_of_all_schedules() -> None:
    rows = [
        row("a", 130, 110),
        row("b", 120, 120),
        row("c", 140, 118),
        row("a", 160, 140, budget_bytes=40),
        row("b", None, 150, budget_bytes=40),
        row("d", 170, 165, budget_bytes=40, claim="checkmate-stages"),
        row("a", None, None, budget_bytes=30, status="INFEASIBLE"),
        row("b", None, 180, budget_bytes=30),
    ]
    known = references(rows)
    assert known == {("net", 50): Reference(120, True), ("net", 40): Reference(150, False)}
    assert optima(known, "net") == "1 of 2"
    assert mean_over(rows, known, "net", "a").ratio == pytest.approx(math.sqrt(130 / 120 * 160 / 150))
    assert str(mean_over(rows, known, "net", "b")) == "1.000 (1)"
    assert mean_over(rows, known, "net", "b").budgets == 2
    assert mean_over_all(rows, known, "d") == Mean(pytest.approx(165 / 150 + 5 / 150), 1, 1)
    assert str(mean_over_all(rows, known, "nobody")) == "-"


@pytest.fixture(scope="module")
def table_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table2")
    with ThreadPoolExecutor(1) as executor:
        arguments = {"time_limit": 2.0, "workers": 1, "executor": executor}
        rows, facts, sweep = solve_networks(folder, checkmate_table2.NAME, ("vgg16", "vgg19"), 2, **arguments)
    checkmate_table2.write_report(rows, folder, facts)
    checkmate_budget.write_report(rows, folder, facts)
    sweep.journal.remove()
    return folder


def rows_of(folder: Path, name: str) -> list[SolveRow]:
    return [SolveRow.from_record(each) for each in json.loads((folder / f"{name}.json").read_text())["rows"]]


def test_every_strategy_is_solved_at_every_budget(table_folder: Path) -> None:
    rows = rows_of(table_folder, "checkmate-table2")
    assert len(rows) == 2 * 2 * (1 + len(STRATEGIES))
    assert set(STRATEGIES) < set(methods())
    assert {each.method for each in rows} == {"frontier_cuts", *STRATEGIES}
    assert json.loads((table_folder / "checkmate-table2.json").read_text())["provenance"]["complete"] is True
    known = references(rows)
    for each in rows:
        if each.cost is not None:
            assert each.cost >= known[each.instance, each.budget_bytes].cost
    assert len(known) == 4 and all(reference.proven for reference in known.values())


def test_the_papers_ratios_stand_below_ours(table_folder: Path) -> None:
    table = checkmate_table2.ratio_table(rows_of(table_folder, "checkmate-table2"))
    cells = [[each.strip() for each in line.split("|")][1:-1] for line in table.splitlines()]
    assert cells[0][2:] == [*STRATEGIES.values(), "`frontier_cuts`"]
    assert cells[2][:2] == ["VGG16, 224x224", "2 of 2"] and cells[2][-1] == "1.000 (2)"
    assert cells[3] == ["paper", "", "1.28", "1.06", "-", "-", "1.44", "1.01", ""]
    assert cells[5] == ["paper", "", "1.54", "1.39", "-", "-", "1.75", "1.00", ""]
    assert table in (table_folder / "checkmate-table2.md").read_text()
    assert set(checkmate_table2.TABLE_2) == set(NETWORKS)
    figure = checkmate_table2.ratio_figure(rows_of(table_folder, "checkmate-table2"))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["VGG16, 224x224", "VGG19, 224x224"]


def test_a_panel_for_each_network(table_folder: Path) -> None:
    figure = overhead_figure(rows_of(table_folder, "checkmate-budget"), STRATEGIES)
    assert [axes.get_title() for axes in figure.axes] == ["VGG16, 224x224 (45 ops)", "VGG19, 224x224 (51 ops)"]
    text = (table_folder / "checkmate-budget.md").read_text()
    assert text.count("| `ap_greedy` (AP greedy)") == 2
    assert (table_folder / "checkmate-budget.png").stat().st_size > 10_000


def batch(name: str, method: str, memory_bytes: int) -> BatchRow:
    return BatchRow.from_record(largest_batch(name, layer_graph(name, batch=1), method, memory_bytes, 2.0, 1))


def test_the_largest_batch_of_vgg19_is_the_papers() -> None:
    """289 in Jain et al., figure 6; proven here to be the largest."""
    memory_bytes = checkmate_maxbatch.MEMORY_BYTES - 2 * LAYER_NETWORKS["vgg19"].weight_bytes
    found = batch("vgg19", "frontier_cuts", memory_bytes)
    assert (found.batch, found.impossible_batch) == (289, 290)
    assert found.batch == checkmate_maxbatch.FIGURE_6["vgg19"]["frontier_cuts"]
    assert found.cost is not None and found.cost <= found.cost_limit
    assert found.peak_bytes is not None and found.peak_bytes * found.batch <= memory_bytes
    stored = batch("vgg19", "store_all", memory_bytes)
    assert stored.batch == stored.store_all_batch < found.batch and stored.cost == stored.base_cost
    assert batch("resnet50", "lp_rounding", memory_bytes).reason and found.reason == ""


def test_one_forward_more_is_the_limit() -> None:
    """Chains, whose optima have a closed form: the batch found is the largest of all, and no heuristic's is larger."""
    graph = chain(20)
    forward = sum(op.cost for op in graph.ops if op.phase is Phase.FORWARD)
    assert cost_limit(graph) == graph.base_cost + forward
    memory_bytes = 10**4
    found = BatchRow.from_record(largest_batch("chain", graph, "unit_chain", memory_bytes, 5.0, 1))
    assert found.batch is not None and found.cost is not None and found.peak_bytes is not None
    assert found.cost <= cost_limit(graph) and found.impossible_batch == found.batch + 1
    assert found.batch == memory_bytes // found.peak_bytes
    tighter = solve_schedule(graph, found.peak_bytes - 1, "unit_chain")
    assert tighter.cost is not None and tighter.cost > cost_limit(graph)
    smaller = BatchRow.from_record(largest_batch("chain", graph, "chen_sqrt", memory_bytes, 5.0, 1))
    assert smaller.batch is not None and smaller.store_all_batch < smaller.batch <= found.batch


def test_batches_stand_beside_the_papers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        rows = checkmate_maxbatch.run(tmp_path, ("vgg19",), time_limit=1.0, workers=1, executor=executor)
    lines = checkmate_maxbatch.table(rows).splitlines()
    cells = [[each.strip() for each in line.split("|")][1:-1] for line in lines]
    assert cells[0][1:-1] == list(checkmate_maxbatch.METHODS.values())
    assert cells[2][0] == "VGG19, 224x224" and cells[2][-2:] == ["289", "289"]
    assert cells[3] == ["paper", "167", "197", "266", "-", "-", "-", "-", "289", ""]
    saved = json.loads((tmp_path / "checkmate-maxbatch.json").read_text())["rows"]
    assert [BatchRow.from_record(each) for each in saved] == rows
    assert not (tmp_path / "checkmate-maxbatch.partial.jsonl").exists()


def test_moccasins_figures_stand_beside_ours(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        rows = moccasin_table.run(tmp_path, ("fcn8",), (), (0.9,), 0.5, 1, executor)
    assert [each.method for each in rows[:3]] == ["frontier_cuts", "checkmate_milp", "retention_intervals"]
    lines = [[each.strip() for each in line.split("|")][1:-1] for line in moccasin_table.table(rows).splitlines()]
    assert lines[2][:3] == ["FCN-8, 416x608 (73)", "CM1", "90 %"] and lines[2][-2:] == ["6.3 s", "3.1 s"]
    assert lines[3][:4] == ["", "", "", "`checkmate_milp`"] and lines[3][-2:] == ["", ""]
    assert (tmp_path / "moccasin-table.png").exists()


def test_every_baseline_is_in_the_table(tmp_path: Path) -> None:
    subjects = (Subject("a chain", "chain"), Subject("a shorter chain", "short"))
    (tmp_path / "graphs").mkdir()
    for subject, graph in zip(subjects, (chain(8), chain(6)), strict=True):
        save_graph(graph, tmp_path / "graphs" / subject.file_name)
    with ThreadPoolExecutor(1) as executor:
        rows = baselines_table.run(tmp_path, subjects, 2, time_limit=2.0, workers=1, executor=executor)
    served = {name for name, each in methods().items() if each.kind == "heuristic" and "fixed" in each.orders}
    assert {each.method for each in rows} == (served - {"store_all"}) | {"frontier_cuts"}
    text = (tmp_path / "baselines.md").read_text()
    table = baselines_table.table(rows)
    assert table in text and "| optimum known" in table
    lines = table.splitlines()[3:]
    assert lines[0].startswith("| `frontier_cuts`") and lines[0].count("(2)") == 2
    assert len(lines) == len(served)
    counts = [mean.found for mean in baselines_table.ranked(rows).values()]
    assert counts == sorted(counts, reverse=True)
    assert len(baselines_table.whole_zoo()) >= 12


def test_only_sweeps_take_an_executor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["-o", str(tmp_path)]
    assert main(["reproduce", "gap", "--processes", "2", *out]) == 2
    assert "--processes: 'gap' is no sweep" in capsys.readouterr().err
    assert main(["reproduce", "baselines", "--processes", "2", "--cluster", "tcp://host:1", *out]) == 2
    assert "more than one is asked for" in capsys.readouterr().err
    assert main(["reproduce"]) == 0
    listed = capsys.readouterr().out
    names = [line.split()[0] for line in listed.splitlines()]
    assert {"baselines", "checkmate-table2", "checkmate-budget", "checkmate-maxbatch", "moccasin-table"} <= set(names)
