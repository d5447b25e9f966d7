"""The same training step in another topological order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hcb_opt.graph import Graph, Value


def reordered(graph: Graph, order: Sequence[int]) -> Graph:
    """The graph with its ops in another topological order.

    Parameters
    ----------
    graph : Graph
    order : sequence of int
        Every op's position once: op ``order[i]`` becomes op i.

    Returns
    -------
    Graph
        Its values follow their producers. A schedule of it that computes op i
        is one of ``graph`` that computes ``order[i]``.

    Raises
    ------
    InvalidInput
        If an op comes before one that it reads from.
    """
    number: dict[int, int] = {}
    values: list[Value] = []
    for position, op in enumerate(order):
        for value in graph.ops[op].outputs:
            number[value] = len(values)
            values.append(replace(graph.values[value], producer=position))

    def renumbered(old: Sequence[int]) -> tuple[int, ...]:
        return tuple(number[value] for value in old)

    ops = tuple(
        replace(
            graph.ops[op],
            inputs=renumbered(graph.ops[op].inputs),
            outputs=renumbered(graph.ops[op].outputs),
            in_place=renumbered(graph.ops[op].in_place),
        )
        for op in order
    )
    return replace(graph, ops=ops, values=tuple(values), outputs=renumbered(graph.outputs))
