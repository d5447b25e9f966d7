"""A training step as a chain of blocks, each with its share of the backward."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcb_opt.blocks import Chain
from hcb_opt.chains.backward_blocks import backward_reads, backward_starts
from hcb_opt.chains.byte_tables import ByteTables, CrossingValue
from hcb_opt.graph import Graph


class LaterBlocks(NamedTuple):
    """Who reads a value of the forward after the block that writes it; blocks ascending.

    Attributes
    ----------
    saved_for : tuple of int
        Later blocks whose backward reads it.
    readers : tuple of int
        Later blocks that read it, forward or backward.
    """

    saved_for: tuple[int, ...] = ()
    readers: tuple[int, ...] = ()


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
        """Where the backward of each block begins: see `hcb_opt.chains.backward_blocks`."""
        return backward_starts(self.chain, self.backward_reads)

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
        return backward_reads(self.graph, self.turn)

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
    def later_blocks(self) -> tuple[LaterBlocks, ...]:
        """For each value, the later blocks that read it; none for volatile values and those of the backward.

        Who reads a volatile value of an earlier block reads what that is computed from.
        """
        saved_for: list[set[int]] = [set() for _ in self.graph.values]
        readers: list[set[int]] = [set() for _ in self.graph.values]
        for value, consumers in enumerate(self.graph.consumers):
            own = self.value_blocks[value]
            if own == self.count:
                continue
            for op in consumers:
                backward = op >= self.turn
                block = self.backward_block_of[op - self.turn] if backward else self.chain.block_of[op]
                for source in self.sources.get(value, (value,)) if block != own else (value,):
                    if block > self.value_blocks[source]:
                        readers[source].add(block)
                        if backward:
                            saved_for[source].add(block)
        return tuple(
            LaterBlocks()
            if value in self.volatile
            else LaterBlocks(tuple(sorted(saved_for[value])), tuple(sorted(readers[value])))
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
        later_blocks = self.later_blocks
        return [
            value
            for value in self._crossing[boundary]
            if (blocks := later_blocks[value].saved_for if saved else later_blocks[value].readers)
            and (place := bisect_left(blocks, boundary)) < len(blocks)
            and blocks[place] <= end
        ]

    @cached_property
    def _crossing(self) -> tuple[tuple[int, ...], ...]:
        """For each block, the values written before it that it or a later one reads."""
        found: list[list[int]] = [[] for _ in range(self.count)]
        for value, later in enumerate(self.later_blocks):
            if later.readers:
                for boundary in range(self.value_blocks[value] + 1, later.readers[-1] + 1):
                    found[boundary].append(value)
        return tuple(map(tuple, found))

    @cached_property
    def byte_tables(self) -> ByteTables:
        """Bytes of what crosses from block to block, for every run of blocks."""
        return ByteTables(
            self.count,
            (
                CrossingValue(self.graph.sizes[value], self.value_blocks[value], *later, self.own_reads(value))
                for value, later in enumerate(self.later_blocks)
                if later.readers
            ),
        )

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
