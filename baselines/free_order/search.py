"""The plan of the search: anneal, solve the order found, start again from the best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np

from hcb_opt.baselines.free_order.annealing import Annealing, Cooling
from hcb_opt.baselines.free_order.runs import RunSequence
from hcb_opt.progress import Problem, Progress
from hcb_opt.reordering import reordered
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.result import Status
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule

_ROUGH = (
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
_FIRST_MOVES, _ROUGH_MOVES, _GENTLE_MOVES = 50, 80, 25
"""Per op."""
_LEAST_MOVES = 2000
_FIRST_SHARE, _SOLVE_SHARE = 0.1, 0.1
"""Of the time limit."""
_ROUGH_SHARE, _GENTLE_SHARE, _DESPERATE_SHARE = 0.3, 0.1, 0.5
"""Of the time that is left."""
_GENTLE_TIMES = 4
_PATIENCE = 2 * len(_ROUGH)
_KICKS = 12


class Search:
    """Cycles of annealing and of fixed-order solves, until none helps any more.

    Parameters
    ----------
    problem : Problem
    progress : Progress
    """

    def __init__(self, problem: Problem, progress: Progress) -> None:
        self.problem = problem
        self.progress = progress
        self.graph = problem.graph
        self.rng = np.random.default_rng(problem.seed)
        self._settled: set[tuple[int, ...]] = set()

    def run(self) -> None:
        """Search until optimality or infeasibility is proven, nothing helps or time is up."""
        stored = list(range(len(self.graph.ops)))
        first_seconds, solve_seconds = (self.problem.time_limit * share for share in (_FIRST_SHARE, _SOLVE_SHARE))
        if self._offer(stored) and self.progress.done:
            return
        self._offer_repaired(stored, first_seconds)
        self._anneal(stored, _ROUGH[0], _FIRST_MOVES, first_seconds)
        self._solve_in_order(stored, solve_seconds)
        stagnant = 0
        for cooling in cycle(_ROUGH):
            if self.progress.done or stagnant == _PATIENCE:
                break
            before = self.progress.cost
            self._gentle(self._best())
            self._gentle(self._anneal(stored, cooling, _ROUGH_MOVES, self._left(_ROUGH_SHARE)))
            # Where annealing does not help any more, the solver gets longer.
            self._solve_in_order(list(dict.fromkeys(self._best() or stored)), solve_seconds * 2**stagnant)
            stagnant = 0 if self.progress.cost != before else stagnant + 1
        if not self.progress.done:
            self.progress.give_up("annealing finds nothing cheaper")

    def _stop(self) -> bool:
        return self.progress.remaining_seconds <= 0

    def _left(self, share: float) -> float:
        return self.progress.remaining_seconds * share

    def _best(self) -> list[int] | None:
        return None if self.progress.schedule is None else list(self.progress.schedule.computes)

    def _offer(self, computes: Sequence[int]) -> bool:
        return self.progress.offer(schedule_from_computes(self.graph, computes))

    def _cost(self, computes: Sequence[int]) -> int:
        return sum(self.graph.ops[op].cost for op in computes)

    def _gentle(self, computes: list[int] | None) -> None:
        """Anneal a few times from a sequence that fits, at low temperatures, each time from the cheapest."""
        if computes is None:
            return
        for cooling in islice(cycle(_GENTLE), _GENTLE_TIMES):
            other = self._anneal(computes, cooling, _GENTLE_MOVES, self._left(_GENTLE_SHARE))
            if other is not None and self._cost(other) <= self._cost(computes):
                computes = other

    def _anneal(self, computes: Sequence[int], cooling: Cooling, moves_per_op: int, seconds: float) -> list[int] | None:
        """Anneal from a sequence, repair and offer what comes out; the cheapest that fits."""
        if self.progress.done:
            return None
        annealing = Annealing(RunSequence(self.graph, computes), self.problem.budget_bytes, self.rng, self._stop)
        annealing.run(cooling, max(_LEAST_MOVES, moves_per_op * len(self.graph.ops)), seconds)
        ends = [each for each in (annealing.best, annealing.sequence.computes) if each is not None]
        fitting = [each for each in (self._offer_repaired(end, seconds) for end in ends) if each is not None]
        return min(fitting, key=self._cost, default=None)

    def _offer_repaired(self, computes: Sequence[int], seconds: float) -> list[int] | None:
        """Make a sequence fit, and cheap, and offer it; None if that fails or takes longer."""
        budget_bytes, deadline = self.problem.budget_bytes, self.progress.seconds + seconds

        def stop() -> bool:
            return self._stop() or self.progress.seconds > deadline

        kicks = _KICKS if self.progress.schedule is None else 0
        fitting = make_fit(self.graph, computes, budget_bytes, stop, self.problem.seed, kicks)
        if fitting is None:
            return None
        cheap = remove_needless(self.graph, fitting, budget_bytes, stop)
        self._offer(cheap)
        return cheap

    def _solve_in_order(self, order: Sequence[int], seconds: float) -> None:
        """Solve the problem with first computes in this order, unless it has been; offer the schedule.

        Without a schedule so far it takes longer, where there is time.

        A budget that is infeasible in one order is so in any: play a schedule's
        beginning up to an op, ancestors alone, for each op in turn, and then the
        schedule; its peak is no higher and its first computes come in the order.
        """
        if self.progress.done or tuple(order) in self._settled:
            return
        problem, progress = self.problem, self.progress
        if progress.schedule is None:
            seconds = max(seconds, self._left(_DESPERATE_SHARE))
        position = {op: index for index, op in enumerate(order)}
        initial = None
        graph = reordered(self.graph, order)
        if progress.schedule is not None:
            initial = schedule_from_computes(graph, [position[op] for op in progress.schedule.computes])
        seconds = min(seconds, progress.remaining_seconds)
        if seconds <= 0:
            return
        result = solve_schedule(
            graph,
            problem.budget_bytes,
            "frontier_cuts",
            time_limit=seconds,
            seed=problem.seed,
            workers=problem.workers,
            initial=initial,
            memory_limit=problem.memory_limit_bytes,
        )
        if result.status is Status.OPTIMAL:
            self._settled.add(tuple(order))
        if result.status is Status.INFEASIBLE:
            progress.prove_infeasible(result.reason)
        if result.schedule is not None:
            self._offer([order[op] for op in result.schedule.computes])
        peak_memory = result.provenance.get("solver_peak_memory_bytes")
        progress.note_solver_memory(None if peak_memory is None else int(peak_memory))
        if result.reason == "interrupted":
            raise KeyboardInterrupt
