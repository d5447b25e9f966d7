"""Large-neighbourhood search on a sequence of computes that fits the budget."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hcb_opt.graph import Graph
from hcb_opt.repair import clean, fit
from hcb_opt.sequence import EditableSequence

_TOGETHER = (1, 2, 4, 8, 16, 32)
_SCATTERED_SHARE = 0.3
_NOISES = (0.0, 0.2, 0.5)
_DEARER = 1.02


class Shaker:
    """A sequence that fits, and its neighbours.

    Some recomputes are left out, neighbours in the sequence or, less often,
    scattered over it; the copies before them are held instead, until the repair
    finds other values to evict (Shaw, CP 1998: destroy and repair).

    Parameters
    ----------
    graph : Graph
    order : sequence of int
        Positions of ops; fits the budget.
    budget_bytes : int
    rng : random.Random
        Chooses what is left out.
    """

    def __init__(self, graph: Graph, order: Sequence[int], budget_bytes: int, rng: random.Random) -> None:
        self._sequence = EditableSequence(graph, order)
        self._budget_bytes = budget_bytes
        self._rng = rng

    @property
    def order(self) -> list[int]:
        """The sequence as it is now."""
        return self._sequence.order

    @property
    def cost(self) -> int:
        """Of the sequence as it is now."""
        return self._sequence.cost

    def shake(self, stop: Callable[[], bool]) -> bool:
        """Try one neighbour; take it if it costs no more.

        Parameters
        ----------
        stop : callable
            Asked between moves; True ends the search.

        Returns
        -------
        bool
            Whether the sequence has become cheaper.
        """
        sequence, rng = self._sequence, self._rng
        repeats = sequence.repeats
        if not repeats:
            return False
        cost = sequence.cost
        sequence.keep()
        sequence.remove(self._left_out(repeats))
        noise = rng.choice(_NOISES)
        if fit(sequence, self._budget_bytes, stop, rng, noise=noise, most_cost=cost * _DEARER):
            clean(sequence, self._budget_bytes, stop)
            if sequence.cost <= cost:
                return sequence.cost < cost
        sequence.undo(0)
        return False

    def _left_out(self, repeats: list[int]) -> list[int]:
        count = min(len(repeats), self._rng.choice(_TOGETHER))
        if self._rng.random() < _SCATTERED_SHARE:
            return self._rng.sample(repeats, count)
        first = self._rng.randrange(len(repeats) - count + 1)
        return repeats[first : first + count]
