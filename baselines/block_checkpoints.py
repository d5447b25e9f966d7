"""Height-compressed backpropagation, one level: a whole frontier cut is kept every B ops."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt

from hcb_opt.blocks import Chain, balanced_chain, frontier_bytes
from hcb_opt.graph import Graph
from hcb_opt.narrow_order import plans_in_order
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import keep_every_cut, offer_cheapest, reversal_computes

LENGTH_RATIO = 2 ** (1 / 4)
MOST_STEPS_AWAY = 12


@method(
    "block_checkpoints",
    kind="heuristic",
    graphs="any DAG",
    cites="height-compressed backpropagation; Chen et al. 2016, arXiv:1604.06174",
    orders=("fixed", "free"),
)
def block_checkpoints(problem: Problem, progress: Progress) -> None:
    """The whole frontier cut kept every B ops, each block recomputed once; B near sqrt(w L / s) is tried.

    With frontiers of w bytes and ops that write s bytes, L ops in blocks of B
    hold about w (L / B - 1) + B s bytes, least at B = sqrt(w L / s); that is
    sqrt(L) only where w = s, as on a chain. Lengths from an eighth to eight
    times that are tried, and one block, in which nothing is recomputed; each
    with cuts exactly every B ops and with cuts at narrow frontiers near there.
    The cheapest schedule within budget counts. Where the order is free, the same
    is tried in an order with narrower frontiers.
    """
    offer_cheapest(problem, progress, plans_in_order(problem, _plans), "blocks with all their frontier cuts kept")


def _plans(graph: Graph, turn: int) -> Iterator[list[int]]:
    cut = dict.fromkeys(
        blocks.boundaries
        for length in lengths_near(block_length(graph, turn), turn)
        for blocks in (equal_blocks(graph, turn, length), balanced_chain(graph, [1] * turn, ceil(turn / length)))
    )
    for boundaries in cut:
        yield reversal_computes(Chain(graph, boundaries), keep_every_cut)


def block_length(graph: Graph, turn: int) -> float:
    """The B at which kept cuts and one block are smallest together: sqrt(w L / s).

    Parameters
    ----------
    graph : Graph
    turn : int
        Number L of forward ops.

    Returns
    -------
    float
        With the mean bytes w of a frontier between two forward ops, and the mean
        bytes s that a forward op writes; L if the forward writes nothing.
    """
    widths = frontier_bytes(graph, turn)[1:-1]
    written = sum(graph.sizes[value] for op in graph.ops[:turn] for value in op.outputs)
    if not widths or not written:
        return float(turn)
    return sqrt(sum(widths) / len(widths) * turn / (written / turn))


def lengths_near(length: float, most: int) -> list[int]:
    """Block lengths to try, longest first: ``most`` itself, and a geometric grid around the given one."""
    grid = (round(length * LENGTH_RATIO**step) for step in range(-MOST_STEPS_AWAY, MOST_STEPS_AWAY + 1))
    return sorted({most, *(min(most, max(1, each)) for each in grid)}, reverse=True)


def equal_blocks(graph: Graph, turn: int, length: int) -> Chain:
    """The forward cut every ``length`` ops; the last block may be shorter."""
    return Chain(graph, (*range(0, turn, length), turn))
