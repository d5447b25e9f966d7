"""Reversing a chain whose state is a ring of columns: how much storage it takes, and a plan that needs no more.

Step t of the chain makes column t from the last ``ring`` columns; it starts from
nothing, and its steps are reversed from the last to the first, each from its
own column alone, as a semi-Markov chain's are by backward messages. A column
takes a slot. A checkpoint is the ring at some position: ``ring`` slots. The last
segment that starts from a ring may store its columns in that ring's place.

The numbers that plans are chosen by are in `hcb_opt.ring_reach`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

from hcb_opt.ring_reach import (
    least_runs,
    longest_from_start,
    longest_segment,
    require_positive,
    runs_needed,
)

# Beyond that many rings and runs together, splits are chosen by rule instead of by comparing what they cost.
_COMPARED = 40


@dataclass(frozen=True, slots=True)
class Advance:
    """Run steps start + 1 .. stop and keep the ring at ``stop``; the ring at ``start`` stays unless it is overwritten.

    Attributes
    ----------
    start, stop : int
        Positions; 0 is the chain's beginning.
    source, slot : int
        First slots of the rings at ``start`` (unused at 0) and at ``stop``.
    """

    start: int
    stop: int
    source: int
    slot: int


@dataclass(frozen=True, slots=True)
class Store:
    """Run steps start + 1 .. stop and keep their columns from ``slot`` on, in place of the ring at ``start``."""

    start: int
    stop: int
    slot: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """Reverse steps stop .. start + 1, whose columns lie from ``slot`` on."""

    start: int
    stop: int
    slot: int


Action = Advance | Store | Reverse


@dataclass(frozen=True, slots=True)
class RingPlan:
    """A way to reverse a chain.

    Attributes
    ----------
    steps, ring : int
        Length of the chain, and columns that a step reads.
    actions : tuple of Advance, Store or Reverse
        In the order in which they run.
    """

    steps: int
    ring: int
    actions: tuple[Action, ...]

    @property
    def slots(self) -> int:
        """Columns held at once at most."""
        return max(self._top(action) for action in self.actions)

    @property
    def forward_steps(self) -> int:
        """Steps run in all, repeated ones counted each time."""
        return sum(each.stop - each.start for each in self.actions if not isinstance(each, Reverse))

    @property
    def extra_forwards(self) -> float:
        """Steps run beyond the first time each, as a multiple of the chain's length."""
        return self.forward_steps / self.steps - 1

    @property
    def most_runs(self) -> int:
        """How often the busiest step runs."""
        runs, most = 0, 0
        marks = [(each.start, 1) for each in self.actions if not isinstance(each, Reverse)]
        marks += [(each.stop, -1) for each in self.actions if not isinstance(each, Reverse)]
        for _, change in sorted(marks):
            runs += change
            most = max(most, runs)
        return most

    def _top(self, action: Action) -> int:
        length = action.stop - action.start
        if isinstance(action, Reverse):
            return action.slot + length
        if isinstance(action, Store):
            return action.slot + max(length, self.ring if action.start else 0)
        return max(action.slot, action.source if action.start else 0) + self.ring


def ring_plan(steps: int, ring: int, slots: int) -> RingPlan:
    """A plan that keeps to the slots and runs no step more often than they force it to.

    The busiest step runs `runs_needed` times. Among the splits that keep to this
    and fill one of the two parts up to what it can hold, the one with the fewest
    steps in all is taken.

    Parameters
    ----------
    steps, ring, slots : int
        As in `runs_needed`.

    Raises
    ------
    InvalidInput
        As in `runs_needed`.
    """
    runs_needed(steps, ring, slots)
    actions: list[Action] = []
    # Segments to reverse, the next at the end: start, stop, first slot.
    pending = [(0, steps, 0)]
    while pending:
        start, stop, slot = pending.pop()
        length, at_start = stop - start, start == 0
        if length <= slots - slot:
            actions += [Store(start, stop, slot), Reverse(start, stop, slot)]
            continue
        split = start + _best_split(length, slots - slot, ring, at_start)
        right = slot if at_start else slot + ring
        actions.append(Advance(start, split, slot, right))
        pending += [(start, split, slot), (split, stop, right)]
    return RingPlan(steps, ring, tuple(actions))


def uniform_plan(steps: int, ring: int, interval: int) -> RingPlan:
    """The ring is kept every so many steps; each interval is run again, stored and reversed.

    Parameters
    ----------
    steps, ring, interval : int
        At least 1 each.

    Raises
    ------
    InvalidInput
        If one is below 1.
    """
    require_positive(steps=steps, ring=ring, interval=interval)
    starts = list(range(0, steps, interval))
    slots = [0, *(number * ring for number in range(len(starts)))]
    actions: list[Action] = [
        Advance(start, start + interval, slots[number], slots[number + 1]) for number, start in enumerate(starts[:-1])
    ]
    for number in reversed(range(len(starts))):
        start, stop = starts[number], min(starts[number] + interval, steps)
        actions += [Store(start, stop, slots[number]), Reverse(start, stop, slots[number])]
    return RingPlan(steps, ring, tuple(actions))


def square_root_interval(steps: int, ring: int = 1) -> int:
    """The interval sqrt(T K), which balances rings against an interval's columns; with the ring left out, sqrt(T)."""
    require_positive(steps=steps, ring=ring)
    return max(1, isqrt(steps * ring))


@lru_cache(maxsize=2**18)
def _best_split(length: int, slots: int, ring: int, at_start: bool) -> int:
    """Steps left of the split of a segment that is longer than its slots."""
    longest = longest_from_start if at_start else longest_segment
    right_slots = slots if at_start else slots - ring
    runs = least_runs(longest, length, slots, ring)
    least = max(1, length - longest_segment(right_slots, runs, ring))
    if slots // ring + runs > _COMPARED:
        return least
    filled = {longest(slots, fewer, ring) for fewer in range(1, runs)}
    filled |= {length - longest_segment(right_slots, fewer, ring) for fewer in range(1, runs + 1)}
    most = min(length - 1, longest(slots, runs - 1, ring))
    return min(
        sorted(split for split in filled | {least} if least <= split <= most),
        key=lambda split: sum(
            (
                split,
                _fewest_steps(split, slots, ring, at_start),
                _fewest_steps(length - split, right_slots, ring, False),
            )
        ),
    )


@lru_cache(maxsize=2**18)
def _fewest_steps(length: int, slots: int, ring: int, at_start: bool) -> int:
    """Steps that the plan of a segment runs."""
    if length <= slots:
        return length
    split = _best_split(length, slots, ring, at_start)
    right_slots = slots if at_start else slots - ring
    left = _fewest_steps(split, slots, ring, at_start)
    return split + left + _fewest_steps(length - split, right_slots, ring, False)
