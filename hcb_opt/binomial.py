"""Binomial checkpointing: what it costs to reverse a chain of equal steps, and where to split it.

Griewank and Walther (2000), "Algorithm 799: revolve", ACM Transactions on
Mathematical Software 26(1).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import comb

from hcb_opt.errors import InvalidInput


def longest_chain(snapshots: int, repetitions: int) -> int:
    """Steps that can be reversed if each runs forward at most so many times beyond the first.

    beta(s, r) = C(s + r, s); 0 for a negative number of repetitions.

    Parameters
    ----------
    snapshots : int
        States held at once, the initial one included.
    repetitions : int
    """
    return comb(snapshots + repetitions, snapshots) if repetitions >= 0 else 0


def extra_forward_steps(steps: int, snapshots: int) -> int:
    """Fewest forward steps, beside the one that each step is reversed from.

    t(n, s) = r n - beta(s + 1, r - 1) with the r for which
    beta(s, r - 1) < n <= beta(s, r).

    Parameters
    ----------
    steps : int
        Length n of the chain, at least 1.
    snapshots : int
        States s held at once, the initial one included, at least 1.

    Raises
    ------
    InvalidInput
        If either is below 1.
    """
    if steps < 1:
        raise InvalidInput(f"steps {steps!r}", "a chain has at least one step", "give at least 1")
    if snapshots < 1:
        raise InvalidInput(f"snapshots {snapshots!r}", "the initial state must be held", "give at least 1")
    repetitions = repetitions_needed(steps, snapshots)
    return repetitions * steps - longest_chain(snapshots + 1, repetitions - 1)


def repetitions_needed(steps: int, snapshots: int) -> int:
    """The r for which beta(s, r - 1) < n <= beta(s, r): how often the busiest step runs again.

    Parameters
    ----------
    steps, snapshots : int
        As in `extra_forward_steps`.
    """
    repetitions = 0
    while longest_chain(snapshots, repetitions) < steps:
        repetitions += 1
    return repetitions


@cache
def best_split(steps: int, snapshots: int) -> int:
    """Where to place the next snapshot: the smallest k that attains t(n, s).

    t(n, s) = min_k k + t(n - k, s - 1) + t(k, s), 1 <= k < n, is attained from
    k = max(1, beta(s, r - 2), n - beta(s - 1, r)) on, with r as in
    `repetitions_needed`.

    Parameters
    ----------
    steps : int
        Length n of the chain, at least 2.
    snapshots : int
        As in `extra_forward_steps`, at least 2.
    """
    repetitions = repetitions_needed(steps, snapshots)
    return max(1, longest_chain(snapshots, repetitions - 2), steps - longest_chain(snapshots - 1, repetitions))


def reversal(steps: int, snapshots: int) -> Iterator[int]:
    """The steps of a reversal that runs t(n, s) forward steps.

    Parameters
    ----------
    steps, snapshots : int
        As in `extra_forward_steps`.

    Yields
    ------
    int
        i to run step i forward; -i to reverse it, from the state before it.
    """
    # Stretches to reverse, the next at the end: first state, number of steps, snapshots with that one.
    pending = [(0, steps, snapshots)]
    while pending:
        base, length, held = pending.pop()
        if length > 1 and held > 1:
            advance = best_split(length, held)
            yield from range(base + 1, base + advance + 1)
            pending += [(base, advance, held), (base + advance, length - advance, held - 1)]
            continue
        for last in range(base + length, base, -1):
            yield from range(base + 1, last)
            yield -last
