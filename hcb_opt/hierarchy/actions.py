"""What a reversal does, action by action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Forward:
    """Run from state ``first`` to state ``last``: the buffer holds x_last instead of x_first."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Backward:
    """Reverse the step that starts from state ``step``, which the buffer holds."""

    step: int


@dataclass(frozen=True, slots=True)
class Write:
    """Store the buffer's state, x_state, in a free slot of a level."""

    level: int
    state: int


@dataclass(frozen=True, slots=True)
class Read:
    """Load a stored state into the buffer; it stays stored."""

    level: int
    state: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Free the slot of a stored state."""

    level: int
    state: int


Action = Forward | Backward | Write | Read | Discard


def with_discards(actions: Sequence[Action]) -> list[Action]:
    """Free each slot right after the last read of what it holds.

    Parameters
    ----------
    actions : sequence of Action
        Without discards.

    Returns
    -------
    list of Action
        A state that is written and never read is discarded at once.
    """
    read_later: set[tuple[int, int]] = set()
    found: list[Action] = []
    for action in reversed(actions):
        if isinstance(action, Write | Read):
            place = (action.level, action.state)
            if place not in read_later:
                found.append(Discard(*place))
            if isinstance(action, Read):
                read_later.add(place)
            else:
                read_later.discard(place)
        found.append(action)
    return found[::-1]
