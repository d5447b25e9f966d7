"""Simulated annealing over sequences of runs: reorder, compute once more, leave out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hcb_opt.annealing.merge import Merge
from hcb_opt.annealing.reinsertion import Reinsertion
from hcb_opt.annealing.runs import RunSequence
from hcb_opt.annealing.split import Split

_REINSERTIONS, _SPLITS, _CHAINS = 0.5, 0.2, 0.15
"""Shares of the moves; the rest are merges."""
_LONGEST_CHAIN = 12
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Cooling:
    """From what to what temperature and price of excess, both geometrically.

    The unit of the temperature is the mean cost of an op; that of the price is
    the same for exceeding the budget by a mean value during one step. The
    temperature over the price is what excess a reinsertion may add.
    """

    temperatures: tuple[float, float]
    prices: tuple[float, float]

    def at(self, share: float) -> tuple[float, float]:
        """Temperature and price after this share of the moves."""
        (hot, cold), (low, high) = self.temperatures, self.prices
        return hot * (cold / hot) ** share, low * (high / low) ** share


class Annealing:
    """Minimises cost plus a price per byte and step over budget.

    Every kind of move is evaluated at all its places in one pass over a window,
    and the place is drawn from their Boltzmann distribution (heat bath), by the
    largest of scores with Gumbel noise. Steps over budget are allowed on the way.

    Parameters
    ----------
    sequence : RunSequence
        Changed in place.
    budget_bytes : int
    rng : numpy.random.Generator
    stop : callable
        Asked every few moves; True ends the search.

    Attributes
    ----------
    best : list of int or None
        The cheapest sequence of ops within budget that was met, the first one included.
    excess_bytes : int
        By how much the sequence exceeds the budget, summed over steps.
    repeated : list of int
        Ops, each as often as it is run again.
    """

    def __init__(
        self, sequence: RunSequence, budget_bytes: int, rng: np.random.Generator, stop: Callable[[], bool]
    ) -> None:
        self.sequence = sequence
        self.budget_bytes = budget_bytes
        self.best: list[int] | None = None
        self._rng = rng
        self._stop = stop
        self._costs = [op.cost for op in sequence.graph.ops]
        self._mean_cost = max(1.0, sum(self._costs) / len(self._costs))
        self._mean_bytes = max(1.0, sum(sequence.graph.sizes) / max(1, len(sequence.graph.sizes)))
        self.repeated = [op for op, runs in enumerate(sequence.runs_of) for _ in runs[1:]]
        self.excess_bytes = int(np.maximum(sequence.during_bytes - budget_bytes, 0).sum())
        self._temperature = self._price = 1.0
        self._best_cost = math.inf
        self._keep_if_best()

    def run(self, cooling: Cooling, moves: int, seconds: float = math.inf) -> None:
        """Try so many moves, as many as there is time for; end at a schedule without recomputes.

        If time is short the cooling is faster, so that it is complete.
        """
        for _ in self.batches(cooling, moves, seconds):
            pass

    def batches(self, cooling: Cooling, moves: int, seconds: float = math.inf) -> Iterator[None]:
        """Like `run`, but a few moves at a time; only the seconds that they take count."""
        done, taken_seconds = 0, 0.0
        while not self._stop():
            share = max(done / moves, taken_seconds / max(seconds, 1e-9))
            if share >= 1.0 or self._best_cost == self.sequence.graph.base_cost:
                return
            begun = time.perf_counter()
            self._try_batch(*cooling.at(share))
            taken_seconds += time.perf_counter() - begun
            done += _BATCH
            yield

    def _try_batch(self, temperature: float, price: float) -> None:
        self._temperature = temperature * self._mean_cost
        self._price = price * self._mean_cost / self._mean_bytes
        kinds, picks = self._rng.random(_BATCH).tolist(), self._rng.random(_BATCH).tolist()
        for kind, pick in zip(kinds, picks, strict=True):
            if kind < _REINSERTIONS:
                self._reinsert(pick)
            elif kind < _REINSERTIONS + _SPLITS:
                self._split(pick)
            elif kind < _REINSERTIONS + _SPLITS + _CHAINS:
                self._split_chain(pick)
            elif self.repeated:
                self._merge(pick)
            self._keep_if_best()
            if self._best_cost == self.sequence.graph.base_cost:
                return

    def _keep_if_best(self) -> None:
        if not self.excess_bytes and self.sequence.cost < self._best_cost:
            self.best, self._best_cost = self.sequence.computes, self.sequence.cost

    def _reinsert(self, pick: float) -> None:
        order = self.sequence.order
        move = Reinsertion(self.sequence, order[int(pick * len(order))], self.budget_bytes)
        places = move.excess_bytes
        if len(places) == 1:
            return
        scores = self._rng.gumbel(size=len(places)) - places * (self._price / self._temperature)
        place = int(scores.argmax())
        if place != move.here:
            self.excess_bytes += int(places[place] - places[move.here])
            move.apply(place)

    def _drawn_split(self, pick: float) -> Split | None:
        """A split that may relieve a step over budget, with some place for it; None if there is none."""
        sequence = self.sequence
        run = sequence.order[int(pick * len(sequence.order))]
        readers = [each for copy in sequence.readers[run] for each in copy]
        if not self.excess_bytes or not readers:
            return None
        reader = readers[int(self._rng.integers(len(readers)))]
        between = sequence.during_bytes[sequence.step_of[run] : sequence.step_of[reader]]
        if int(between.max()) <= self.budget_bytes:
            return None
        move = Split(sequence, run, reader, self.budget_bytes)
        return move if len(move.added_bytes) else None

    def _split(self, pick: float) -> None:
        move = self._drawn_split(pick)
        if move is None:
            return
        places = move.added_bytes
        worse = places * self._price + self._costs[move.op]
        scores = self._rng.gumbel(size=len(places)) - worse / self._temperature
        place = int(scores.argmax())
        if scores[place] > self._rng.gumbel():
            self._apply(move, place)
            self.repeated.append(move.op)

    def _split_chain(self, pick: float) -> None:
        """Compute an op once more, and of what it reads whatever is dearer to hold; all or nothing."""
        move = self._drawn_split(pick)
        if move is None:
            return
        sequence, excess_bytes = self.sequence, self.excess_bytes
        scores = self._rng.gumbel(size=len(move.added_bytes)) - move.added_bytes * (self._price / self._temperature)
        runs = [self._apply(move, int(scores.argmax()))]
        for run in runs:
            for producer in dict.fromkeys(sequence.reads[run]):
                if len(runs) == _LONGEST_CHAIN:
                    break
                needed = Split(sequence, producer, run, self.budget_bytes)
                if not len(needed.added_bytes):
                    continue
                place = int(needed.added_bytes.argmin())
                if int(needed.added_bytes[place]) * self._price + self._costs[needed.op] < 0:
                    runs.append(self._apply(needed, place))
        ops = [sequence.op_of[run] for run in runs]
        worse = (self.excess_bytes - excess_bytes) * self._price + sum(self._costs[op] for op in ops)
        if worse <= 0 or self._rng.random() < math.exp(-worse / self._temperature):
            self.repeated += ops
            return
        for run in reversed(runs):
            undone = Merge(sequence, run, self.budget_bytes)
            self.excess_bytes += undone.added_bytes
            undone.apply()

    def _apply(self, move: Split, place: int) -> int:
        self.excess_bytes += int(move.added_bytes[place])
        return move.apply(place)

    def _merge(self, pick: float) -> None:
        sequence = self.sequence
        index = int(pick * len(self.repeated))
        op = self.repeated[index]
        runs = sorted(sequence.runs_of[op], key=sequence.step_of.__getitem__)
        move = Merge(sequence, runs[int(self._rng.integers(1, len(runs)))], self.budget_bytes)
        worse = move.added_bytes * self._price - self._costs[op]
        if worse <= 0 or self._rng.random() < math.exp(-worse / self._temperature):
            self.excess_bytes += move.added_bytes
            move.apply()
            self.repeated[index] = self.repeated[-1]
            self.repeated.pop()
