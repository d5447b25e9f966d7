"""The cheapest way through one stage, by search over what is resident."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from hcb_opt.graph import Graph

_MOST_STATES = 20_000


@dataclass(frozen=True, slots=True)
class Passage:
    """How a stage with at most one new op can be passed.

    Attributes
    ----------
    cost : int or None
        Of the cheapest recomputes; None if there is no way through.
    ops : tuple of int
        Those recomputes, in order.
    """

    cost: int | None
    ops: tuple[int, ...] = ()


def cheapest_passage(
    graph: Graph, target: int, available: Collection[int], kept: Collection[int], budget_bytes: int
) -> Passage | None:
    """Recompute from what is available until the target can run and be left.

    Uniform-cost search over resident sets; an op may run any number of times,
    in any order.

    Parameters
    ----------
    graph : Graph
    target : int
        The stage's new op; the number of ops for the stage after the last,
        which ends with every output resident.
    available : collection of int
        Values resident when the stage begins.
    kept : collection of int
        Values that must be resident when the target runs, and after.
    budget_bytes : int

    Returns
    -------
    Passage or None
        None if the search grows beyond its limit.
    """
    inputs = graph.ops[target].inputs if target < len(graph.ops) else graph.outputs
    wanted = frozenset(value for value in (*kept, *inputs) if graph.values[value].producer < target)
    ops, useful = _ancestry(graph, wanted)
    start = frozenset(value for value in available if value in useful)
    best: dict[frozenset[int], int] = {start: 0}
    came: dict[frozenset[int], tuple[frozenset[int], int | None]] = {}
    queue = [(0, 0, start)]
    pushed = 0
    while queue:
        cost, _, state = heapq.heappop(queue)
        if cost > best[state]:
            continue
        if wanted <= state:
            return Passage(cost, _path(came, state))
        for op, after in _moves(graph, state, ops, useful, budget_bytes):
            total = cost + (graph.ops[op].cost if op is not None else 0)
            if total < best.get(after, total + 1):
                best[after] = total
                came[after] = state, op
                pushed += 1
                heapq.heappush(queue, (total, -pushed, after))
        if len(best) > _MOST_STATES:
            return None
    return Passage(None)


def _ancestry(graph: Graph, wanted: frozenset[int]) -> tuple[list[int], set[int]]:
    """All ops that could help to make the values resident, and the values they read or write."""
    ops: set[int] = set()
    useful = set(wanted)
    pending = list(wanted)
    while pending:
        producer = graph.values[pending.pop()].producer
        if producer not in ops:
            ops.add(producer)
            pending.extend(graph.ops[producer].inputs)
            useful.update(graph.ops[producer].inputs)
    return sorted(ops), useful


def _moves(
    graph: Graph, state: frozenset[int], ops: list[int], useful: set[int], budget_bytes: int
) -> Iterator[tuple[int | None, frozenset[int]]]:
    """Runs of ops that fit, and drops of single values."""
    for op in ops:
        each = graph.ops[op]
        if state.issuperset(each.inputs) and not state.issuperset(each.outputs):
            during = state.union(each.outputs)
            if sum(graph.sizes[value] for value in during) + each.workspace_bytes <= budget_bytes:
                yield op, during.intersection(useful)
    for value in state:
        yield None, state - {value}


def _path(came: dict[frozenset[int], tuple[frozenset[int], int | None]], state: frozenset[int]) -> tuple[int, ...]:
    ops: list[int] = []
    while state in came:
        state, op = came[state]
        if op is not None:
            ops.append(op)
    return tuple(reversed(ops))
