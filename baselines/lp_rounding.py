"""Checkmate's two-phase rounding: the linear relaxation says what to keep, the rest is recomputed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hcb_opt.highs import Model, Vector, highs
from hcb_opt.progress import Problem, Progress
from hcb_opt.realise import recompute_on_demand
from hcb_opt.registry import method
from hcb_opt.reversal import offer_cheapest
from hcb_opt.stage_model import NO_COLUMN, StageModel

ALLOWANCE_DIVISOR = 10
THRESHOLDS = (0.5, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
LEAST_SHARE_OF_MEAN_COST = 1e-3
# A value of one half is above the threshold also where the solver's arithmetic is slightly off.
_TOLERANCE = 1e-6


@method(
    "lp_rounding",
    kind="heuristic",
    graphs="any DAG of at most 300 ops",
    cites="Jain et al., MLSys 2020, algorithm 2",
    max_ops=300,
    claim="checkmate-stages",
)
def lp_rounding(problem: Problem, progress: Progress) -> None:
    """Checkmate's linear relaxation within 90 % of the budget, its S rounded, R the least that S needs.

    Phase one rounds: value v is kept into stage t where S[t, v] is at least the
    threshold, 1/2 in the paper. Phase two runs in every stage the ops, and only
    those, that the stage's own op and the values kept from it need. Since
    rounding may exceed the budget, a tenth of it is held back (the paper's
    epsilon). As in Checkmate's published program all thresholds from 0.1 to 0.9
    are tried, and the cheapest schedule that fits the whole budget counts.
    """
    graph = problem.graph
    allowed_bytes = problem.budget_bytes - problem.budget_bytes // ALLOWANCE_DIVISOR
    model = StageModel(graph, allowed_bytes)
    programme = model.programme(progress.remaining_seconds, 0.0, problem.memory_limit_bytes, relaxed=True)
    answer = highs("hcb_opt.scipy_worker").solve(_without_free_recomputes(model, programme))
    progress.note_solver_memory(answer.peak_memory_bytes)
    solution = answer.values
    if solution is None:
        nothing = f"Checkmate's linear relaxation has no solution within {allowed_bytes} bytes"
        progress.give_up(nothing if answer.infeasible else answer.message)
        return
    computes = (rounded_computes(model, solution, threshold) for threshold in THRESHOLDS)
    offer_cheapest(problem, progress, computes, "roundings of the linear relaxation")


def _without_free_recomputes(model: StageModel, programme: Model) -> Model:
    """Let every compute cost at least a thousandth of the mean.

    A relaxation that runs half an op for nothing also keeps half of what the op
    reads, and that, rounded away, may be dear to compute again.
    """
    computes = model.R[model.R != NO_COLUMN]
    costs = programme.costs.copy()
    costs[computes] = np.maximum(costs[computes], LEAST_SHARE_OF_MEAN_COST * costs[computes].mean())
    return replace(programme, costs=costs)


def rounded_computes(model: StageModel, solution: Vector, threshold: float) -> list[int]:
    """The computes of the smallest R for the S of a solution, rounded.

    Parameters
    ----------
    model : StageModel
    solution : ndarray of float64, shape (columns,)
        May be fractional.
    threshold : float
        A value is kept where S is at least this.

    Returns
    -------
    list of int
        Positions of ops, recomputes included, first computes in the fixed order.
    """
    graph = model.graph
    evictions: dict[int, list[int]] = {}
    requests: dict[int, list[int]] = {}
    for stage, op in enumerate(graph.ops):
        kept = {
            value
            for value, column in enumerate(model.S[stage + 1])
            if column != NO_COLUMN and solution[column] >= threshold - _TOLERANCE
        }
        evictions[stage] = [value for value in range(len(graph.values)) if value not in kept]
        # With its inputs, so that the ops of a stage run in index order.
        requests[stage] = sorted(kept.union(op.inputs).difference(op.outputs))
    return recompute_on_demand(graph, evictions, requests)
