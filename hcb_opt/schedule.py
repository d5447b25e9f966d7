"""What to compute and what to drop, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph


@dataclass(frozen=True, slots=True)
class Compute:
    """Run the op at this position of the graph; its outputs become resident."""

    op: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Release this value's storage."""

    value: int


@dataclass(frozen=True, slots=True)
class Offload:
    """Start to copy this resident value to host memory."""

    value: int


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Make this value resident again: start to copy it back from host memory."""

    value: int


@dataclass(frozen=True, slots=True)
class Compress:
    """Make a compressed copy of this resident value, on the device."""

    value: int
    scheme: str


@dataclass(frozen=True, slots=True)
class Decompress:
    """Make this value resident again, from its compressed copy."""

    value: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Release the compressed copy of this value."""

    value: int


Action = Compute | Drop | Offload | Prefetch | Compress | Decompress | Discard

ACTIONS: tuple[type[Action], ...] = (Compute, Drop, Offload, Prefetch, Compress, Decompress, Discard)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A sequence of actions, judged only by `hcb_opt.replay`; one with transfers by `hcb_opt.replay_transfers`.

    Attributes
    ----------
    actions : tuple of Action
    lossy : bool
        Whether it may compress by schemes that lose something.
    """

    actions: tuple[Action, ...]
    lossy: bool = False

    @property
    def computes(self) -> tuple[int, ...]:
        """The ops in the order in which they run, recomputes included."""
        return tuple(action.op for action in self.actions if isinstance(action, Compute))

    @property
    def has_transfers(self) -> bool:
        """Whether there are actions besides computes and drops."""
        return not {*map(type, self.actions)} <= {Compute, Drop}


def action_word(action: Action) -> str:
    """How files and messages call an action."""
    return type(action).__name__.lower()


def require_plain(schedule: Schedule, where: str) -> None:
    """Refuse a schedule that does more than compute and drop.

    Parameters
    ----------
    schedule : Schedule
    where : str
        What cannot use it.

    Raises
    ------
    InvalidInput
        Naming the first such action.
    """
    for step, action in enumerate(schedule.actions):
        if not isinstance(action, Compute | Drop):
            what = f"actions[{step}] is '{action_word(action)}', and only computes and drops are known here"
            raise InvalidInput(where, what, "give a schedule without transfers")


def schedule_from_computes(graph: Graph, computes: Iterable[int]) -> Schedule:
    """Add the best possible drops to a sequence of computes.

    A value is dropped right after the last op that reads this instance of it:
    before its producer runs again, or before the end. No other choice of drops
    has less resident at any step.

    Parameters
    ----------
    graph : Graph
    computes : iterable of int
        Positions of ops, in the order in which they run.

    Returns
    -------
    Schedule
        Legal if, and only if, every op's inputs were computed before it.
    """
    order = tuple(computes)
    needed_later = [value in graph.required for value in range(len(graph.values))]
    drops: list[list[int]] = [[] for _ in order]
    for step in range(len(order) - 1, -1, -1):
        op = graph.ops[order[step]]
        for value in op.outputs:
            if not needed_later[value]:
                drops[step].append(value)
            needed_later[value] = False
        for value in op.inputs:
            if not needed_later[value]:
                drops[step].append(value)
                needed_later[value] = True
    actions: list[Action] = []
    for step, position in enumerate(order):
        actions.append(Compute(position))
        actions.extend(Drop(value) for value in sorted(drops[step]))
    return Schedule(tuple(actions))
