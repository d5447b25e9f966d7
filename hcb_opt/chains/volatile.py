"""Values that are cheap to compute again: candidates for never being handed from block to block."""

from __future__ import annotations

from collections.abc import Iterator

from hcb_opt.graph import Graph

_FACTOR = 2.0
_LEAST_SHARE = 0.04


def volatile_sets(graph: Graph, turn: int) -> Iterator[frozenset[int]]:
    """Growing sets of forward values, those of least cost per byte first.

    Parameters
    ----------
    graph : Graph
    turn : int
        Number of forward ops.

    Yields
    ------
    frozenset of int
        The first is empty. Each next one has 4 % of the forward's bytes more;
        none has nearly all.
    """
    yield frozenset()
    sizes = [sum(graph.sizes[value] for value in op.outputs) for op in graph.ops[:turn]]
    rates = [op.cost / size for op, size in zip(graph.ops[:turn], sizes, strict=True) if op.cost and size]
    total = sum(sizes)
    taken = 0
    rate = min(rates, default=0.0)
    while rates and rate < _FACTOR * max(rates):
        volatile = cheap_values(graph, turn, rate)
        held = sum(graph.sizes[value] for value in volatile)
        if held >= taken + _LEAST_SHARE * total and held <= (1 - _LEAST_SHARE) * total:
            yield volatile
            taken = held
        rate *= _FACTOR


def cheap_values(graph: Graph, turn: int, rate: float) -> frozenset[int]:
    """Forward values that cost at most so much per byte, all that they need of each other included.

    Parameters
    ----------
    graph : Graph
    turn : int
        Number of forward ops.
    rate : float
        Cost units per byte.
    """
    again: dict[int, tuple[frozenset[int], int]] = {}
    for position, op in enumerate(graph.ops[:turn]):
        size = sum(graph.sizes[value] for value in op.outputs)
        needed = [again[value] for value in op.inputs if value in again]
        ops, cost = max(needed, key=lambda each: each[1], default=(frozenset[int](), 0))
        cost += op.cost
        if not size or cost > rate * size:
            continue
        others = frozenset[int]().union(*(each for each, _ in needed)) - ops
        cost += sum(graph.ops[each].cost for each in others)
        if cost <= rate * size:
            ops = ops.union(others, (position,))
            again.update((value, (ops, cost)) for value in op.outputs)
    return frozenset(again)
