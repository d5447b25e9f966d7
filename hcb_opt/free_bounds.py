"""A solver-free lower bound on the cost of schedules in any topological order.

Whatever the order, when an op is first computed all its ancestors have been
computed, and none of its descendants. What an ancestor wrote and a descendant
reads is held at that instant, or its producer runs again later.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hcb_opt.bounds import covering_cost, exact_covering_cost
from hcb_opt.graph import Graph

_MOST_ENTRIES = 20_000_000


def free_cover_bound(graph: Graph, budget_bytes: int) -> int:
    """Cheapest recomputation that the first compute of any one op forces, in any order.

    At the instant op p is first computed its inputs, outputs and workspace are
    resident. Take the values that p does not touch, that an ancestor of p writes
    and that a descendant of p reads or the end requires. Those that are not
    resident then must be computed again, although their producers have run. The
    fractional covering knapsack over these producers (cost per byte freed,
    cheapest first) bounds that from below; the best op counts.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
        At least the mandatory memory.

    Returns
    -------
    int
        A lower bound of the cost of every schedule within budget, in cost units.
        On large graphs only those ops are tried at which the store-all schedule
        holds most.
    """
    straddling = _Straddling(graph)
    sizes = np.array(graph.sizes, dtype=np.int64)
    costs = np.array([op.cost for op in graph.ops], dtype=float)
    best: tuple[float, int, int] = (0.0, -1, 0)
    profile = graph.store_all_profile_bytes
    tried = _MOST_ENTRIES // (len(graph.ops) + len(straddling.readers)) + 1
    for position in sorted(range(len(graph.ops)), key=lambda each: (-profile[each], each))[:tried]:
        values = straddling.at(position)
        deficit = int(sizes[values].sum()) + graph.workset_bytes[position] - budget_bytes
        if deficit <= 0:
            continue
        cost = covering_cost(straddling.producers[values], sizes[values], costs, deficit)
        best = max(best, (cost, position, deficit))
    if best[1] < 0:
        return graph.base_cost
    values = straddling.at(best[1])
    return graph.base_cost + math.ceil(exact_covering_cost(graph, values.tolist(), best[2]))


class _Straddling:
    """For each op: the values that every order has written before and needs after its first compute."""

    def __init__(self, graph: Graph) -> None:
        count = len(graph.ops)
        self.graph = graph
        self.producers = np.array([value.producer for value in graph.values], dtype=np.int64)
        # Flat lists of readers; two more entries stand for "no op" and, if the value is required, "the end".
        readers = [[*graph.consumers[value], count + (value in graph.required)] for value in range(len(graph.values))]
        self.readers = np.array([each for row in readers for each in row], dtype=np.int64)
        self.starts = np.cumsum([0, *(len(row) for row in readers)])[: len(readers)]
        self.ancestors = [0] * count
        for position, op in enumerate(graph.ops):
            for value in op.inputs:
                producer = graph.values[value].producer
                self.ancestors[position] |= self.ancestors[producer] | 1 << producer
        self.descendants = [0] * count
        for position in range(count - 1, -1, -1):
            for value in graph.ops[position].outputs:
                for reader in graph.consumers[value]:
                    self.descendants[position] |= self.descendants[reader] | 1 << reader

    def at(self, position: int) -> NDArray[np.int64]:
        """Those values, without the ones that the op touches."""
        count = len(self.graph.ops)
        written = _flags(self.ancestors[position], count)[self.producers]
        needed = np.append(_flags(self.descendants[position], count), [False, True])
        op = self.graph.ops[position]
        if len(self.readers):
            written &= np.logical_or.reduceat(needed[self.readers], self.starts)
        written[list({*op.inputs, *op.outputs})] = False
        return np.flatnonzero(written)


def _flags(mask: int, count: int) -> NDArray[np.bool_]:
    packed = np.frombuffer(mask.to_bytes(count // 8 + 1, "little"), dtype=np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").astype(bool)
