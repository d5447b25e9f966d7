"""From the decisions of a chain programme to a sequence of computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from hcb_opt.chains.byte_tables import HELD, TRANSIENT
from hcb_opt.chains.choices import Release, Save
from hcb_opt.chains.programme import Programme
from hcb_opt.realise import GrowingSequence


def chain_computes(programme: Programme, level: int) -> list[int]:
    """The computes of the cheapest plan in so many levels of memory.

    Whatever the plan says, an op's inputs are computed before it, and first
    computes come in the graph's order.

    Parameters
    ----------
    programme : Programme
    level : int
        One of finite cost.

    Returns
    -------
    list of int
        Positions of ops, recomputes included. Costs what the programme says;
        little less, or more where values cross blocks in ways that it only
        approximates.
    """
    walk = _Walk(programme)
    walk.reverse(HELD, 0, programme.partition.count - 1, level, 0)
    return walk.sequence.order


class _Walk:
    """A run through the plan: what has been computed, and what is still wanted."""

    def __init__(self, programme: Programme) -> None:
        self.programme, self.partition = programme, programme.partition
        self.graph = self.partition.graph
        self.sequence = GrowingSequence(self.graph)
        self._begun = 0  # ops of the forward that have run
        self._saved: Counter[int] = Counter()  # by the blocks whose backward is still to come
        self._written = [
            [value for op in self.partition.ops(block) for value in self.graph.ops[op].outputs]
            for block in range(self.partition.count)
        ]

    def reverse(self, state: int, first: int, end: int, level: int, since: int) -> None:
        """Run blocks ``first .. end`` forward and backward.

        Values of blocks before ``since`` are held for others and not to be forgotten.
        """
        while not isinstance(choice := self.programme.choice(state, first, end, level), Save):
            if isinstance(choice, Release):
                state, level = TRANSIENT, choice.level
                continue
            crossing = self.partition.crossing(choice.boundary, end, saved=False)
            self._forward(first, choice.boundary, crossing)
            self.reverse(choice.state, choice.boundary, end, choice.level, first)
            self._forget_blocks(first, choice.boundary, ())
            end, level = choice.boundary - 1, choice.level_before
        self._save(choice, state, first, end, since)

    def _save(self, choice: Save, state: int, block: int, end: int, since: int) -> None:
        partition = self.partition
        kept = choice.option.kept
        if not choice.lazy:
            after = partition.crossing(block + 1, end, saved=False) if block < end else []
            self._forward(block, block + 1, {*kept, *after})
            if state == TRANSIENT:
                # Of the blocks before, what only forwards read is no longer needed.
                lasting = {*after, *self._saved, *partition.crossing(block, end, saved=True)}
                self.sequence.forget(
                    value
                    for value in partition.crossing(block, end, saved=False)
                    if partition.value_blocks[value] >= since and value not in lasting
                )
        saved = {*kept, *partition.crossing(block, end, saved=True)}
        if block < end:
            self._saved.update(saved)
            self.reverse(choice.state, block + 1, end, choice.level, block if state == HELD else since)
            self._saved -= Counter(saved)
        self._backward(block, choice, saved)

    def _forward(self, first: int, boundary: int, wanted: Collection[int]) -> None:
        """Run blocks until a boundary and leave nothing of them but what is wanted."""
        end = self.partition.boundaries[boundary]
        if self._begun < end:
            # For the first time: all of it. What is volatile stays until the turn, before which memory is free.
            for op in range(self._begun, end):
                self.sequence.provide(self.graph.ops[op].inputs)
                self.sequence.compute(op)
            self._begun = end
            self._forget_blocks(first, boundary, {*wanted, *self.partition.volatile})
        else:
            fresh = self.sequence.provide(wanted)
            self.sequence.forget(set(fresh).difference(wanted))
            self._forget_blocks(first, boundary, set(wanted))

    def _backward(self, block: int, choice: Save, saved: Collection[int]) -> None:
        """Run a block's backward; what it computes again is forgotten at its end or, if lean, at once."""
        partition = self.partition
        if block == partition.count - 1:
            self.sequence.forget(partition.volatile.difference(saved, self._saved))
        fresh: list[int] = []
        for position in partition.backward(block):
            fresh += self.sequence.provide(self.graph.ops[position].inputs)
            self.sequence.compute(position)
            if choice.option.lean:
                self.sequence.forget(fresh)
                fresh.clear()
        self.sequence.forget(fresh)

    def _forget_blocks(self, first: int, boundary: int, wanted: Collection[int]) -> None:
        for block in range(first, boundary):
            self.sequence.forget(value for value in self._written[block] if value not in wanted)
