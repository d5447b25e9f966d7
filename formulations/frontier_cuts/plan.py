"""From a solution of the relaxation to a sequence of computes, and where it breaks the budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.graph import Graph
from hcb_opt.highs import Vector
from hcb_opt.lifetimes import lifetimes
from hcb_opt.realise import recompute_on_demand


def realise(relaxation: Relaxation, solution: Vector, scripts: Mapping[int, Sequence[int]] | None = None) -> list[int]:
    """Keep what the solution keeps at each cut; recompute the rest when it is needed.

    Parameters
    ----------
    relaxation : Relaxation
    solution : ndarray of float64, one per column
    scripts : mapping of int to sequence of int, optional
        Recomputes to run, in this order, before these targets.

    Returns
    -------
    list of int
        Positions of ops. Without scripts each runs at most once in a stage, so the sequence
        costs no more than the solution.
    """
    graph = relaxation.graph
    evictions: dict[int, list[int]] = {}
    requests: dict[int, list[int]] = {}
    for stage, cut in enumerate(relaxation.cuts):
        kept = {value for value, column in relaxation.carry[stage + 1].items() if solution[column] > 0.5}
        requests[cut] = sorted(kept.difference(graph.ops[cut].outputs))
        evictions[cut] = [
            value for value, each in enumerate(graph.values) if each.producer <= cut and value not in kept
        ]
    return recompute_on_demand(graph, evictions, requests, scripts)


@dataclass(frozen=True, slots=True)
class Violation:
    """A step over the budget.

    Attributes
    ----------
    excess_bytes : int
    target : int
        The op whose first compute the step is, or serves; the number of ops
        after the last.
    recomputes : tuple of int
        The ops run again for the target, in order; empty if the step is the
        first compute itself.
    """

    excess_bytes: int
    target: int
    recomputes: tuple[int, ...]


def worst_violations(relaxation: Relaxation, order: Sequence[int]) -> list[Violation]:
    """The worst step over budget of each stage.

    Parameters
    ----------
    relaxation : Relaxation
    order : sequence of int

    Returns
    -------
    list of Violation
        By stage; empty if the sequence fits.
    """
    excess = lifetimes(relaxation.graph, order).excess_bytes(relaxation.budget_bytes)
    worst: dict[int, Violation] = {}
    for target, start, stop in runs(relaxation.graph, order):
        step = start + int(excess[start:stop].argmax())
        stage = relaxation.stage_of(target)
        if excess[step] and (stage not in worst or excess[step] > worst[stage].excess_bytes):
            recomputes = tuple(order[start : stop - 1] if target < len(relaxation.graph.ops) else order[start:stop])
            at_target = order[step] == target
            worst[stage] = Violation(int(excess[step]), target, () if at_target else recomputes)
    return [worst[stage] for stage in sorted(worst)]


def runs(graph: Graph, order: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Split a sequence at its first computes.

    Yields
    ------
    target, start, stop : int
        Steps ``start:stop`` recompute for, and end with, the first compute of
        ``target``; what follows the last one has the number of ops as target.
    """
    target = start = 0
    for step, position in enumerate(order):
        if position == target:
            yield target, start, step + 1
            target, start = target + 1, step + 1
    if start < len(order):
        yield len(graph.ops), start, len(order)
