"""Schedules of any graph in one arena: right ones are found right, faults of a byte are found."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from packings import writing_in_place
from strategies import random_graph
from walks import random_walk

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.files import write_json
from hcb_opt.generators import chain
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph, save_graph, save_schedule
from hcb_opt.layout import Layout, layout, place
from hcb_opt.layout.instances import Buffer
from hcb_opt.layout.validator import BadLayout, check_schedule_layout
from hcb_opt.replay import replay
from hcb_opt.schedule import Schedule, schedule_from_computes

torch = pytest.importorskip("torch")

from hcb_opt.runtime.errors import OutOfBudget  # noqa: E402
from hcb_opt.runtime.instance import (  # noqa: E402
    GUARD_BYTES,
    Played,
    allocated,
    checksum,
    play,
    scaled,
    scheduled_launches,
    straight_bytes,
    straight_launches,
    wrong_launches,
)
from hcb_opt.runtime.instance_report import validate_instance  # noqa: E402
from hcb_opt.runtime.instance_times import fitted  # noqa: E402
from hcb_opt.runtime.kernels import instance_reference  # noqa: E402
from hcb_opt.runtime.kernels.instance_reference import Launch, Place, finalised  # noqa: E402

CPU = torch.device("cpu")
MASK = 0xFFFFFFFF


def hashed(op: int, salt: int, inputs: list[bytes], sizes: list[int]) -> tuple[list[bytes], int]:
    """The formulas of the reference, word by word."""
    a, b, c = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
    rows = [[int.from_bytes(each[start : start + 4], "little") for start in range(0, len(each), 4)] for each in inputs]
    counts = [(size + 3) // 4 for size in sizes]
    total = max(1, sum(counts))
    state = [0] * total
    for k, row in enumerate(rows):
        for j in range(max(total, len(row)) if row else 0):
            state[j % total] += finalised(row[j % len(row)] ^ finalised(a * j + b * k + c))
    key = [finalised(a * i + finalised(b * op + c * salt)) for i in range(total)]
    words = [finalised((state[i] & MASK) ^ key[i]) for i in range(total)]
    digest = sum(finalised(words[i] + key[i]) for i in range(total)) & MASK
    outputs = []
    for size, count in zip(sizes, counts, strict=True):
        outputs.append(b"".join(word.to_bytes(4, "little") for word in words[:count])[:size])
        words = words[count:]
    return outputs, digest - (digest >> 31 << 32)


def one_op(inputs: list[bytes], sizes: list[int], op: int = 3, salt: int = 1) -> tuple[list[bytes], int, Any]:
    """What the reference makes of it, and all bytes besides; values lie at odd addresses."""
    places, end = [], 1
    for size in (*map(len, inputs), *sizes):
        places.append(Place(end, size))
        end += size + 1
    arena = torch.full((end,), 7, dtype=torch.uint8)
    for value, held in zip(inputs, places, strict=False):
        arena[held.offset : held.offset + held.size_bytes] = torch.tensor(list(value), dtype=torch.uint8)
    launch = Launch(op, tuple(places[: len(inputs)]), tuple(places[len(inputs) :]))
    digests = torch.zeros(1, dtype=torch.int32)
    instance_reference.mix(arena, instance_reference.prepare([launch], CPU), 0, salt, digests, work=2)
    outputs = [bytes(arena[each.offset : each.offset + each.size_bytes].tolist()) for each in launch.outputs]
    between = arena[[0] + [each.offset + each.size_bytes for each in places]]
    return outputs, int(digests[0]), between


SHAPES = [([], []), ([], [5]), ([6], []), ([0, 3], [0, 9, 2]), ([70], [3]), ([2, 9], [33, 8])]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_words_are_as_documented(shape: tuple[list[int], list[int]]) -> None:
    rng = random.Random(0)
    inputs = [rng.randbytes(size) for size in shape[0]]
    outputs, digest, between = one_op(inputs, shape[1])
    assert (outputs, digest) == hashed(3, 1, inputs, shape[1])
    assert between.eq(7).all()


@pytest.mark.parametrize("shape", SHAPES[2:], ids=str)
def test_every_byte_of_every_input_counts(shape: tuple[list[int], list[int]]) -> None:
    rng = random.Random(1)
    inputs = [bytearray(rng.randbytes(size)) for size in shape[0]]
    outputs, digest, _ = one_op([bytes(each) for each in inputs], shape[1])
    for value in inputs:
        for position in range(len(value)):
            value[position] ^= 1 << position % 8
            changed, other, _ = one_op([bytes(each) for each in inputs], shape[1])
            assert other != digest
            assert changed != outputs or not outputs
            value[position] ^= 1 << position % 8


def random_case(seed: int) -> tuple[Graph, Schedule]:
    graph = random_graph(seed, 10)
    return graph, schedule_from_computes(graph, random_walk(graph, seed))


def played(launches: tuple[Launch, ...], arena_bytes: int) -> Played:
    return play(launches, arena_bytes, CPU)


def straight(graph: Graph) -> Played:
    return played(straight_launches(graph), straight_bytes(graph))


def wrong(graph: Graph, launches: tuple[Launch, ...], arena_bytes: int) -> list[int]:
    return wrong_launches(launches, played(launches, arena_bytes), straight(graph))


def test_random_schedules_and_layouts_are_right() -> None:
    """Layouts by the planner or at random, with alignments of 1, 4 and 256 bytes."""
    recomputes = unbroken = 0
    for seed in range(100):
        graph, schedule = random_case(seed)
        placed = layout(graph, schedule, alignment_bytes=(1, 4, 256)[seed % 3], seed=seed)
        launches = scheduled_launches(graph, schedule, placed)
        expected, found = straight(graph), played(launches, placed.arena_bytes)
        assert wrong_launches(launches, found, expected) == [], seed
        assert checksum(launches, found) == checksum(straight_launches(graph), expected)
        # The arena ends where its highest buffer does, rounded up.
        highest = max((offset + each.size_bytes for offset, each in addresses(placed)), default=0)
        assert (found.written_bytes, found.beyond) == (highest, False)
        assert -(-highest // placed.alignment_bytes) * placed.alignment_bytes == placed.arena_bytes
        if seed % 3 == 0 and placed.fragmentation == 0:
            assert found.written_bytes == replay(graph, schedule).peak_bytes
            unbroken += 1
        recomputes += len(schedule.computes) - len(graph.ops)
    assert recomputes > 200 and unbroken > 25


def test_ops_written_over_their_inputs_are_right() -> None:
    taken = 0
    for seed in range(20):
        graph, schedule = random_case(seed)
        graph = writing_in_place(graph, seed)
        placed = layout(graph, schedule, alignment_bytes=(1, 4)[seed % 2])
        launches = scheduled_launches(graph, schedule, placed)
        found = played(launches, placed.arena_bytes)
        assert wrong_launches(launches, found, straight(graph)) == [], seed
        assert not found.beyond and found.written_bytes <= placed.arena_bytes
        assert sum(launch.in_place for launch in launches) == len(placed.in_place)
        taken += sum(placed.buffers[taker].size_bytes > 0 for taker, _ in placed.in_place)
    assert taken > 20


def test_an_op_a_byte_beside_the_input_it_is_written_over_is_found() -> None:
    faults = 0
    for seed in range(20):
        graph, schedule = random_case(seed)
        graph = writing_in_place(graph, seed)
        placed = layout(graph, schedule, alignment_bytes=1)
        takers = [taker for taker, _ in placed.in_place if placed.buffers[taker].size_bytes]
        if not takers:
            continue
        moved = random.Random(seed).choice(takers)
        offsets = tuple(offset + (index == moved) for index, offset in enumerate(placed.offsets))
        beside = replace(placed, offsets=offsets, arena_bytes=placed.arena_bytes + 1)
        with pytest.raises(BadLayout):
            check_schedule_layout(graph, schedule, beside)
        launches = scheduled_launches(graph, schedule, beside)
        assert sum(launch.in_place for launch in launches) < len(placed.in_place)
        assert wrong(graph, launches, beside.arena_bytes), seed
        faults += 1
    assert faults > 8


def test_an_input_written_over_too_early_is_found() -> None:
    specs = [
        OpSpec("x", 1, (), (("x", 8),)),
        OpSpec("y", 1, ("x",), (("y", 8),), in_place=("x",)),
        OpSpec("z", 1, ("x", "y"), (("z", 8),)),
    ]
    graph = build_graph(specs, ["z"])
    schedule = schedule_from_computes(graph, range(3))
    placed = layout(graph, schedule, alignment_bytes=1)
    assert placed.in_place == ()
    over = replace(placed, offsets=(0, 0, 8))
    with pytest.raises(InvalidInput, match="it writes over buffers of others"):
        scheduled_launches(graph, schedule, replace(over, in_place=((1, 0),)))
    launches = scheduled_launches(graph, schedule, over)
    assert wrong(graph, launches, 16) == [1, 2, 3]
    assert wrong(graph, (launches[0], replace(launches[1], in_place=True), *launches[2:]), 16) == [2, 3]


def addresses(placed: Layout) -> Iterator[tuple[int, Buffer]]:
    """Of buffers that are not empty."""
    return ((offset, each) for offset, each in zip(placed.offsets, placed.buffers, strict=True) if each.size_bytes)


def test_the_two_runs_have_their_own_words() -> None:
    first, second = straight(chain(3)).digests
    assert len(first) == len(second) == 8
    assert len({*first, *second}) == 16


# Faults


def skipped_recompute(seed: int) -> tuple[Graph, tuple[Launch, ...], int] | None:
    """A recompute that something reads is left out; what was dropped before it is dropped all the same."""
    graph, schedule = random_case(seed)
    placed = layout(graph, schedule, alignment_bytes=1)
    launches = scheduled_launches(graph, schedule, placed)
    fitting = [
        index
        for index, launch in enumerate(launches)
        if any(before.op == launch.op for before in launches[:index])
        and any(graph.sizes[value] and reads(graph, launches, index, value) for value in graph.ops[launch.op].outputs)
    ]
    if not fitting:
        return None
    index = random.Random(seed).choice(fitting)
    after = replace(launches[index + 1], ended=launches[index].ended + launches[index + 1].ended)
    return graph, (*launches[:index], after, *launches[index + 2 :]), placed.arena_bytes


def reads(graph: Graph, launches: tuple[Launch, ...], index: int, value: int) -> list[int]:
    """Which launches read this instance of a value, which launch ``index`` writes."""
    found = []
    for later in range(index + 1, len(launches)):
        op = launches[later].op
        if op == launches[index].op:
            break
        if value in (graph.ops[op].inputs if op < len(graph.ops) else (graph.outputs[op - len(graph.ops)],)):
            found.append(later)
    return found


def read_buffers(graph: Graph, schedule: Schedule, placed: Layout) -> list[tuple[int, int, list[int]]]:
    """For each buffer of some bytes: its position, the launch that writes it, and those that read it."""
    launches = scheduled_launches(graph, schedule, placed)
    found: list[tuple[int, int, list[int]]] = []
    position = 0
    for index, launch in enumerate(launches[: len(schedule.computes)]):
        for value in graph.ops[launch.op].outputs:
            found.append((position, index, reads(graph, launches, index, value)))
            position += 1
        if graph.ops[launch.op].workspace_bytes:
            found.append((position, index, []))
            position += 1
    return [each for each in found if placed.buffers[each[0]].size_bytes]


def overlap_by_a_byte(seed: int) -> tuple[Graph, tuple[Launch, ...], int] | None:
    """All buffers lie apart, but for two: one is written over the last byte of another that is still to be read."""
    graph, schedule = random_case(seed)
    placed = layout(graph, schedule, alignment_bytes=1)
    listed = read_buffers(graph, schedule, placed)
    pairs = [
        (first, second)
        for first, made, readers in listed
        for second, over, _ in listed
        if first != second and (made, first) < (over, second) and readers and readers[-1] >= over
        and placed.buffers[first].end > placed.buffers[second].start
    ]  # fmt: skip
    if not pairs:
        return None
    first, second = random.Random(seed).choice(pairs)
    offsets, end = [], 0
    for each in placed.buffers:
        offsets.append(end)
        end += each.size_bytes
    offsets[first], end = end, end + placed.buffers[first].size_bytes
    offsets[second] = end - 1
    end += placed.buffers[second].size_bytes
    return faulty(graph, schedule, replace(placed, offsets=tuple(offsets), arena_bytes=end))


def freed_early(seed: int) -> tuple[Graph, tuple[Launch, ...], int] | None:
    """The planner is told that a value ends before its last reader runs, and gives its bytes to another one."""
    graph, schedule = random_case(seed)
    placed = layout(graph, schedule, alignment_bytes=1)
    listed = read_buffers(graph, schedule, placed)
    starts = {index: placed.buffers[position].start for position, index, _ in listed}
    random.Random(seed).shuffle(listed)
    for position, made, readers in listed:
        between = [index for index in starts if readers and made < index <= readers[-1]]
        for index in between:
            early = list(placed.buffers)
            early[position] = replace(early[position], end=starts[index])
            moved = replace(place(early, alignment_bytes=1), buffers=placed.buffers)
            taken = range(moved.offsets[position], moved.offsets[position] + early[position].size_bytes)
            for other, over, _ in listed:
                begin = moved.offsets[other]
                shared = begin < taken.stop and taken.start < begin + early[other].size_bytes
                if shared and index <= over <= readers[-1] and other != position:
                    return faulty(graph, schedule, moved)
    return None


def faulty(graph: Graph, schedule: Schedule, placed: Layout) -> tuple[Graph, tuple[Launch, ...], int]:
    with pytest.raises(BadLayout, match="overlap"):
        check_schedule_layout(graph, schedule, placed)
    return graph, scheduled_launches(graph, schedule, placed), placed.arena_bytes


@pytest.mark.parametrize("fault", [skipped_recompute, overlap_by_a_byte, freed_early])
def test_single_faults_are_found(fault: Callable[[int], tuple[Graph, tuple[Launch, ...], int] | None]) -> None:
    """Forty of each kind, on the first graphs that have room for it."""
    cases = islice((case for seed in range(400) if (case := fault(seed)) is not None), 40)
    found = [bool(wrong(*case)) for case in cases]
    assert found == [True] * 40


def test_writes_behind_the_arena_are_found() -> None:
    graph = chain(4)
    launches = straight_launches(graph)
    size = straight_bytes(graph)
    assert not played(launches, size).beyond
    assert played(launches, size - 1).beyond
    assert played(launches, size).written_bytes == size > 1 and size < GUARD_BYTES


def test_workspace_over_an_output_is_found(step: Graph) -> None:
    """The op itself writes its outputs after its workspace; only noise afterwards tells."""
    schedule = schedule_from_computes(step, range(len(step.ops)))
    placed = layout(step, schedule, alignment_bytes=1)
    launches = list(scheduled_launches(step, schedule, placed))
    loss = launches[3]
    launches[3] = replace(loss, workspace=Place(loss.outputs[0].offset + 3, 1))
    assert [launches[index].op for index in wrong(step, tuple(launches), placed.arena_bytes)] == [len(step.ops)]


def test_layouts_of_other_schedules_are_refused(step: Graph) -> None:
    stored = schedule_from_computes(step, range(len(step.ops)))
    again = schedule_from_computes(step, [0, 0, *range(1, len(step.ops))])
    with pytest.raises(InvalidInput, match="not those of the schedule"):
        scheduled_launches(step, again, layout(step, stored))


# Scale, memory, times and the command


def test_scale_divides_sizes(step: Graph) -> None:
    small = scaled(step, 3)
    assert small.sizes == tuple(-(-size // 3) for size in step.sizes)
    assert [op.workspace_bytes for op in small.ops] == [0, 0, 0, 2, 0, 0, 0]
    assert [op.cost for op in small.ops] == [op.cost for op in step.ops]
    assert scaled(step, 1) == step
    with pytest.raises(InvalidInput, match="scale 0: not above zero"):
        scaled(step, 0)


def test_too_little_memory_is_told() -> None:
    with pytest.raises(OutOfBudget, match="--scale"):
        allocated([], 2**60, CPU)
    with pytest.raises(InvalidInput, match="above 8 GiB"):
        allocated([Launch(0, (), (Place(0, 2**33 + 1),))], 1, CPU)


def test_fit_is_the_line_of_least_squares() -> None:
    fit = fitted([0, 1, 2, 5], [1.0, 3.0, 5.0, 11.0])
    assert (fit.seconds_per_cost, fit.seconds_per_launch, fit.r_squared) == pytest.approx((2.0, 1.0, 1.0))
    noisy = fitted([0, 1, 2], [0.0, 1.0, 0.0])
    assert (noisy.seconds_per_cost, noisy.seconds_per_launch, noisy.r_squared) == pytest.approx((0.0, 1 / 3, 0.0))
    assert fitted([4, 4], [1.0, 3.0]).r_squared is None


def test_report_of_a_schedule() -> None:
    graph, schedule = random_case(3)
    report = validate_instance(graph, schedule, alignment_bytes=1, device=CPU, repeats=1)
    assert report["bit_equal"] and report["wrong"] == []
    assert report["checksum"] == report["straight_checksum"]
    assert report["measured_arena_bytes"] == report["arena_bytes"] == report["predicted_peak_bytes"]
    assert report["launches"] == len(schedule.computes) and report["recomputes"] > 0
    assert report["seconds"] > 0 and report["time_fit"]["seconds_per_cost"] > 0
    graph = writing_in_place(graph, 3)
    arenas = []
    for in_place in (False, True):
        report = validate_instance(graph, schedule, in_place=in_place, alignment_bytes=1, device=CPU, repeats=1)
        assert report["bit_equal"] and report["measured_arena_bytes"] == report["predicted_aligned_peak_bytes"]
        assert (report["written_in_place"] > 0) == in_place
        arenas.append(report["measured_arena_bytes"])
    assert arenas[0] == report["predicted_peak_bytes"] >= arenas[1]


@pytest.mark.parametrize("form", ["checkmate", "moccasin", "own"])
def test_command_plays_instances(
    form: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    path, schedule = tmp_path / "instance.json", tmp_path / "schedule.json"
    if form == "own":
        save_graph(request.getfixturevalue("step"), path)
    else:
        write_json(path, request.getfixturevalue(form))
    graph = load_graph(path)
    save_schedule(schedule_from_computes(graph, [0, 0, *range(1, len(graph.ops))]), graph, schedule)
    code = main(["validate", str(path), str(schedule), "--kernels", "--scale", "2", "--repeats", "1"])
    report = json.loads(capsys.readouterr().out)
    assert (code, report["bit_equal"], report["scale"], report["recomputes"]) == (0, True, 2, 1)
    assert (report["predicted_overhead"] > 0) == (graph.ops[0].cost > 0)


def test_command_names_bad_arguments(step: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, schedule = tmp_path / "step.json", tmp_path / "schedule.json"
    save_graph(step, path)
    save_schedule(schedule_from_computes(step, range(len(step.ops))), step, schedule)
    for arguments, message in (
        (["--scale", "2"], "--scale 2: is of --kernels only"),
        (["--in-place"], "--in-place: is of --kernels only"),
        (["--kernels", "--scale", "0"], "scale 0: not above zero"),
        (["--kernels", "--layers", "3"], "--layers: of the zoo's models only"),
    ):
        assert main(["validate", str(path), str(schedule), *arguments]) == 2
        assert message in capsys.readouterr().err
