"""The evicted neighbourhood of a value: what it takes to compute it again, and what waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from hcb_opt.baselines.dtr.residency import Residency


class EvictedNeighbourhood:
    """Summed costs of evicted ancestors and descendants, kept until they change.

    An evicted ancestor of a value is one from which a path of evicted values leads
    to it, an evicted descendant one to which such a path leads from it: the
    neighbourhood e* of Kirisame et al., section 4.1.

    Parameters
    ----------
    state : Residency
        Must be up to date when a method is called.
    """

    def __init__(self, state: Residency) -> None:
        self._state = state
        self._above: dict[int, int] = {}
        self._below: dict[int, int] = {}

    def ancestors_cost(self, value: int) -> int:
        """Cost of all evicted ancestors of a value."""
        if value not in self._above:
            self._above[value] = self._cost(value, self._state.parents)
        return self._above[value]

    def descendants_cost(self, value: int) -> int:
        """Cost of all evicted descendants of a value."""
        if value not in self._below:
            self._below[value] = self._cost(value, self._state.children)
        return self._below[value]

    def changed(self, value: int) -> None:
        """Take note that a value was evicted or restored."""
        for edge in self._reach(value, self._state.parents)[1]:
            self._below.pop(edge, None)
        for edge in self._reach(value, self._state.children)[1]:
            self._above.pop(edge, None)
        self._above.pop(value, None)
        self._below.pop(value, None)

    def _cost(self, value: int, step: Sequence[Sequence[int]]) -> int:
        return sum(self._state.local_cost[each] for each in self._reach(value, step)[0])

    def _reach(self, value: int, step: Sequence[Sequence[int]]) -> tuple[set[int], set[int]]:
        """The evicted values reached from one through evicted values, and the resident ones at their edge."""
        inside: set[int] = set()
        edge: set[int] = set()
        pending = [value]
        while pending:
            for each in step[pending.pop()]:
                if self._state.resident[each]:
                    edge.add(each)
                elif each not in inside and self._state.evicted(each):
                    inside.add(each)
                    pending.append(each)
        return inside, edge
