"""Keep about sqrt(n) of the n articulation points of the forward; recompute the blocks between them once."""

from __future__ import annotations

from hcb_opt.checkpoints import articulation_points, evenly_spaced, offer_checkpoints
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method


@method(
    "ap_sqrt",
    kind="heuristic",
    graphs="any DAG",
    cites="Chen et al. 2016, section 4.1, as generalised in Jain et al., MLSys 2020",
)
def ap_sqrt(problem: Problem, progress: Progress) -> None:
    """About sqrt(n) checkpoints, evenly among the n articulation points of the forward.

    Checkmate's "AP sqrt(n)". An articulation point is an op without which the
    forward falls into parts; with residuals and skips there are few. Checkmate
    keeps every k-th, k = floor(sqrt(n)); every k that keeps up to 2 sqrt(n) is
    tried, and none, and the cheapest schedule within budget counts.
    """
    offer_checkpoints(problem, progress, articulation_points, evenly_spaced)
