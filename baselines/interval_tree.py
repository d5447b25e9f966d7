"""Height-compressed backpropagation: a balanced interval tree over blocks of the forward."""

from __future__ import annotations

from collections.abc import Iterator

from hcb_opt.blocks import balanced_chain
from hcb_opt.graph import Graph
from hcb_opt.narrow_order import plans_in_order
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import offer_cheapest, reversal_computes, spread_counts


@method(
    "interval_tree",
    kind="heuristic",
    graphs="any DAG",
    cites="height-compressed backpropagation; recursive halving, Griewank 1992",
    orders=("fixed", "free"),
)
def interval_tree(problem: Problem, progress: Progress) -> None:
    """Reverse halves of the forward, right half first, keeping one frontier cut per tree level.

    The blocks are the leaves of a balanced binary tree. A node keeps the whole
    frontier cut between its halves, reverses the right one, forgets the cut and
    reverses the left one from its own first cut: with L blocks and frontiers of
    at most w bytes it holds O(w log L) bytes of cuts beside one block and repeats
    each block O(log L) times. Several L are tried; the cheapest schedule within
    budget counts. One block means that nothing is recomputed. Where the order is
    free, an order with narrower frontiers is tried as well.
    """
    offer_cheapest(problem, progress, plans_in_order(problem, _plans), "interval trees over the forward's blocks")


def _plans(graph: Graph, turn: int) -> Iterator[list[int]]:
    for count in spread_counts(turn):
        yield reversal_computes(balanced_chain(graph, [1] * turn, count), middle_placement)


def middle_placement(first: int, end: int, kept: int) -> int | None:
    """Keep the cut in the middle of the blocks still to be reversed."""
    return (first + end) // 2 if end - first > 1 else None
