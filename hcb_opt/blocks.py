"""The forward as a chain of blocks: where it turns, its frontier cuts, and where to cut it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import isqrt
from typing import Protocol

from hcb_opt.graph import Graph, Phase

THRESHOLD_RATIO = 2 ** (1 / 8)


class Blocks(Protocol):
    """What a reversal must know of blocks of the forward; `Chain` cuts the fixed order into them."""

    @property
    def graph(self) -> Graph:
        """The training step."""
        ...

    @property
    def turn(self) -> int:
        """Number of forward ops: the position at which the backward begins."""
        ...

    @property
    def block_count(self) -> int:
        """Number of blocks, at least 1."""
        ...

    @property
    def block_of(self) -> tuple[int, ...]:
        """For each forward op, the block that holds it."""
        ...

    @property
    def cuts(self) -> tuple[tuple[int, ...], ...]:
        """For each block, values of earlier ones from which it may be run again if they are kept."""
        ...


@dataclass(frozen=True)
class Chain:
    """The forward ops of a graph, cut into consecutive blocks.

    Attributes
    ----------
    graph : Graph
    boundaries : tuple of int
        Positions ``0 = b_0 < b_1 < ... < b_L``: block i holds the ops
        ``b_i <= position < b_{i+1}``; the last one is where the forward turns.
    """

    graph: Graph
    boundaries: tuple[int, ...]

    @property
    def turn(self) -> int:
        """Number of forward ops: the position at which the backward begins."""
        return self.boundaries[-1]

    @property
    def block_count(self) -> int:
        """Number of blocks, L."""
        return len(self.boundaries) - 1

    @cached_property
    def cuts(self) -> tuple[tuple[int, ...], ...]:
        """For each boundary but the last, the values that cross it: see `frontier`."""
        cuts: list[list[int]] = [[] for _ in range(self.block_count)]
        for value, last in enumerate(last_forward_reads(self.graph, self.turn)):
            first_cut = bisect_right(self.boundaries, self.graph.values[value].producer)
            for boundary in range(first_cut, bisect_right(self.boundaries, last)):
                cuts[boundary].append(value)
        return tuple(map(tuple, cuts))

    @cached_property
    def block_of(self) -> tuple[int, ...]:
        """For each forward op, the block that holds it."""
        return tuple(
            block
            for block in range(self.block_count)
            for _ in range(self.boundaries[block], self.boundaries[block + 1])
        )


def turn_position(graph: Graph) -> int:
    """Number of ops that count as the forward.

    The position of the first op marked as backward. Where none is marked, as in
    published instances, the position of the store-all peak, at which a training
    step turns; at least 1.
    """
    for position, op in enumerate(graph.ops):
        if op.phase is Phase.BACKWARD:
            return max(1, position)
    return max(1, graph.store_all_profile_bytes.index(graph.store_all_peak_bytes))


def last_forward_reads(graph: Graph, turn: int) -> tuple[int, ...]:
    """For each value, the last op before the turn that reads it; -1 if none does."""
    return tuple(
        readers[bisect_left(readers, turn) - 1] if readers and readers[0] < turn else -1 for readers in graph.consumers
    )


def frontier_bytes(graph: Graph, turn: int) -> tuple[int, ...]:
    """Bytes of the frontier cut at every boundary of the forward.

    The frontier at boundary p holds the values written before position p that a
    forward op at p or later still reads: all that the rest of the forward needs
    to know of its first p ops. What only the backward reads is no part of it.

    Returns
    -------
    tuple of int
        Length ``turn + 1``; entries 0 and ``turn`` are 0.
    """
    changes = [0] * (turn + 2)
    for value, last in enumerate(last_forward_reads(graph, turn)):
        if last >= 0:
            changes[graph.values[value].producer + 1] += graph.sizes[value]
            changes[last + 1] -= graph.sizes[value]
    return tuple(accumulate(changes[: turn + 1]))


def narrow_boundaries(widths: Sequence[int]) -> tuple[int, ...]:
    """Inner boundaries at which the frontier is no wider than at either neighbour.

    Parameters
    ----------
    widths : sequence of int
        Bytes of every frontier, from `frontier_bytes`.
    """
    return tuple(
        position
        for position in range(1, len(widths) - 1)
        if widths[position] <= min(widths[position - 1], widths[position + 1])
    )


def balanced_chain(graph: Graph, weights: Sequence[int], count: int) -> Chain:
    """Cut the forward into blocks of about equal weight, at narrow frontiers.

    Each boundary lies within a third of a block of the equal split, at the
    narrowest frontier there (the nearest of equals).

    Parameters
    ----------
    graph : Graph
    weights : sequence of int
        Of each forward op; its length is the turn. All zero counts as all equal.
    count : int
        Blocks wanted, at least 1. Fewer result where one op outweighs a block.
    """
    turn = len(weights)
    reached = [0, *accumulate(weights if any(weights) else [1] * turn)]
    widths = frontier_bytes(graph, turn)
    boundaries = [0]
    for cut in range(1, count):
        target = reached[-1] * cut / count
        slack = reached[-1] / (3 * count)
        first = bisect_left(reached, target - slack)
        window = range(max(first, boundaries[-1] + 1), turn)
        best: tuple[int, float, int] | None = None
        for position in window:
            if best is not None and reached[position] > target + slack:
                break
            candidate = (widths[position], abs(reached[position] - target), position)
            best = candidate if best is None else min(best, candidate)
        if best is not None:
            boundaries.append(best[2])
    return Chain(graph, (*boundaries, turn))


def threshold_boundaries(
    graph: Graph, turn: int, allowed: Sequence[int], kept_bytes: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    """Segments that end at the first allowed boundary after they have written more than b bytes, for many b.

    The threshold b runs over a geometric grid from all bytes of the forward (one
    segment) down to the largest op's, and over the estimate sqrt(x y) that each
    of these gives, from the bytes x kept at its boundaries and y of its largest
    segment (Chen et al. 2016, algorithm 3).

    Parameters
    ----------
    graph : Graph
    turn : int
        Number of forward ops.
    allowed : sequence of int
        Inner boundaries at which a segment may end, ascending.
    kept_bytes : sequence of int
        What is kept at each boundary, if one ends there.

    Yields
    ------
    tuple of int
        Boundaries, as in `Chain`; none twice.
    """
    written = [sum(graph.sizes[value] for value in op.outputs) for op in graph.ops[:turn]]
    reached = [0, *accumulate(written)]
    tried: set[tuple[int, ...]] = set()
    threshold = float(max(1, reached[-1]))
    while threshold >= max(1, *written):
        boundaries = _ended_past(reached, allowed, threshold)
        kept = sum(kept_bytes[boundary] for boundary in boundaries[1:-1])
        largest = max(reached[end] - reached[start] for start, end in pairwise(boundaries))
        for each in (boundaries, _ended_past(reached, allowed, isqrt(kept * largest))):
            if each not in tried:
                tried.add(each)
                yield each
        threshold /= THRESHOLD_RATIO


def _ended_past(reached: Sequence[int], allowed: Sequence[int], threshold: float) -> tuple[int, ...]:
    """Boundaries of segments that end at the first allowed one past the threshold."""
    boundaries = [0]
    turn = len(reached) - 1
    while True:
        past = bisect_left(reached, True, key=lambda total: total - reached[boundaries[-1]] > threshold)
        following = bisect_left(allowed, past)
        if following == len(allowed):
            return (*boundaries, turn)
        boundaries.append(allowed[following])
