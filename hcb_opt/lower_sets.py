"""Lower sets of the forward, and the cheapest sequence of them for a memory limit.

Kusumoto, Inoue, Watanabe, Akiba and Koyama, A graph theoretic framework of
recomputation algorithms for memory-efficient backpropagation, NeurIPS 2019. A
lower set holds with every op those it reads from. A sequence of lower sets
L_1 < ... < L_k, the last being the whole forward V, stands for a schedule: the
forward keeps of each block V_i = L_i - L_{i-1} what ops outside L_i read, called
the boundary of L_i, and the backward recomputes one block after the other, the
last first, from all that was kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcb_opt.graph import Graph

Members = NDArray[np.bool_]
Numbers = NDArray[np.int64]

LEVELS = 256
_UNREACHED = int(np.iinfo(np.int64).max // 4)


@dataclass(frozen=True)
class LowerSetBlocks:
    """The blocks between consecutive lower sets, as `hcb_opt.reversal` takes them.

    Attributes
    ----------
    graph : Graph
    block_of : tuple of int
        For each forward op, the first lower set that holds it, from 0.
    """

    graph: Graph
    block_of: tuple[int, ...]

    @property
    def turn(self) -> int:
        """Number of forward ops."""
        return len(self.block_of)

    @property
    def block_count(self) -> int:
        """Number of blocks, k."""
        return max(self.block_of) + 1

    @cached_property
    def cuts(self) -> tuple[tuple[int, ...], ...]:
        """For each block, the boundary of the lower set before it."""
        cuts: list[list[int]] = [[] for _ in range(self.block_count)]
        for value, each in enumerate(self.graph.values):
            if each.producer < self.turn:
                readers = [self.block_of[op] for op in self.graph.consumers[value] if op < self.turn]
                for boundary in range(self.block_of[each.producer] + 1, max(readers, default=-1) + 1):
                    cuts[boundary].append(value)
        return tuple(map(tuple, cuts))


def all_lower_sets(graph: Graph, turn: int, most: int) -> Members | None:
    """Every lower set of the forward, by size; None if there are more than ``most``.

    Returns
    -------
    ndarray of bool, shape (sets, turn), or None
        From the empty set to the whole forward.
    """
    reads = _reads(graph, turn)
    known = {0}
    layer = [0]
    # A lower set grows by one op of which it holds all that the op reads.
    while layer:
        grown = {
            members | 1 << op
            for members in layer
            for op in range(turn)
            if not members >> op & 1 and reads[op] & members == reads[op]
        }
        layer = sorted(grown)
        known |= grown
        if len(known) > most:
            return None
    return _matrix(sorted(known, key=lambda members: (members.bit_count(), members)), turn)


def ancestor_sets(graph: Graph, turn: int) -> Members:
    """The lower sets that one op spans, with all it depends on; the empty set and the whole forward.

    The paper's pruned family, of which its approximate programme takes sequences.

    Returns
    -------
    ndarray of bool, shape (sets, turn)
        At most ``turn + 2`` sets, by size.
    """
    spanned: list[int] = []
    for op, reads in enumerate(_reads(graph, turn)):
        members = 1 << op
        for producer in range(op):
            if reads >> producer & 1:
                members |= spanned[producer]
        spanned.append(members)
    known = {0, (1 << turn) - 1, *spanned}
    return _matrix(sorted(known, key=lambda members: (members.bit_count(), members)), turn)


class LowerSetProgramme:
    """The paper's dynamic programme, for any family of lower sets.

    Its model of memory (the paper's equation 2), while block V_i is reversed:
    what was kept of earlier blocks; twice the block, for its values and their
    gradients; the gradients of the ops outside L_i that read from L_i; and what
    these ops read from outside L_i. Its model of overhead (equation 1): an op of
    which something is not kept runs once more. Only the last block, which has
    just run when the backward begins, does not run again here.

    Parameters
    ----------
    graph : Graph
    turn : int
        Number of forward ops.
    members : ndarray of bool, shape (sets, turn)
        Lower sets by size, the first empty, the last the whole forward.
    """

    def __init__(self, graph: Graph, turn: int, members: Members) -> None:
        self.graph, self.members = graph, members
        values = [value for op in graph.ops[:turn] for value in op.outputs]
        sizes = np.array([graph.sizes[value] for value in values], dtype=np.int64)
        wrote = np.zeros((len(values), turn), dtype=np.int64)
        reads = np.zeros((len(values), turn), dtype=np.int64)
        for row, value in enumerate(values):
            wrote[row, graph.values[value].producer] = 1
            reads[row, [op for op in graph.consumers[value] if op < turn]] = 1
        inside, outside = members.astype(np.int64), (~members).astype(np.int64)
        written = inside @ wrote.T > 0
        boundary = written & (outside @ reads.T > 0)
        used = np.array([bool(graph.consumers[value]) for value in values], dtype=bool)
        children = ~members & (written @ reads > 0)
        co_read = ~written & (children @ reads.T > 0)
        # Of each lower set: bytes; of each of its ops: bytes in its boundary, and cost if it must run again.
        self._op_bytes = sizes @ wrote
        self._bytes = inside @ self._op_bytes
        self._boundary_bytes = (boundary * sizes) @ wrote
        self._rerun_costs = members * (((used & ~boundary).astype(np.int64) @ wrote) > 0) * _rounded(graph, turn)
        self._around_bytes = children @ self._op_bytes + co_read @ sizes

    @property
    def most_bytes(self) -> int:
        """What the model says of one block, the whole forward: nothing is recomputed."""
        return 2 * int(self._bytes[-1])

    def plans(self, limit_bytes: int) -> list[tuple[int, ...]]:
        """The sequences of least and of most overhead within a limit of the modelled memory.

        The paper's time-centric and memory-centric strategies: of the sequences
        within a limit, those that recompute most tend to hold least in truth,
        where a value is dropped after its last use. Of equals the one that keeps
        least. Costs are rounded to multiples of 1 / `LEVELS` of the forward's,
        unless they are fewer.

        Parameters
        ----------
        limit_bytes : int

        Returns
        -------
        list of tuple of int
            Rows of ``members``, ascending, the last being the whole forward; at
            most two; empty if no sequence keeps within the limit.
        """
        kept, before = self._table(limit_bytes)
        reached = np.flatnonzero(kept[-1] < _UNREACHED)
        if not len(reached):
            return []
        return [self._trace(before, level) for level in sorted({int(reached[0]), int(reached[-1])})]

    def blocks(self, plan: Sequence[int]) -> LowerSetBlocks:
        """The blocks of a sequence of lower sets."""
        return LowerSetBlocks(self.graph, tuple(np.argmax(self.members[list(plan)], axis=0).tolist()))

    def _table(self, limit_bytes: int) -> tuple[Numbers, Numbers]:
        """For each lower set and overhead, the least that is kept by then, and the lower set before it."""
        sets, levels = len(self.members), int(self._rerun_costs.max(axis=0).sum()) + 1
        kept = np.full((sets, levels), _UNREACHED)
        before = np.zeros((sets, levels), dtype=np.int64)
        kept[0, 0] = 0
        level = np.arange(levels)
        for target in range(1, sets):
            within = ~(self.members[:target] & ~self.members[target]).any(axis=1)
            sources = np.flatnonzero(within & (kept[:target].min(axis=1) < _UNREACHED))
            if len(sources):
                added, peak, overhead = self._step(sources, target)
                earlier = level - overhead[:, None]
                held = np.where(earlier >= 0, kept[sources[:, None], np.maximum(earlier, 0)], _UNREACHED)
                total = np.where(held + peak[:, None] <= limit_bytes, held + added[:, None], _UNREACHED)
                best = np.argmin(total, axis=0)
                kept[target] = total[best, level]
                before[target] = sources[best]
        return kept, before

    def _step(self, sources: Numbers, target: int) -> tuple[Numbers, Numbers, Numbers]:
        """Of the block from each source to the target: bytes kept, bytes it needs beside those, overhead."""
        block = (self.members[target] & ~self.members[sources]).astype(np.int64)
        added = block @ self._boundary_bytes[target]
        peak = 2 * (self._bytes[target] - self._bytes[sources]) + self._around_bytes[target]
        last = target == len(self.members) - 1
        overhead = np.zeros_like(added) if last else block @ self._rerun_costs[target]
        return added, peak, overhead

    def _trace(self, before: Numbers, level: int) -> tuple[int, ...]:
        plan = [len(self.members) - 1]
        while (source := int(before[plan[-1], level])) > 0:
            level -= int(self._step(np.array([source]), plan[-1])[2][0])
            plan.append(source)
        return tuple(reversed(plan))


def _reads(graph: Graph, turn: int) -> list[int]:
    """For each forward op, the ops it reads from, as bits."""
    return [sum(1 << each for each in {graph.values[value].producer for value in op.inputs}) for op in graph.ops[:turn]]


def _matrix(sets: Sequence[int], turn: int) -> Members:
    return np.array([[members >> op & 1 for op in range(turn)] for members in sets], dtype=bool)


def _rounded(graph: Graph, turn: int) -> Numbers:
    """Costs of the forward ops in units, of which there are at most about `LEVELS` in all."""
    costs = [op.cost for op in graph.ops[:turn]]
    unit = max(math.gcd(*costs), sum(costs) / LEVELS, 1)
    return np.array([round(cost / unit) for cost in costs], dtype=np.int64)
