"""Keep about sqrt(n) of the forward's n ops, in topological order; recompute the blocks between them once."""

from __future__ import annotations

from hcb_opt.checkpoints import all_ops, evenly_spaced, offer_checkpoints
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method


@method(
    "linearised_sqrt",
    kind="heuristic",
    graphs="any DAG",
    cites="Chen et al. 2016, section 4.1, as generalised in Jain et al., MLSys 2020",
)
def linearised_sqrt(problem: Problem, progress: Progress) -> None:
    """About sqrt(n) checkpoints, evenly among the n ops of the forward as if it were a chain.

    Checkmate's "Linearized sqrt(n)". A checkpoint keeps one op's outputs; what
    skips over it is recomputed for the backward. Checkmate keeps every k-th op,
    k = floor(sqrt(n)); every k that keeps up to 2 sqrt(n) is tried, and none, and
    the cheapest schedule within budget counts.
    """
    offer_checkpoints(problem, progress, all_ops, evenly_spaced)
