"""Checkpoints: ops of the forward whose outputs alone are kept, so that the chain heuristics take any network.

Checkmate's generalisations of checkpointing for chains (Jain et al., MLSys 2020,
section 6 and table 1): candidates are the articulation points of the forward, or
all its ops in their topological order, as if the network were linear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

from hcb_opt.blocks import Chain, threshold_boundaries, turn_position
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress
from hcb_opt.reversal import keep_every_cut, offer_cheapest, reversal_computes


@dataclass(frozen=True)
class CheckpointChain(Chain):
    """Blocks of the forward of which each but the last ends with a checkpoint.

    Only the checkpoints' outputs are kept for the backward. What else crosses a
    boundary stays until the forward last reads it, and is recomputed for the
    backward from the nearest checkpoints, the least that is needed: phase two of
    Checkmate's algorithm 2.
    """

    @cached_property
    def cuts(self) -> tuple[tuple[int, ...], ...]:
        """For each boundary but the last, the outputs of the op that ends there."""
        return ((), *(self.graph.ops[boundary - 1].outputs for boundary in self.boundaries[1:-1]))


Candidates = Callable[[Graph, int], Sequence[int]]
"""Boundaries at which a block may end, ascending: those after an op that may be a checkpoint."""

Spacing = Callable[[Graph, int, Sequence[int]], Iterable[tuple[int, ...]]]
"""From a graph, its turn and the candidates to the boundaries of chains to try."""


def all_ops(graph: Graph, turn: int) -> Sequence[int]:
    """Every forward op may be a checkpoint: the network is taken to be linear."""
    return range(1, turn)


def articulation_points(graph: Graph, turn: int) -> Sequence[int]:
    """A checkpoint is an op without which the forward falls into parts.

    The forward as an undirected graph of ops, with the batch, which the ops
    without inputs read, before it, and what reads its last op behind it.
    """
    import networkx

    network = networkx.Graph()
    network.add_edge(turn - 1, "behind")
    for position, op in enumerate(graph.ops[:turn]):
        producers: set[object] = {graph.values[value].producer for value in op.inputs}
        network.add_edges_from((producer, position) for producer in producers or {"batch"})
    points = set(networkx.articulation_points(network))
    return [position + 1 for position in range(turn - 1) if position in points]


def evenly_spaced(graph: Graph, turn: int, candidates: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every k-th candidate of c: none, then so many that there are 1, 2, ... up to about 2 sqrt(c) of them."""
    yield (0, turn)
    spacings = {
        len(candidates) // count for count in range(1, min(2 * isqrt(len(candidates)) + 1, len(candidates)) + 1)
    }
    for spacing in sorted(spacings, reverse=True):
        yield (0, *candidates[spacing - 1 :: spacing], turn)


def at_thresholds(graph: Graph, turn: int, candidates: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The first candidate after more than b bytes since the last checkpoint, for many b."""
    written = [0, *(sum(graph.sizes[value] for value in op.outputs) for op in graph.ops[:turn])]
    return threshold_boundaries(graph, turn, candidates, written)


def offer_checkpoints(problem: Problem, progress: Progress, candidates: Candidates, spacing: Spacing) -> None:
    """Offer the schedules that keep some candidates and recompute every block once.

    Parameters
    ----------
    problem : Problem
    progress : Progress
    candidates : Candidates
    spacing : Spacing
    """
    graph = problem.graph
    turn = turn_position(graph)
    allowed = candidates(graph, turn)
    chains = (CheckpointChain(graph, boundaries) for boundaries in spacing(graph, turn, allowed))
    computes = (reversal_computes(chain, keep_every_cut) for chain in chains)
    offer_cheapest(problem, progress, computes, f"schedules of checkpoints among {len(allowed)} ops")
