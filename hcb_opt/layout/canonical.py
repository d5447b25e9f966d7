"""Depth-first search in the order of offsets, which falls apart into searches of their own where time allows it.

After Moffitt, "MiniMalloc", ASPLOS 2023: every layout can be pushed down until each
buffer lies on another or at the bottom; it is then found by placing buffers in the
order of their offsets. A branch ends where some section has no room for what is still
to come. Where no buffer to come is held both before and after some time, the two sides
are searched one after the other, and a dead end in one is not laid to the other.

A branch has two arms here: the buffer that can lie lowest does lie there; or it lies on
one of those to come, hence no lower than the lowest of their tops. The second arm, too,
takes room from what is still to come, and often ends at once.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hcb_opt.layout.packing import Packing, Whole


class _Window(NamedTuple):
    """Sections that no buffer to come enters or leaves.

    ``before`` is the node of the path that a dead end in them goes back to, ``outside``
    the capacity for each buffer that is not held in them and 0 for the others.
    """

    first: int
    end: int
    before: int
    outside: Whole


class _Node(NamedTuple):
    """What is known before a buffer is placed.

    ``lowest`` is the lowest that each buffer can lie, the capacity for what is placed;
    by section, ``waiting`` is the sum of sizes to come, ``room`` what they leave unused
    at most, and ``crossing`` how many of them are held in the next section, too;
    ``windows`` are still to be searched, the first one first.
    """

    lowest: Whole
    waiting: Whole
    room: Whole
    crossing: Whole
    windows: tuple[_Window, ...]


class CanonicalSearch:
    """A search for layouts within a capacity.

    Parameters
    ----------
    packing : Packing
        Of at least one buffer.
    capacity : int
        In alignments; at least the packing's lower bound.
    order : ndarray of int64
        A permutation of the buffers: which to place first where several can lie lowest.
    tightest_first : bool
        Of those, place first what is held where the least room is left.
    """

    def __init__(self, packing: Packing, capacity: int, order: Whole, tightest_first: bool) -> None:
        self._capacity, self._order, self._tightest_first = capacity, order, tightest_first
        self._starts, self._ends = packing.starts[order], packing.ends[order]
        self._sizes = packing.sizes[order]
        self._highest = capacity - self._sizes
        together = (self._starts[:, None] < self._ends) & (self._ends[:, None] > self._starts)
        np.fill_diagonal(together, False)
        self._neighbours = [row.nonzero()[0] for row in together]
        self._reach = [
            (self._starts[each].min(initial=start), self._ends[each].max(initial=end))
            for each, start, end in zip(self._neighbours, self._starts, self._ends, strict=True)
        ]
        sections = np.arange(packing.section_count)[:, None]
        held = (self._starts <= sections) & (self._ends > sections)
        self._members = held.nonzero()[1]
        self._rows = np.append(0, held.sum(axis=1).cumsum())
        self._spans = np.stack([self._starts, self._ends], axis=1)
        self._crossing = (held & (self._ends > sections + 1)).sum(axis=1)
        self._profile = packing.profile

    def run(self, node_limit: int, deadline: float, patience: int | None = None) -> Whole | None:
        """Look for a layout.

        Parameters
        ----------
        node_limit : int
            How often a buffer is placed.
        deadline : float
            As `time.perf_counter` counts.
        patience : int, optional
            How many of them in a row may place no more buffers than were placed at once before.

        Returns
        -------
        ndarray of int64 or None
            Offsets of the buffers, in alignments. Without limits, None only if there are none.
        """
        count, sections = len(self._order), len(self._profile)
        placed = np.zeros(count, dtype=np.int64)
        room = np.append(self._capacity - self._profile, 0)  # the last is no section's: it ends the spans
        windows = self._pieces(self._crossing, self._profile, 0, sections, -1)
        node: _Node | None = _Node(np.zeros_like(placed), self._profile, room, self._crossing, windows)
        path: list[tuple[_Node, int]] = []
        furthest, since = 0, 0
        for index in range(node_limit):
            if node is None or time.perf_counter() > deadline:
                return None
            buffer = self._next(node)
            path.append((node, buffer))
            if len(path) > furthest:
                furthest, since = len(path), index
            elif patience is not None and index - since > patience:
                return None
            placed[buffer] = node.lowest[buffer]
            node = self._placed(node, buffer, len(path) - 1)
            if node is not None and not node.windows:
                offsets = np.empty_like(placed)
                offsets[self._order] = placed
                return offsets
            while node is None and path:
                last, buffer = path.pop()
                node = self._raised(last, buffer)
                if node is None:
                    del path[last.windows[0].before + 1 :]
        return None

    def _next(self, node: _Node) -> int:
        """The buffer to place: what can lie lowest in the first window."""
        lowest = np.maximum(node.lowest, node.windows[0].outside)
        first = int(lowest.argmin())
        if not self._tightest_first:
            return first
        equal = (lowest == lowest[first]).nonzero()[0]
        rooms = np.minimum.reduceat(node.room, self._spans[equal].ravel())[::2]
        return int(equal[rooms.argmin()])

    def _placed(self, node: _Node, buffer: int, index: int) -> _Node | None:
        """The node after a buffer is placed as low as it can lie, or None at a dead end."""
        start, end, size = self._starts[buffer], self._ends[buffer], self._sizes[buffer]
        top = node.lowest[buffer] + size
        others = self._neighbours[buffer]
        raised = others[node.lowest[others] < top]
        if (self._highest[raised] < top).any():
            return None
        lowest, waiting, crossing = node.lowest.copy(), node.waiting.copy(), node.crossing.copy()
        lowest[raised] = top
        lowest[buffer] = self._capacity
        waiting[start:end] -= size
        room = self._room(node.room, lowest, waiting, *self._reach[buffer])
        if room is None:
            return None
        crossing[start : end - 1] -= 1
        window = node.windows[0]
        if crossing[start : end - 1].all() and waiting[window.first : window.end].all():
            pieces: tuple[_Window, ...] = (window._replace(before=index),)
        else:
            pieces = self._pieces(crossing, waiting, window.first, window.end, index)
        return _Node(lowest, waiting, room, crossing, pieces + node.windows[1:])

    def _raised(self, node: _Node, buffer: int) -> _Node | None:
        """The node if its buffer lies on one of those to come, or None at a dead end."""
        others = self._neighbours[buffer]
        least = (node.lowest[others] + self._sizes[others]).min(initial=self._capacity)
        if least > self._highest[buffer]:
            return None
        lowest = node.lowest.copy()
        lowest[buffer] = least
        room = self._room(node.room, lowest, node.waiting, self._starts[buffer], self._ends[buffer])
        return None if room is None else node._replace(lowest=lowest, room=room)

    def _room(self, room: Whole, lowest: Whole, waiting: Whole, first: int, end: int) -> Whole | None:
        """The room with that of some sections computed again; None if some has less than none."""
        rows = self._rows[first:end]
        floors = np.minimum.reduceat(lowest[self._members[rows[0] : self._rows[end]]], rows - rows[0])
        changed = self._capacity - floors - waiting[first:end]
        if changed.min() < 0:
            return None
        room = room.copy()
        room[first:end] = changed
        return room

    def _pieces(self, crossing: Whole, waiting: Whole, first: int, end: int, before: int) -> tuple[_Window, ...]:
        """A window cut wherever no buffer to come is held on both sides, without pieces in which nothing is to come."""
        cuts = (crossing[first : end - 1] == 0).nonzero()[0] + first + 1
        edges = [first, *cuts.tolist(), end]
        return tuple(
            _Window(left, right, before, np.where((self._starts < right) & (self._ends > left), 0, self._capacity))
            for left, right in pairwise(edges)
            if waiting[left:right].any()
        )
