"""Eviction scores: how much a resident value is worth keeping. The least is evicted."""

from __future__ import annotations

import math
import random

from hcb_opt.baselines.dtr.components import EvictedComponents
from hcb_opt.baselines.dtr.neighbourhood import EvictedNeighbourhood
from hcb_opt.baselines.dtr.residency import Residency


class Score:
    """The base of all scores: what it may look at, and what it is told.

    Parameters
    ----------
    state : Residency
    rng : random.Random
        For any random choice.
    """

    def __init__(self, state: Residency, rng: random.Random) -> None:
        self.state, self.rng, self.sizes = state, rng, state.graph.sizes

    def of(self, value: int) -> float:
        """The score of a resident value."""
        raise NotImplementedError

    def evicted(self, value: int) -> None:
        """A value has been evicted."""

    def restored(self, value: int) -> None:
        """An evicted value has been computed again."""

    def per_stale_byte(self, cost: int, value: int) -> float:
        """Cost over size times staleness; infinite where that is nothing."""
        return _share(cost, self.sizes[value] * self.state.staleness(value))


class Local(Score):
    """h_DTR^local: own cost over size times staleness."""

    def of(self, value: int) -> float:
        return self.per_stale_byte(self.state.local_cost[value], value)


class Equivalence(Score):
    """h_DTR^eq: own cost and that of the evicted components next to it, over size times staleness."""

    def __init__(self, state: Residency, rng: random.Random) -> None:
        super().__init__(state, rng)
        self._components = EvictedComponents(state)

    def of(self, value: int) -> float:
        return self.per_stale_byte(self.state.local_cost[value] + self._components.cost_around(value), value)

    def evicted(self, value: int) -> None:
        self._components.evict(value)

    def restored(self, value: int) -> None:
        self._components.restore(value)


class _Neighbourhood(Score):
    """Scores that look at evicted ancestors and descendants."""

    def __init__(self, state: Residency, rng: random.Random) -> None:
        super().__init__(state, rng)
        self._neighbourhood = EvictedNeighbourhood(state)

    def evicted(self, value: int) -> None:
        self._neighbourhood.changed(value)

    def restored(self, value: int) -> None:
        self._neighbourhood.changed(value)


class Full(_Neighbourhood):
    """h_DTR: own cost and that of the evicted neighbourhood, over size times staleness."""

    def of(self, value: int) -> float:
        around = self._neighbourhood.ancestors_cost(value) + self._neighbourhood.descendants_cost(value)
        return self.per_stale_byte(self.state.local_cost[value] + around, value)


class Msps(_Neighbourhood):
    """h_MSPS: cost of computing it again, evicted ancestors included, over size."""

    def of(self, value: int) -> float:
        return _share(self.state.local_cost[value] + self._neighbourhood.ancestors_cost(value), self.sizes[value])


class LeastRecent(Score):
    """h_LRU: when it was last used."""

    def of(self, value: int) -> float:
        return self.state.last_access[value]


class Largest(Score):
    """h_size: the largest value goes first."""

    def of(self, value: int) -> float:
        return -self.sizes[value]


class Random(Score):
    """h_rand: any value, drawn anew for each eviction."""

    def of(self, value: int) -> float:
        return self.rng.random()


def _share(cost: int, of: int) -> float:
    return cost / of if of else math.inf
