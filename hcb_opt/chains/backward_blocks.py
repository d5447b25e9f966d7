"""Where the backward of a training step is cut into blocks, given the blocks of its forward.

The backward reverses the blocks, last one first. Between the backwards of block
j + 1 and of block j there is a position; every read of a forward value on the
wrong side of it is *misplaced*. The positions with the fewest bytes misplaced
are taken.

Three blocks of one op each; sizes are powers of ten, so that the digits of a sum
say what is in it::

    position  op      reads  writes                    block
    0         first          a (1), s (10), t (10000)  0
    1         second  a      b (100)                   1
    2         third   b, s   c (1000)                  2
    3         grad 3  b, c                             turn: the backward begins
    4         grad 2  a
    5         grad 1  t

    bytes misplaced if the cut is right before position   3      4      5      6
    between the backwards of blocks 1 and 0               1100   0      0      10000
    between the backwards of blocks 2 and 1               1000   0      1      10001

The first cut is at 5, the last of equals, the second at 4: each block has the
gradient op that one would expect, and ``backward_starts`` is (5, 4, 3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hcb_opt.blocks import Chain, last_forward_reads
from hcb_opt.graph import Graph


def backward_reads(graph: Graph, turn: int) -> tuple[tuple[int, ...], ...]:
    """For each forward value, the backward ops that read it; empty for values of the backward."""
    return tuple(
        readers[bisect_left(readers, turn) :] if graph.values[value].producer < turn else ()
        for value, readers in enumerate(graph.consumers)
    )


def backward_starts(chain: Chain, reads: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Where the backward of each block begins; it ends where that of the block before begins.

    Parameters
    ----------
    chain : Chain
    reads : sequence of sequence of int
        `backward_reads` of its graph.

    Returns
    -------
    tuple of int
        By block, descending; the last is the turn. The cuts are chosen one after
        the other, from the first block's on, each at or before the one chosen
        before it. Of equals the last: an op that reads the frontier alone needs no
        other block.
    """
    turn, count = chain.turn, chain.block_count
    misplaced = _misplaced_bytes(chain, reads)
    starts = [turn] * count
    latest = len(chain.graph.ops) - turn
    for block in range(count - 1):
        latest = int(latest - np.argmin(misplaced[block, latest::-1]))
        starts[block] = turn + latest
    return tuple(starts)


def _misplaced_bytes(chain: Chain, reads: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Bytes read on the wrong side, ``[block, offset]``, of a cut below a block, so many ops after the turn.

    A value that the forward is done with in this block or before should be read
    after the cut, one written after this block should be read before it.
    """
    graph, turn, count = chain.graph, chain.turn, chain.block_count
    offsets = len(graph.ops) - turn + 1
    done_with = np.zeros((count, offsets))  # by the last block whose forward touches a value, and its first read
    written = np.zeros((count, offsets))  # by the block that writes a value, and its last read
    last_reads = last_forward_reads(graph, turn)
    for value, readers in enumerate(reads):
        if readers:
            producer = graph.values[value].producer
            done_with[chain.block_of[max(producer, last_reads[value])], readers[0] - turn] += graph.sizes[value]
            written[chain.block_of[producer], readers[-1] - turn] += graph.sizes[value]
    misplaced = np.zeros((count, offsets))
    # Read too early: at a smaller offset, of this block or one before.
    misplaced[:, 1:] += np.cumsum(np.cumsum(done_with, axis=0), axis=1)[:, :-1]
    # Read too late: at this offset or a larger one, of a later block.
    misplaced[:-1] += np.cumsum(np.cumsum(written[::-1, ::-1], axis=0), axis=1)[::-1, ::-1][1:]
    return misplaced
