"""Every reversal of a short chain with two levels of storage, searched for the cheapest."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from hcb_opt.hierarchy.platform import Platform

FORWARD, BACKWARD, WRITE, READ = range(4)
"""Kinds of moves; writes and reads are followed by those of the next level."""


@cache
def moves(steps: int, slots: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, list[int]]:
    """All moves between states (buffer, held by level, steps left): from, to, kind; count of states; the ends.

    A state is dropped only where its slot is wanted, since holding it longer never hurts, and
    those that no step left is reversed from are forgotten.
    """
    start = (0, (frozenset(),) * len(slots), steps)
    numbers = {start: 0}
    pending = [start]
    found: list[tuple[int, int, int]] = []

    def move(kind: int, buffer: int | None, held: tuple[frozenset[int], ...], left: int) -> None:
        useful = None if buffer is None or buffer >= left else buffer
        state = (useful, tuple(frozenset(each for each in level if each < left) for level in held), left)
        if state not in numbers:
            numbers[state] = len(numbers)
            pending.append(state)
        found.append((number, numbers[state], kind))

    while pending:
        state = pending.pop()
        number = numbers[state]
        buffer, held, left = state
        if not left:
            continue
        if buffer is not None:
            if buffer + 1 < left:
                move(FORWARD, buffer + 1, held, left)
            if buffer + 1 == left:
                move(BACKWARD, None, held, left - 1)
            for level, count in enumerate(slots):
                if buffer not in held[level] and count:
                    keep = min(count - 1, len(held[level]))
                    for kept in combinations(sorted(held[level]), keep):
                        new = frozenset((*kept, buffer))
                        move(WRITE + 2 * level, buffer, (*held[:level], new, *held[level + 1 :]), left)
        for level in range(len(slots)):
            for each in held[level]:
                move(READ + 2 * level, each, held, left)
    sources, targets, kinds = np.array(found).T
    return sources, targets, kinds, len(numbers), [number for state, number in numbers.items() if not state[2]]


def fewest_by_search(steps: int, platform: Platform) -> int | None:
    """Least cost of any legal reversal; None if there is none."""
    slots = tuple(steps if level.slots is None else min(steps, level.slots) for level in platform.levels)
    sources, targets, kinds, count, ends = moves(steps, slots)
    costs = [platform.forward_cost, platform.backward_cost]
    for level in platform.levels:
        costs += [level.write_cost, level.read_cost]
    # A sparse matrix adds up what is given twice: of parallel moves the cheapest is taken.
    weights = np.array(costs, dtype=float)[kinds]
    order = np.lexsort((weights, targets, sources))
    pairs = np.stack([sources[order], targets[order]])
    first = np.concatenate([[True], (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)])
    matrix = csr_array((weights[order][first], pairs[:, first]), shape=(count, count))
    distances = dijkstra(matrix, indices=0)
    least = min((float(distances[end]) for end in ends), default=np.inf)
    return None if np.isinf(least) else round(least)
