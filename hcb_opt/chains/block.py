"""One block of a partition: what its backward needs, and what it takes to compute that again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from hcb_opt.chains.partition import Partition

Available = Callable[[int], bool]
"""Whether a value that crosses into the block is resident while its backward runs."""


class Block:
    """The ops of a block and its share of the backward.

    Parameters
    ----------
    partition : Partition
    number : int
        Which block.

    Attributes
    ----------
    ops, backward : range
        Positions of its forward and backward ops.
    needed : frozenset of int
        What its backward reads of its own forward, and of volatile values.
    saveable : frozenset of int
        The block's own among these.
    left_over : frozenset of int
        Values of the block that backwards of earlier blocks read: they stay
        after its own.
    origin_bytes : int
        What is resident in any case where its backward begins.
    leaving : frozenset of int
        Its values that later blocks read.
    """

    def __init__(self, partition: Partition, number: int) -> None:
        self.partition, self.number, self.graph = partition, number, partition.graph
        self.turn = partition.turn
        self.ops, self.backward = partition.ops(number), partition.backward(number)
        self.origin_bytes = partition.origin_bytes(number)
        reads = {value for position in self.backward for value in self.graph.ops[position].inputs}
        self.needed = frozenset(value for value in reads if self.own(value) or value in partition.volatile)
        self.saveable = frozenset(filter(self.own, self.needed))
        written = [value for op in self.ops for value in self.graph.ops[op].outputs]
        self.leaving = frozenset(value for value in written if partition.later_blocks[value].readers)
        self.left_over = frozenset(value for value in written if partition.is_left_over(value))

    def own(self, value: int) -> bool:
        """Whether the block's forward writes a value."""
        return self.partition.value_blocks[value] == self.number

    def foreign(self, value: int) -> bool:
        """Whether a value is volatile and another block's: to be computed again."""
        return value in self.partition.volatile and not self.own(value)

    def saved(self, value: int) -> bool:
        """Whether a value that crosses into the block is read by the block's backward."""
        return self.number in self.partition.later_blocks[value].saved_for

    def passes(self, value: int) -> bool:
        """Whether a value that crosses into the block is read by a later one too."""
        readers = self.partition.later_blocks[value].readers
        return bool(readers) and readers[-1] > self.number

    def cost(self, ops: Iterable[int]) -> int:
        """Total cost of ops."""
        return sum(self.graph.ops[op].cost for op in ops)

    def closure(
        self, wanted: Iterable[int], kept: Collection[int], available: Available, done: Collection[int] = frozenset()
    ) -> frozenset[int] | None:
        """The ops that make values resident again.

        Parameters
        ----------
        wanted : iterable of int
        kept : collection of int
            Values of the block that are resident.
        available : callable
            Tells of values that cross into the block.
        done : collection of int
            Ops that run anyway and are not listed.

        Returns
        -------
        frozenset of int or None
            None if that takes a value that is not resident.
        """
        graph, volatile = self.graph, self.partition.volatile
        ops: set[int] = set()
        pending = [value for value in wanted if value not in kept]
        while pending:
            value = pending.pop()
            if not self.own(value) and value not in volatile:
                if available(value):
                    continue
                return None
            producer = graph.values[value].producer
            if producer not in ops and producer not in done:
                ops.add(producer)
                pending.extend(each for each in graph.ops[producer].inputs if each not in kept)
        return frozenset(ops)
