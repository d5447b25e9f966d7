"""Schedules beside the solver's: repair of its plans, plans of blocks, search around the best one, and annealing."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice

from hcb_opt.annealing.rounds import Rounds
from hcb_opt.chains.least_memory import least_memory_schedules
from hcb_opt.chains.search import block_schedules
from hcb_opt.graph import Phase
from hcb_opt.lifetimes import lifetimes
from hcb_opt.progress import Problem, Progress
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.shake import Shaker

_KICKS = 12  # of a repair, as long as there is no schedule
_SHAKES_TIMES_OPS = 20_000  # between rounds with one worker: a shake takes time in proportion to the ops
_MOST_SHAKES = 100
_FRUITLESS = 100  # shakes in vain, after which annealing joins in and the solvers get more and more of the time
_OPS_PER_BATCH = 16  # of annealing moves, for each shake
_SHAKES_BEFORE_PLAN = 30  # since the last plan of blocks or the last cheaper schedule
_FEW_MOVES = 15  # of the first repair, before a plan of blocks is tried instead
_LARGE_GAP = 0.1
_REPAIR_SHARE = 0.05  # of the time limit, as long as there is no schedule and a plan of blocks may give one
_MOST_REST_SHARE = 20.0  # of rest to search


class Primal:
    """Makes schedules and offers them.

    Parameters
    ----------
    problem : Problem
    progress : Progress
    """

    def __init__(self, problem: Problem, progress: Progress) -> None:
        self._problem = problem
        self._progress = progress
        self._rng = random.Random(problem.seed)
        self._shaker: Shaker | None = None
        self._fruitless = 0
        self._until_plan = _SHAKES_BEFORE_PLAN
        self._has_backward = any(op.phase is Phase.BACKWARD for op in problem.graph.ops)
        self._plans: Iterator[list[int] | None] | None = self._block_plans() if self._has_backward else None
        self._anneals = Rounds(problem, progress).all()
        self._annealing_pays = False

    def begin(self) -> None:
        """A first schedule: all stored and repaired; a plan of blocks where that takes long or comes out dear."""
        everything = range(len(self._problem.graph.ops))
        if self._has_backward:
            moves = count()
            self._repair(everything, lambda: next(moves) >= _FEW_MOVES or self._out_of_time())
            gap = self._progress.gap
            if gap is None or gap > _LARGE_GAP:
                self._plan()
        if self._progress.schedule is None:
            self.improve(everything)

    def improve(self, order: Sequence[int]) -> None:
        """Repair a sequence until it fits, make it cheap, and offer it; briefly where a plan of blocks may be had."""
        until = math.inf
        if self._plans is not None and self._progress.schedule is None:
            until = self._progress.seconds + _REPAIR_SHARE * self._problem.time_limit
        self._repair(order, lambda: self._out_of_time() or self._progress.seconds > until)

    def _repair(self, order: Sequence[int], stop: Callable[[], bool]) -> None:
        graph, budget_bytes = self._problem.graph, self._problem.budget_bytes
        kicks = _KICKS if self._progress.schedule is None else 0
        fitting = make_fit(graph, order, budget_bytes, stop, self._problem.seed, kicks)
        if fitting is not None:
            cheap = remove_needless(graph, fitting, budget_bytes, self._out_of_time)
            self._progress.offer(schedule_from_computes(graph, cheap))

    def shake_some(self) -> None:
        """Try a plan of blocks and a number of neighbours of the best sequence."""
        self._plan()
        for _ in range(min(_MOST_SHAKES, 1 + _SHAKES_TIMES_OPS // len(self._problem.graph.ops))):
            self._shake()

    def shake_while_waiting(self) -> None:
        """Try one neighbour, perhaps anneal a little; the longer in vain, the more time is left to the solvers."""
        began = time.perf_counter()
        self._until_plan -= 1
        if self._until_plan < 0 or self._progress.schedule is None:
            self._plan()
        self._search()
        rest_share = min(_MOST_REST_SHARE, self._fruitless / _FRUITLESS - 1)
        # Without a schedule or recomputes there is nothing to shake, and no time passes.
        seconds = max(rest_share * (time.perf_counter() - began), 0.0 if self._fruitless == 0 else 0.001)
        time.sleep(min(seconds, self._progress.remaining_seconds, 1.0))

    def _search(self) -> None:
        """Try one neighbour of the best sequence; where that has become fruitless, anneal a little too."""
        self._shake()
        fruitless = self._progress.schedule is not None and self._fruitless > _FRUITLESS
        if fruitless or self._annealing_pays:
            cost = self._progress.cost
            for _ in islice(self._anneals, 1 + len(self._problem.graph.ops) // _OPS_PER_BATCH):
                pass
            self._annealing_pays |= self._progress.cost != cost

    def _shake(self) -> None:
        schedule = self._progress.schedule
        if schedule is None:
            self._fruitless += 1
            return
        graph, budget_bytes = self._problem.graph, self._problem.budget_bytes
        if self._shaker is None or self._shaker.cost != self._progress.cost:
            self._shaker = Shaker(graph, schedule.computes, budget_bytes, self._rng)
            self._fruitless = 0
        self._fruitless += 1
        if self._shaker.shake(self._out_of_time):
            self._progress.offer(schedule_from_computes(graph, self._shaker.order))
            self._fruitless = 0
            self._annealing_pays = False
            self._until_plan = _SHAKES_BEFORE_PLAN

    def _plan(self) -> None:
        """Offer the next plan of blocks, if one is left."""
        self._until_plan = _SHAKES_BEFORE_PLAN
        if self._plans is None:
            return
        try:
            computes = next(self._plans)
        except StopIteration:
            self._plans = None
            return
        if computes is not None:
            self._progress.offer(schedule_from_computes(self._problem.graph, computes))

    def _block_plans(self) -> Iterator[list[int] | None]:
        """Plans for the budget; where the first ones do not fit it, those that need least memory before any others."""
        graph, budget_bytes = self._problem.graph, self._problem.budget_bytes
        plans = block_schedules(graph, budget_bytes, lambda: self._progress.done)
        yield next(plans, None)
        if self._progress.schedule is None:
            for computes in least_memory_schedules(graph, lambda: self._progress.done):
                fits = computes is not None and lifetimes(graph, computes).peak_bytes <= budget_bytes
                yield computes if fits else None
                if self._progress.schedule is not None:
                    break
        yield from plans

    def _out_of_time(self) -> bool:
        return self._progress.remaining_seconds <= 0
