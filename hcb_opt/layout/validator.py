"""Whether a layout holds what it claims: no two buffers share bytes at any step.

Shares no code with what makes layouts: buffers are walked through in time, and a
schedule's are told apart here once more, by playing its actions.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Sequence

from hcb_opt.errors import HcbOptError
from hcb_opt.graph import Graph
from hcb_opt.layout.address_map import Layout
from hcb_opt.layout.instances import Buffer, Kind
from hcb_opt.schedule import Compute, Drop, Schedule, require_plain


class BadLayout(HcbOptError, ValueError):
    """A layout that breaks a rule.

    Parameters
    ----------
    rule : str
        ``count``, ``lifetime``, ``place``, ``alignment``, ``arena``, ``capacity``,
        ``overlap``, ``in place`` or ``schedule``.
    reason : str
        How, naming the buffers, bytes and step.
    """

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{rule}: {reason}")
        self.rule, self.reason = rule, reason


def check_layout(layout: Layout, capacity_bytes: int | None = None) -> None:
    """Check that no two buffers share bytes while both are held, and that all lie where they may.

    Those of ``layout.in_place`` share all their bytes; whether an op could do that
    shows in its schedule only.

    Parameters
    ----------
    layout : Layout
    capacity_bytes : int, optional
        The arena may not be larger.

    Raises
    ------
    BadLayout
        At the first fault.
    """
    if len(layout.offsets) != len(layout.buffers):
        raise BadLayout("count", f"{len(layout.offsets)} offsets for {len(layout.buffers)} buffers")
    for buffer, offset in zip(layout.buffers, layout.offsets, strict=True):
        _check_place(buffer, offset, layout)
    if capacity_bytes is not None and layout.arena_bytes > capacity_bytes:
        raise BadLayout("capacity", f"the arena has {layout.arena_bytes} bytes, the capacity is {capacity_bytes}")
    _check_apart(layout, _check_pairs(layout))


def check_schedule_layout(graph: Graph, schedule: Schedule, layout: Layout) -> None:
    """Check a layout, and that its buffers are those of a schedule, written over only where an op could.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule
        Legal, as judged by `hcb_opt.replay`.
    layout : Layout

    Raises
    ------
    BadLayout
        At the first fault.
    InvalidInput
        If the schedule has transfers.
    """
    require_plain(schedule, "layout")
    check_layout(layout)
    waiting = iter(layout.buffers)
    held: dict[str, Buffer] = {}

    def expect(name: str, step: int, size_bytes: int, workspace: bool = False) -> Buffer:
        buffer = next(waiting, None)
        if buffer is None:
            raise BadLayout("schedule", f"'{name}', needed at step {step}, has no buffer")
        if (buffer.name, buffer.start, buffer.size_bytes) != (name, step, size_bytes):
            wanted = f"'{name}' with {size_bytes} bytes at step {step}"
            raise BadLayout("schedule", f"{_shown(buffer)} with {buffer.size_bytes} bytes stands where {wanted} should")
        if (buffer.kind is Kind.WORKSPACE) != workspace:
            raise BadLayout("schedule", f"{_shown(buffer)} is to be a {'workspace' if workspace else 'value'}")
        return buffer

    def release(buffer: Buffer, step: int) -> None:
        if buffer.end != step:
            raise BadLayout("schedule", f"{_shown(buffer)} is held until step {step}, not {buffer.end}")

    for step, action in enumerate(schedule.actions):
        if isinstance(action, Compute):
            op = graph.ops[action.op]
            for value in op.outputs:
                name = graph.values[value].name
                if name in held:
                    release(held.pop(name), step)
                held[name] = expect(name, step, graph.values[value].size_bytes)
            if op.workspace_bytes:
                release(expect(op.name, step, op.workspace_bytes, workspace=True), step + 1)
        else:
            release(held.pop(graph.values[action.value].name), step)
    for buffer in held.values():
        release(buffer, len(schedule.actions))
    left = next(waiting, None)
    if left is not None:
        raise BadLayout("schedule", f"{_shown(left)} is no buffer of the schedule")
    for taker, giver in layout.in_place:
        _check_takeover(graph, schedule, layout.buffers[taker], layout.buffers[giver])


def _check_takeover(graph: Graph, schedule: Schedule, taker: Buffer, giver: Buffer) -> None:
    """The op that begins the one could write it over the other, which is dropped before anything else happens."""
    action = schedule.actions[taker.start]
    op = graph.ops[action.op] if isinstance(action, Compute) else None
    if op is None or taker.kind is Kind.WORKSPACE or len(op.outputs) != 1:
        raise BadLayout("in place", f"{_shown(taker)} is no op's only output")
    if giver.name not in [graph.values[value].name for value in op.in_place]:
        raise BadLayout("in place", f"op '{op.name}' may not write over {_shown(giver)}")
    following = schedule.actions[taker.start + 1 : giver.end + 1]
    dropped = [graph.values[each.value].name for each in following if isinstance(each, Drop)]
    if len(dropped) < len(following) or dropped[-1:] != [giver.name]:
        raise BadLayout("in place", f"{_shown(giver)} is not dropped right after op '{op.name}', which writes over it")


def _check_place(buffer: Buffer, offset: int, layout: Layout) -> None:
    if buffer.start >= buffer.end:
        raise BadLayout("lifetime", f"{_shown(buffer)} ends before it starts")
    if offset < 0:
        raise BadLayout("place", f"{_shown(buffer)} lies at {offset}, below the arena")
    if offset % layout.alignment_bytes:
        raise BadLayout(
            "alignment", f"{_shown(buffer)} lies at {offset}, no multiple of {layout.alignment_bytes} bytes"
        )
    if offset + buffer.size_bytes > layout.arena_bytes:
        end = offset + buffer.size_bytes
        raise BadLayout("arena", f"{_shown(buffer)} ends at byte {end}, the arena at {layout.arena_bytes}")


def _check_pairs(layout: Layout) -> list[int]:
    """That what is written over another buffer lies right there; for each buffer, when its bytes are given up."""
    ends = [buffer.end for buffer in layout.buffers]
    takers: set[int] = set()
    givers: set[int] = set()
    for taker, giver in layout.in_place:
        if not (0 <= taker < len(ends) and 0 <= giver < len(ends)):
            raise BadLayout("in place", f"({taker}, {giver}) are no two of {len(ends)} buffers")
        one, other = layout.buffers[taker], layout.buffers[giver]
        both = f"{_shown(one)} is to be written over {_shown(other)}"
        if taker in takers or giver in givers:
            raise BadLayout("in place", f"{both}, and so is another, or it over another")
        if not other.start < one.start < other.end:
            raise BadLayout("in place", f"{both}, which is not held when it starts")
        if (layout.offsets[taker], one.size_bytes) != (layout.offsets[giver], other.size_bytes):
            places = [f"{layout.buffers[each].size_bytes} bytes at {layout.offsets[each]}" for each in (taker, giver)]
            raise BadLayout("in place", f"{both}, but they have {' and '.join(places)}")
        takers.add(taker)
        givers.add(giver)
        ends[giver] = one.start
    return ends


def _check_apart(layout: Layout, ends: Sequence[int]) -> None:
    """Walk through the starts in time, with what is held sorted by its first byte."""
    held: list[tuple[int, int, int]] = []
    ending: list[tuple[int, int]] = []
    order = sorted(range(len(layout.buffers)), key=lambda index: layout.buffers[index].start)
    for index in order:
        buffer = layout.buffers[index]
        if not buffer.size_bytes:
            continue
        while ending and ending[0][0] <= buffer.start:
            _, ended = heapq.heappop(ending)
            del held[bisect_left(held, _range_of(layout, ended))]
        entry = _range_of(layout, index)
        place = bisect_left(held, entry)
        for neighbour in held[max(0, place - 1) : place + 1]:
            if neighbour[0] < entry[1] and entry[0] < neighbour[1]:
                other = layout.buffers[neighbour[2]]
                first, last = max(neighbour[0], entry[0]), min(neighbour[1], entry[1]) - 1
                where = f"share bytes {first} to {last} at step {buffer.start}"
                raise BadLayout("overlap", f"{_shown(other)} and {_shown(buffer)} {where}")
        held.insert(place, entry)
        heapq.heappush(ending, (ends[index], index))


def _range_of(layout: Layout, index: int) -> tuple[int, int, int]:
    """First byte, the byte after the last, and which buffer it is."""
    offset = layout.offsets[index]
    return offset, offset + layout.buffers[index].size_bytes, index


def _shown(buffer: Buffer) -> str:
    return f"'{buffer.name}' (steps {buffer.start} to {buffer.end - 1})"
