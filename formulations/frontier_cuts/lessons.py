"""What a round teaches: a bound, a plan, and where to count memory next.

A round of a track has one of these ends, which the diagram in `refinement` names too:

- *grew*: the plan breaks the budget, and cuts, order rows or passage bounds were added;
- *exact next*: the plan fits, in a round that stopped short of its exact optimum;
- *longer*: the time was too short for anything new;
- *ended*: the round is optimal and nothing is left to add, or the solver keeps dying.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hcb_opt.bounds import cost_divisor, integer_bound
from hcb_opt.formulations.frontier_cuts.passage_rows import PassageBound, inspect_passage
from hcb_opt.formulations.frontier_cuts.plan import Violation, realise, worst_violations
from hcb_opt.formulations.frontier_cuts.primal import Primal
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.formulations.frontier_cuts.stage_search import Passage
from hcb_opt.formulations.frontier_cuts.track import Track
from hcb_opt.highs import Vector
from hcb_opt.progress import Problem, Progress
from hcb_opt.solver_process import Report

TOO_LARGE = "a stage is too large to be searched"
_MOST_DEATHS = 3
_MOST_MOVES = 200_000
_MORE_MOVES = 10


class Lessons:
    """Takes the reports of rounds.

    Parameters
    ----------
    problem : Problem
    progress : Progress
    primal : Primal
        Repairs plans.
    """

    def __init__(self, problem: Problem, progress: Progress, primal: Primal) -> None:
        self._problem = problem
        self._progress = progress
        self._primal = primal
        self._graph = problem.graph
        self._unit = cost_divisor(problem.graph)
        self._deaths = 0

    def listener(self, track: Track) -> Callable[[Report], bool]:
        """What hears the reports of a round while it goes on: notes bounds, and says whether to stop."""
        assert track.relaxation is not None
        scale = track.relaxation.scale

        def tell(report: Report) -> bool:
            if report.bound is not None:
                self._progress.raise_bound(self._graph.base_cost + integer_bound(report.bound * scale, self._unit))
            # At a gap of 0 the solver ends by itself; ending it early costs a new process.
            return self._problem.gap > 0 and self._progress.closed

        return tell

    def take(self, track: Track, report: Report) -> None:
        """Bound, plan, repair; then separate what the plan breaks."""
        self.listener(track)(report)
        self._progress.note_solver_memory(report.peak_memory_bytes)
        track.take(report)
        self._deaths = self._deaths + 1 if report.died else 0
        if self._deaths == _MOST_DEATHS:
            track.ended = f"{report.message}, {_MOST_DEATHS} times in a row; 'hcb-opt doctor' may tell why"
        elif report.infeasible:
            self._prove_infeasible(track)
        elif self._progress.done:
            return
        elif report.values is None:
            track.lengthen()
        else:
            self._learn(track, report.values, optimal=report.optimal)

    def _prove_infeasible(self, track: Track) -> None:
        names = ", ".join(f"'{self._graph.ops[cut].name}'" for cut in sorted(track.cuts.positions)[:3])
        self._progress.prove_infeasible(
            f"proven by the relaxation with {len(track.cuts.positions)} cuts (ops {names} ..): "
            f"whatever is recomputed, {self._problem.budget_bytes} bytes do not suffice"
        )

    def _learn(self, track: Track, solution: Vector, *, optimal: bool) -> None:
        """Offer the plan and its repair; grow the cuts where the plan breaks the budget."""
        assert track.relaxation is not None
        order = realise(track.relaxation, solution)
        violations = worst_violations(track.relaxation, order)
        self._primal.improve(order)
        if self._progress.done:
            return
        was_coarse, track.coarse = track.coarse, bool(violations)
        if violations and (
            track.separate(track, violations) or self._bound_stages(track, track.relaxation, solution, violations)
        ):
            return  # grew
        if optimal:
            # Without violations the plan is the optimum, as far as floating point can tell.
            track.ended = TOO_LARGE if violations else "floating point tells no more"
        elif violations or not was_coarse:
            track.lengthen()
        # Else the plan fits, and the next round is exact.

    def _bound_stages(
        self, track: Track, relaxation: Relaxation, solution: Vector, violations: list[Violation]
    ) -> bool:
        """Search the stages that no cut separates: order their recomputes, or bound their cost.

        Whether bounds were added. Where a search tries too few moves to tell, the
        next one tries more.
        """
        scripts: dict[int, Sequence[int]] = {}
        bounds: list[PassageBound] = []
        most_moves = track.most_moves
        while not scripts and not bounds and most_moves <= _MOST_MOVES and not self._progress.done:
            track.most_moves = most_moves
            for violation in violations:
                passage = inspect_passage(
                    relaxation, solution, violation.target, most_moves, lambda: self._progress.done
                )
                if isinstance(passage, Passage):
                    scripts[violation.target] = passage.ops
                elif passage is not None:
                    bounds.extend(passage)
            most_moves *= _MORE_MOVES
        track.cuts.passages.extend(bounds)
        if scripts:
            self._primal.improve(realise(relaxation, solution, scripts))
        return bool(bounds)
