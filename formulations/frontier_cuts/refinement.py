"""The loop of the lead method: solve, realise, repair, and count memory where it broke."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hcb_opt.bounds import cost_divisor, integer_bound, tightest_position
from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.passage_rows import inspect_passage
from hcb_opt.formulations.frontier_cuts.plan import Violation, realise, worst_violations
from hcb_opt.formulations.frontier_cuts.primal import Primal
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.formulations.frontier_cuts.stage_search import Passage, cheapest_passage
from hcb_opt.formulations.frontier_cuts.track import Track
from hcb_opt.highs import Vector, highs
from hcb_opt.progress import Problem, Progress
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solver_process import Report

_ROUND_SHARE = 0.1
_LEAST_ROUND_SECONDS = 4.0
_LONGER = 4.0
_POLL_SECONDS = 0.001
_GRACE_SECONDS = 0.05
_LATE_SECONDS = 1.0
_MOST_DEATHS = 3
_MOST_MOVES = 200_000
_MORE_MOVES = 10
_SMALL_OPS = 40
_MOVES_BY_ROUND = {3: _MOST_MOVES, 12: _MORE_MOVES * _MOST_MOVES}
_TOO_LARGE = "a stage is too large to be searched"


class Refinement:
    """Two choices of cuts that grow: a wide one for plans, a narrow one for bounds.

    The wide one takes up every violation of a plan. As soon as a round on it
    does not end in time the narrow one, to which one violation is added at a
    time, the one that lifts the linear relaxation most, joins in: few well-placed
    cuts give programmes that the solver can finish. With one worker they take
    turns; with more each has a solver of its own.

    Parameters
    ----------
    problem : Problem
    progress : Progress
    """

    def __init__(self, problem: Problem, progress: Progress) -> None:
        self.problem = problem
        self.progress = progress
        self.graph = problem.graph
        self.unit = cost_divisor(problem.graph)
        self.primal = Primal(problem, progress)
        self.deaths = 0

    def run(self) -> None:
        """Refine until the bounds meet, infeasibility is proven or time is up."""
        first = tightest_position(self.graph, self.problem.budget_bytes)
        wide = self.track(first, self._add_all)
        narrow = self.track(first, self._add_best, number=min(1, self.problem.workers - 1))
        try:
            wide.begin()
            self.primal.begin()
            rounds = 0
            while not self.progress.done and not wide.ended:
                track, report = self._wait([wide, narrow])
                self.take(track, report)
                rounds += 1
                moves = _MORE_MOVES * _MOST_MOVES if wide.ended else _MOVES_BY_ROUND.get(rounds)
                if moves is not None and len(self.graph.ops) <= _SMALL_OPS:
                    self._search_whole(moves)
                self._begin_next(wide, narrow, track)
            if wide.ended == _TOO_LARGE:
                self._go_on_with(narrow)
        finally:
            for track in (wide, narrow):
                if track.process.busy:
                    track.process.stop()
                    track.process.start()
        if not self.progress.done:
            self.progress.give_up(wide.ended)

    def track(self, first: int, separate: Callable[[Track, list[Violation]], bool], number: int = 0) -> Track:
        """A track with one cut, served by the HiGHS process of this number."""
        seconds = max(_LEAST_ROUND_SECONDS, self.problem.time_limit * _ROUND_SHARE)
        cuts = Cuts(self.graph, {first})
        return Track(self.problem, self.progress, highs(number=number), cuts, seconds, separate)

    def _begin_next(self, wide: Track, narrow: Track, done: Track) -> None:
        """Begin the rounds that are due: on the wide track always, on the narrow one once rounds take long."""
        if self.progress.done or wide.ended:
            return
        if self.problem.workers == 1:
            self.primal.shake_some()
        turn = done is wide and not wide.solved and not narrow.ended
        if narrow.process is wide.process:
            (narrow if turn else wide).begin()
            return
        if done is wide:
            wide.begin()
        if not narrow.ended and not narrow.asked and (turn or done is narrow):
            narrow.begin()

    def _go_on_with(self, track: Track) -> None:
        """Use the time that is left for the other track and for schedules: nothing separates the wide one's plans."""
        while not self.progress.done:
            if not track.asked and not track.ended:
                track.begin()
            if track.asked:
                self.take(*self._wait([track]))
            self.primal.shake_while_waiting()

    def _wait(self, tracks: Sequence[Track]) -> tuple[Track, Report]:
        """The next track whose solver has an answer; with two workers, search for schedules meanwhile."""
        busy = [track for track in tracks if track.asked]
        over_seconds: float | None = None
        while True:
            for track in busy:
                report = track.process.poll(self._listener(track))
                if report is not None:
                    return track, report
            if not self.progress.done and self.problem.workers > 1:
                self.primal.shake_while_waiting()
                continue
            time.sleep(_POLL_SECONDS)
            if self.progress.done:
                # A solver that is about to end by itself is spared: a new process takes longer to start.
                over_seconds = self.progress.seconds if over_seconds is None else over_seconds
                grace_seconds = _GRACE_SECONDS if self.progress.closed else _LATE_SECONDS
                if self.progress.seconds - over_seconds > grace_seconds:
                    return busy[0], Report(None, None, None, last=True)

    def _listener(self, track: Track) -> Callable[[Report], bool]:
        assert track.relaxation is not None
        scale = track.relaxation.scale

        def tell(report: Report) -> bool:
            if report.bound is not None:
                self.progress.raise_bound(self.graph.base_cost + integer_bound(report.bound * scale, self.unit))
            # At a gap of 0 the solver ends by itself; ending it early costs a new process.
            return self.problem.gap > 0 and self.progress.closed

        return tell

    def take(self, track: Track, report: Report) -> None:
        """Bound, plan, repair; then separate what the plan breaks."""
        relaxation = track.relaxation
        assert relaxation is not None
        track.asked = False
        self._listener(track)(report)
        self.progress.note_solver_memory(report.peak_memory_bytes)
        track.solved, track.bound = report.nearly_optimal, report.bound
        self.deaths = self.deaths + 1 if report.died else 0
        if self.deaths == _MOST_DEATHS:
            track.ended = f"{report.message}, {_MOST_DEATHS} times in a row; 'hcb-opt doctor' may tell why"
        elif report.infeasible:
            names = ", ".join(f"'{self.graph.ops[cut].name}'" for cut in sorted(track.cuts.positions)[:3])
            self.progress.prove_infeasible(
                f"proven by the relaxation with {len(track.cuts.positions)} cuts (ops {names} ..): "
                f"whatever is recomputed, {self.problem.budget_bytes} bytes do not suffice"
            )
        elif self.progress.done:
            return
        elif report.values is None:
            track.round_seconds *= _LONGER
        else:
            self._learn(track, relaxation, report, report.values)

    def _learn(self, track: Track, relaxation: Relaxation, report: Report, solution: Vector) -> None:
        """Offer the plan and its repair; grow the cuts where the plan breaks the budget."""
        order = realise(relaxation, solution)
        violations = worst_violations(relaxation, order)
        self.primal.improve(order)
        if self.progress.done:
            return
        coarse, track.coarse = track.coarse, bool(violations)
        if violations and track.separate(track, violations):
            return
        if self._pass_stages(track, relaxation, solution, violations):
            return
        if report.optimal:
            # Without violations the plan is the optimum, as far as floating point can tell.
            track.ended = _TOO_LARGE if violations else "floating point tells no more"
        elif not coarse or violations:
            track.round_seconds *= _LONGER

    def _add_all(self, track: Track, violations: list[Violation]) -> bool:
        """Separate every violation that cuts and order rows can."""
        added = [track.cuts.add(violation) for violation in violations]
        return any(added)

    def _add_best(self, track: Track, violations: list[Violation]) -> bool:
        """Separate the violation whose separation lifts the linear relaxation most.

        None, while the solver still needs its time for the present cuts and none
        lifts the linear relaxation above what it has proven.
        """
        rated: list[tuple[float, int, Cuts]] = []
        for violation in violations:
            cuts = track.cuts.copy()
            if cuts.add(violation):
                rated.append((track.linear_bound(cuts), violation.excess_bytes, cuts))
        if not rated:
            return False
        best = max(rated, key=lambda each: each[:2])
        if not track.solved and track.bound is not None and best[0] <= track.bound:
            return False
        track.cuts = best[2]
        return True

    def _pass_stages(self, track: Track, relaxation: Relaxation, solution: Vector, violations: list[Violation]) -> bool:
        """Search the stages that no cut separates: order their recomputes, or bound their cost.

        Whether bounds were added. The next search may try more moves where this one tried too few.
        """
        scripts: dict[int, Sequence[int]] = {}
        bounded = False
        most_moves = track.most_moves
        while violations and not scripts and not bounded and most_moves <= _MOST_MOVES and not self.progress.done:
            track.most_moves = most_moves
            for violation in violations:
                passage = inspect_passage(
                    relaxation, solution, violation.target, most_moves, lambda: self.progress.done
                )
                if isinstance(passage, Passage):
                    scripts[violation.target] = passage.ops
                elif passage is not None:
                    track.cuts.passages.extend(passage)
                    bounded = True
            most_moves *= _MORE_MOVES
        if scripts:
            self.primal.improve(realise(relaxation, solution, scripts))
        return bounded

    def _search_whole(self, most_moves: int) -> None:
        """Search a small step as one stage: tight budgets need many recomputes in one place."""
        if self.progress.done:
            return
        budget_bytes, count = self.problem.budget_bytes, len(self.graph.ops)
        whole = cheapest_passage(
            self.graph, count, (), (), budget_bytes, most_moves, begun=0, stop=lambda: self.progress.done
        )
        if whole is not None and whole.cost is None:
            self.progress.prove_infeasible(f"a search of all sequences found none that fits {budget_bytes} bytes")
        elif whole is not None and whole.cost is not None:
            self.progress.offer(schedule_from_computes(self.graph, whole.ops))
            self.progress.raise_bound(self.graph.base_cost + whole.cost)
