"""Keep an articulation point of the forward after every b bytes; recompute the blocks between them once."""

from __future__ import annotations

from hcb_opt.checkpoints import articulation_points, at_thresholds, offer_checkpoints
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method


@method(
    "ap_greedy",
    kind="heuristic",
    graphs="any DAG",
    cites="Chen et al. 2016, algorithm 3, as generalised in Jain et al., MLSys 2020",
)
def ap_greedy(problem: Problem, progress: Progress) -> None:
    """Checkpoints at the first articulation point of the forward after b bytes; b is searched.

    Checkmate's "AP greedy": Chen's greedy choice among the ops without which the
    forward falls into parts. Of the thresholds that `threshold_boundaries` tries
    the cheapest schedule within budget counts.
    """
    offer_checkpoints(problem, progress, articulation_points, at_thresholds)
