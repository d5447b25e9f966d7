"""Keep an op of the forward after every b bytes, in topological order; recompute the blocks between them once."""

from __future__ import annotations

from hcb_opt.checkpoints import all_ops, at_thresholds, offer_checkpoints
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method


@method(
    "linearised_greedy",
    kind="heuristic",
    graphs="any DAG",
    cites="Chen et al. 2016, algorithm 3, as generalised in Jain et al., MLSys 2020",
)
def linearised_greedy(problem: Problem, progress: Progress) -> None:
    """Checkpoints after every b bytes of the forward as if it were a chain; b is searched.

    Checkmate's "Linearized greedy". A checkpoint keeps one op's outputs; what
    skips over it is recomputed for the backward. Of the thresholds that
    `threshold_boundaries` tries the cheapest schedule within budget counts.
    """
    offer_checkpoints(problem, progress, all_ops, at_thresholds)
