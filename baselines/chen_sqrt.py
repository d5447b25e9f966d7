"""Keep about sqrt(n) frontier cuts of the forward; recompute each segment once."""

from __future__ import annotations

from math import isqrt

from hcb_opt.blocks import balanced_chain, turn_position
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import keep_every_cut, offer_cheapest, reversal_computes


@method("chen_sqrt", kind="heuristic", graphs="any DAG", cites="Chen et al. 2016, arXiv:1604.06174, section 4.1")
def chen_sqrt(problem: Problem, progress: Progress) -> None:
    """About sqrt(n) equal segments of the forward, each recomputed once from its kept frontier cut.

    Segments hold about equally many ops and begin at narrow frontiers. The paper
    takes sqrt(n) of them; every count from 1 (nothing is recomputed) to
    2 sqrt(n) is tried, and the cheapest schedule within budget counts.
    """
    turn = turn_position(problem.graph)
    counts = range(1, 2 * (isqrt(turn - 1) + 1) + 1)
    computes = (reversal_computes(balanced_chain(problem.graph, [1] * turn, count), keep_every_cut) for count in counts)
    offer_cheapest(problem, progress, computes, f"schedules of up to {counts[-1]} equal segments")
