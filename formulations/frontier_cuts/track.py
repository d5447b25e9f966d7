"""One growing choice of cuts, and the solver that works on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.encode import encode
from hcb_opt.formulations.frontier_cuts.plan import Violation
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.formulations.frontier_cuts.stage_search import FEW_MOVES
from hcb_opt.highs import HighsProcess, Model
from hcb_opt.progress import Problem, Progress
from hcb_opt.solver_process import Report

_PATIENCE_SECONDS = 1.0
_LONGER = 4.0


@dataclass
class Track:
    """One growing choice of cuts; the diagram in `refinement` shows what happens to it.

    Attributes
    ----------
    problem : Problem
    progress : Progress
    process : HighsProcess
        Solves its relaxations; tracks may share one.
    cuts : Cuts
    round_seconds : float
        How long the next round may take.
    separate : callable
        Adds to the cuts where a plan breaks the budget; whether it added anything.
    coarse : bool
        Whether a gap of 0.1 % is enough for the next round.
    most_moves : int
        Of the next search of a stage that nothing else separates.
    relaxation : Relaxation or None
        Of the last round.
    solved : bool
        Whether the last round came within 0.1 % of its optimum.
    bound : float or None
        What the last round proved, in the units of its model.
    asked : bool
        Whether a round has begun whose report is not taken yet.
    ended : str
        Why there will be no more rounds; empty while there will.
    """

    problem: Problem
    progress: Progress
    process: HighsProcess
    cuts: Cuts
    round_seconds: float
    separate: Callable[[Track, list[Violation]], bool]
    coarse: bool = True
    most_moves: int = FEW_MOVES
    relaxation: Relaxation | None = None
    solved: bool = True
    bound: float | None = None
    asked: bool = False
    ended: str = ""

    @property
    def idle(self) -> bool:
        """Whether a round can begin."""
        return not self.asked and not self.ended

    @property
    def seconds_left(self) -> float:
        """For the next round."""
        return min(self.progress.remaining_seconds, self.round_seconds)

    def begin(self) -> None:
        """Begin a round: solve the relaxation from the best schedule so far."""
        self.relaxation, order_rows = self.cuts.relaxation(self.problem.budget_bytes)
        best = self.progress.schedule
        start = None if best is None else encode(self.relaxation, order_rows, best.computes)
        model = self._model(self.relaxation)
        patience_seconds = _PATIENCE_SECONDS if self.coarse else math.inf
        self.process.submit(replace(model, start=start, patience_seconds=patience_seconds))
        self.asked = True

    def take(self, report: Report) -> None:
        """Note what the round that has just ended found."""
        self.asked = False
        self.solved, self.bound = report.nearly_optimal, report.bound

    def lengthen(self) -> None:
        """Give rounds more time: the last one ended without anything new."""
        self.round_seconds *= _LONGER

    def linear_bound(self, cuts: Cuts) -> float:
        """What the linear relaxation proves with these cuts, in the model's units; -1 if it is not solved in time."""
        relaxation, _ = cuts.relaxation(self.problem.budget_bytes)
        model = self._model(relaxation)
        bound = self.process.solve(replace(model, integrality=np.zeros_like(model.integrality))).bound
        return -1.0 if bound is None else bound

    def _model(self, relaxation: Relaxation) -> Model:
        return relaxation.model(
            seconds=self.seconds_left, seed=self.problem.seed, memory_limit_bytes=self.problem.memory_limit_bytes
        )
