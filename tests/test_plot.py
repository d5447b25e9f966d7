"""The optimality-gap figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hcb_opt.errors import InvalidInput
from hcb_opt.gap_row import GapRow
from hcb_opt.plot import gap_figure, save_gap_figure
from hcb_opt.result import Status

SOLVED = GapRow(
    graph="net",
    ops=9,
    method="frontier_cuts",
    kind="exact",
    claim="fixed-order",
    declined=False,
    budget_bytes=80,
    store_all_peak_bytes=100,
    status=Status.OPTIMAL,
    base_cost=200,
    cost=210,
    peak_bytes=79,
    lower_bound=210,
    seconds=0.1,
    reason="",
)
OPEN = replace(SOLVED, budget_bytes=60, status=Status.FEASIBLE, cost=240, lower_bound=220)
IMPOSSIBLE = replace(SOLVED, budget_bytes=40, status=Status.INFEASIBLE, cost=None, peak_bytes=None, lower_bound=None)
CHEN = replace(SOLVED, method="chen_sqrt", kind="heuristic", status=Status.FEASIBLE, cost=260)
CHEN_FAILS = replace(CHEN, budget_bytes=60, status=Status.NO_SCHEDULE, cost=None, peak_bytes=None, lower_bound=220)
ROWS = [SOLVED, OPEN, IMPOSSIBLE, CHEN, CHEN_FAILS]


def axes(figure: Figure) -> tuple[Axes, Axes]:
    """Panel and strip of a figure with one graph."""
    panel, strip = figure.axes
    return panel, strip


def points(where: Axes, marker: str) -> dict[float, tuple[float, str]]:
    """Height and face of each single marker of a shape, by its place."""
    lines = [line for line in where.lines if line.get_marker() == marker and len(line.get_xdata()) == 1]
    return {line.get_xdata()[0]: (line.get_ydata()[0], line.get_markerfacecolor()) for line in lines}


def test_exact_points_are_filled_where_proven() -> None:
    panel, _ = axes(gap_figure(ROWS))
    assert points(panel, "o") == {0.8: (pytest.approx(5.0), "black"), 0.6: (pytest.approx(20.0), "white")}


def test_a_baseline_has_its_own_marker_and_is_open() -> None:
    panel, _ = axes(gap_figure(ROWS))
    assert points(panel, "s") == {0.8: (pytest.approx(30.0), "white")}


def test_band_reaches_from_the_bound_to_the_best_schedule() -> None:
    panel, _ = axes(gap_figure(ROWS))
    band = panel.collections[0].get_paths()[0].vertices
    at_open = sorted({round(float(y), 6) for x, y in band if x == pytest.approx(0.6)})
    at_proven = {round(float(y), 6) for x, y in band if x == pytest.approx(0.8)}
    assert at_open == [10.0, 20.0]
    assert at_proven == {5.0}


def test_strip_tells_infeasible_from_not_found() -> None:
    _, strip = axes(gap_figure(ROWS))
    lanes = [label.get_text() for label in strip.get_yticklabels()]
    assert lanes == ["proven infeasible", "chen_sqrt"]
    assert points(strip, "x")[0.4][0] == 0
    assert points(strip, "s")[0.6][0] == 1


def test_proofs_of_another_class_do_not_count() -> None:
    narrow = replace(SOLVED, method="narrow", claim="narrow class", cost=230, lower_bound=230)
    narrow_fails = replace(IMPOSSIBLE, method="narrow", claim="narrow class", budget_bytes=60)
    panel, strip = axes(gap_figure([SOLVED, OPEN, narrow, narrow_fails]))
    assert points(panel, "s") == {0.8: (pytest.approx(15.0), "white")}
    assert [label.get_text() for label in strip.get_yticklabels()] == ["narrow"]
    bound = next(line for line in panel.lines if line.get_marker() == "_")
    assert list(bound.get_ydata()) == pytest.approx([10.0, 5.0])


def test_the_first_exact_method_leads_without_frontier_cuts() -> None:
    panel, _ = axes(gap_figure([CHEN, replace(SOLVED, method="exhaustive")]))
    assert 0.8 in points(panel, "o")


def test_declined_rows_are_left_out() -> None:
    declined = replace(CHEN_FAILS, method="small_only", declined=True)
    _, strip = axes(gap_figure([*ROWS, declined]))
    assert "small_only" not in [label.get_text() for label in strip.get_yticklabels()]
    with pytest.raises(InvalidInput, match="no method took"):
        gap_figure([declined])


def test_no_overhead_at_all_can_be_drawn() -> None:
    free = replace(SOLVED, cost=200, lower_bound=200)
    panel, _ = axes(gap_figure([free]))
    low, high = panel.get_ylim()
    assert low < 0 < high
    assert points(panel, "o")[0.8][0] == 0


def test_files_are_vector_text_and_repeatable(tmp_path: Path) -> None:
    paths = [tmp_path / f"gap.{suffix}" for suffix in ("png", "pdf", "svg")]
    save_gap_figure(ROWS, paths)
    png, pdf, svg = (path.read_bytes() for path in paths)
    assert png.startswith(b"\x89PNG")
    assert b"/Type3" not in pdf
    for text in (b"net (9 ops)", b"frontier_cuts", b"chen_sqrt", b"proven lower bound (fixed-order)", b"overhead, %"):
        assert text in svg
    save_gap_figure(ROWS, paths[:2])
    assert [path.read_bytes() for path in paths[:2]] == [png, pdf]
    assert {path.name for path in tmp_path.iterdir()} == {"gap.png", "gap.pdf", "gap.svg"}


def test_seven_graphs_share_one_legend() -> None:
    rows = [replace(row, graph=f"net{number}") for number in range(7) for row in ROWS]
    figure = gap_figure(rows)
    assert len(figure.axes) == 14
    assert len(figure.legends) == 1


def test_no_two_methods_look_the_same() -> None:
    rows = [SOLVED, *(replace(CHEN, method=f"method{number}") for number in range(36))]
    panel, _ = axes(gap_figure(rows))
    marks = [line for line in panel.lines if line.get_marker() not in ("", "_")]
    assert len({(line.get_color(), line.get_marker()) for line in marks}) == len(marks) == 37
