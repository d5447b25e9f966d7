"""The CSV files of minimalloc, the address map, and the command ``layout``."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from packings import CAPACITY, cut_rectangle

from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.io import save_schedule
from hcb_opt.layout import Buffer, Layout, layout, place
from hcb_opt.layout.csv_format import read_buffers, write_offsets
from hcb_opt.layout.plot import address_map_figure, save_address_map
from hcb_opt.schedule import schedule_from_computes

STACKED = "id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\nb3,0,9,4\n"


def written(folder: Path, text: str, name: str = "instance.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def schedule_file(step: Graph, tmp_path: Path) -> Path:
    path = tmp_path / "schedule.json"
    computes = [0, 1, 2, 3, 4, 0, 5, 6]
    save_schedule(schedule_from_computes(step, computes), step, path)
    return path


def test_buffers_are_read_by_column_names(tmp_path: Path) -> None:
    wanted = (Buffer("b1", 0, 3, 4), Buffer("b2", 3, 9, 4), Buffer("b3", 0, 9, 4))
    assert read_buffers(written(tmp_path, STACKED)) == wanted
    assert read_buffers(written(tmp_path, "\ufeff" + STACKED)) == wanted
    turned = "size,gaps,upper,lower,id\n4,,3,0,b1\n4,,9,3,b2\n4,,9,0,b3\n"
    assert read_buffers(written(tmp_path, turned)) == wanted


def test_offsets_are_written_in_the_form_that_is_read(tmp_path: Path) -> None:
    buffers = cut_rectangle(20, 0)
    found = place(buffers, time_limit=10)
    path = tmp_path / "offsets.csv"
    write_offsets(found, path)
    assert read_buffers(path) == buffers
    with path.open(newline="") as file:
        assert [int(row["offset"]) for row in csv.DictReader(file)] == list(found.offsets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: there is no column 'id'; write a first line id,lower,upper,size"),
        ("id,lower,size\n", "line 1: there is no column 'upper'"),
        ("id,lower,upper,size\na,0,1\n", "line 2: the line ends too early; give id, lower, upper, size"),
        ("id,lower,upper,size\na,0,1,4\nb,0,1,-4\n", "line 3, size: '-4' is not a whole number >= 0"),
        ("id,lower,upper,size\na,0.5,1,4\n", "line 2, lower: '0.5' is not a whole number >= 0"),
        ("id,lower,upper,size\na,7,7,4\n", "line 2: lower 7 is not below upper 7"),
    ],
)
def test_bad_files_are_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        read_buffers(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.csv: cannot be read \(No such file or directory\)"):
        read_buffers(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match=r"bytes\.csv: no CSV file"):
        read_buffers(tmp_path / "bytes.csv")


def rectangles(found: Layout) -> dict[str, set[tuple[float, float, float, float]]]:
    """Left, right, bottom and top of every rectangle, by kind."""
    (panel,) = address_map_figure(found, "net").axes
    boxes = {}
    for collection in panel.collections:
        extents = [path.get_extents() for path in collection.get_paths()]
        boxes[collection.get_label()] = {(box.x0, box.x1, box.y0, box.y1) for box in extents}
    return boxes


def test_every_buffer_is_drawn_where_it_lies(step: Graph) -> None:
    found = layout(step, schedule_from_computes(step, [0, 1, 2, 3, 4, 0, 5, 6]), alignment_bytes=1)
    drawn = rectangles(found)
    assert set(drawn) == {"first compute", "recompute", "workspace"}
    for kind, boxes in drawn.items():
        assert boxes == {
            (each.start, each.end, offset, offset + each.size_bytes)
            for each, offset in zip(found.buffers, found.offsets, strict=True)
            if each.kind == kind
        }


def test_arena_and_live_peak_are_marked() -> None:
    found = Layout((Buffer("a", 0, 2, 8), Buffer("b", 2, 4, 8)), (0, 4), 1, 12, 8, 8, 0, "hand", 0.0)
    (panel,) = address_map_figure(found, "net").axes
    assert {line.get_label(): line.get_ydata()[0] for line in panel.lines} == {"arena": 12, "live peak": 8}
    assert panel.get_xlim() == (0, 4)


def test_nothing_is_drawn_where_nothing_is_held(tmp_path: Path) -> None:
    save_address_map(place([]), "net", [tmp_path / "map.png"])
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_maps_are_repeatable_files(tmp_path: Path) -> None:
    found = place(cut_rectangle(20, 0), time_limit=10)
    paths = [tmp_path / f"map.{suffix}" for suffix in ("png", "pdf", "svg")]
    save_address_map(found, "net", paths)
    before = [path.read_bytes() for path in paths]
    save_address_map(found, "net", paths[:2])
    assert [path.read_bytes() for path in paths[:2]] == before[:2]
    assert before[0].startswith(b"\x89PNG") and b"live peak" in before[2]


def test_command_on_a_schedule(
    step_file: Path, schedule_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "map.png"
    assert main(["layout", str(step_file), str(schedule_file), "-o", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "arena        1280 bytes (1.25 KiB), the smallest there is" in printed
    assert "persistent   256 B, in an arena of its own" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_command_prints_json(step_file: Path, schedule_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layout", str(step_file), str(schedule_file), "--alignment", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["arena_bytes"] == printed["live_peak_bytes"] == printed["lower_bound_bytes"] == 52
    assert printed["fragmentation"] == 0.0 and printed["proven"] is True and printed["persistent_bytes"] == 100
    assert printed["buffers"][0].keys() == {"name", "kind", "start", "end", "size_bytes", "offset", "written_over"}
    assert [each["kind"] for each in printed["buffers"]].count("recompute") == 2


@pytest.mark.parametrize(("capacity", "code"), [(CAPACITY, 0), (CAPACITY - 1, 3)])
def test_command_on_an_instance(tmp_path: Path, capsys: pytest.CaptureFixture[str], capacity: int, code: int) -> None:
    path, offsets = tmp_path / "cut.csv", tmp_path / "offsets.csv"
    write_offsets(place(cut_rectangle(25, 1), time_limit=10), path)
    assert main(["layout", str(path), "--capacity", str(capacity), "--no-exact", "-o", str(offsets)]) == code
    kept = "kept" if code == 0 else "exceeded by 1 bytes"
    assert f"capacity     {capacity} bytes: {kept}" in capsys.readouterr().out
    assert len(read_buffers(offsets)) == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["graph.json"], "SCHEDULE: missing"),
        (["instance.csv", "schedule.json"], "SCHEDULE: a CSV file has no schedule"),
        (["instance.csv", "--capacity", "0.5"], "--capacity 0.5: not a size"),
        (["instance.csv", "--alignment", "0"], "alignment 0: not above zero"),
        (["instance.csv", "-o", "map.txt"], "-o 'map.txt': unknown kind of file; use one of .png, .pdf, .svg, .csv"),
        (["instance.csv", "-o", ""], "-o '': unknown kind of file"),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, STACKED)
    assert main(["layout", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"hcb-opt: error: {message}")


def test_the_whole_command(command: Callable[..., object], step_file: Path, schedule_file: Path) -> None:
    done = command("layout", step_file, schedule_file)
    assert done.returncode == 0 and "live peak" in done.stdout  # type: ignore[attr-defined]
