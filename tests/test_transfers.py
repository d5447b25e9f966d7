"""The judge of schedules with transfers: figures by hand, every rule, and an independent simulation."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs
from test_io import validate
from transfer_schedules import random_transfers, with_dtypes
from walks import random_walk

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.io import load_schedule, save_schedule
from hcb_opt.layout import layout
from hcb_opt.layout.instances import value_instances
from hcb_opt.proof_text import schedule_lines
from hcb_opt.replay import IllegalSchedule, Replay, replay
from hcb_opt.schedule import (
    Action,
    Compress,
    Compute,
    Decompress,
    Discard,
    Drop,
    Offload,
    Prefetch,
    Schedule,
    schedule_from_computes,
)
from hcb_opt.transfers.link import INSTANT, Link, link_of
from hcb_opt.transfers.replay import replay_transfers

# 10 bytes a unit to the host, 5 back, and one unit for each copy: x1 takes 2 and 3 units, x2 takes 3 and 5.
LINK = Link(10, 5, 1, 1)
LINKS = st.builds(
    Link, st.integers(1, 20), st.integers(1, 20), st.integers(0, 5), st.sampled_from((1, 3)), st.integers(1, 20)
)
X1, X2, X3 = 0, 2, 3


def computes(*positions: int) -> tuple[Compute, ...]:
    return tuple(map(Compute, positions))


def test_a_hidden_copy_costs_nothing(step: Graph) -> None:
    """x1 leaves while layer2 and layer3 run, and comes back while the loss and grad3 do."""
    actions = (Compute(0), Offload(X1), *computes(1, 2), Drop(X1), Prefetch(X1), *computes(3, 4, 5, 6))
    judged = replay_transfers(step, Schedule(actions), LINK)
    assert (judged.cost, judged.waited, judged.host_peak_bytes) == (27, 0, 10)
    assert judged.timeline_bytes == (12, 12, 32, 52, 42, 52, 62, 64, 72, 80)
    assert (judged.peak_bytes, judged.peak_step) == (80, 9)


def test_waits_by_hand(step: Graph) -> None:
    """The drop waits for the offload, the compute for the prefetch, and both count."""
    actions = (Compute(0), Offload(X1), Compute(1), Offload(X2), Drop(X2), Prefetch(X2), *computes(2, 3, 4, 5, 6))
    judged = replay_transfers(step, Schedule(actions), LINK)
    # x1: 3 to 5. x2: 8 to 11, and from 11 back until 16.
    assert judged.waits == (0, 0, 0, 0, 3, 0, 5, 0, 0, 0, 0, 0)
    assert (judged.cost, judged.host_peak_bytes) == (27 + 8, 30)


def test_copies_of_one_direction_follow_each_other(step: Graph) -> None:
    """Both are offloaded after layer2, at 8: x1 until 10, x2 until 13. They come back x2 first: 18, then x1: 21."""
    moved = (Offload(X1), Offload(X2), Drop(X1), Drop(X2), Prefetch(X2), Prefetch(X1))
    judged = replay_transfers(step, Schedule((*computes(0, 1), *moved, *computes(2, 3, 4, 5, 6))), LINK)
    assert judged.waits == (0, 0, 0, 0, 2, 3, 0, 0, 5, 0, 0, 0, 0, 0)
    direct = (*computes(0, 1), *moved, Compute(2), Drop(X1), *computes(0, 3, 4, 5, 6))
    judged = replay_transfers(step, Schedule(direct), LINK)
    # After layer3, at 23, x1 is there: its drop waits for nothing.
    assert judged.waits == (0, 0, 0, 0, 2, 3, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0)


def test_the_end_waits_for_outputs() -> None:
    graph = build_graph([OpSpec("a", 1, (), (("x", 10),)), OpSpec("b", 1, ("x",), (("y", 1),))], ["x"])
    actions = (Compute(0), Offload(0), Compute(1), Drop(0), Prefetch(0))
    judged = replay_transfers(graph, Schedule(actions), LINK)
    assert judged.waits == (0, 0, 0, 1, 0, 3)
    assert judged.cost == 6


def test_what_replaces_a_value_waits_for_its_copies(step: Graph) -> None:
    judged = replay_transfers(step, Schedule((Compute(0), Offload(X1), *computes(0, 1, 2, 3, 4, 5, 6))), LINK)
    assert judged.waits == (0, 0, 2, *[0] * 7)
    assert judged.timeline_bytes[:3] == (12, 12, 12)


@pytest.mark.parametrize(
    ("actions", "illegal_step", "reason"),
    [
        ((Offload(X1),), 0, "value 'x1' is offloaded but not resident"),
        ((Compute(0), Offload(X1), Offload(X1)), 2, "value 'x1' is offloaded twice"),
        ((Compute(0), Drop(X1), Prefetch(X1)), 2, "value 'x1' is prefetched but was not offloaded"),
        ((Compute(0), Offload(X1), Prefetch(X1)), 2, "value 'x1' is prefetched but still resident"),
        ((Compute(0), Offload(X1), Drop(X1), Compute(1)), 3, "reads value 'x1', which is not resident"),
        ((Offload(8),), 0, "there is no value 8"),
        ((Prefetch(-1),), 0, "there is no value -1"),
        ((Compute(7),), 0, "there is no op 7"),
        ((Drop(X1),), 0, "value 'x1' is dropped but not resident"),
        ((Compute(0), Offload(X1)), 2, "op 'layer2' is never computed"),
        ((*computes(*range(7)), Offload(7), Drop(7)), 9, "output 'g1' is not resident at the end"),
    ],
)
def test_illegal_steps(step: Graph, actions: tuple[Action, ...], illegal_step: int, reason: str) -> None:
    with pytest.raises(IllegalSchedule) as caught:
        replay_transfers(step, Schedule(actions), LINK)
    assert caught.value.step == illegal_step
    assert reason in caught.value.reason


@given(graphs(max_ops=10), st.integers(0, 10**6), LINKS)
def test_without_transfers_it_is_replay(graph: Graph, seed: int, link: Link) -> None:
    schedule = schedule_from_computes(graph, random_walk(graph, seed))
    judged, expected = replay_transfers(graph, schedule, link), replay(graph, schedule)
    assert [getattr(judged, each.name) for each in fields(Replay)] == [
        getattr(expected, each.name) for each in fields(Replay)
    ]
    assert (judged.waited, judged.host_peak_bytes) == (0, 0)


@given(graphs(max_ops=10), st.integers(0, 10**6), LINKS)
def test_judged_as_simulated(graph: Graph, seed: int, link: Link) -> None:
    graph = with_dtypes(graph, seed)
    schedule = random_transfers(graph, seed)
    judged = replay_transfers(graph, schedule, link)
    assert judged.deviating == simulated_deviations(graph, schedule)
    assert (judged.peak_bytes, judged.host_peak_bytes) == simulated_bytes(graph, schedule)
    assert judged.cost == simulated_end(graph, schedule, link)
    assert replay_transfers(graph, schedule, INSTANT).waited == 0


def simulated_bytes(graph: Graph, schedule: Schedule) -> tuple[int, int]:
    """Peaks on device and host: at each action, what the actions up to it leave there."""
    peak, on_host = 0, {each.value for each in schedule.actions if isinstance(each, Offload)}
    for step, action in enumerate(schedule.actions):
        there: set[int] = set()
        compressed: dict[int, int] = {}
        for before in schedule.actions[: step + 1]:
            if isinstance(before, Compute):
                there |= {*graph.ops[before.op].outputs}
            elif isinstance(before, Drop):
                there -= {before.value}
            elif isinstance(before, Prefetch | Decompress):
                there |= {before.value}
            elif isinstance(before, Compress):
                compressed[before.value] = packed_bytes(graph, before)
            elif isinstance(before, Discard):
                del compressed[before.value]
        workspace = graph.ops[action.op].workspace_bytes if isinstance(action, Compute) else 0
        held = sum(graph.sizes[value] for value in there) + sum(compressed.values())
        peak = max(peak, held + workspace)
    return peak, sum(graph.sizes[value] for value in on_host)


def packed_bytes(graph: Graph, action: Compress) -> int:
    """A bit or two bytes per element, or one and four for every 256."""
    value = graph.values[action.value]
    elements = value.size_bytes // {"bool": 1, "bfloat16": 2, "float32": 4}[value.dtype]
    exact = {"bits": Fraction(elements, 8), "bf16": Fraction(2 * elements), "int8": Fraction(elements, 256)}
    rounded = -(-exact[action.scheme].numerator // exact[action.scheme].denominator)
    return elements + 4 * rounded if action.scheme == "int8" else rounded


def simulated_deviations(graph: Graph, schedule: Schedule) -> tuple[int, ...]:
    """Whether a lossy copy is among the ancestors of any instance, each instance being named by its step."""
    parents: dict[int, list[int]] = {}
    spoilt: set[int] = set()
    made: dict[tuple[int, str], int] = {}
    found = set()
    for step, action in enumerate(schedule.actions):
        if isinstance(action, Compute):
            read = [(value, "here") for value in graph.ops[action.op].inputs]
            written = [(value, "here") for value in graph.ops[action.op].outputs]
        elif isinstance(action, Drop | Discard):
            continue
        else:
            source, target = {
                "Offload": ("here", "host"),
                "Prefetch": ("host", "here"),
                "Compress": ("here", "packed"),
                "Decompress": ("packed", "here"),
            }[type(action).__name__]
            read, written = [(action.value, source)], [(action.value, target)]
        parents[step] = [made[each] for each in read]
        if (isinstance(action, Compress) and action.scheme != "bits") or spoilt & {*parents[step]}:
            spoilt.add(step)
        for value, place in written:
            made[value, place] = step
            if place == "here" and step in spoilt:
                found.add(value)
    return tuple(sorted(found))


def simulated_end(graph: Graph, schedule: Schedule, link: Link) -> int:
    """The longest path through what has to wait for what: events and their durations, without any clock."""
    ends: list[int] = []

    def event(duration: int, after: list[int | None]) -> int:
        ends.append(duration + max((ends[each] for each in after if each is not None), default=0))
        return len(ends) - 1

    def duration(value: int, bytes_per_second: int) -> int:
        exact = Fraction(graph.sizes[value] * link.units_per_second, bytes_per_second)
        return link.latency + -(-exact.numerator // exact.denominator)

    def moved(size_bytes: int) -> int:
        exact = Fraction(size_bytes * link.units_per_second, link.device_bytes_per_second)
        return link.latency + -(-exact.numerator // exact.denominator)

    packed: dict[int, int] = {}
    computes_end: int | None = None
    out_end: int | None = None
    in_end: int | None = None
    copy_out: dict[int, int] = {}
    current: dict[int, list[int]] = {}  # copies from and to the resident instance
    arrivals: dict[int, int] = {}
    for action in schedule.actions:
        if isinstance(action, Compute):
            op = graph.ops[action.op]
            after = [arrivals.get(value) for value in op.inputs]
            after += [each for value in op.outputs for each in current.get(value, ())]
            computes_end = event(op.cost, [computes_end, *after])
            for value in op.outputs:
                current[value] = []
                arrivals.pop(value, None)
        elif isinstance(action, Drop):
            computes_end = event(0, [computes_end, *current.pop(action.value)])
            arrivals.pop(action.value, None)
        elif isinstance(action, Offload):
            out_end = event(duration(action.value, link.offload_bytes_per_second), [computes_end, out_end])
            copy_out[action.value] = out_end
            current[action.value].append(out_end)
        elif isinstance(action, Compress):
            packed[action.value] = graph.sizes[action.value] + packed_bytes(graph, action)
            read = [computes_end, arrivals.get(action.value)]
            computes_end = event(moved(packed[action.value]), read)
        elif isinstance(action, Decompress):
            computes_end = event(moved(packed[action.value]), [computes_end])
            current[action.value] = []
        elif isinstance(action, Discard):
            continue
        else:
            value = action.value
            in_end = event(duration(value, link.prefetch_bytes_per_second), [computes_end, in_end, copy_out[value]])
            current[value] = [in_end]
            arrivals[value] = in_end
    last = event(0, [computes_end, *(arrivals.get(value) for value in graph.outputs)])
    return ends[last]


def test_a_lossless_copy_of_what_deviates_deviates() -> None:
    graph = build_graph(
        [
            OpSpec("a", 1, (), (("x", 8),), dtypes=("float32",)),
            OpSpec("b", 1, ("x",), (("mask", 8),), dtypes=("bool",)),
            OpSpec("c", 1, ("mask",), (("y", 1),)),
        ],
        ["y"],
    )

    def squeezed(value: int, scheme: str) -> tuple[Action, ...]:
        return Compress(value, scheme), Drop(value), Decompress(value), Discard(value)

    actions = (Compute(0), *squeezed(0, "bf16"), Compute(1), *squeezed(1, "bits"), Compute(2))
    assert replay_transfers(graph, Schedule(actions, lossy=True), INSTANT).deviating == (0, 1, 2)
    again = (*actions, Compute(0), Compute(1), *squeezed(1, "bits"), Compute(2))
    judged = replay_transfers(graph, Schedule(again, lossy=True), INSTANT)
    assert judged.deviating == (0, 1, 2)  # at some time
    clean = (*computes(0, 1), *squeezed(1, "bits"), Compute(2))
    assert replay_transfers(graph, Schedule(clean), INSTANT).deviating == ()
    with pytest.raises(IllegalSchedule, match="step 1: scheme 'bf16' loses something"):
        replay_transfers(graph, Schedule(actions), INSTANT)
    with pytest.raises(IllegalSchedule, match="scheme 'bits': not for value 'x' of float32; it serves bool"):
        replay_transfers(graph, Schedule((Compute(0), Compress(0, "bits"))), INSTANT)
    with pytest.raises(InvalidInput, match="say at what rate values are compressed"):
        replay_transfers(graph, Schedule(clean), LINK)


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        ((Compress(0, "bits"),), "value 'x1' is compressed but not resident"),
        ((Compute(0), Decompress(0)), "value 'x1' is decompressed but has no compressed copy"),
        ((Compute(0), Compress(0, "bf16"), Decompress(0)), "value 'x1' is decompressed but still resident"),
        ((Compute(0), Compress(0, "bf16"), Compress(0, "int8")), "value 'x1' is compressed twice"),
        ((Compute(0), Discard(0)), "value 'x1' has no compressed copy to discard"),
        ((Compute(0), Compress(0, "zip")), "scheme 'zip': unknown"),
        ((Compute(0), Compress(1, "bf16")), "scheme 'bf16': not for value 'mask' of unknown dtype"),
    ],
)
def test_illegal_compressed_copies(step: Graph, actions: tuple[Action, ...], reason: str) -> None:
    values = (replace(step.values[0], size_bytes=12, dtype="float32"), *step.values[1:])
    with pytest.raises(IllegalSchedule) as caught:
        replay_transfers(replace(step, values=values), Schedule(actions, lossy=True), INSTANT)
    assert caught.value.step == len(actions) - 1
    assert reason in caught.value.reason


@given(graphs(max_ops=10), st.integers(0, 10**6))
def test_files_keep_transfers(graph: Graph, seed: int) -> None:
    graph = with_dtypes(graph, seed)
    schedule = random_transfers(graph, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schedule.json"
        save_schedule(schedule, graph, path)
        validate(json.loads(path.read_text()), "schedule")
        assert load_schedule(path, graph) == schedule


def test_those_who_know_no_transfers_refuse_them_by_name(step: Graph) -> None:
    schedule = Schedule((Compute(0), Offload(X1), *computes(*range(1, 7))))
    with pytest.raises(IllegalSchedule, match="step 1: 'offload' is not known here, only computes and drops are"):
        replay(step, schedule)
    with pytest.raises(IllegalSchedule, match="'offload' is not known here"):
        layout(step, schedule)
    for refuse in (lambda: value_instances(step, schedule), lambda: schedule_lines(schedule)):
        with pytest.raises(InvalidInput, match=r"actions\[1\] is 'offload', and only computes and drops are known"):
            refuse()


def test_links_of_devices(step: Graph) -> None:
    with pytest.raises(InvalidInput, match="does not say which device"):
        link_of(step)
    with pytest.raises(InvalidInput, match="costs in 'unit', not ns"):
        link_of(step, "h200")
    timed = replace(step, cost_unit="ns", facts={"cost_model": "roofline:h200"})
    host, device = 64 * 10**9, 4800 * 10**9
    assert link_of(timed) == link_of(timed, "h200") == Link(host, host, 4000, device_bytes_per_second=device)
    assert link_of(timed, "a100", 10**9).prefetch_cost(1000) == 4000 + 1000
    with pytest.raises(InvalidInput, match="did you mean 'h200'"):
        link_of(timed, "h20")


@pytest.mark.parametrize("figures", [(0, 1), (1, -1), (1, 1, -1), (1.5, 1), (True, 1)])
def test_links_are_whole_numbers(figures: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="is not a whole number"):
        Link(*figures)
