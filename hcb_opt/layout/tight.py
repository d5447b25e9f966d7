"""Depth-first search for a layout within a capacity, where rules leave too much unused.

After Moffitt, "MiniMalloc", ASPLOS 2023: only canonical layouts are looked at, in
which every buffer lies on another or at the bottom; a branch ends where some section
can no longer hold what is still to come; a place is not considered where another
buffer fits below it entirely.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from hcb_opt.layout.best_fit import PLACED
from hcb_opt.layout.packing import Packing, Whole


@dataclass
class TightSearch:
    """One search, until it finds a layout or reaches its limit.

    Attributes
    ----------
    packing : Packing
    capacity : int
        In alignments.
    order : ndarray of int64
        A permutation of the buffers: which to try first at equal offsets.
    by_section : bool
        Branch on what comes next in the section with the fewest choices, rather
        than on what comes next of all in the order of offsets. The latter could
        find every canonical layout, given time; the former may not, but sees dead
        ends sooner.
    node_limit : int
    deadline : float
        As `time.perf_counter` counts.
    """

    packing: Packing
    capacity: int
    order: Whole
    by_section: bool
    node_limit: int
    deadline: float

    def __post_init__(self) -> None:
        self._starts, self._ends = self.packing.starts[self.order], self.packing.ends[self.order]
        self._sizes = self.packing.sizes[self.order]
        self._held = self.packing.densest_sections[:, self.order]
        self._weights = np.where(self._held, self._sizes, 0)

    def run(self) -> Whole | None:
        """Offsets of the buffers, in alignments; None if none were found."""
        placed = self._descend()
        if placed is None:
            return None
        offsets = np.empty_like(placed)
        offsets[self.order] = placed
        return offsets

    def _descend(self) -> Whole | None:
        """Walk the tree without recursion, which would be as deep as there are buffers."""
        count = self.packing.count
        placed = np.zeros(count, dtype=np.int64)
        lowest = np.zeros(count, dtype=np.int64)
        waiting = self._weights.sum(axis=1)
        path = [(lowest, waiting, self._choices(lowest, waiting, after=(-1, -1)))]
        for _ in range(self.node_limit):
            while path and not path[-1][2]:
                path.pop()
            if not path or time.perf_counter() > self.deadline:
                return None
            lowest, waiting, choices = path[-1]
            buffer = choices.pop()
            placed[buffer] = lowest[buffer]
            if len(path) == count:
                return placed
            raised, waiting = self._place(buffer, lowest), waiting - self._weights[:, buffer]
            path.append((raised, waiting, self._choices(raised, waiting, after=(int(lowest[buffer]), buffer))))
        return None

    def _place(self, buffer: int, lowest: Whole) -> Whole:
        """The lowest possible offset of every buffer once this one is placed."""
        offset = lowest[buffer]
        together = (self._starts < self._ends[buffer]) & (self._ends > self._starts[buffer])
        raised = np.where(together, np.maximum(lowest, offset + self._sizes[buffer]), lowest)
        if not self.by_section:
            np.maximum(raised, offset, out=raised)  # what comes later lies no lower
        raised[buffer] = PLACED
        return raised

    def _choices(self, lowest: Whole, waiting: Whole, after: tuple[int, int]) -> list[int]:
        """What to place next, the best last; empty at a dead end."""
        floors = np.where(self._held, lowest, PLACED).min(axis=1)
        slack = np.where(waiting > 0, self.capacity - floors - waiting, PLACED)
        tops = lowest + self._sizes
        unplaced = lowest < PLACED
        if (slack < 0).any() or (tops[unplaced] > self.capacity).any():
            return []
        if self.by_section:
            possible = self._held & unplaced & (lowest <= (floors + slack)[:, None])
            counts = np.where(waiting > 0, possible.sum(axis=1), PLACED)
            fewest = (counts == counts.min()).nonzero()[0]
            unplaced = possible[fewest[slack[fewest].argmin()]]
        candidates = (unplaced & (lowest < tops[unplaced].min())).nonzero()[0]
        if not self.by_section:  # at equal offsets, in the order given
            candidates = candidates[(lowest[candidates] > after[0]) | (candidates > after[1])]
        _, first = np.unique(
            np.stack([self._starts[candidates], self._ends[candidates], self._sizes[candidates]]),
            axis=1,
            return_index=True,
        )
        distinct = candidates[np.sort(first)]
        best_first: list[int] = distinct[np.argsort(lowest[distinct], kind="stable")].tolist()
        return best_first[::-1]
