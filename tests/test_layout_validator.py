"""The validator of layouts: every kind of fault is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packings import meet, random_buffers
from strategies import graphs
from walks import random_walk

from hcb_opt.graph import Graph
from hcb_opt.layout import Buffer, Layout, layout, place
from hcb_opt.layout.instances import value_instances
from hcb_opt.layout.validator import BadLayout, check_layout, check_schedule_layout
from hcb_opt.schedule import Compute, Schedule, schedule_from_computes

BUFFERS = (Buffer("a", 0, 4, 100), Buffer("b", 2, 6, 50), Buffer("c", 4, 8, 120), Buffer("nothing", 0, 8, 0))
GOOD = Layout(BUFFERS, (0, 128, 0, 0), 64, 192, 192, 192, 0, "hand", 0.0)


def moved(index: int, offset: int) -> Layout:
    offsets = list(GOOD.offsets)
    offsets[index] = offset
    return replace(GOOD, offsets=tuple(offsets))


def reshaped(index: int, **fields: int) -> Layout:
    buffers = list(BUFFERS)
    buffers[index] = replace(buffers[index], **fields)
    return replace(GOOD, buffers=tuple(buffers))


def test_a_right_layout_passes() -> None:
    check_layout(GOOD)
    check_layout(GOOD, capacity_bytes=192)


@pytest.mark.parametrize(
    ("fault", "rule", "reason"),
    [
        (moved(1, 64), "overlap", "'a' (steps 0 to 3) and 'b' (steps 2 to 5) share bytes 64 to 99 at step 2"),
        (reshaped(2, start=3), "overlap", "'a' (steps 0 to 3) and 'c' (steps 3 to 7) share bytes 0 to 99 at step 3"),
        (reshaped(2, size_bytes=129), "overlap", "'b' (steps 2 to 5) and 'c' (steps 4 to 7) share bytes 128 to 128 at"),
        (moved(1, 130), "alignment", "'b' (steps 2 to 5) lies at 130, no multiple of 64 bytes"),
        (moved(1, -64), "place", "'b' (steps 2 to 5) lies at -64, below the arena"),
        (moved(2, 128), "arena", "'c' (steps 4 to 7) ends at byte 248, the arena at 192"),
        (reshaped(0, end=0), "lifetime", "'a' (steps 0 to -1) ends before it starts"),
        (replace(GOOD, offsets=(0, 128, 0)), "count", "3 offsets for 4 buffers"),
    ],
)
def test_faults_are_named(fault: Layout, rule: str, reason: str) -> None:
    with pytest.raises(BadLayout) as caught:
        check_layout(fault)
    assert caught.value.rule == rule and caught.value.reason.startswith(reason)


def test_the_capacity_is_kept() -> None:
    with pytest.raises(BadLayout, match="capacity: the arena has 192 bytes, the capacity is 191"):
        check_layout(GOOD, capacity_bytes=191)


@given(st.integers(0, 100_000), st.lists(st.integers(0, 12), min_size=10, max_size=10))
@settings(max_examples=150, deadline=None)
def test_overlaps_are_those_of_all_pairs(seed: int, offsets: list[int]) -> None:
    buffers = random_buffers(seed, 5)
    pairs = [(one, other) for one in range(len(buffers)) for other in range(one) if meet(buffers[one], buffers[other])]
    clash = any(
        offsets[one] < offsets[other] + buffers[other].size_bytes
        and offsets[other] < offsets[one] + buffers[one].size_bytes
        for one, other in pairs
    )
    tried = Layout(buffers, tuple(offsets[: len(buffers)]), 1, 20, 0, 0, 0, "chance", 0.0)
    if clash:
        with pytest.raises(BadLayout, match=r"overlap: .* share bytes .* at step"):
            check_layout(tried)
    else:
        check_layout(tried)


@given(st.integers(0, 100_000), st.data())
@settings(max_examples=60, deadline=None)
def test_moving_a_buffer_onto_another_is_found(seed: int, data: st.DataObject) -> None:
    buffers = random_buffers(seed, 8)
    found = place(buffers, time_limit=1)
    pairs = [(one, other) for one in range(len(buffers)) for other in range(one) if meet(buffers[one], buffers[other])]
    if not pairs:
        return
    one, other = data.draw(st.sampled_from(pairs))
    offsets = list(found.offsets)
    offsets[one] = offsets[other]
    with pytest.raises(BadLayout):
        check_layout(replace(found, offsets=tuple(offsets)))


def forgotten(found: Layout) -> Layout:
    return replace(found, buffers=found.buffers[:-1], offsets=found.offsets[:-1])


def invented(found: Layout) -> Layout:
    return replace(found, buffers=(*found.buffers, Buffer("more", 0, 1, 0)), offsets=(*found.offsets, 0))


def renamed(found: Layout) -> Layout:
    return replace(found, buffers=(replace(found.buffers[0], name="another"), *found.buffers[1:]))


def shrunk(found: Layout) -> Layout:
    return replace(found, buffers=(replace(found.buffers[0], size_bytes=0), *found.buffers[1:]))


def outlived(found: Layout) -> Layout:
    """The first buffer that lives for more than a step ends a step early."""
    index = next(each for each, buffer in enumerate(found.buffers) if buffer.end > buffer.start + 1)
    buffers = list(found.buffers)
    buffers[index] = replace(buffers[index], end=buffers[index].end - 1)
    return replace(found, buffers=tuple(buffers))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (forgotten, "'g1', needed at step 10, has no buffer"),
        (invented, "'more' (steps 0 to 0) is no buffer of the schedule"),
        (renamed, "'another' (steps 0 to 7) with 10 bytes stands where 'x1' with 10 bytes at step 0 should"),
        (shrunk, "'x1' (steps 0 to 7) with 0 bytes stands where 'x1' with 10 bytes at step 0 should"),
        (outlived, "'x1' (steps 0 to 6) is held until step 8, not 7"),
    ],
)
def test_layouts_of_another_schedule_are_refused(step: Graph, change: Callable[[Layout], Layout], reason: str) -> None:
    schedule = schedule_from_computes(step, range(len(step.ops)))
    found = layout(step, schedule)
    check_schedule_layout(step, schedule, found)
    with pytest.raises(BadLayout) as caught:
        check_schedule_layout(step, schedule, change(found))
    assert (caught.value.rule, caught.value.reason) == ("schedule", reason)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_step_too_few_or_too_many_is_found_of_any_buffer(step: Graph, change: int) -> None:
    """Values dropped, replaced while held or held to the end, and the workspace; all far apart, so none overlap."""
    schedule = Schedule(tuple(Compute(op) for op in (0, 1, 2, 3, 4, 0, 5, 6)))
    buffers = value_instances(step, schedule)
    offsets = tuple(64 * index for index in range(len(buffers)))
    apart = Layout(buffers, offsets, 64, 64 * len(buffers), 0, 0, 0, "hand", 0.0)
    check_schedule_layout(step, schedule, apart)
    for index, buffer in enumerate(buffers):
        changed = (*buffers[:index], replace(buffer, end=buffer.end + change), *buffers[index + 1 :])
        with pytest.raises(BadLayout, match=f"lifetime: |is held until step {buffer.end}, not {buffer.end + change}"):
            check_schedule_layout(step, schedule, replace(apart, buffers=changed))


@given(graphs(), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_later_schedule_needs_another_layout(graph: Graph, seed: int) -> None:
    """One compute more of an op with outputs, at the end: the buffers of the schedule are no longer those."""
    schedule = schedule_from_computes(graph, random_walk(graph, seed))
    found = layout(graph, schedule, time_limit=0.2)
    ready = [position for position, op in enumerate(graph.ops) if op.outputs and not op.inputs]
    if ready:
        longer = Schedule((*schedule.actions, Compute(ready[0])))
        with pytest.raises(BadLayout, match="schedule: "):
            check_schedule_layout(graph, longer, found)
