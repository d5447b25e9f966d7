"""Trips: a value, held in vain between two uses, goes to host memory, or into fewer bytes, and comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hcb_opt.graph import Graph
from hcb_opt.lifetimes import Lifetimes, lifetimes
from hcb_opt.transfers.schemes import compressed_bytes


@dataclass(frozen=True, slots=True, order=True)
class Trip:
    """A value's stay elsewhere.

    Attributes
    ----------
    back : int
        Step of the sequence that reads the value next; the number of steps for
        the end.
    left : int
        Step that uses it last before.
    value : int
    """

    back: int
    left: int
    value: int


@dataclass(frozen=True)
class Trips:
    """A sequence of computes, and the trips that its values could make.

    Parameters
    ----------
    graph : Graph
    order : tuple of int
        Positions of ops, recomputes included; inputs are computed before.
    schemes : mapping of int to str
        Values that are compressed on their trips, and how; all others go to the host.
    """

    graph: Graph
    order: tuple[int, ...]
    schemes: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def lives(self) -> Lifetimes:
        """Every copy of every value, from its compute to its last use."""
        return lifetimes(self.graph, self.order)

    @cached_property
    def possible(self) -> tuple[Trip, ...]:
        """Between any two uses of a copy that are not next to each other.

        The end uses the outputs; what is compressed is not brought back for it.
        """
        end = len(self.order)
        return tuple(
            Trip(back, left, value)
            for value, steps in zip(self.lives.values.tolist(), self.lives.steps, strict=True)
            for left, back in pairwise(steps)
            if back - left > 1 and self.graph.sizes[value] and not (back == end and value in self.schemes)
        )

    @cached_property
    def kept_bytes(self) -> Mapping[int, int]:
        """Bytes of the compressed copy of each value that is compressed."""
        return {value: compressed_bytes(self.graph, value, scheme) for value, scheme in self.schemes.items()}

    @cached_property
    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """First step away, first step back and bytes gained of each possible trip."""
        away = np.array([trip.left + 1 for trip in self.possible], dtype=np.int64)
        back = np.array([trip.back for trip in self.possible], dtype=np.int64)
        gains = np.array([self._gain(trip.value) for trip in self.possible], dtype=np.int64)
        return away, back, gains

    def _gain(self, value: int) -> int:
        return self.graph.sizes[value] - self.kept_bytes.get(value, 0)

    def _take(self, profile: NDArray[np.int64], trip: Trip) -> None:
        """Let a trip change the profile. A value and its compressed copy are both there at its ends."""
        profile[trip.left : trip.back + 1] += self.kept_bytes.get(trip.value, 0)
        profile[trip.left + 1 : trip.back] -= self.graph.sizes[trip.value]

    def profile_bytes(self, chosen: Sequence[Trip]) -> NDArray[np.int64]:
        """Bytes held at each step if these trips take all the time between two uses."""
        profile = self.lives.profile_bytes.copy()
        for trip in chosen:
            self._take(profile, trip)
        return profile

    def choose(self, budget_bytes: int) -> list[Trip] | None:
        """Trips after which the sequence fits the budget.

        At the step furthest over budget, the value leaves whose trip covers most
        steps over budget, the largest among equals; those that are compressed go
        first.

        Parameters
        ----------
        budget_bytes : int

        Returns
        -------
        list of Trip or None
            By the step that they end at; None if no choice fits.
        """
        away, back, gains = self._columns
        profile = self.lives.profile_bytes.copy()
        free = gains > 0
        compressed = np.array([trip.value in self.schemes for trip in self.possible], dtype=bool)
        chosen: list[Trip] = []
        while profile.max(initial=0) > budget_bytes:
            worst = int(profile.argmax())
            covering = np.flatnonzero(free & (away <= worst) & (worst < back))
            if not len(covering):
                return None
            over = np.concatenate(([0], np.cumsum(profile > budget_bytes)))
            relieved = over[back[covering]] - over[away[covering]]
            best = int(covering[np.lexsort((-gains[covering], -relieved, ~compressed[covering]))[0]])
            free[best] = False
            self._take(profile, self.possible[best])
            chosen.append(self.possible[best])
        return sorted(chosen)
