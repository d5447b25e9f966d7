"""How long a chain can be reversed in how many columns, in closed form; see `hcb_opt.ring_chains`.

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
from math import comb

from hcb_opt.errors import InvalidInput


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
    require_positive(steps=steps, ring=ring, runs=runs)
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
    require_positive(steps=steps, ring=ring, slots=slots)
    if slots < min(ring, steps):
        what = f"neither a ring of {ring} columns nor the {steps} columns of the chain fit"
        raise InvalidInput(f"slots {slots}", what, f"give at least {min(ring, steps)}")
    return least_runs(longest_from_start, steps, slots, ring)


def least_runs(longest: Callable[[int, int, int], int], length: int, slots: int, ring: int) -> int:
    """The smallest r with longest(slots, r, ring) >= length, bounded by doubling: binomials of a large r are huge."""
    enough = 1
    while longest(slots, enough, ring) < length:
        enough *= 2
    return bisect_left(range(enough), length, key=lambda runs: longest(slots, runs, ring))


def require_positive(**numbers: int) -> None:
    """Raise InvalidInput for the first that is below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise InvalidInput(f"{name} {number!r}", "not above zero", "give at least 1")
