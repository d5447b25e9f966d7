"""From a choice of what to keep to a sequence of computes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from hcb_opt.graph import Graph


def recompute_on_demand(
    graph: Graph,
    evictions: Mapping[int, Collection[int]],
    requests: Mapping[int, Collection[int]] | None = None,
    scripts: Mapping[int, Sequence[int]] | None = None,
) -> list[int]:
    """Compute the ops in order, recomputing what was evicted when it is needed.

    A value, once computed or recomputed, counts as available until it is
    evicted. `hcb_opt.schedule_from_computes` then drops each instance right
    after its last use, so that nothing is held in vain.

    Parameters
    ----------
    graph : Graph
    evictions : mapping of int to collection of int
        Values to forget right after the first compute of the op at this
        position; ones that are not available are ignored.
    requests : mapping of int to collection of int, optional
        Values that must be available when the op at this position is first
        computed, beside its own inputs.
    scripts : mapping of int to sequence of int, optional
        Ops to run, in this order, before the first compute of the op at this
        position; the number of ops stands for the end.

    Returns
    -------
    list of int
        Positions of ops, recomputes included, first computes in the fixed order.
    """
    available = [False] * len(graph.values)
    order: list[int] = []

    def run(op: int) -> None:
        order.append(op)
        for value in graph.ops[op].outputs:
            available[value] = True

    def provide(values: Iterable[int]) -> None:
        for missing in missing_ancestors(graph, values, available):
            run(missing)

    for position, op in enumerate(graph.ops):
        for script_op in (scripts or {}).get(position, ()):
            run(script_op)
        if requests is not None and position in requests:
            provide(requests[position])
        provide(op.inputs)
        run(position)
        for value in evictions.get(position, ()):
            available[value] = False
    for script_op in (scripts or {}).get(len(graph.ops), ()):
        run(script_op)
    provide(graph.outputs)
    return order


def missing_ancestors(graph: Graph, values: Iterable[int], available: list[bool]) -> list[int]:
    """The ops that must run, in order, to make these values available.

    Parameters
    ----------
    graph : Graph
    values : iterable of int
    available : list of bool
        For each value, whether it is resident already.

    Returns
    -------
    list of int
        Positions of ops, ascending.
    """
    ops: set[int] = set()
    pending = [value for value in values if not available[value]]
    while pending:
        producer = graph.values[pending.pop()].producer
        if producer not in ops:
            ops.add(producer)
            pending.extend(value for value in graph.ops[producer].inputs if not available[value])
    return sorted(ops)
