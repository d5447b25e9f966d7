"""Anneals from the best sequence and from the stored order, each repaired and offered, a few moves at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import cycle, islice

import numpy as np

from hcb_opt.annealing.annealing import Annealing, Cooling
from hcb_opt.annealing.runs import RunSequence
from hcb_opt.progress import Problem, Progress
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.schedule import schedule_from_computes

Batches = Generator[None, None, list[int] | None]
"""Work in small portions; the result is a sequence that fits, or None."""

ROUGH = (
    Cooling(temperatures=(0.1, 0.001), prices=(0.003, 0.6)),
    Cooling(temperatures=(0.2, 0.003), prices=(0.03, 10.0)),
    Cooling(temperatures=(0.2, 0.001), prices=(0.003, 2.0)),
)
"""From the stored order; no one of them is best on all graphs."""
_GENTLE = (
    Cooling(temperatures=(0.02, 0.001), prices=(0.1, 1.0)),
    Cooling(temperatures=(0.05, 0.003), prices=(0.3, 10.0)),
)
"""From a sequence that fits."""
_ROUGH_MOVES, _GENTLE_MOVES = 80, 25
"""Per op."""
_LEAST_MOVES = 2000
_ROUGH_SHARE, _GENTLE_SHARE = 0.3, 0.1
"""Of the time that is left."""
_GENTLE_TIMES = 4
_KICKS = 12


class Rounds:
    """Anneals of one problem.

    Parameters
    ----------
    problem : Problem
        Its order says whether first computes keep the graph's.
    progress : Progress
        Gets what is found.
    """

    def __init__(self, problem: Problem, progress: Progress) -> None:
        self._problem = problem
        self._progress = progress
        self._graph = problem.graph
        self._rng = np.random.default_rng(problem.seed)

    def all(self) -> Iterator[None]:
        """Round after round, until the problem is solved, nothing is computed twice or time is up."""
        for cooling in cycle(ROUGH):
            if self._progress.done or self._progress.cost == self._graph.base_cost:
                return
            yield from self.round(cooling)

    def round(self, cooling: Cooling) -> Iterator[None]:
        """Anneal gently from the best schedule, then from the stored order and gently on from there."""
        schedule = self._progress.schedule
        if schedule is not None:
            yield from self._gentle(list(schedule.computes))
        stored = range(len(self._graph.ops))
        found = yield from self.anneal(stored, cooling, _ROUGH_MOVES, self._left(_ROUGH_SHARE))
        if found is not None:
            yield from self._gentle(found)

    def anneal(self, computes: Sequence[int], cooling: Cooling, moves_per_op: int, seconds: float) -> Batches:
        """Anneal from a sequence, repair and offer what comes out; the cheapest that fits.

        Parameters
        ----------
        computes : sequence of int
            Positions of ops, inputs always computed before.
        cooling : Cooling
        moves_per_op : int
        seconds : float
            For annealing; after it, for each repair.
        """
        if self._progress.done:
            return None
        problem = self._problem
        sequence = RunSequence(self._graph, computes, fixed_order=problem.order == "fixed")
        annealing = Annealing(sequence, problem.budget_bytes, self._rng, self._stop)
        yield from annealing.batches(cooling, max(_LEAST_MOVES, moves_per_op * len(self._graph.ops)), seconds)
        ends = [each for each in (annealing.best, sequence.computes) if each is not None]
        fitting = [each for each in (self.repair(end, seconds) for end in ends) if each is not None]
        return min(fitting, key=self._cost, default=None)

    def repair(self, computes: Sequence[int], seconds: float) -> list[int] | None:
        """Make a sequence fit, and cheap, and offer it; None if that fails or takes longer."""
        budget_bytes, deadline = self._problem.budget_bytes, self._progress.seconds + seconds

        def stop() -> bool:
            return self._stop() or self._progress.seconds > deadline

        kicks = _KICKS if self._progress.schedule is None else 0
        fitting = make_fit(self._graph, computes, budget_bytes, stop, self._problem.seed, kicks)
        if fitting is None:
            return None
        cheap = remove_needless(self._graph, fitting, budget_bytes, stop)
        self._progress.offer(schedule_from_computes(self._graph, cheap))
        return cheap

    def _gentle(self, computes: list[int]) -> Iterator[None]:
        """Anneal a few times from a sequence that fits, at low temperatures, each time from the cheapest."""
        for cooling in islice(cycle(_GENTLE), _GENTLE_TIMES):
            other = yield from self.anneal(computes, cooling, _GENTLE_MOVES, self._left(_GENTLE_SHARE))
            if other is not None and self._cost(other) <= self._cost(computes):
                computes = other

    def _cost(self, computes: Sequence[int]) -> int:
        return sum(self._graph.ops[op].cost for op in computes)

    def _stop(self) -> bool:
        return self._progress.remaining_seconds <= 0

    def _left(self, share: float) -> float:
        return self._progress.remaining_seconds * share
