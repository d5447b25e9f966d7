"""The Pareto figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from hcb_opt.pareto_front import ParetoFront, ParetoPoint
from hcb_opt.plot_pareto import pareto_figure, save_pareto_figure
from hcb_opt.result import Status
from hcb_opt.schedule import Schedule

NOTHING = Schedule(())
POINTS = (
    ParetoPoint(39, Status.INFEASIBLE, reason="proven"),
    ParetoPoint(50, Status.FEASIBLE, NOTHING, 150, 50, 120, 50, 50),
    ParetoPoint(75, Status.OPTIMAL, NOTHING, 110, 70, 110, 75, 75),
    ParetoPoint(100, Status.OPTIMAL, NOTHING, 100, 100, 100, 100, 100),
)
FRONT = ParetoFront(POINTS, 40, "fixed-order", "auto", "fixed", 100, 100, 1.0)


def drawn(front: ParetoFront) -> Axes:
    return pareto_figure(front, "net").axes[0]


def line(panel: Axes, label: str) -> tuple[list[float], list[float], str]:
    """Places and heights of a labelled line, and the face of its markers."""
    (found,) = (each for each in panel.lines if each.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata()), found.get_markerfacecolor()


def test_costs_are_a_staircase_from_each_peak_on() -> None:
    (found,) = (each for each in drawn(FRONT).lines if each.get_label() == "cheapest schedule found")
    assert found.get_drawstyle() == "steps-post"
    assert list(found.get_xdata()) == [0.5, 0.7, 1.0, 1.0]
    assert list(found.get_ydata()) == pytest.approx([50.0, 10.0, 0.0, 0.0])


def test_bounds_are_a_staircase_up_to_each_budget() -> None:
    (found,) = (each for each in drawn(FRONT).lines if each.get_label() == "proven lower bound (fixed-order)")
    assert found.get_drawstyle() == "steps-pre"
    assert list(found.get_xdata()) == [0.4, 0.5, 0.75, 1.0]
    assert list(found.get_ydata()) == pytest.approx([20.0, 20.0, 10.0, 0.0])


def test_proven_points_are_filled() -> None:
    panel = drawn(FRONT)
    assert line(panel, "proven optimal") == ([0.7, 1.0], pytest.approx([10.0, 0.0]), "black")
    assert line(panel, "not proven") == ([0.5], pytest.approx([50.0]), "white")


def test_the_band_is_what_is_not_known() -> None:
    """At 50 %: from 20 to 50; up to 70 %: from 10 to 50; to 75 %: nothing; above: from 0 to 10."""
    panel = drawn(FRONT)
    (band,) = (each for each in panel.collections if each.get_label() == "bound to schedule")
    heights: dict[float, set[float]] = {}
    for place, height in band.get_paths()[0].vertices:
        heights.setdefault(round(float(place), 6), set()).add(round(float(height), 6))
    assert heights == {0.5: {10.0, 50.0}, 0.7: {10.0, 50.0}, 0.75: {0.0, 10.0}, 1.0: {0.0, 10.0}}


def test_zones_tell_infeasible_from_undecided() -> None:
    zones = {
        each.get_label(): each
        for each in drawn(FRONT).patches
        if each.get_label() in ("proven infeasible", "undecided")
    }
    spans = {label: (each.get_x(), round(each.get_x() + each.get_width(), 6)) for label, each in zones.items()}
    assert spans["undecided"] == (0.4, 0.5)
    assert spans["proven infeasible"][1] == 0.4
    closed = drawn(replace(FRONT, minimum_bytes=50))
    assert "undecided" not in {each.get_label() for each in closed.patches}


@pytest.mark.parametrize("points", [POINTS[-1:], POINTS[2:], (replace(POINTS[-1], peak_bytes=0, budget_bytes=1),)])
def test_fronts_of_few_points_can_be_drawn(points: tuple[ParetoPoint, ...]) -> None:
    panel = drawn(replace(FRONT, points=points, minimum_bytes=0))
    assert line(panel, "proven optimal")[1][-1] == 0


def test_files_are_vector_text_and_repeatable(tmp_path: Path) -> None:
    paths = [tmp_path / f"pareto.{suffix}" for suffix in ("png", "pdf", "svg")]
    save_pareto_figure(FRONT, "net (9 ops)", paths)
    png, pdf, svg = (path.read_bytes() for path in paths)
    assert png.startswith(b"\x89PNG") and b"/Type3" not in pdf
    for text in (b"net (9 ops)", b"overhead, %", b"peak, bytes", b"peak / store-all peak", b"proven infeasible"):
        assert text in svg
    save_pareto_figure(FRONT, "net (9 ops)", paths[:2])
    assert [path.read_bytes() for path in paths[:2]] == [png, pdf]
