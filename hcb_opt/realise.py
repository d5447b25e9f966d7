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
    requests, scripts = requests or {}, scripts or {}
    sequence = GrowingSequence(graph)
    for position, op in enumerate(graph.ops):
        for again in scripts.get(position, ()):
            sequence.compute(again)
        sequence.provide(requests.get(position, ()))
        sequence.provide(op.inputs)
        sequence.compute(position)
        for value in evictions.get(position, ()):
            sequence.available[value] = False
    for again in scripts.get(len(graph.ops), ()):
        sequence.compute(again)
    sequence.provide(graph.outputs)
    return sequence.order


class GrowingSequence:
    """A sequence of computes under construction, and which values count as available.

    Parameters
    ----------
    graph : Graph

    Attributes
    ----------
    graph : Graph
    order : list of int
        Positions of ops, recomputes included.
    available : list of bool
        For each value, whether it was computed and not forgotten since.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order: list[int] = []
        self.available = [False] * len(graph.values)

    def compute(self, op: int) -> None:
        """Run an op; its inputs are available."""
        self.order.append(op)
        for value in self.graph.ops[op].outputs:
            self.available[value] = True

    def provide(self, values: Iterable[int]) -> list[int]:
        """Compute what these values lack; returns the values that this made available."""
        ops = missing_ancestors(self.graph, values, self.available)
        fresh = [value for op in ops for value in self.graph.ops[op].outputs if not self.available[value]]
        for op in ops:
            self.compute(op)
        return fresh

    def forget(self, values: Iterable[int]) -> None:
        """Count values as lost, all but the graph's outputs."""
        for value in values:
            if value not in self.graph.required:
                self.available[value] = False


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
