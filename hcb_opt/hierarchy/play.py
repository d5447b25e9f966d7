"""The judge of reversals: whether a sequence of actions is legal, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hcb_opt.hierarchy.actions import Action, Backward, Forward, Read, Write
from hcb_opt.hierarchy.platform import Platform
from hcb_opt.replay import IllegalSchedule


@dataclass(frozen=True, slots=True)
class Played:
    """What happened when a reversal was played.

    Attributes
    ----------
    cost : int
        Of all actions.
    forward_steps : int
        Steps run forward.
    writes, reads : tuple of int
        By level.
    most_held : tuple of int
        Most states held at once, by level.
    """

    cost: int
    forward_steps: int
    writes: tuple[int, ...]
    reads: tuple[int, ...]
    most_held: tuple[int, ...]


def play(actions: Sequence[Action], steps: int, platform: Platform) -> Played:
    """Play a reversal by the rules.

    The buffer holds x_0 at the beginning. Running forward replaces the buffer's
    state; a write copies it to a free slot; a read copies a stored state back. A
    step is reversed from the state before it, in the buffer, after all later
    steps. At the end all steps are reversed.

    Parameters
    ----------
    actions : sequence of Action
    steps : int
        n: states x_0 .. x_{n-1} are those that steps are reversed from.
    platform : Platform

    Returns
    -------
    Played

    Raises
    ------
    IllegalSchedule
        At the first action that breaks a rule, saying which.
    """
    count = len(platform.levels)
    buffer, left = 0, steps
    held: list[set[int]] = [set() for _ in range(count)]
    writes, reads, most_held = [0] * count, [0] * count, [0] * count
    forward_steps = cost = 0
    for at, action in enumerate(actions):
        if isinstance(action, Forward):
            _require(at, buffer == action.first, f"x_{action.first} is not in the buffer, x_{buffer} is")
            ahead = action.first < action.last < steps
            _require(at, ahead, f"there is no run from x_{action.first} to x_{action.last}")
            buffer = action.last
            forward_steps += action.last - action.first
            cost += (action.last - action.first) * platform.forward_cost
            continue
        if isinstance(action, Backward):
            following = f"the next step to reverse starts from x_{left - 1}, not x_{action.step}"
            _require(at, action.step == left - 1, following)
            _require(at, buffer == action.step, f"x_{action.step} is not in the buffer, x_{buffer} is")
            left -= 1
            cost += platform.backward_cost
            continue
        _require(at, 0 <= action.level < count, f"there is no level {action.level}")
        level, states = platform.levels[action.level], held[action.level]
        if isinstance(action, Write):
            _require(at, buffer == action.state, f"x_{action.state} is not in the buffer, x_{buffer} is")
            _require(at, action.state not in states, f"x_{action.state} is stored at level {action.level} already")
            _require(at, level.slots is None or len(states) < level.slots, f"level {action.level} has no free slot")
            states.add(action.state)
            most_held[action.level] = max(most_held[action.level], len(states))
            writes[action.level] += 1
            cost += level.write_cost
            continue
        _require(at, action.state in states, f"x_{action.state} is not stored at level {action.level}")
        if isinstance(action, Read):
            buffer = action.state
            reads[action.level] += 1
            cost += level.read_cost
        else:
            states.remove(action.state)
    _require(len(actions), left == 0, f"{left} steps are not reversed")
    return Played(cost, forward_steps, tuple(writes), tuple(reads), tuple(most_held))


def _require(step: int, true: bool, reason: str) -> None:
    if not true:
        raise IllegalSchedule(step, reason)
