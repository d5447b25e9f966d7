"""The loop of the lead method: solve, realise, repair, and count memory where it broke."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hcb_opt.bounds import integer_bound, tightest_position
from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.encode import encode
from hcb_opt.formulations.frontier_cuts.passage_rows import cost_unit, inspect_passage
from hcb_opt.formulations.frontier_cuts.plan import Violation, realise, worst_violations
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.formulations.frontier_cuts.stage_search import Passage, cheapest_passage
from hcb_opt.highs import Report, Vector, highs
from hcb_opt.progress import Problem, Progress
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.shake import Shaker

_ROUND_SHARE = 0.1
_LEAST_ROUND_SECONDS = 4.0
_PATIENCE_SECONDS = 1.0
_SHAKES_TIMES_OPS = 20_000
_MOST_SHAKES = 100
_KICKS = 12
_MOST_DEATHS = 3
_SMALL_OPS = 20
_SMALL_ROUNDS = 6
_SMALL_MOVES = 2_000_000


@dataclass
class _Track:
    """One growing choice of cuts, how long and how exact a round on it is, and why it ended."""

    cuts: Cuts
    round_seconds: float
    coarse: bool = True
    solved: bool = True
    ended: str = ""


Separate = Callable[[_Track, list[Violation]], bool]


class Refinement:
    """Two choices of cuts that grow: a wide one for plans, a narrow one for bounds.

    The wide one takes up every violation of a plan. As soon as a round on it
    does not end in time the narrow one, to which one violation is added at a
    time, the one that lifts the linear relaxation most, takes turns with it:
    few well-placed cuts give the better bounds.

    Parameters
    ----------
    problem : Problem
    progress : Progress
    """

    def __init__(self, problem: Problem, progress: Progress) -> None:
        self.problem = problem
        self.progress = progress
        self.graph = problem.graph
        self.unit = cost_unit(problem.graph)
        self.deaths = 0
        self.rng = random.Random(problem.seed)
        self.shaker: Shaker | None = None

    def run(self) -> None:
        """Refine until the bounds meet, infeasibility is proven or time is up."""
        seconds = max(_LEAST_ROUND_SECONDS, self.problem.time_limit * _ROUND_SHARE)
        first = {tightest_position(self.graph, self.problem.budget_bytes)}
        wide = _Track(Cuts(self.graph, set(first)), seconds)
        narrow = _Track(Cuts(self.graph, set(first)), seconds)
        self._first_round(wide)
        rounds = 0
        while not self.progress.done and not wide.ended:
            self._round(wide, self._add_all)
            rounds += 1
            if (rounds == _SMALL_ROUNDS or wide.ended) and len(self.graph.ops) <= _SMALL_OPS:
                self._search_whole()
            if not wide.solved and not narrow.ended and not self.progress.done:
                self._round(narrow, self._add_best)
        if not self.progress.done:
            self.progress.give_up(wide.ended)

    def _first_round(self, track: _Track) -> None:
        """Repair the store-all schedule while the solver works on the first relaxation."""
        relaxation, _ = track.cuts.relaxation(self.problem.budget_bytes)
        seconds = min(self.progress.remaining_seconds, track.round_seconds)
        highs().submit(relaxation.model(start=None, seconds=seconds, seed=self.problem.seed))
        self._improve(range(len(self.graph.ops)))
        self._take(track, relaxation, highs().collect(self._listener(relaxation), self._meanwhile()), self._add_all)

    def _round(self, track: _Track, add: Separate) -> None:
        """Solve one relaxation from the best schedule so far, and learn from its solution."""
        relaxation, order_rows = track.cuts.relaxation(self.problem.budget_bytes)
        best = self.progress.schedule
        if best is not None and self.problem.workers == 1:
            for _ in range(min(_MOST_SHAKES, 1 + _SHAKES_TIMES_OPS // len(self.graph.ops))):
                self._shake()
        start = None if best is None else encode(relaxation, order_rows, best.computes)
        seconds = min(self.progress.remaining_seconds, track.round_seconds)
        patience_seconds = _PATIENCE_SECONDS if track.coarse else math.inf
        model = relaxation.model(
            start=start, seconds=seconds, seed=self.problem.seed, patience_seconds=patience_seconds
        )
        report = highs().solve(model, self._listener(relaxation), self._meanwhile())
        self._take(track, relaxation, report, add)

    def _meanwhile(self) -> Callable[[], None] | None:
        """What to do while the solver works."""
        return self._shake if self.progress.schedule is not None and self.problem.workers > 1 else None

    def _shake(self) -> None:
        """Try one neighbour of the best sequence: with two workers while the solver works."""
        assert self.progress.schedule is not None
        if self.shaker is None or self.shaker.cost != self.progress.cost:
            computes = self.progress.schedule.computes
            self.shaker = Shaker(self.graph, computes, self.problem.budget_bytes, self.rng)
        if self.shaker.shake(self._out_of_time):
            self.progress.offer(schedule_from_computes(self.graph, self.shaker.order))

    def _out_of_time(self) -> bool:
        return self.progress.remaining_seconds <= 0

    def _listener(self, relaxation: Relaxation) -> Callable[[Report], bool]:
        scale = relaxation.scale

        def tell(report: Report) -> bool:
            if report.bound is not None:
                self.progress.raise_bound(self.graph.base_cost + integer_bound(report.bound * scale, self.unit))
            # At a gap of 0 the solver ends by itself; ending it early costs a new process.
            return self.problem.gap > 0 and self.progress.closed

        return tell

    def _take(self, track: _Track, relaxation: Relaxation, report: Report, add: Separate) -> None:
        """Bound, plan, repair; then separate what the plan breaks."""
        self._listener(relaxation)(report)
        track.solved = report.nearly_optimal
        self.deaths = self.deaths + 1 if report.died else 0
        if self.deaths == _MOST_DEATHS:
            track.ended = f"{report.message}, {_MOST_DEATHS} times in a row; 'hcb-opt doctor' may tell why"
        elif report.infeasible:
            names = ", ".join(f"'{self.graph.ops[cut].name}'" for cut in sorted(track.cuts.positions)[:3])
            self.progress.prove_infeasible(
                f"proven by the relaxation with {len(track.cuts.positions)} cuts (ops {names} ..): "
                f"whatever is recomputed, {self.problem.budget_bytes} bytes do not suffice"
            )
        elif report.values is None:
            track.round_seconds *= 2
        else:
            self._learn(track, relaxation, report, report.values, add)

    def _learn(self, track: _Track, relaxation: Relaxation, report: Report, solution: Vector, add: Separate) -> None:
        """Offer the plan and its repair; grow the cuts where the plan breaks the budget."""
        order = realise(relaxation, solution)
        violations = worst_violations(relaxation, order)
        self._improve(order)
        if self.progress.done:
            return
        coarse, track.coarse = track.coarse, bool(violations)
        if violations and add(track, violations):
            return
        if self._pass_stages(track, relaxation, solution, violations):
            return
        if report.optimal:
            # Without violations the plan is the optimum, as far as floating point can tell.
            track.ended = "a stage is too large to be searched" if violations else "floating point tells no more"
        elif not coarse:
            track.round_seconds *= 2

    def _add_all(self, track: _Track, violations: list[Violation]) -> bool:
        """Separate every violation that cuts and order rows can."""
        added = [track.cuts.add(violation) for violation in violations]
        return any(added)

    def _add_best(self, track: _Track, violations: list[Violation]) -> bool:
        """Separate the violation whose separation lifts the linear relaxation most.

        While the solver still needs its time for the present cuts, none.
        """
        if not track.solved:
            return False
        rated: list[tuple[float, int, Cuts]] = []
        for violation in violations:
            cuts = track.cuts.copy()
            if cuts.add(violation):
                relaxation, _ = cuts.relaxation(self.problem.budget_bytes)
                seconds = min(self.progress.remaining_seconds, track.round_seconds)
                model = relaxation.model(start=None, seconds=seconds, seed=self.problem.seed)
                bound = highs().solve(replace(model, integrality=np.zeros_like(model.integrality))).bound
                rated.append((-1.0 if bound is None else bound, violation.excess_bytes, cuts))
        if not rated:
            return False
        track.cuts = max(rated, key=lambda each: each[:2])[2]
        return True

    def _pass_stages(
        self, track: _Track, relaxation: Relaxation, solution: Vector, violations: list[Violation]
    ) -> bool:
        """Search the stages that no cut separates: order their recomputes, or bound their cost."""
        scripts: dict[int, Sequence[int]] = {}
        bounded = False
        for violation in violations:
            passage = inspect_passage(relaxation, solution, violation.target, lambda: self.progress.done)
            if isinstance(passage, Passage):
                scripts[violation.target] = passage.ops
            elif passage is not None:
                track.cuts.passages.extend(passage)
                bounded = True
        if scripts:
            self._improve(realise(relaxation, solution, scripts))
        return bounded

    def _search_whole(self) -> None:
        """Search a small step as one stage: tight budgets need many recomputes in one place."""
        if self.progress.done:
            return
        budget_bytes, count = self.problem.budget_bytes, len(self.graph.ops)
        whole = cheapest_passage(
            self.graph, count, (), (), budget_bytes, _SMALL_MOVES, begun=0, stop=lambda: self.progress.done
        )
        if whole is not None and whole.cost is None:
            self.progress.prove_infeasible(f"a search of all sequences found none that fits {budget_bytes} bytes")
        elif whole is not None and whole.cost is not None:
            self.progress.offer(schedule_from_computes(self.graph, whole.ops))
            self.progress.raise_bound(self.graph.base_cost + whole.cost)

    def _improve(self, order: Sequence[int]) -> None:
        """Repair a sequence until it fits, make it cheap, and offer it."""
        kicks = _KICKS if self.progress.schedule is None else 0
        budget_bytes = self.problem.budget_bytes
        fitting = make_fit(self.graph, order, budget_bytes, self._out_of_time, self.problem.seed, kicks)
        if fitting is not None:
            cheap = remove_needless(self.graph, fitting, budget_bytes, self._out_of_time)
            self.progress.offer(schedule_from_computes(self.graph, cheap))
