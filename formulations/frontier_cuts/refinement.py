"""The loop of the lead method: which of two growing choices of cuts is solved next.

Each choice of cuts is a `Track`; solving its relaxation once is a round. A track is
idle, asked (its solver is at work) or ended::

              begin                solver reports
      idle -----------> asked ------------------------> take: what it teaches
       ^                                                     |
       |  grew        memory is counted at more places       |
       |  exact next  not content with a gap of 0.1 %        |
       |  longer      with four times the time               |
       +-----------------------------------------------------+
                                                             |
      ended <------------------------------------------------+
          nothing is left to add, or the solver keeps dying

Which track begins a round when one of them has ended its own:

==========  ==================================  =======================================
processes   after a round of the wide track     after a round of the narrow track
==========  ==================================  =======================================
one         the narrow one if the round left    the wide one
            it unsolved, else the wide one
two         the wide one; the narrow one too,   the narrow one
            if the round left it unsolved and
            the narrow one is idle
==========  ==================================  =======================================

An ended narrow track is passed over. When the wide one has ended the method gives up;
but if that is because a stage is too large to be searched, the narrow one goes on
alone. All ends at once when the bounds meet, infeasibility is proven or time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hcb_opt.bounds import tightest_position
from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.lessons import TOO_LARGE, Lessons
from hcb_opt.formulations.frontier_cuts.plan import Violation
from hcb_opt.formulations.frontier_cuts.primal import Primal
from hcb_opt.formulations.frontier_cuts.separation import add_all, add_best
from hcb_opt.formulations.frontier_cuts.stage_search import cheapest_passage
from hcb_opt.formulations.frontier_cuts.track import Track
from hcb_opt.highs import highs
from hcb_opt.progress import Problem, Progress
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solver_process import Report

_ROUND_SHARE = 0.1
_LEAST_ROUND_SECONDS = 4.0
_POLL_SECONDS = 0.001
_GRACE_SECONDS = 0.05
_LATE_SECONDS = 1.0
_SMALL_OPS = 40
_WHOLE_MOVES = 2_000_000
_WHOLE_MOVES_BY_ROUND = {3: 200_000, 12: _WHOLE_MOVES}


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
        self.primal = Primal(problem, progress)
        self.lessons = Lessons(problem, progress, self.primal)

    def run(self) -> None:
        """Refine until the bounds meet, infeasibility is proven or time is up."""
        first = tightest_position(self.graph, self.problem.budget_bytes)
        wide = self.track(first, add_all)
        narrow = self.track(first, add_best, number=min(1, self.problem.workers - 1))
        try:
            # The first schedule of a small graph often meets the bound, and to stop a solver costs a new process.
            if len(self.graph.ops) > _SMALL_OPS:
                wide.begin()
            self.primal.begin()
            if wide.idle and not self.progress.done:
                wide.begin()
            self._refine(wide, narrow)
            if wide.ended == TOO_LARGE:
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

    def _refine(self, wide: Track, narrow: Track) -> None:
        """Round after round, until the wide track has ended."""
        rounds = 0
        while not self.progress.done and not wide.ended:
            track, report = self.wait([wide, narrow])
            self.lessons.take(track, report)
            rounds += 1
            moves = _WHOLE_MOVES if wide.ended else _WHOLE_MOVES_BY_ROUND.get(rounds)
            if moves is not None and len(self.graph.ops) <= _SMALL_OPS:
                self._search_whole(moves)
            if self.progress.done or wide.ended:
                return
            if self.problem.workers == 1:
                self.primal.shake_some()
            for due in _due(wide, narrow, track):
                due.begin()

    def _go_on_with(self, track: Track) -> None:
        """Use the time that is left for the other track and for schedules: nothing separates the wide one's plans."""
        while not self.progress.done:
            if track.idle:
                track.begin()
            if track.asked:
                self.lessons.take(*self.wait([track]))
            self.primal.shake_while_waiting()

    def wait(self, tracks: Sequence[Track]) -> tuple[Track, Report]:
        """The next track whose solver has an answer; with two workers, search for schedules meanwhile.

        Parameters
        ----------
        tracks : sequence of Track
            At least one of them is asked.
        """
        asked = [track for track in tracks if track.asked]
        while not self.progress.done:
            answer = self._answer(asked)
            if answer is not None:
                return answer
            if self.problem.workers > 1:
                self.primal.shake_while_waiting()
            else:
                time.sleep(_POLL_SECONDS)
        # A solver that is about to end by itself is spared: a new process takes longer to start.
        over_seconds = self.progress.seconds
        while self.progress.seconds - over_seconds <= (_GRACE_SECONDS if self.progress.closed else _LATE_SECONDS):
            answer = self._answer(asked)
            if answer is not None:
                return answer
            time.sleep(_POLL_SECONDS)
        return asked[0], Report(None, None, None, last=True)

    def _answer(self, asked: Sequence[Track]) -> tuple[Track, Report] | None:
        for track in asked:
            report = track.process.poll(self.lessons.listener(track))
            if report is not None:
                return track, report
        return None

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


def _due(wide: Track, narrow: Track, done: Track) -> list[Track]:
    """The tracks that begin a round when one of them is done with its own, see the table above."""
    wide_takes_long = done is wide and not wide.solved
    if narrow.process is wide.process:
        return [narrow if wide_takes_long and not narrow.ended else wide]
    due = [wide] if done is wide else []
    if narrow.idle and (wide_takes_long or done is narrow):
        due.append(narrow)
    return due
