"""A topological order of a training step with narrow frontiers, by a greedy rule.

The least widest frontier is the vertex separation of the forward, which is
NP-hard to find (Lengauer, "Black-white pebbles and graph separation", Acta
Informatica 16, 1981). It is no lower bound of any peak either: schedules that
recompute may need far less (`FrontierNotBound.v` of the proofs).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from hcb_opt.blocks import frontier_bytes, turn_position
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem
from hcb_opt.reordering import reordered

Plans = Callable[[Graph, int], Iterable[list[int]]]
"""From a graph and its turn to the computes of schedules."""


def plans_in_order(problem: Problem, plans: Plans) -> Iterator[list[int]]:
    """Plans in the stored order and, where the order is free, in a narrower one.

    Parameters
    ----------
    problem : Problem
    plans : Plans

    Yields
    ------
    list of int
        Computes, as positions of ``problem.graph``.
    """
    graph = problem.graph
    turn = turn_position(graph)
    yield from plans(graph, turn)
    if problem.order == "free":
        order = narrow_order(graph, turn)
        if order != list(range(len(graph.ops))):
            for computes in plans(reordered(graph, order), turn):
                yield [order[op] for op in computes]


def narrow_order(graph: Graph, turn: int) -> list[int]:
    """An order of all ops in which the frontiers of the forward are narrow.

    Of the forward ops that can run, the one that leaves the narrowest frontier
    comes next; of the backward ops, the one that reads the latest block, as far as
    gradients allow. If the widest frontier is no narrower than in the stored order,
    that is the answer.

    Parameters
    ----------
    graph : Graph
    turn : int
        Number of forward ops; they stay in front.

    Returns
    -------
    list of int
        Every op's position once, as `hcb_opt.reordering.reordered` takes it.
    """
    forward = _narrow_forward(graph, turn)
    order = [*forward, *_backward_of(graph, turn, forward)]
    stored = list(range(len(graph.ops)))
    return order if max(frontier_bytes(reordered(graph, order), turn)) < max(frontier_bytes(graph, turn)) else stored


def _narrow_forward(graph: Graph, turn: int) -> list[int]:
    missing = [len({graph.values[value].producer for value in op.inputs}) for op in graph.ops[:turn]]
    readers = [sum(reader < turn for reader in each) for each in graph.consumers]
    ready = {op for op in range(turn) if not missing[op]}
    order: list[int] = []

    def widening(op: int) -> int:
        """Bytes that enter the frontier, less those that leave it."""
        entering = sum(graph.sizes[value] for value in graph.ops[op].outputs if readers[value])
        return entering - sum(graph.sizes[value] for value in graph.ops[op].inputs if readers[value] == 1)

    while ready:
        op = min(ready, key=lambda each: (widening(each), each))
        ready.remove(op)
        order.append(op)
        for value in graph.ops[op].inputs:
            readers[value] -= 1
        ready.update(_released(graph, op, missing, turn))
    return order


def _backward_of(graph: Graph, turn: int, forward: list[int]) -> list[int]:
    """The ops from the turn on; what reads the latest forward values, or none, comes first."""
    place = {op: number for number, op in enumerate(forward)}
    missing = [len({graph.values[value].producer for value in op.inputs} - place.keys()) for op in graph.ops]

    def priority(op: int) -> tuple[int, int]:
        read = (place.get(graph.values[value].producer, -1) for value in graph.ops[op].inputs)
        return -max((each for each in read if each >= 0), default=turn), op

    ready = [priority(op) for op in range(turn, len(graph.ops)) if not missing[op]]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, op = heapq.heappop(ready)
        order.append(op)
        for reader in _released(graph, op, missing, len(graph.ops)):
            heapq.heappush(ready, priority(reader))
    return order


def _released(graph: Graph, op: int, missing: list[int], end: int) -> list[int]:
    """Those of the ops before ``end`` that can run now that this op has run."""
    released = []
    for reader in {reader for value in graph.ops[op].outputs for reader in graph.consumers[value] if reader < end}:
        missing[reader] -= 1
        if not missing[reader]:
            released.append(reader)
    return released
