"""What needs an address: every instance of a value, and every workspace, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hcb_opt.graph import Graph
from hcb_opt.schedule import Compute, Schedule, require_plain


class Kind(StrEnum):
    """What a buffer holds."""

    FIRST = "first compute"
    AGAIN = "recompute"
    WORKSPACE = "workspace"
    OTHER = "buffer"


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that keep one address as long as they are held.

    Attributes
    ----------
    name : str
        Of the value, or of the op whose workspace it is, or an instance's own.
    start, end : int
        Held during the steps ``start <= step < end``; of a schedule, steps are
        the positions of its actions.
    size_bytes : int
    kind : Kind
        A value's first compute or a later one, a workspace, or of no schedule.
    """

    name: str
    start: int
    end: int
    size_bytes: int
    kind: Kind = Kind.OTHER


def value_instances(graph: Graph, schedule: Schedule) -> tuple[Buffer, ...]:
    """The buffers of a schedule.

    Each compute of a value begins a new instance, held until the value is
    dropped, computed again while still held, or the schedule ends. What is held
    at a step weighs what `replay` counts there.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule
        Legal, as judged by `hcb_opt.replay`.

    Returns
    -------
    tuple of Buffer
        In the order in which a run needs them: of each compute the outputs, in
        the op's order, then the workspace if there is any.

    Raises
    ------
    InvalidInput
        If the schedule has transfers.
    """
    require_plain(schedule, "layout")
    found: list[tuple[str, int, int, Kind]] = []
    ends: list[int] = []
    held: dict[int, int] = {}
    computed = [False] * len(graph.ops)
    last = len(schedule.actions)
    for step, action in enumerate(schedule.actions):
        if not isinstance(action, Compute):
            ends[held.pop(action.value)] = step
            continue
        op = graph.ops[action.op]
        kind = Kind.AGAIN if computed[action.op] else Kind.FIRST
        computed[action.op] = True
        for value in op.outputs:
            if value in held:
                ends[held[value]] = step
            held[value] = len(found)
            found.append((graph.values[value].name, step, graph.sizes[value], kind))
            ends.append(last)
        if op.workspace_bytes:
            found.append((op.name, step, op.workspace_bytes, Kind.WORKSPACE))
            ends.append(step + 1)
    return tuple(
        Buffer(name, start, end, size, kind) for (name, start, size, kind), end in zip(found, ends, strict=True)
    )
