"""What an online run knows at an instant: which values are resident, evicted, locked, and when they were last used."""

from __future__ import annotations

from hcb_opt.graph import Graph


class Residency:
    """The state of an online run, as its eviction scores see it.

    A value is *evicted* if its producer has run and it is not resident. Values are
    neighbours if an op reads the one and writes the other.

    Parameters
    ----------
    graph : Graph

    Attributes
    ----------
    resident : list of bool
        For each value.
    computed : list of bool
        For each op, whether it has run.
    last_access : list of int
        For each value, the clock when an op that reads it was asked for, or when
        it was first computed.
    clock : int
        Summed cost of everything computed so far.
    local_cost : list of int
        For each value, the cost of its producer.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.resident = [False] * len(graph.values)
        self.computed = [False] * len(graph.ops)
        self.last_access = [0] * len(graph.values)
        self.clock = 0
        self.local_cost = [graph.ops[value.producer].cost for value in graph.values]
        self.parents = [graph.ops[value.producer].inputs for value in graph.values]
        self.children = [
            tuple(child for reader in readers for child in graph.ops[reader].outputs) for readers in graph.consumers
        ]

    def evicted(self, value: int) -> bool:
        """Whether a value was computed and is not resident."""
        return not self.resident[value] and self.computed[self.graph.values[value].producer]

    def staleness(self, value: int) -> int:
        """Cost computed since a value was last used."""
        return self.clock - self.last_access[value]
