"""Close a segment of the forward once it holds b bytes; recompute each segment once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, pairwise
from math import isqrt

from hcb_opt.blocks import Chain, frontier_bytes, narrow_boundaries, turn_position
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import keep_every_cut, offer_cheapest, reversal_computes

GRID_RATIO = 2 ** (1 / 8)


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
    chains = _distinct_chains(problem.graph)
    computes = (reversal_computes(chain, keep_every_cut) for chain in chains)
    offer_cheapest(problem, progress, computes, "segments closed at a byte threshold")


def _distinct_chains(graph: Graph) -> Iterator[Chain]:
    turn = turn_position(graph)
    written = [sum(graph.sizes[value] for value in op.outputs) for op in graph.ops[:turn]]
    widths = frontier_bytes(graph, turn)
    reached = [0, *accumulate(written)]
    narrow = narrow_boundaries(widths)
    tried: set[tuple[int, ...]] = set()
    threshold = float(reached[-1])
    while threshold >= max(1, *written):
        boundaries = _segments(reached, narrow, threshold)
        kept_bytes = sum(widths[boundary] for boundary in boundaries)
        largest_bytes = max(reached[end] - reached[start] for start, end in pairwise(boundaries))
        for each in (boundaries, _segments(reached, narrow, isqrt(kept_bytes * largest_bytes))):
            if each not in tried:
                tried.add(each)
                yield Chain(graph, each)
        threshold /= GRID_RATIO


def _segments(reached: list[int], narrow: tuple[int, ...], threshold: float) -> tuple[int, ...]:
    """Boundaries of segments that end at the first narrow one past the threshold."""
    boundaries = [0]
    turn = len(reached) - 1
    while True:
        past = bisect_left(reached, True, key=lambda total: total - reached[boundaries[-1]] > threshold)
        following = bisect_left(narrow, past)
        if following == len(narrow):
            return (*boundaries, turn)
        boundaries.append(narrow[following])
