"""Online checkpointing over the chain of frontier cuts: as if the forward's length were not known while it runs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from hcb_opt.binomial import repetitions_needed
from hcb_opt.blocks import balanced_chain, turn_position
from hcb_opt.online import online_snapshots
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import (
    MOST_REPETITIONS,
    Placement,
    binomial_placement,
    offer_cheapest,
    reversal_computes,
    spread_counts,
)


@method(
    "online_revolve",
    kind="heuristic",
    graphs="any DAG; made for chains of equal steps",
    cites="Wang, Moin and Iaccarino 2009; Stumm and Walther 2010",
)
def online_revolve(problem: Problem, progress: Progress) -> None:
    """Checkpointing that need not know how many blocks will come: s kept frontier cuts, replaced as they run.

    As `revolve`, but the cuts that the first forward run leaves are those of
    `hcb_opt.online`, whose choices do not depend on how many blocks follow. What
    that costs beside `revolve` is the price of not knowing. Cuts that were kept for a
    while and given up before the end are not in the schedule, which is written
    down afterwards.
    """
    offer_cheapest(problem, progress, _candidates(problem), "online schedules of the forward's blocks")


def _candidates(problem: Problem) -> Iterator[list[int]]:
    turn = turn_position(problem.graph)
    weights = [op.cost for op in problem.graph.ops[:turn]]
    for count in spread_counts(turn):
        chain = balanced_chain(problem.graph, weights, count)
        for snapshots in reversed(spread_counts(chain.block_count)):
            if repetitions_needed(chain.block_count, snapshots) <= MOST_REPETITIONS:
                yield reversal_computes(chain, online_placement(chain.block_count, snapshots))


def online_placement(blocks: int, snapshots: int) -> Placement:
    """Keep in the first run what `hcb_opt.online` does, and between those cuts what Revolve does.

    Parameters
    ----------
    blocks : int
        How many it turns out there are.
    snapshots : int
        Cuts kept at once, the empty one before the first op included.
    """
    held = online_snapshots(blocks, snapshots)
    offline = binomial_placement(snapshots)

    def place(first: int, end: int, kept: int) -> int | None:
        following = bisect_right(held, first)
        if following < len(held) and held[following] < end:
            return held[following]
        return offline(first, end, kept)

    return place
