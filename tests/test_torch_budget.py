"""Torch's partitioners beside the optimum: rows, table and figure."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from hcb_opt.capture.torch_partition import KNAPSACKS
from hcb_opt.experiments import torch_budget
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.torch_budget_report import BudgetRow, budget_figure, report
from hcb_opt.models import zoo
from hcb_opt.result import Status

KNOBS = (0.4, 0.0)
FLAGS = {"layers": 1, "width": 64, "heads": 2, "vocabulary": 100, "sequence": 32, "batch": 2, "dropout": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps = {
        "layers": zoo()["mlp"].capture_step(cost="flops", layers=4),
        "transformer": zoo()["gpt2"].capture_step(cost="flops", **FLAGS),
    }
    made = tmp_path_factory.mktemp("made")
    torch_budget.run(made, steps, KNOBS, (0.9, 0.01), time_limit=3.0, workers=1)
    return made


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[BudgetRow]:
    records = json.loads((folder / "torch-budget.json").read_text())["rows"]
    return [BudgetRow(**{name: record[name] for name in BudgetRow.__dataclass_fields__}) for record in records]


def test_every_partitioner_stands_beside_a_solve_at_its_true_peak(rows: list[BudgetRow]) -> None:
    for model in ("layers", "transformer"):
        own = [row for row in rows if row.model == model]
        torchs = [row for row in own if row.partitioner != "frontier_cuts"]
        assert [(row.partitioner, row.knob) for row in torchs] == [
            ("default", None),
            ("min-cut", 1.0),
            *((knapsack, knob) for knapsack in KNAPSACKS for knob in KNOBS),
        ]
        solved = {row.budget_bytes: row for row in own if row.partitioner == "frontier_cuts"}
        for row in torchs:
            best = solved[row.peak_bytes]
            assert row.cost is not None and best.cost is not None and best.lower_bound is not None
            assert best.lower_bound <= row.cost
            assert best.status != Status.OPTIMAL or best.cost <= row.cost
        assert any(row.status == Status.INFEASIBLE for row in solved.values())


def test_torchs_budget_recomputes_and_does_not_bound_the_peak(rows: list[BudgetRow]) -> None:
    for model in ("layers", "transformer"):
        own = {(row.partitioner, row.knob): row for row in rows if row.model == model}
        assert own["default", None].cost == own["default", None].base_cost
        assert (own["default", None].peak_share, own["default", None].overhead) == (1.0, 0.0)
        assert (own["dp", 0.0].overhead or 0.0) > (own["dp", 0.4].overhead or 0.0) > 0.0
        assert (own["dp", 0.0].peak_share or 0.0) > 0.4


def test_table_and_figure_come_from_rows_alone(folder: Path, rows: list[BudgetRow]) -> None:
    assert {path.name for path in folder.iterdir()} == {
        f"torch-budget.{end}" for end in ("csv", "json", "md", "png", "pdf")
    }
    with (folder / "torch-budget.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    text = report(rows, {})
    assert text.count("| budget, ILP ") == 2 * len(KNOBS) and text.count("| infeasible ") == 2
    assert (folder / "torch-budget.md").read_text().startswith(text.partition("## Machine")[0])
    panels = budget_figure(rows).axes
    assert [panel.get_title().partition(" (")[0] for panel in panels] == ["layers", "transformer"]
    ilp = next(line for line in panels[1].lines if line.get_label() == "budget, ILP")
    drawn = [row for row in rows if row.model == "transformer" and row.partitioner == "ilp"]
    assert list(ilp.get_xdata()) == [row.peak_share for row in drawn]
    assert list(ilp.get_ydata()) == [100 * (row.overhead or 0.0) for row in drawn]


def test_it_is_listed() -> None:
    assert experiments()["torch-budget"].options == {"time_limit", "workers"}
