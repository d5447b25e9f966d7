"""Memory states that a search has settled, and which further ones they make needless."""

from __future__ import annotations

import numpy as np


class SettledStates:
    """Sets of resident values as bit masks, each with the cost at which it was reached.

    Parameters
    ----------
    values : int
        How many values, and bits, there are.
    """

    def __init__(self, values: int) -> None:
        self._words = values // 32 + 1
        self._size = 0
        self._masks = np.zeros((64, self._words), np.uint32)
        self._costs = np.zeros(64, np.int64)

    def add(self, resident: int, cost: int) -> bool:
        """Settle a state, unless one with no less resident costs no more."""
        mask = np.array([resident >> 32 * word & 0xFFFFFFFF for word in range(self._words)], np.uint32)
        missing = mask & ~self._masks[: self._size]
        if ((self._costs[: self._size] <= cost) & ~missing.any(axis=1)).any():
            return False
        if self._size == len(self._costs):
            self._masks = np.concatenate([self._masks, np.zeros_like(self._masks)])
            self._costs = np.concatenate([self._costs, np.zeros_like(self._costs)])
        self._masks[self._size], self._costs[self._size] = mask, cost
        self._size += 1
        return True
