"""Reversing a chain whose state is a ring of columns: how much storage it takes, and a plan that needs no more.

Step t of the chain makes column t from the last ``ring`` columns; it starts from
nothing, and its steps are reversed from the last to the first, each from its
own column alone, as a semi-Markov chain's are by backward messages. A column
takes a slot. A checkpoint is the ring at some position: ``ring`` slots. The last
segment that starts from a ring may store its columns in that ring's place.

Let N(m, r) be the longest segment that can be reversed in m slots, those of the
ring it starts from included, if no step runs more than r times::

    N(m, r) = 0                              if m < ring
    N(m, 1) = m                              else
    N(m, r) = N(m - ring, r) + N(m, r - 1)

(run to a split, keep the ring there, reverse what is right of it, then what is
left of it), and N0(m, r) the same from the chain's beginning, where no ring is
held::

    N0(m, 1) = m
    N0(m, r) = N(m, r) + N0(m, r - 1)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import comb, isqrt

from hcb_opt.errors import InvalidInput

# Beyond that many rings and runs together, splits are chosen by rule instead of by comparing what they cost.
_COMPARED = 40


def longest_segment(slots: int, runs: int, ring: int) -> int:
    """N(m, r): steps of the longest segment that can be reversed from a ring.

    With q = floor(m / ring) - 1 >= 0 and p = m mod ring it is
    (ring + p) C(q + r - 1, q) + ring C(q + r - 1, r).

    Parameters
    ----------
    slots : int
        m, those of the ring that the segment starts from included.
    runs : int
        r, how often a step may run; 0 gives 0.
    ring : int
        Columns that a step reads, at least 1.
    """
    rings, rest = slots // ring - 1, slots % ring
    if rings < 0 or runs < 1:
        return 0
    return (ring + rest) * comb(rings + runs - 1, rings) + ring * comb(rings + runs - 1, runs)


def longest_from_start(slots: int, runs: int, ring: int) -> int:
    """N0(m, r): steps of the longest chain that can be reversed from its beginning.

    With q and p as in `longest_segment` it is
    (ring + p) C(q + r, q + 1) + ring (C(q + r, r) - 1), or m if m < ring.

    Parameters
    ----------
    slots, runs, ring : int
        As in `longest_segment`, without a ring that the chain starts from.
    """
    rings, rest = slots // ring - 1, slots % ring
    if runs < 1:
        return 0
    if rings < 0:
        return slots
    return (ring + rest) * comb(rings + runs, rings + 1) + ring * (comb(rings + runs, runs) - 1)


def fewest_slots(steps: int, ring: int, runs: int) -> int:
    """The smallest m with N0(m, r) >= steps.

    Parameters
    ----------
    steps, ring, runs : int
        At least 1 each.

    Raises
    ------
    InvalidInput
        If one is below 1.
    """
    _require_positive(steps=steps, ring=ring, runs=runs)
    return bisect_left(range(steps), steps, key=lambda slots: longest_from_start(slots, runs, ring))


def runs_needed(steps: int, ring: int, slots: int) -> int:
    """The smallest r with N0(slots, r) >= steps.

    Parameters
    ----------
    steps, ring, slots : int
        At least 1 each.

    Raises
    ------
    InvalidInput
        If one is below 1, or the slots hold neither a ring nor the whole chain.
    """
    _require_positive(steps=steps, ring=ring, slots=slots)
    if slots < min(ring, steps):
        what = f"neither a ring of {ring} columns nor the {steps} columns of the chain fit"
        raise InvalidInput(f"slots {slots}", what, f"give at least {min(ring, steps)}")
    return _runs(longest_from_start, steps, slots, ring)


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
    _require_positive(steps=steps, ring=ring, interval=interval)
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
    _require_positive(steps=steps, ring=ring)
    return max(1, isqrt(steps * ring))


@lru_cache(maxsize=2**18)
def _best_split(length: int, slots: int, ring: int, at_start: bool) -> int:
    """Steps left of the split of a segment that is longer than its slots."""
    longest = longest_from_start if at_start else longest_segment
    right_slots = slots if at_start else slots - ring
    runs = _runs(longest, length, slots, ring)
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


def _runs(longest: Callable[[int, int, int], int], length: int, slots: int, ring: int) -> int:
    """The smallest r with longest(slots, r, ring) >= length, bounded by doubling: binomials of a large r are huge."""
    enough = 1
    while longest(slots, enough, ring) < length:
        enough *= 2
    return bisect_left(range(enough), length, key=lambda runs: longest(slots, runs, ring))


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise InvalidInput(f"{name} {number!r}", "not above zero", "give at least 1")
