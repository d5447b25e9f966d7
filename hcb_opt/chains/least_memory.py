"""Schedules of less and less memory from chain programmes, whatever they cost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hcb_opt.blocks import balanced_chain, turn_position
from hcb_opt.chains.partition import Partition
from hcb_opt.chains.programme import Programme
from hcb_opt.chains.realisation import chain_computes
from hcb_opt.chains.search import Stop, block_counts
from hcb_opt.chains.volatile import volatile_sets
from hcb_opt.graph import Graph
from hcb_opt.lifetimes import lifetimes

_LEVELS = 256


def least_memory_schedules(graph: Graph, stop: Stop) -> Iterator[list[int] | None]:
    """Sequences of computes of a training step, each with a smaller peak than the one before.

    Every partition of the forward into blocks has a plan that needs least
    memory. A programme divides the smallest peak known into levels, so that one
    that finds a smaller peak is solved again, on a finer scale.

    Parameters
    ----------
    graph : Graph
    stop : callable
        Asked between programmes; True ends the search.

    Yields
    ------
    list of int or None
        Positions of ops, recomputes included, first computes in the fixed order;
        None after a programme without a smaller peak, for the caller to do other
        work.
    """
    turn = turn_position(graph)
    smallest = graph.store_all_peak_bytes
    weights = [op.cost for op in graph.ops[:turn]]
    partitions = (
        Partition(balanced_chain(graph, weights, min(blocks, turn)), volatile)
        for volatile in volatile_sets(graph, turn)
        for blocks in block_counts(turn)
    )
    for partition in partitions:
        improved = True
        while improved and not stop():
            programme = Programme(partition, smallest, _LEVELS)
            finite = np.flatnonzero(np.isfinite(programme.costs))
            order = chain_computes(programme, int(finite[0])) if len(finite) else []
            peak = lifetimes(graph, order).peak_bytes if order else smallest
            improved = peak < smallest
            smallest = min(peak, smallest)
            yield order if improved else None
