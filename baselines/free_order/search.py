"""The plan of the search: anneal, solve the order found, start again from the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

from hcb_opt.annealing.rounds import ROUGH, Rounds
from hcb_opt.progress import Problem, Progress
from hcb_opt.reordering import reordered
from hcb_opt.result import Status
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule

_FIRST_MOVES = 50
"""Per op."""
_FIRST_SHARE, _SOLVE_SHARE = 0.1, 0.1
"""Of the time limit."""
_DESPERATE_SHARE = 0.5
"""Of the time that is left."""
_PATIENCE = 2 * len(ROUGH)


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
        self._rounds = Rounds(problem, progress)
        self._settled: set[tuple[int, ...]] = set()

    def run(self) -> None:
        """Search until optimality or infeasibility is proven, nothing helps or time is up."""
        stored = list(range(len(self.graph.ops)))
        first_seconds, solve_seconds = (self.problem.time_limit * share for share in (_FIRST_SHARE, _SOLVE_SHARE))
        if self._offer(stored) and self.progress.done:
            return
        self._rounds.repair(stored, first_seconds)
        _finish(self._rounds.anneal(stored, ROUGH[0], _FIRST_MOVES, first_seconds))
        self._solve_in_order(stored, solve_seconds)
        stagnant = 0
        for cooling in cycle(ROUGH):
            if self.progress.done or stagnant == _PATIENCE:
                break
            before = self.progress.cost
            _finish(self._rounds.round(cooling))
            # Where annealing does not help any more, the solver gets longer.
            self._solve_in_order(list(dict.fromkeys(self._best() or stored)), solve_seconds * 2**stagnant)
            stagnant = 0 if self.progress.cost != before else stagnant + 1
        if not self.progress.done:
            self.progress.give_up("annealing finds nothing cheaper")

    def _best(self) -> list[int] | None:
        return None if self.progress.schedule is None else list(self.progress.schedule.computes)

    def _offer(self, computes: Sequence[int]) -> bool:
        return self.progress.offer(schedule_from_computes(self.graph, computes))

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
            seconds = max(seconds, progress.remaining_seconds * _DESPERATE_SHARE)
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


def _finish(batches: Iterator[None]) -> None:
    for _ in batches:
        pass
