"""Outputs written over inputs that die: which may be, what it saves, and that nothing else shares a byte."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packings import random_buffers, smallest_arena_by_trial, writing_in_place
from strategies import graphs
from walks import random_walk

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph, save_graph, save_schedule
from hcb_opt.layout import Buffer, Layout, layout
from hcb_opt.layout.csv_format import read_buffers, write_offsets
from hcb_opt.layout.in_place import joined, takeovers
from hcb_opt.layout.instances import Kind, value_instances
from hcb_opt.layout.validator import BadLayout, check_layout, check_schedule_layout
from hcb_opt.reordering import reordered
from hcb_opt.replay import replay
from hcb_opt.schedule import Compute, Drop, Schedule, schedule_from_computes


def survives(graph: Graph, schedule: Schedule, found: Layout) -> bool:
    """Play a schedule byte by byte: whether every value holds what was written to it until it is dropped.

    An op writes its output byte by byte, and noise to its workspace before and after; an input that it is written over
    has to be right where it is written next, and only until then, all others throughout.
    """
    arena: list[object] = [None] * found.arena_bytes
    giver_of = dict(found.in_place)
    waiting = iter(range(len(found.buffers)))
    held: dict[int, int] = {}
    lost: set[int] = set()

    def intact(index: int) -> bool:
        offset, size = found.offsets[index], found.buffers[index].size_bytes
        return arena[offset : offset + size] == [(index, byte) for byte in range(size)]

    for action in schedule.actions:
        if isinstance(action, Drop):
            index = held.pop(action.value)
            if index not in lost and not intact(index):
                return False
            continue
        op = graph.ops[action.op]
        read = [held[value] for value in op.inputs]
        if any(index in lost or not intact(index) for index in read):
            return False
        if any(not intact(held[value]) for value in op.outputs if value in held and held[value] not in lost):
            return False
        written = [next(waiting) for _ in op.outputs]
        held |= dict(zip(op.outputs, written, strict=True))
        lost |= {giver_of[index] for index in written if index in giver_of}
        work = found.offsets[next(waiting)] if op.workspace_bytes else 0
        arena[work : work + op.workspace_bytes] = [None] * op.workspace_bytes
        for index in written:
            for byte in range(found.buffers[index].size_bytes):
                if index in giver_of and arena[found.offsets[giver_of[index]] + byte] != (giver_of[index], byte):
                    return False
                arena[found.offsets[index] + byte] = (index, byte)
        arena[work : work + op.workspace_bytes] = [None] * op.workspace_bytes
        if any(not intact(index) for index in read if index not in lost):
            return False
        if any(not intact(index) for index in written):
            return False
    return all(intact(index) and index not in lost for index in held.values())


def walk_of(graph: Graph, seed: int) -> Schedule:
    return schedule_from_computes(graph, random_walk(graph, seed))


@given(graphs(), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_layouts_are_right_byte_by_byte(graph: Graph, seed: int) -> None:
    graph = writing_in_place(graph, seed)
    schedule = walk_of(graph, seed)
    for in_place in (True, False):
        found = layout(graph, schedule, in_place=in_place, alignment_bytes=1, time_limit=0.1)
        check_schedule_layout(graph, schedule, found)
        assert survives(graph, schedule, found)
        assert found.lower_bound_bytes == found.live_peak_bytes <= found.arena_bytes
        assert in_place or not found.in_place
        assert found.live_peak_bytes <= replay(graph, schedule).peak_bytes


@given(graphs(), st.integers(0, 10_000), st.data())
@settings(max_examples=120, deadline=None)
def test_the_validator_agrees_with_the_bytes(graph: Graph, seed: int, data: st.DataObject) -> None:
    """For layouts with a buffer moved anywhere, and with any output said to be written over any buffer."""
    graph = writing_in_place(graph, seed)
    schedule = walk_of(graph, seed)
    found = layout(graph, schedule, alignment_bytes=1, time_limit=0.1)
    sized = [index for index, buffer in enumerate(found.buffers) if buffer.size_bytes]
    if not sized:
        return
    moved = data.draw(st.sampled_from(sized))
    offsets = list(found.offsets)
    offsets[moved] = data.draw(st.integers(0, found.arena_bytes - found.buffers[moved].size_bytes))
    together = tuple(pair for pair in found.in_place if offsets[pair[0]] == offsets[pair[1]])
    tried = replace(found, offsets=tuple(offsets), in_place=data.draw(st.sampled_from(((), together))))
    try:
        check_schedule_layout(graph, schedule, tried)
        passed = True
    except BadLayout:
        passed = False
    assert passed == survives(graph, schedule, tried)


@given(graphs(), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_choice_of_inputs_holds_less(graph: Graph, seed: int) -> None:
    """The live peak is no more than that of any other choice of pairs: random ones, one by one."""
    graph = writing_in_place(graph, seed)
    schedule = walk_of(graph, seed)
    buffers = value_instances(graph, schedule)
    rng = random.Random(seed)
    turned = replace(
        graph, ops=tuple(replace(op, in_place=tuple(rng.sample(op.in_place, len(op.in_place)))) for op in graph.ops)
    )
    pairs = [pair for pair in takeovers(turned, schedule, buffers) if rng.random() < 0.7]
    found = layout(graph, schedule, alignment_bytes=1, time_limit=0.1)
    whole, _ = joined(buffers, tuple(pairs))
    assert found.live_peak_bytes <= max(profile(whole), default=0)


def profile(buffers: Sequence[Buffer]) -> list[int]:
    steps = range(max((each.end for each in buffers), default=0))
    return [sum(each.size_bytes for each in buffers if each.start <= step < each.end) for step in steps]


def relay(count: int = 4) -> Graph:
    """One value after another, each written over the last; then a loss of them all, which is small."""
    specs = [OpSpec("x0", 1, (), (("x0", 8),))]
    for index in range(1, count):
        last = f"x{index - 1}"
        specs.append(OpSpec(f"x{index}", 1, (last,), ((f"x{index}", 8),), in_place=(last,)))
    specs.append(OpSpec("loss", 1, (f"x{count - 1}",), (("loss", 2),)))
    return build_graph(specs, ["loss"], name="relay")


def stored(graph: Graph) -> Schedule:
    return schedule_from_computes(graph, range(len(graph.ops)))


def test_a_chain_of_values_takes_the_bytes_of_one() -> None:
    graph = relay()
    found = layout(graph, stored(graph), alignment_bytes=1)
    check_schedule_layout(graph, stored(graph), found)
    assert found.in_place == ((1, 0), (2, 1), (3, 2))
    assert (found.arena_bytes, found.live_peak_bytes, found.proven) == (10, 10, True)
    assert replay(graph, stored(graph)).peak_bytes == 16
    assert layout(graph, stored(graph), in_place=False, alignment_bytes=1).arena_bytes == 16
    assert found.ends == (1, 3, 5, 8, 9)


def test_an_input_that_something_still_reads_is_kept() -> None:
    graph = relay(3)
    kept = Schedule((Compute(0), Compute(1), Compute(2), Drop(0), Drop(1), Compute(3), Drop(2)))
    assert takeovers(graph, kept, value_instances(graph, kept)) == ((2, 1),)
    replaced = Schedule((Compute(0), Compute(1), Compute(0), Compute(1), Compute(2), Compute(3)))
    assert takeovers(graph, replaced, value_instances(graph, replaced)) == ()


def test_outputs_of_the_step_are_never_written_over() -> None:
    specs = [OpSpec("a", 1, (), (("a", 8),)), OpSpec("b", 1, ("a",), (("b", 8),), in_place=("a",))]
    graph = build_graph(specs, ["a", "b"])
    found = layout(graph, stored(graph), alignment_bytes=1)
    assert found.in_place == () and found.arena_bytes == 16
    with pytest.raises(BadLayout, match="is not dropped right after op 'b'"):
        check_schedule_layout(graph, stored(graph), replace(found, offsets=(0, 0), in_place=((1, 0),)))


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (((1, 0), (2, 0)), "'x2' (steps 3 to 5) is to be written over 'x0' (steps 0 to 1), and so is another"),
        (((1, 0), (1, 0)), "'x1' (steps 1 to 3) is to be written over 'x0' (steps 0 to 1), and so is another"),
        (((2, 0),), "'x2' (steps 3 to 5) is to be written over 'x0' (steps 0 to 1), which is not held when it starts"),
        (((0, 1),), "'x0' (steps 0 to 1) is to be written over 'x1' (steps 1 to 3), which is not held when it starts"),
        (((4, 3),), "'loss' (steps 7 to 8) is to be written over 'x3' (steps 5 to 7), but they have 2 bytes at 0 and"),
        (((9, 0),), "(9, 0) are no two of 5 buffers"),
    ],
)
def test_pairs_that_cannot_be_are_named(pairs: tuple[tuple[int, int], ...], reason: str) -> None:
    graph = relay()
    apart = Layout(value_instances(graph, stored(graph)), (0, 8, 0, 8, 0), 1, 16, 16, 16, 0, "hand", 0.0)
    if pairs[0] == (1, 0):
        apart = replace(apart, offsets=(0, 0, 0, 8, 0))
    with pytest.raises(BadLayout) as caught:
        check_layout(replace(apart, in_place=pairs))
    assert caught.value.rule == "in place" and caught.value.reason.startswith(reason)


def test_ops_that_may_not_are_named() -> None:
    graph = relay(3)
    found = layout(graph, stored(graph), alignment_bytes=1)
    never = replace(graph, ops=tuple(replace(op, in_place=()) for op in graph.ops))
    with pytest.raises(BadLayout, match=r"in place: op 'x1' may not write over 'x0' \(steps 0 to 1\)"):
        check_schedule_layout(never, stored(never), found)
    later = Schedule((Compute(0), Compute(1), Compute(2), Drop(0), Drop(1), Compute(3), Drop(2)))
    buffers = value_instances(graph, later)
    kept = Layout(buffers, (0, 0, 8, 16), 1, 18, 0, 0, 0, "hand", 0.0, ((1, 0),))
    with pytest.raises(BadLayout, match=r"'x0' \(steps 0 to 2\) is not dropped right after op 'x1'"):
        check_schedule_layout(graph, later, kept)


def test_workspace_is_never_written_over_an_input() -> None:
    """Even one that is called as the output, and as large."""
    specs = [
        OpSpec("a", 1, (), (("a", 8),)),
        OpSpec("b", 1, ("a",), (("b", 8),), workspace_bytes=8, in_place=("a",)),
    ]
    graph = build_graph(specs, ["b"])
    schedule = stored(graph)
    buffers = value_instances(graph, schedule)
    assert [each.kind for each in buffers] == [Kind.FIRST, Kind.FIRST, Kind.WORKSPACE]
    forged = Layout(buffers, (0, 8, 0), 1, 16, 16, 16, 0, "hand", 0.0, ((2, 0),))
    check_layout(forged)
    with pytest.raises(BadLayout, match=r"in place: 'b' .* is no op's only output"):
        check_schedule_layout(graph, schedule, forged)
    called = replace(forged, buffers=(*buffers[:2], replace(buffers[2], kind=Kind.FIRST)))
    with pytest.raises(BadLayout, match=r"schedule: 'b' \(steps 1 to 1\) is to be a workspace"):
        check_schedule_layout(graph, schedule, called)


@given(st.integers(0, 100_000), st.data())
@settings(max_examples=25, deadline=None)
def test_joined_buffers_need_no_larger_arena(seed: int, data: st.DataObject) -> None:
    """Two buffers of one size, the one starting while the other ends, cost no more as one than apart."""
    buffers = random_buffers(seed, 5)
    giver = Buffer("giver", 0, 4, 3)
    taker = Buffer("taker", 3, data.draw(st.integers(4, 9)), 3)
    whole, whole_of = joined((giver, *buffers, taker), ((len(buffers) + 1, 0),))
    assert whole[0] == Buffer("giver", 0, taker.end, 3) and whole_of[-1] == 0
    live = max(profile(whole))
    assert live <= max(profile((giver, *buffers, taker)))
    assert smallest_arena_by_trial(whole) >= live


# Graphs, files, capture and the command


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_place": ["other"]}, "ops[1] 'b'.in_place: no op writes value 'other'"),
        ({"in_place": ["b"]}, "ops[1] 'b'.in_place: value 'b' is no input of the op; list inputs only"),
        ({"in_place": ["a", "a"]}, "ops[1] 'b'.in_place: a value is listed twice"),
        ({"in_place": ["a"], "outputs": [{"name": "b", "size_bytes": 5}]}, "value 'a' has 8 bytes, the output 5"),
        ({"in_place": ["a"], "outputs": []}, "ops[1] 'b'.in_place: the op has 0 outputs"),
        ({"in_place": "a"}, "ops[1] 'b'.in_place: \"a\" is not a list"),
        ({"inplace": ["a"]}, "ops[1].inplace: unknown field; did you mean 'in_place'?"),
    ],
)
def test_bad_graph_files_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    first = {"name": "a", "cost": 1, "inputs": [], "outputs": [{"name": "a", "size_bytes": 8}]}
    second = {"name": "b", "cost": 1, "inputs": ["a"], "outputs": [{"name": "b", "size_bytes": 8}], **change}
    path = tmp_path / "graph.json"
    path.write_text(json.dumps({"format": "hcb-opt/graph", "version": 1, "ops": [first, second], "outputs": []}))
    with pytest.raises(InvalidInput) as caught:
        load_graph(path)
    assert message in str(caught.value)


def test_files_keep_what_may_be_written_over(tmp_path: Path) -> None:
    graph = relay()
    save_graph(graph, tmp_path / "relay.json")
    assert load_graph(tmp_path / "relay.json") == graph
    assert graph.ops[1].in_place == (0,)
    order = [0, 1, 2, 3, 4]
    assert reordered(graph, order) == graph


def test_reordered_ops_write_over_the_same_inputs() -> None:
    specs = [
        OpSpec("a", 1, (), (("a", 8),)),
        OpSpec("b", 1, (), (("b", 8),)),
        OpSpec("c", 1, ("a", "b"), (("c", 8),), in_place=("b",)),
    ]
    turned = reordered(build_graph(specs, ["c"]), [1, 0, 2])
    assert [turned.values[value].name for value in turned.ops[2].in_place] == ["b"]


def test_offsets_in_files_never_overlap(tmp_path: Path) -> None:
    graph = relay()
    found = layout(graph, stored(graph), alignment_bytes=1)
    write_offsets(found, tmp_path / "offsets.csv")
    buffers = read_buffers(tmp_path / "offsets.csv")
    assert [each.end for each in buffers] == list(found.ends)
    check_layout(replace(found, buffers=buffers, in_place=()))


@pytest.fixture
def relay_files(tmp_path: Path) -> list[str]:
    graph = relay()
    save_graph(graph, tmp_path / "relay.json")
    save_schedule(stored(graph), graph, tmp_path / "schedule.json")
    return [str(tmp_path / "relay.json"), str(tmp_path / "schedule.json")]


def test_command_tells_what_is_written_in_place(relay_files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layout", *relay_files, "--alignment", "1"]) == 0
    printed = capsys.readouterr().out
    assert "arena        10 bytes (10 B), the smallest there is" in printed
    assert "in place     3 of 5 buffers written over another one; the schedule's peak of 16 B counts both" in printed
    assert main(["layout", *relay_files, "--alignment", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schedule_peak_bytes"] == 16 and report["arena_bytes"] == 10
    assert [each["written_over"] for each in report["buffers"]] == [None, 0, 1, 2, None]
    assert main(["layout", *relay_files, "--alignment", "1", "--no-in-place"]) == 0
    assert "arena        16 bytes" in capsys.readouterr().out
