"""Bytes of the values that cross from block to block, as tables over runs of blocks.

A run of blocks ``first .. end``, both included, is split at a *boundary*: its first
part is ``first .. boundary - 1``, its second ``boundary .. end``. Indices always
come in this order, and a table leaves out those that it does not depend on.

Three blocks; sizes are powers of ten, so that the digits of an entry say what is
in it. Beside t (10000 bytes), which crosses nothing:

=====  =====  ==========  ==============  =====================
value  bytes  written in  read by blocks  by their backwards of
=====  =====  ==========  ==============  =====================
a      1      0           1               1
s      10     0           2
b      100    1           2               2
=====  =====  ==========  ==============  =====================

====================================  =======  ==========================================
entry                                 bytes    because
====================================  =======  ==========================================
``crossing[HELD][0, 1, 1]``           1        a is written in block 0, read by block 1
``crossing[HELD][0, 1, 2]``           11       and s is read by block 2
``crossing[HELD][0, 2, 2]``           110      s and b, written in blocks 0 .. 1
``crossing[HELD][1, 2, 2]``           100      only b is written in block 1
``crossing[TRANSIENT][0, 2, 2]``      100      no backward reads s
``first_read[1, 1]``                  1        of what block 0 writes, a is read by then
``first_read[2, 2]``                  111      all of it
``released(1, [2], 2)``               10       a is read before block 2, s is not
``passing[1, 2]``                     10       s is needed by a forward only
====================================  =======  ==========================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]

TRANSIENT, HELD = 0, 1
"""States of what crosses into a block: only what backwards read is resident, or all of it."""


class CrossingValue(NamedTuple):
    """A value that later blocks read.

    Attributes
    ----------
    size_bytes : int
    block : int
        That writes it.
    saved_for : tuple of int
        Later blocks whose backward reads it, ascending.
    readers : tuple of int
        Later blocks that read it, forward or backward, ascending; not empty.
    own_backward : bool
        Whether the backward of the block that writes it reads it too.
    """

    size_bytes: int
    block: int
    saved_for: tuple[int, ...]
    readers: tuple[int, ...]
    own_backward: bool


class ByteTables:
    """What crosses from block to block.

    Parameters
    ----------
    count : int
        Number of blocks.
    values : iterable of CrossingValue

    Attributes
    ----------
    crossing : tuple of two ndarrays, ``[first, boundary, end]``
        By state. Bytes written in blocks ``first .. boundary - 1`` and read by
        blocks ``boundary .. end``; if transient, by their backwards.
    first_read : ndarray, ``[first, end]``
        Bytes written before block ``first`` whose first reader comes at ``end`` or
        before; none of values that stay for their own block's backward.
    passing : ndarray, ``[first, end]``
        Bytes written before block ``first`` whose first reader is one of
        ``first .. end``, and that no backward of these reads.
    """

    def __init__(self, count: int, values: Iterable[CrossingValue]) -> None:
        values = list(values)
        leaving = [each for each in values if not each.own_backward]
        self.crossing = (
            _crossing(count, ((each.size_bytes, each.block, each.saved_for) for each in values)),
            _crossing(count, ((each.size_bytes, each.block, each.readers) for each in values)),
        )
        self.first_read = _first_read(count, leaving)
        self.passing = _passing(count, leaving)

    def released(self, first: int, boundaries: NDArray[np.int64], end: int) -> Table:
        """Bytes written before a run of blocks that are free again once its second part is done, by boundary."""
        released: Table = self.first_read[first, end] - self.first_read[first, boundaries - 1]
        return released


def _crossing(count: int, values: Iterable[tuple[int, int, tuple[int, ...]]]) -> Table:
    """Of values with these bytes, written in this block, read by these."""
    table = np.zeros((count + 1, count + 1, count))
    for size, written, readers in values:
        boundary = written + 1
        for reader in readers:
            # From these boundaries on it is the first reader: later ones do not count again.
            table[written, boundary : reader + 1, reader] += size
            boundary = reader + 1
    np.cumsum(table[::-1], axis=0, out=table[::-1])  # written in ``first`` or later
    np.cumsum(table, axis=2, out=table)  # read at ``end`` or before
    return table


def _first_read(count: int, values: Iterable[CrossingValue]) -> Table:
    table = np.zeros((count + 1, count))
    for value in values:
        table[value.block + 1, value.readers[0]] += value.size_bytes
    np.cumsum(table, axis=0, out=table)
    np.cumsum(table, axis=1, out=table)
    return table


def _passing(count: int, values: Iterable[CrossingValue]) -> Table:
    table = np.zeros((count + 1, count))
    for value in values:
        reader = value.readers[0]
        saved = value.saved_for[0] if value.saved_for else count
        table[value.block + 1 : reader + 1, reader:saved] += value.size_bytes
    return table
