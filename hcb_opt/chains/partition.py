"""A training step as a chain of blocks, each with its share of the backward."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcb_opt.blocks import Chain, last_forward_reads
from hcb_opt.graph import Graph


@dataclass(frozen=True)
class Partition:
    """Consecutive blocks of the forward, and for each the stretch of the backward that reads it.

    Attributes
    ----------
    chain : Chain
        The forward, cut into blocks.
    volatile : frozenset of int
        Forward values that no block hands on: a later one that reads such a
        value computes it again.
    """

    chain: Chain
    volatile: frozenset[int] = frozenset()

    @property
    def graph(self) -> Graph:
        """The step."""
        return self.chain.graph

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Block j computes the ops ``boundaries[j] <= position < boundaries[j + 1]``."""
        return self.chain.boundaries

    @property
    def turn(self) -> int:
        """Number of forward ops."""
        return self.chain.turn

    @property
    def count(self) -> int:
        """Number of blocks, L."""
        return self.chain.block_count

    def ops(self, block: int) -> range:
        """Positions of a block's forward ops."""
        return range(self.boundaries[block], self.boundaries[block + 1])

    def backward(self, block: int) -> range:
        """Positions of the ops of a block's backward."""
        return range(self.backward_starts[block], self.backward_ends[block])

    @cached_property
    def backward_starts(self) -> tuple[int, ...]:
        """Where the backward of each block begins; it ends where that of the block before begins.

        Between the backwards of blocks j + 1 and j a position is chosen that
        fewest bytes of reads contradict: values that only blocks up to j read in
        the forward should be read after it, values written after block j before.
        Of equals the last: reading the frontier alone needs no other block.
        """
        graph, turn, count = self.graph, self.turn, self.count
        length = len(graph.ops) - turn
        early = np.zeros((count, length + 1))
        late = np.zeros((count, length + 1))
        last_reads = last_forward_reads(graph, turn)
        for value, readers in enumerate(self.backward_reads):
            if readers:
                producer = graph.values[value].producer
                closed = self.chain.block_of[max(producer, last_reads[value])]
                early[closed, readers[0] - turn] += graph.sizes[value]
                late[self.chain.block_of[producer], readers[-1] - turn] += graph.sizes[value]
        # misplaced[j, e]: bytes read on the wrong side of position e, between the blocks up to j and the later ones.
        before = np.cumsum(np.cumsum(early, axis=0), axis=1)
        before = np.concatenate([np.zeros((count, 1)), before[:, :-1]], axis=1)
        after = np.cumsum(np.cumsum(late[::-1], axis=0)[::-1][:, ::-1], axis=1)[:, ::-1]
        starts = [turn] * count
        ceiling = length
        for block in range(count - 1):
            misplaced = before[block] + after[block + 1]
            ceiling = int(ceiling - np.argmin(misplaced[ceiling::-1]))
            starts[block] = turn + ceiling
        return tuple(starts)

    @property
    def backward_ends(self) -> tuple[int, ...]:
        """Where the backward of each block ends."""
        return (len(self.graph.ops), *self.backward_starts[:-1])

    @cached_property
    def backward_block_of(self) -> tuple[int, ...]:
        """The block of each backward op, from the turn on."""
        return tuple(block for block in reversed(range(self.count)) for _ in self.backward(block))

    @cached_property
    def backward_reads(self) -> tuple[tuple[int, ...], ...]:
        """For each forward value, the backward ops that read it; empty for values of the backward."""
        return tuple(
            readers[bisect_left(readers, self.turn) :] if self.graph.values[value].producer < self.turn else ()
            for value, readers in enumerate(self.graph.consumers)
        )

    @cached_property
    def value_blocks(self) -> tuple[int, ...]:
        """For each forward value, the block that writes it; the number of blocks for values of the backward."""
        return tuple(
            self.chain.block_of[value.producer] if value.producer < self.turn else self.count
            for value in self.graph.values
        )

    @cached_property
    def sources(self) -> dict[int, frozenset[int]]:
        """For each volatile value, the other values that it is computed from, volatile ones in between left out."""
        found: dict[int, frozenset[int]] = {}
        for value in sorted(self.volatile):
            inputs = self.graph.ops[self.graph.values[value].producer].inputs
            found[value] = frozenset().union(*(found.get(each, frozenset((each,))) for each in inputs))
        return found

    @cached_property
    def later_blocks(self) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """For each forward value, the later blocks whose backward reads it, and those that read it at all.

        Who reads a volatile value of an earlier block reads what that is computed from.
        """
        saved: list[set[int]] = [set() for _ in self.graph.values]
        crossing: list[set[int]] = [set() for _ in self.graph.values]
        for value, readers in enumerate(self.graph.consumers):
            own = self.value_blocks[value]
            if own == self.count:
                continue
            for reader in readers:
                backward = reader >= self.turn
                block = self.backward_block_of[reader - self.turn] if backward else self.chain.block_of[reader]
                for source in self.sources.get(value, (value,)) if block != own else (value,):
                    if block > self.value_blocks[source]:
                        crossing[source].add(block)
                        if backward:
                            saved[source].add(block)
        return tuple(
            ((), ()) if value in self.volatile else (tuple(sorted(saved[value])), tuple(sorted(crossing[value])))
            for value in range(len(self.graph.values))
        )

    def crossing(self, boundary: int, end: int, *, saved: bool) -> list[int]:
        """Values written before a block that blocks from it up to ``end`` read.

        Parameters
        ----------
        boundary : int
            The first of the blocks that read.
        end : int
            The last of them.
        saved : bool
            Only what their backwards read.
        """
        return [
            value
            for value in self._crossing[boundary]
            if (blocks := self.later_blocks[value][0 if saved else 1])
            and (place := bisect_left(blocks, boundary)) < len(blocks)
            and blocks[place] <= end
        ]

    @cached_property
    def _crossing(self) -> tuple[tuple[int, ...], ...]:
        found: list[list[int]] = [[] for _ in range(self.count)]
        for value, (_, blocks) in enumerate(self.later_blocks):
            if blocks:
                for boundary in range(self.value_blocks[value] + 1, blocks[-1] + 1):
                    found[boundary].append(value)
        return tuple(map(tuple, found))

    @cached_property
    def crossing_bytes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bytes of crossing values, ``[first, boundary, end]``: of saved ones, and of all.

        Written in blocks ``first .. boundary - 1``, read by blocks
        ``boundary .. end`` (for saved ones: by their backwards).
        """
        shape = (self.count + 1, self.count + 1, self.count)
        tables = np.zeros(shape), np.zeros(shape)
        for value, kinds in enumerate(self.later_blocks):
            own, size = self.value_blocks[value], self.graph.sizes[value]
            for table, blocks in zip(tables, kinds, strict=True):
                boundary = own + 1
                for block in blocks:
                    table[own, boundary : block + 1, block] += size
                    boundary = block + 1
        for table in tables:
            np.cumsum(table[::-1], axis=0, out=table[::-1])
            np.cumsum(table, axis=2, out=table)
        return tables

    @cached_property
    def released_bytes(self) -> NDArray[np.float64]:
        """Bytes of values, ``[first, block]``, written before ``first``, that no block before ``block`` reads.

        Cumulated from the left over ``block``: what is read first by a block up
        to that one. A value that its own block's backward reads is not counted.
        """
        table = np.zeros((self.count + 1, self.count))
        for value, (_, blocks) in enumerate(self.later_blocks):
            own = self.value_blocks[value]
            if blocks and not self.own_reads(value):
                table[own + 1, blocks[0]] += self.graph.sizes[value]
        released: NDArray[np.float64] = np.cumsum(np.cumsum(table, axis=0), axis=1)
        return released

    @cached_property
    def passing_bytes(self) -> NDArray[np.float64]:
        """Bytes of values, ``[block, end]``, that only a forward needs.

        Written before ``block``, first read by a block from it up to ``end``,
        and by no backward of these.
        """
        table = np.zeros((self.count + 1, self.count))
        for value, (saved, blocks) in enumerate(self.later_blocks):
            if blocks and not self.own_reads(value):
                until = saved[0] if saved else self.count
                table[self.value_blocks[value] + 1 : blocks[0] + 1, blocks[0] : until] += self.graph.sizes[value]
        return table

    def is_left_over(self, value: int) -> bool:
        """Whether the backward of a block before the one that writes a value reads it, and it is not volatile."""
        readers = self.backward_reads[value]
        if not readers or value in self.volatile:
            return False
        return readers[-1] >= self.backward_ends[self.value_blocks[value]]

    def own_reads(self, value: int) -> bool:
        """Whether the backward of the block that writes a value reads it."""
        backward = self.backward(self.value_blocks[value])
        return any(reader in backward for reader in self.backward_reads[value])

    @cached_property
    def base_bytes(self) -> NDArray[np.int64]:
        """Resident bytes of what is no matter of choice, while each op from the turn on runs; one more entry.

        Values of the backward, workspace, outputs, and forward values that a
        later block's backward left for an earlier one's.
        """
        graph, turn = self.graph, self.turn
        change = np.zeros(len(graph.ops) - turn + 2, dtype=np.int64)
        for value, each in enumerate(graph.values):
            size, last = graph.sizes[value], graph.last_needed[value]
            if each.producer >= turn:
                start = each.producer
            elif value in graph.required:
                start = turn
            elif self.is_left_over(value):
                start = self.backward_ends[self.value_blocks[value]]
            else:
                continue
            change[start - turn] += size
            change[last + 1 - turn] -= size
        return np.cumsum(change)[:-1]

    def origin_bytes(self, block: int) -> int:
        """What is resident in any case while the first op of a block's backward runs; 0 if that has none."""
        start = self.backward_starts[block]
        return int(self.base_bytes[start - self.turn]) if start < self.backward_ends[block] else 0

    def between_bytes(self, block: int) -> int:
        """Resident bytes of what is no matter of choice, right before a block's backward begins."""
        start = self.backward_starts[block]
        graph = self.graph
        if start == len(graph.ops):
            return sum(graph.sizes[value] for value in graph.outputs)
        fresh = sum(graph.sizes[value] for value in graph.ops[start].outputs)
        return int(self.base_bytes[start - self.turn]) - fresh
