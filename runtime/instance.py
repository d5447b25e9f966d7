"""Executes a schedule of any graph without its model: hash kernels stand for the ops, one arena holds all values.

What each run of an op should have read is known from the straight evaluation: every op
once, all values kept apart. Its digests agree with the schedule's if, and only if, each
run of an op found all its inputs intact, and so did the end; see
`hcb_opt.runtime.kernels.instance_reference`. Before an op runs, noise is written over
what was released, over its outputs' places and its workspace, and over its workspace again
afterwards: whatever else should have lain there is lost. Only the place of an output that
is written over an input is left as it was. A single byte may equal the noise once in 256
times; therefore everything runs twice, with other hashes.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from types import ModuleType

import torch
from torch import Tensor

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.layout import Layout
from hcb_opt.layout.in_place import takeovers
from hcb_opt.layout.instances import value_instances
from hcb_opt.runtime.errors import OutOfBudget
from hcb_opt.runtime.kernels import instance_reference
from hcb_opt.runtime.kernels.instance_reference import NOWHERE, Launch, Place, finalised
from hcb_opt.schedule import Compute, Schedule, schedule_from_computes

MOST_VALUE_BYTES = 2**33  # words are counted in 32 bits, twice as many at least
GUARD_BYTES = 4096
BLOCK_BYTES = 2**22
FILLS = (0x00, 0xFF)
"""What the arena holds before each of the two runs: a byte that differs from both was never written."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of the launches of a schedule.

    Attributes
    ----------
    digests : tuple of tuple of int
        For each of the two runs, the digest of each launch.
    written_bytes : int
        Up to the last byte of the arena that was written.
    beyond : bool
        Whether something was written behind the arena.
    """

    digests: tuple[tuple[int, ...], ...]
    written_bytes: int
    beyond: bool


def scaled(graph: Graph, factor: int) -> Graph:
    """The graph with all sizes divided by a factor and rounded up, so that large instances run on small machines.

    Parameters
    ----------
    graph : Graph
    factor : int

    Returns
    -------
    Graph
        Every schedule of one is legal for the other. Its peak is no scaled peak: it
        is what the scaled graph holds.

    Raises
    ------
    InvalidInput
        If the factor is below 1.
    """
    if factor < 1:
        raise InvalidInput(f"scale {factor}", "not above zero", "give a whole number by which sizes are divided")
    values = tuple(replace(value, size_bytes=-(-value.size_bytes // factor)) for value in graph.values)
    ops = tuple(replace(op, workspace_bytes=-(-op.workspace_bytes // factor)) for op in graph.ops)
    return replace(graph, ops=ops, values=values, persistent_bytes=-(-graph.persistent_bytes // factor))


def scheduled_launches(graph: Graph, schedule: Schedule, layout: Layout) -> tuple[Launch, ...]:
    """One launch for each compute, then one for each output, which reads it at the end.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule
        Legal, as judged by `hcb_opt.replay`.
    layout : Layout
        Of the schedule; whether its addresses are right shows when it is played.

    Raises
    ------
    InvalidInput
        If the layout has other buffers than the schedule, or writes over others than
        `hcb_opt.layout.in_place.takeovers` says.
    """
    instances = value_instances(graph, schedule)
    expected = [(each.name, each.size_bytes) for each in instances]
    if [(each.name, each.size_bytes) for each in layout.buffers] != expected:
        raise InvalidInput("layout", "its buffers are not those of the schedule", "make it by hcb_opt.layout.layout")
    if not set(layout.in_place) <= set(takeovers(graph, schedule, instances)):
        raise InvalidInput("layout", "it writes over buffers of others", "make it by hcb_opt.layout.layout")
    pairs = [(taker, giver) for taker, giver in layout.in_place if layout.offsets[taker] == layout.offsets[giver]]
    written_over = {instances[taker].start: instances[giver].name for taker, giver in pairs}
    places = map(Place, layout.offsets, (each.size_bytes for each in instances))
    found: list[Launch] = []
    held: dict[int, Place] = {}
    ended: list[Place] = []
    over: str | None = None
    for step, action in enumerate(schedule.actions):
        if not isinstance(action, Compute):
            place = held.pop(action.value)
            if graph.values[action.value].name != over:  # whose place is that of an output now
                ended.append(place)
            continue
        op = graph.ops[action.op]
        over = written_over.get(step)
        inputs = tuple(held[value] for value in op.inputs)
        ended += [held[value] for value in op.outputs if value in held]
        held |= {value: next(places) for value in op.outputs}
        workspace = next(places) if op.workspace_bytes else NOWHERE
        outputs = tuple(held[value] for value in op.outputs)
        found.append(Launch(action.op, inputs, outputs, workspace, tuple(ended), in_place=over is not None))
        ended = []
    for number, value in enumerate(graph.outputs):
        found.append(Launch(len(graph.ops) + number, (held[value],), ended=() if number else tuple(ended)))
    return tuple(found)


def straight_launches(graph: Graph) -> tuple[Launch, ...]:
    """Every op once, in order, then every output, all values and workspaces at places of their own."""
    schedule = schedule_from_computes(graph, range(len(graph.ops)))
    buffers = value_instances(graph, schedule)
    offsets = accumulate((each.size_bytes for each in buffers[:-1]), initial=0)
    size = straight_bytes(graph)
    apart = Layout(buffers, tuple(offsets)[: len(buffers)], 1, size, size, size, 0, "all apart", 0.0)
    return scheduled_launches(graph, schedule, apart)


def straight_bytes(graph: Graph) -> int:
    """Bytes of the arena of `straight_launches`."""
    return sum(graph.sizes) + sum(op.workspace_bytes for op in graph.ops)


def play(
    launches: Sequence[Launch], arena_bytes: int, device: torch.device, kernels: ModuleType = instance_reference
) -> Played:
    """Run launches twice in an arena, writing noise over all that should hold nothing.

    Parameters
    ----------
    launches : sequence of Launch
    arena_bytes : int
    device : torch.device
    kernels : module
        `hcb_opt.runtime.kernels.instance_reference` or ``instance``.

    Raises
    ------
    OutOfBudget
        If the device has too little memory.
    InvalidInput
        If a value is too large.
    """
    memory = allocated(launches, arena_bytes + GUARD_BYTES, device)
    prepared = kernels.prepare(launches, device)
    digests, written = [], 0
    for salt, fill in enumerate(FILLS):
        memory.fill_(fill)
        digests.append(_run(memory, prepared, launches, salt, kernels))
        written = max(written, _last_other(memory, fill))
    return Played(tuple(digests), min(written, arena_bytes), written > arena_bytes)


def wrong_launches(launches: Sequence[Launch], played: Played, straight: Played) -> list[int]:
    """Which launches found other inputs than in the straight evaluation, ascending.

    Parameters
    ----------
    launches : sequence of Launch
    played : Played
        What came of them.
    straight : Played
        What came of `straight_launches`.
    """
    runs = list(zip(played.digests, straight.digests, strict=True))
    return [
        index
        for index, launch in enumerate(launches)
        if any(digests[index] != right[launch.op] for digests, right in runs)
    ]


def checksum(launches: Sequence[Launch], played: Played) -> str:
    """One word for the last run of every op and all outputs: the same for all right schedules of a graph."""
    last = {launch.op: [digests[index] for digests in played.digests] for index, launch in enumerate(launches)}
    return hashlib.blake2b(repr(sorted(last.items())).encode(), digest_size=8).hexdigest()


def allocated(launches: Sequence[Launch], size_bytes: int, device: torch.device) -> Tensor:
    """An arena; raises OutOfBudget if the device has too little memory and InvalidInput if a value is too large."""
    largest = max((place.size_bytes for launch in launches for place in launch.outputs), default=0)
    if largest > MOST_VALUE_BYTES:
        raise InvalidInput(f"a value of {largest} bytes", "above 8 GiB", "divide all sizes with --scale")
    try:
        if device.type == "cpu" and size_bytes > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            raise MemoryError  # the system would promise it, and end the process later
        return torch.empty(size_bytes, dtype=torch.uint8, device=device)
    except (RuntimeError, MemoryError):
        what = f"{device} has no {size_bytes} bytes for all values of the graph"
        raise OutOfBudget(f"{what}: divide all sizes with --scale") from None


def default_kernels(device: torch.device) -> ModuleType:
    """Triton's on CUDA, otherwise the reference."""
    name = "instance" if device.type == "cuda" else "instance_reference"
    return importlib.import_module(f"hcb_opt.runtime.kernels.{name}")


def _run(
    arena: Tensor, prepared: object, launches: Sequence[Launch], salt: int, kernels: ModuleType
) -> tuple[int, ...]:
    digests = torch.zeros(len(launches), dtype=torch.int32, device=arena.device)

    def scribble(index: int, place: Place, turn: int) -> None:
        if place.size_bytes:
            kernels.scribble(arena, place, finalised(4 * index + 2 * salt + turn) >> 1)

    for index, launch in enumerate(launches):
        for place in (*launch.ended, *(() if launch.in_place else launch.outputs), launch.workspace):
            scribble(index, place, 0)
        kernels.mix(arena, prepared, index, salt, digests)
        scribble(index, launch.workspace, 1)
    return tuple(digests.tolist())


def _last_other(memory: Tensor, fill: int) -> int:
    """How many bytes there are up to the last that is none of these; looked for in blocks, to take little memory."""
    for end in range(len(memory), 0, -BLOCK_BYTES):
        start = max(0, end - BLOCK_BYTES)
        others = (memory[start:end] != fill).nonzero()
        if len(others):
            return start + int(others[-1]) + 1
    return 0
