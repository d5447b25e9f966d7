"""Binomial checkpointing over the chain of frontier cuts."""

from __future__ import annotations

from collections.abc import Iterator

from hcb_opt.blocks import balanced_chain, turn_position
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import binomial_reversals, offer_cheapest, spread_counts


@method(
    "revolve",
    kind="heuristic",
    graphs="any DAG; fewest extra steps on chains of equal steps",
    cites="Griewank and Walther 2000, Algorithm 799",
)
def revolve(problem: Problem, progress: Progress) -> None:
    """Binomial checkpointing: s kept frontier cuts at a time over blocks of equal cost.

    The forward is cut at narrow frontiers into L blocks that cost about the same,
    the steps of Revolve; a snapshot is the frontier cut before a block. Several L
    and s are tried that repeat no step more than a few times; the cheapest
    schedule within budget counts. One block means that nothing is recomputed. On
    a chain of equal steps with one op per block the extra steps are t(L, s), see
    `hcb_opt.binomial`.
    """
    offer_cheapest(problem, progress, _candidates(problem), "binomial schedules of the forward's blocks")


def _candidates(problem: Problem) -> Iterator[list[int]]:
    turn = turn_position(problem.graph)
    weights = [op.cost for op in problem.graph.ops[:turn]]
    for count in spread_counts(turn):
        yield from binomial_reversals(balanced_chain(problem.graph, weights, count))
