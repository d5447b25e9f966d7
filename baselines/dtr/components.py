"""Evicted components by union-find: the cheap stand-in for the evicted neighbourhood."""

from __future__ import annotations

from hcb_opt.baselines.dtr.residency import Residency


class EvictedComponents:
    """Costs of connected sets of evicted values, which merge but never split.

    An evicted value joins the components of its evicted neighbours. A restored one
    takes its cost out of its component and leaves what it connected together: the
    approximation of Kirisame et al., section 4.1, which forgets directions and
    splits to need almost no time.

    Parameters
    ----------
    state : Residency
        Must be up to date when a method is called.
    """

    def __init__(self, state: Residency) -> None:
        self._state = state
        self._node: dict[int, int] = {}
        self._parent: list[int] = []
        self._cost: list[int] = []

    def evict(self, value: int) -> None:
        """Take note that a value was evicted."""
        node = len(self._parent)
        self._parent.append(node)
        self._cost.append(self._state.local_cost[value])
        for root in self._roots_around(value):
            self._parent[root] = node
            self._cost[node] += self._cost[root]
        self._node[value] = node

    def restore(self, value: int) -> None:
        """Take note that an evicted value was computed again."""
        self._cost[self._root(self._node.pop(value))] -= self._state.local_cost[value]

    def cost_around(self, value: int) -> int:
        """Cost of the components next to a value, each counted once."""
        return sum(self._cost[root] for root in self._roots_around(value))

    def _roots_around(self, value: int) -> set[int]:
        nodes = self._node
        neighbours = (*self._state.parents[value], *self._state.children[value])
        return {self._root(nodes[each]) for each in neighbours if each in nodes and each != value}

    def _root(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node
