"""Offsets by a rule: buffers in some order, each to the best gap, or always the lowest place first.

Dynamic storage allocation is NP-hard (Garey & Johnson 1979, SR2). In the order of
their sizes, first or best fit is what compilers of neural networks do (Pisarchyk &
Lee, 2020, "greedy by size"). `stack` never leaves a place below what is there for
what comes later; it fills the lowest place first, so that all of its layouts are
canonical in the sense of Moffitt (ASPLOS 2023).
"""

from __future__ import annotations

import numpy as np

from hcb_opt.layout.packing import Packing, Whole

PLACED = np.iinfo(np.int64).max // 4
"""Above any offset."""


def orders(packing: Packing) -> dict[str, Whole]:
    """Orders that serve well, by name.

    Equal sizes in the order of starts or, in reverse, of ends are placed without
    loss, as in the colouring of intervals; long lifetimes first keep what is held
    throughout at the bottom.
    """
    starts, ends, sizes = packing.starts, packing.ends, packing.sizes
    lifetimes = ends - starts
    busiest = busiest_sections(packing)
    return {
        "size, last end first": np.lexsort((-ends, -sizes)),
        "size, first start first": np.lexsort((starts, -sizes)),
        "size, longest first": np.lexsort((-lifetimes, -sizes)),
        "size x lifetime": np.lexsort((-lifetimes, -sizes * lifetimes)),
        "lifetime": np.lexsort((-sizes, -lifetimes)),
        "busiest section": np.lexsort((-sizes, -lifetimes, -busiest)),
        "start": np.lexsort((-sizes, starts)),
    }


def busiest_sections(packing: Packing) -> Whole:
    """For each buffer, the most held at once while it is held, in alignments."""
    spans = zip(packing.starts, packing.ends, strict=True)
    return np.array([packing.profile[start:end].max() for start, end in spans], dtype=np.int64)


def stack(packing: Packing, order: Whole) -> Whole:
    """Place the buffer that can go lowest, the first of the order among equals, until all are placed.

    A buffer goes on top of whatever it overlaps in time so far.

    Parameters
    ----------
    packing : Packing
    order : ndarray of int64
        A permutation of the buffers.

    Returns
    -------
    ndarray of int64
        Offsets of the buffers, in alignments.
    """
    starts, ends, sizes = packing.starts[order], packing.ends[order], packing.sizes[order]
    lowest = np.zeros(packing.count, dtype=np.int64)
    placed = np.zeros(packing.count, dtype=np.int64)
    for _ in range(packing.count):
        buffer = int(lowest.argmin())
        placed[buffer] = lowest[buffer]
        together = (starts < ends[buffer]) & (ends > starts[buffer])
        np.maximum(lowest, lowest[buffer] + sizes[buffer], out=lowest, where=together)
        lowest[buffer] = PLACED
    offsets = np.empty_like(placed)
    offsets[order] = placed
    return offsets


def first_fit(packing: Packing, order: Whole) -> Whole:
    """Place buffers in an order, each in the lowest gap that it fits in; as `stack` otherwise."""
    return _fit(packing, order, smallest=False)


def best_fit(packing: Packing, order: Whole) -> Whole:
    """Place buffers in an order, each in the smallest gap that it fits in; as `stack` otherwise."""
    return _fit(packing, order, smallest=True)


def _fit(packing: Packing, order: Whole, smallest: bool) -> Whole:
    offsets = np.zeros(packing.count, dtype=np.int64)
    # What is placed already, by ascending offset.
    below, above, starts, ends = (np.empty(packing.count, dtype=np.int64) for _ in range(4))
    for count, buffer in enumerate(order.tolist()):
        start, end, size = int(packing.starts[buffer]), int(packing.ends[buffer]), int(packing.sizes[buffer])
        together = ((starts[:count] < end) & (ends[:count] > start)).nonzero()[0]
        tops = np.maximum.accumulate(above[together])
        floors = np.concatenate(([0], tops))
        gaps = below[together] - floors[:-1]
        fitting = (gaps >= size).nonzero()[0]
        if not len(fitting):
            offset = int(floors[-1])
        else:
            offset = int(floors[fitting[gaps[fitting].argmin()] if smallest else fitting[0]])
        offsets[buffer] = offset
        place = int(below[:count].searchsorted(offset))
        for column, entry in ((below, offset), (above, offset + size), (starts, start), (ends, end)):
            column[place + 1 : count + 1] = column[place:count]
            column[place] = entry
    return offsets
