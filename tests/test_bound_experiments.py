"""The experiments on height compression, lower bounds and sublinear memory: what their rows show, and their files."""

from __future__ import annotations

import json
from math import comb, sqrt
from pathlib import Path

import pytest

from hcb_opt.blocks import frontier_bytes
from hcb_opt.experiments import chen_sqrt, hcb_gap, lower_bounds
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.hcb_gap_report import Case, cases_of
from hcb_opt.experiments.hcb_gap_report import panels as gap_panels
from hcb_opt.experiments.hcb_gap_report import report as gap_report
from hcb_opt.experiments.lower_bounds_report import BoundRow
from hcb_opt.experiments.lower_bounds_report import panels as bound_panels
from hcb_opt.experiments.lower_bounds_report import report as bound_report
from hcb_opt.experiments.skip_network import Shape
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.generators import chain, random_training

SUFFIXES = ("csv", "json", "md", "png", "pdf")


def test_they_are_listed() -> None:
    assert {"hcb-gap", "lower-bounds", "chen-sqrt"} <= set(experiments())


# Networks and the gap of height compression


@pytest.mark.parametrize(("shape", "widest"), [(Shape(12, 2, 1), 3), (Shape(12, 2, 2), 4), (Shape(16, 4, 4), 9)])
def test_the_shapes_are_what_they_say(shape: Shape, widest: int) -> None:
    graph = shape.graph()
    ops = shape.depth * shape.width
    assert len(graph.ops) == 2 * ops + 1
    assert Shape.of(shape.title) == shape
    assert max(frontier_bytes(graph, ops)) == widest
    reads = {len(op.inputs) for op in graph.ops[shape.width : ops]}
    assert reads == ({2} if shape.skip == 1 else {2, 3})


@pytest.fixture(scope="module")
def gap_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gap")
    varied = {"depth": (8, 12), "width": (1,), "skip": (1,)}
    hcb_gap.run(folder, Shape(12, 2, 2), varied, (0.65,), time_limit=1.0, workers=1)
    return folder


def gap_rows(folder: Path) -> list[SolveRow]:
    document = json.loads((folder / "hcb-gap.json").read_text())
    assert document["provenance"]["complete"] is True
    return [SolveRow.from_record(each) for each in document["rows"]]


def test_every_shape_is_solved_by_every_method(gap_folder: Path) -> None:
    rows = gap_rows(gap_folder)
    assert {path.name for path in gap_folder.iterdir()} == {f"hcb-gap.{suffix}" for suffix in SUFFIXES}
    titles = {Shape(*each).title for each in ((8, 2, 2), (12, 2, 2), (12, 1, 2), (12, 2, 1))}
    methods = {"frontier_cuts", "interval_tree", "block_checkpoints", "chen_sqrt", "revolve"}
    assert {(row.instance, row.method) for row in rows} == {(title, each) for title in titles for each in methods}
    assert len(rows) == len(titles) * len(methods)


def test_nothing_is_below_the_bound_and_the_figure_shows_the_rows(gap_folder: Path) -> None:
    rows = gap_rows(gap_folder)
    cases = cases_of(rows)
    above = [case.above(row.method) for case in cases for row in case.rows.values()]
    assert sum(each is not None for each in above) > 12
    assert all(each is None or each >= 0 for each in above)
    depth, width, skip = gap_panels(rows)
    assert [list(curve.places) for curve in (depth.curves[0], width.curves[0], skip.curves[0])] == [
        [8, 12],
        [1, 2],
        [1, 2],
    ]
    centre = next(case for case in cases if case.shape == Shape(12, 2, 2))
    for panel, place in ((depth, 1), (width, 1), (skip, 1)):
        drawn = {curve.label: curve.heights[place] for curve in panel.curves}
        assert drawn["frontier_cuts"] == pytest.approx(100 * (centre.above("frontier_cuts") or 0.0))
    assert gap_report(rows).count("\n| 12 ") == 3


def test_the_bound_of_a_case_is_the_best_of_all_methods() -> None:
    rows = {}
    for method, cost, bound in (("frontier_cuts", 30, 18), ("chen_sqrt", 24, 20), ("revolve", None, 12)):
        rows[method] = SolveRow(
            "shapes", "depth 1, width 1, skip 1", None, 3, method, "fixed", "fixed-order", 0.5, 5, 10, "FEASIBLE", 16,
            None, cost, 5, bound, 1.0, None, None, None, None, "",
        )  # fmt: skip
    case = Case(Shape(1, 1, 1), 0.5, rows)
    assert (case.best, case.bound) == (24, 20)
    assert [case.above(method) for method in rows] == [pytest.approx(0.5), pytest.approx(0.2), None]


# Lower bounds


@pytest.fixture(scope="module")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[BoundRow]]:
    folder = tmp_path_factory.mktemp("bounds")
    graphs = {"a step": random_training(4, seed=8), "a chain": chain(9)}
    return folder, lower_bounds.run(folder, graphs, (0.9, 0.8, 0.1), time_limit=5.0, workers=1)


def test_no_bound_of_all_schedules_exceeds_the_optimum(bounds: tuple[Path, list[BoundRow]]) -> None:
    _, rows = bounds
    judged = [row for row in rows if row.proven and row.bound is not None and row.claim != lower_bounds.STAGES]
    assert len(judged) > 12
    assert all(row.optimum is not None and (row.bound or 0) <= row.optimum for row in judged)
    names = {row.name for row in rows}
    assert names == {
        "mandatory_memory", "cover_bound", "free_cover_bound", "checkmate, linear", "frontier_cuts", "exhaustive",
        "unit_chain", "retention_intervals", "checkmate_milp",
    }  # fmt: skip


def test_exact_methods_meet_the_optimum_and_infeasible_budgets_are_left_out(
    bounds: tuple[Path, list[BoundRow]],
) -> None:
    _, rows = bounds
    assert {row.share for row in rows} == {None, 0.9, 0.8}
    referees = [row for row in rows if row.name in ("exhaustive", "unit_chain")]
    assert len(referees) == 4
    assert all(row.proven and row.bound == row.optimum and row.reached in (1.0, None) for row in referees)


def test_linear_relaxations_are_no_better_than_the_programmes(bounds: tuple[Path, list[BoundRow]]) -> None:
    _, rows = bounds
    cases = {(row.instance, row.share, row.name): row for row in rows}
    compared = 0
    for (instance, share, name), row in cases.items():
        if name == "checkmate, linear":
            whole = cases[instance, share, "checkmate_milp"].bound
            if row.bound is not None and whole is not None:
                assert row.base <= row.bound <= whole
                compared += 1
    assert compared >= 3


def test_files_of_bounds_come_from_the_rows(bounds: tuple[Path, list[BoundRow]]) -> None:
    folder, rows = bounds
    assert {path.name for path in folder.iterdir()} == {f"lower-bounds.{suffix}" for suffix in SUFFIXES}
    document = json.loads((folder / "lower-bounds.json").read_text())
    assert [BoundRow(**each) for each in document["rows"]] == rows
    text = bound_report(rows)
    assert text in (folder / "lower-bounds.md").read_text()
    assert [panel.title for panel in bound_panels(rows)] == ["a step", "a chain"]


# Sublinear memory


@pytest.fixture(scope="module")
def sublinear() -> list[chen_sqrt.ChenRow]:
    return chen_sqrt.measure((16, 30))


def test_least_states_of_the_optimum_are_the_closed_forms(sublinear: list[chen_sqrt.ChenRow]) -> None:
    for steps in (16, 30):
        least = {row.method: row.states for row in sublinear if row.least and row.steps == steps}
        assert set(least) == set(chen_sqrt.METHODS)
        assert least[chen_sqrt.OPTIMUM] == next(s for s in range(1, steps) if comb(s + 3, 2) > steps)
        assert all(states >= least[chen_sqrt.OPTIMUM] for states in least.values())
        assert all(least[each] <= 2 * sqrt(steps) + 1 for each in ("chen_sqrt", "chen_greedy", "block_checkpoints"))


def test_rows_keep_the_limit_and_curves_fall(sublinear: list[chen_sqrt.ChenRow]) -> None:
    assert all((row.extra_forwards or 0) <= 1 for row in sublinear if row.least)
    for method in chen_sqrt.METHODS:
        curve = [row.extra_forwards for row in sublinear if not row.least and row.method == method]
        found = [each for each in curve if each is not None]
        assert found == sorted(found, reverse=True) and found[-1] == 0.0
        assert len(found) >= 4


def test_the_figure_of_sublinear_memory_shows_the_rows(sublinear: list[chen_sqrt.ChenRow]) -> None:
    memory, work = chen_sqrt.panels(sublinear)
    assert [list(curve.places) for curve in memory.curves] == [[16, 30]] * len(chen_sqrt.METHODS)
    optimum = {curve.label: curve for curve in work.curves}[chen_sqrt.OPTIMUM]
    points = [row for row in sublinear if row.method == chen_sqrt.OPTIMUM and not row.least]
    assert list(optimum.places) == [row.states for row in points if row.extra_forwards is not None]
    assert "## Extra forwards of 30 steps" in chen_sqrt.report(sublinear)
