"""The Pareto front: against the exhaustive search, and what is promised of points, files and command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from strategies import random_graph

from hcb_opt import ParetoFront, ParetoPoint, pareto
from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.pareto_report import FILES, format_front, front_to_json, save_front
from hcb_opt.generators import chain, random_training
from hcb_opt.graph import Graph
from hcb_opt.io import save_graph
from hcb_opt.pareto_front import tightened
from hcb_opt.replay import replay
from hcb_opt.result import Status, relative_gap
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule

FACTS = {"seed": 0, "time_limit": 20.0}


def assert_sound(graph: Graph, front: ParetoFront) -> None:
    """What must hold of every front, whatever the method."""
    assert front.points
    solved = {point.budget_bytes for point in front.points}
    assert list(front.points) == sorted(front.points, key=lambda point: point.budget_bytes)
    for point in front.points:
        assert point.budget_bytes > 0
        if point.status is Status.INFEASIBLE:
            assert point.schedule is point.cost is point.peak_bytes is point.lower_bound is None and point.reason
            assert point.budget_bytes < front.minimum_bytes
            continue
        assert point.lower_bound is not None and point.lower_bound >= graph.base_cost
        if point.status is Status.NO_SCHEDULE:
            assert point.schedule is point.cost is point.peak_bytes is None
            continue
        assert point.schedule is not None and point.cost is not None
        judged = replay(graph, point.schedule)
        assert (judged.cost, judged.peak_bytes) == (point.cost, point.peak_bytes) and judged.fixed_order
        assert front.minimum_bytes <= judged.peak_bytes <= point.budget_bytes
        assert graph.base_cost <= point.lower_bound <= point.cost
        assert {point.schedule_from_bytes, point.bound_from_bytes} <= solved
        assert point.bound_from_bytes is not None and point.bound_from_bytes >= point.budget_bytes
        assert (point.status is Status.OPTIMAL) == (point.gap is not None and point.gap <= 1e-9)
        assert point.status in (Status.OPTIMAL, Status.FEASIBLE)
    for smaller, larger in pairwise(front.feasible):
        assert smaller.cost is not None and larger.cost is not None and smaller.cost >= larger.cost
    for smaller, larger in pairwise(each for each in front.points if each.status is not Status.INFEASIBLE):
        assert smaller.lower_bound is not None and larger.lower_bound is not None
        assert smaller.lower_bound >= larger.lower_bound
    largest = front.points[-1]
    assert (largest.status, largest.cost) == (Status.OPTIMAL, graph.base_cost)
    kept = front.nondominated
    assert kept and set(kept) <= set(front.feasible)
    for smaller, larger in pairwise(kept):
        assert smaller.peak_bytes is not None and larger.peak_bytes is not None
        assert smaller.cost is not None and larger.cost is not None
        assert smaller.peak_bytes < larger.peak_bytes and smaller.cost > larger.cost


def assert_optima_between(graph: Graph, front: ParetoFront) -> None:
    """The exhaustive search's optimum lies between bound and cost, and infeasible is infeasible."""
    for point in front.points:
        referee = solve_schedule(graph, point.budget_bytes, "exhaustive")
        if point.status is Status.INFEASIBLE:
            assert referee.status is Status.INFEASIBLE
            continue
        assert point.lower_bound is not None
        if referee.cost is not None:
            assert point.lower_bound <= referee.cost
        if point.cost is not None:
            assert referee.status is Status.OPTIMAL and referee.cost is not None and referee.cost <= point.cost


@pytest.mark.parametrize("seed", range(20))
def test_optima_lie_between_bounds_and_costs(seed: int) -> None:
    graph = random_graph(seed, 9)
    front = pareto(graph, count=6, time_limit=20.0)
    assert_sound(graph, front)
    assert_optima_between(graph, front)
    assert len(front.feasible) <= 6 and front.claim == "fixed-order" and not front.interrupted


@pytest.mark.parametrize("seed", range(60, 75, 3))
@pytest.mark.parametrize("method", ["exhaustive", "chen_sqrt", "revolve", "store_all"])
def test_any_method_can_be_traced(seed: int, method: str) -> None:
    graph = random_graph(seed, 11)
    front = pareto(graph, count=7, time_limit=2.0, method=method)
    assert_sound(graph, front)
    assert_optima_between(graph, front)


def test_an_exact_method_finds_the_whole_curve() -> None:
    """With budgets enough, every trade-off that there is."""
    graph = random_training(4, 1)
    front = pareto(graph, count=60, time_limit=60.0, method="exhaustive")
    assert len(front.feasible) < 60
    optima: dict[int, int] = {}
    for budget_bytes in range(front.minimum_bytes, graph.store_all_peak_bytes + 1):
        cost = solve_schedule(graph, budget_bytes, "exhaustive").cost
        assert cost is not None
        optima.setdefault(cost, budget_bytes)
    assert len(optima) > 2
    assert {(point.cost, point.peak_bytes) for point in front.nondominated} == set(optima.items())


def test_bounds_of_checkmates_class_are_its_own() -> None:
    graph = random_training(3, 40)
    front = pareto(graph, count=5, time_limit=20.0, method="checkmate_milp")
    assert front.claim == "checkmate-stages"
    assert_sound(graph, front)


def test_every_solve_is_told() -> None:
    told: list[ParetoPoint] = []
    front = pareto(chain(7), count=5, time_limit=20.0, on_point=told.append)
    assert {point.budget_bytes for point in told} == {point.budget_bytes for point in front.feasible}
    assert front.feasible == front.points[1:]
    assert told[0].cost == chain(7).base_cost


@pytest.mark.parametrize("solves", [1, 2, 4])
def test_interrupted_it_keeps_what_it_has(solves: int) -> None:
    graph = chain(30)
    told: list[ParetoPoint] = []

    def interrupt(point: ParetoPoint) -> None:
        told.append(point)
        if len(told) == solves:
            raise KeyboardInterrupt

    front = pareto(graph, count=8, time_limit=5.0, on_point=interrupt)
    assert front.interrupted
    assert {point.budget_bytes for point in told} <= {point.budget_bytes for point in front.points}
    assert_sound(graph, front)


def test_the_time_limit_is_for_all_of_it() -> None:
    graph = random_training(60, 1)
    front = pareto(graph, count=10, time_limit=4.0)
    assert any(point.status is Status.FEASIBLE for point in front.points)
    assert front.seconds < 8
    assert_sound(graph, front)


def test_a_graph_that_needs_no_memory() -> None:
    step = chain(3)
    graph = replace(step, values=tuple(replace(value, size_bytes=0) for value in step.values))
    front = pareto(graph, count=3, time_limit=5.0)
    (point,) = front.points
    assert (point.peak_bytes, point.status) == (0, Status.OPTIMAL)
    assert front_to_json(front, graph, FACTS)["points"][0]["budget_share"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 1}, "at least 2"),
        ({"count": True}, "at least 2"),
        ({"time_limit": 0.0}, "time limit"),
        ({"time_limit": float("inf")}, "time limit"),
        ({"method": "frontier_cut"}, "frontier_cuts"),
        ({"order": "sideways"}, "order"),
        ({"workers": 0}, "workers"),
        ({"memory_limit": "0.5"}, "memory limit"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        pareto(chain(3), **arguments)


def point(budget_bytes: int, peak_bytes: int, cost: int, bound: int | None) -> ParetoPoint:
    status = Status.OPTIMAL if cost == bound else Status.FEASIBLE
    schedule = schedule_from_computes(chain(3), range(len(chain(3).ops)))
    proved = None if bound is None else budget_bytes
    return ParetoPoint(budget_bytes, status, schedule, cost, peak_bytes, bound, budget_bytes, proved)


def test_points_learn_from_each_other() -> None:
    """A cheap schedule with a small peak serves all budgets above it; a bound all budgets below it."""
    points = tightened([point(100, 100, 10, 10), point(80, 60, 12, 12), point(70, 70, 15, 11), point(90, 90, 14, 10)])
    learnt = [(each.budget_bytes, each.cost, each.lower_bound) for each in points]
    assert learnt == [(70, 12, 12), (80, 12, 12), (90, 12, 10), (100, 10, 10)]
    assert [(each.schedule_from_bytes, each.bound_from_bytes) for each in points] == [
        (80, 80), (80, 80), (80, 90), (100, 100),
    ]  # fmt: skip
    assert [each.status for each in points] == [Status.OPTIMAL, Status.OPTIMAL, Status.FEASIBLE, Status.OPTIMAL]


def test_a_point_prefers_its_own_of_equals() -> None:
    first, second = tightened([point(80, 60, 12, 11), point(90, 60, 12, 11)])
    assert (first.schedule_from_bytes, first.bound_from_bytes) == (80, 80)
    assert (second.schedule_from_bytes, second.bound_from_bytes) == (90, 90)


def test_budgets_below_an_infeasible_one_are_infeasible() -> None:
    nothing = ParetoPoint(50, Status.NO_SCHEDULE, lower_bound=12, bound_from_bytes=50)
    below, proven, fits = tightened([nothing, ParetoPoint(70, Status.INFEASIBLE), point(100, 80, 10, 10)])
    assert (below.status, below.lower_bound) == (Status.INFEASIBLE, None) and "70 bytes" in below.reason
    assert (proven.status, fits.status) == (Status.INFEASIBLE, Status.OPTIMAL)


def test_contradictions_are_no_fronts() -> None:
    with pytest.raises(RuntimeError, match="lies above the cost"):
        tightened([point(100, 60, 10, 10), point(110, 100, 12, 11)])
    with pytest.raises(RuntimeError, match="proven infeasible"):
        tightened([point(100, 60, 10, 10), ParetoPoint(70, Status.INFEASIBLE)])


def test_budgets_that_nothing_was_found_for_are_told_apart() -> None:
    """A method that cannot recompute finds nothing below the store-all peak, and proves nothing."""
    graph = random_training(4, 1)
    front = pareto(graph, count=8, time_limit=5.0, method="store_all")
    assert_sound(graph, front)
    found = [point.status for point in front.points]
    assert found == [Status.INFEASIBLE, *[Status.NO_SCHEDULE] * 3, Status.OPTIMAL]
    assert [point.budget_bytes for point in front.feasible] == [graph.store_all_peak_bytes]
    bound = relative_gap(front.points[1].lower_bound or 0, graph.base_cost)
    assert f"-  {100 * bound:.3f} %".split() == format_front(front, graph).splitlines()[-2].split()[-4:-1]


def solved() -> tuple[Graph, ParetoFront]:
    graph = random_training(4, 1)
    return graph, pareto(graph, count=5, time_limit=20.0, method="exhaustive")


def test_files_agree_with_the_front_and_the_schema(tmp_path: Path) -> None:
    graph, front = solved()
    folder = tmp_path / "new" / "pareto"
    save_front(front, graph, folder, FACTS)
    assert {path.name for path in folder.iterdir()} == set(FILES)
    text = (folder / "pareto.json").read_text()
    document = json.loads(text)
    schema = json.loads((files("hcb_opt.schemas") / "pareto.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    assert document == json.loads(json.dumps(front_to_json(front, graph, FACTS)))
    assert str(tmp_path) not in text
    assert [each["cost"] for each in document["points"]] == [each.cost for each in front.points]
    assert sum(each["nondominated"] for each in document["points"]) == len(front.nondominated)
    assert document["points"][0]["status"] == "INFEASIBLE"
    assert document["provenance"]["time_limit"] == 20.0 and document["provenance"]["numpy"]
    with (folder / "pareto.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["budget_bytes"] for line in lines] == [str(each["budget_bytes"]) for each in document["points"]]
    assert list(lines[0]) == list(document["points"][0])
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")


def test_files_are_all_there_or_none(tmp_path: Path) -> None:
    graph, front = solved()
    (tmp_path / "pareto.csv").mkdir()
    with pytest.raises(InvalidInput, match=r"pareto\.csv"):
        save_front(front, graph, tmp_path, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["pareto.csv"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be made"):
        save_front(front, graph, tmp_path / "file" / "below", FACTS)


def test_table() -> None:
    graph, front = solved()
    title, header, *lines = format_front(front, graph).splitlines()
    assert title.startswith(f"{graph.name}: schedules for {len(front.feasible)} budgets, {len(front.feasible)} proven")
    assert header.split() == ["budget", "share", "overhead", "lower", "bound", "gap"]
    assert len(lines) == len(front.points)
    assert "100.00 %" in lines[0] and lines[0].endswith("0.000 %  optimal")
    assert lines[-1].split()[0] == "below" and lines[-1].endswith("infeasible")
    assert format_front(replace(front, interrupted=True), graph).splitlines()[0].endswith(", interrupted")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = random_training(4, 1)
    save_graph(graph, tmp_path / "graph.json")
    line = ["pareto", str(tmp_path / "graph.json"), "-n", "4", "--time-limit", "20", "--method", "exhaustive"]
    assert main([*line, "--json"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["graph"] == graph.name and len(document["points"]) <= 5
    assert printed.err.startswith("[1/4] ")
    assert "proven" in printed.err
    assert main([*line, "-o", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == f"written to {tmp_path / 'out'}: {', '.join(FILES)}"
    assert json.loads((tmp_path / "out" / "pareto.json").read_text())["points"] is not None
    assert main(["pareto", str(tmp_path / "graph.json"), "-n", "1"]) == 2
    assert "at least 2" in capsys.readouterr().err
