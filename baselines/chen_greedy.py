"""Close a segment of the forward once it holds b bytes; recompute each segment once."""

from __future__ import annotations

from hcb_opt.blocks import Chain, frontier_bytes, narrow_boundaries, threshold_boundaries, turn_position
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import keep_every_cut, offer_cheapest, reversal_computes


@method("chen_greedy", kind="heuristic", graphs="any DAG", cites="Chen et al. 2016, arXiv:1604.06174, algorithm 3")
def chen_greedy(problem: Problem, progress: Progress) -> None:
    """Segments of the forward closed at a byte threshold b, each recomputed once; b is searched.

    A segment ends at the first narrow frontier after it has written more than b
    bytes. The paper starts from the estimate sqrt(x y), from the bytes x of the
    kept cuts and y of the largest segment, and tries values around it. Here b
    runs over a geometric grid from all bytes of the forward (one segment:
    nothing is recomputed) down to the largest op's, and over the estimate that
    each of these gives; the cheapest schedule within budget counts.
    """
    turn = turn_position(problem.graph)
    widths = frontier_bytes(problem.graph, turn)
    segments = threshold_boundaries(problem.graph, turn, narrow_boundaries(widths), widths)
    computes = (reversal_computes(Chain(problem.graph, each), keep_every_cut) for each in segments)
    offer_cheapest(problem, progress, computes, "segments closed at a byte threshold")
