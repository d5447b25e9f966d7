"""A known schedule in the words of the programme: when computes run, what they read, how long copies are held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hcb_opt.formulations.retention_intervals.scope import Scope
from hcb_opt.graph import Graph

Copy = tuple[int, int]
"""An op and how often it ran before; or a value and the same of its producer."""

END = -1
"""Stands for an op that reads every output of the graph when all is done."""


@dataclass(frozen=True)
class Trace:
    """Times, reads and ends of a sequence of computes.

    Attributes
    ----------
    times : dict of Copy to int
        When each compute runs.
    served : dict of (Copy, int) to int
        By reader and value, which copy of the value it reads.
    ends : dict of Copy to int
        When each copy of a value is no longer held.
    """

    times: dict[Copy, int]
    served: dict[tuple[Copy, int], int]
    ends: dict[Copy, int]


def trace(scope: Scope, order: Sequence[int]) -> Trace:
    """Follow a sequence of computes that lies in the scope.

    Parameters
    ----------
    scope : Scope
    order : sequence of int
        Positions of ops, in the order in which they run.
    """
    graph = scope.graph
    times: dict[Copy, int] = {}
    served: dict[tuple[Copy, int], int] = {}
    ends: dict[Copy, int] = {}
    turns = [-1] * len(graph.ops)
    time = -1
    for op in order:
        turns[op] += 1
        time = time + 1 if turns[op] else scope.first_times[op]
        times[op, turns[op]] = time
        for value in graph.ops[op].inputs:
            turn = turns[graph.values[value].producer]
            served[(op, turns[op]), value], ends[value, turn] = turn, time + 1
        for value in graph.ops[op].outputs:
            ends[value, turns[op]] = time + 1
    for value in graph.outputs:
        turn = turns[graph.values[value].producer]
        served[(END, 0), value], ends[value, turn] = turn, scope.end_time + 1
    return Trace(times, served, ends)


def without_unread(graph: Graph, order: Sequence[int]) -> list[int]:
    """Leave out every repeat that nothing reads.

    Parameters
    ----------
    graph : Graph
    order : sequence of int

    Returns
    -------
    list of int
        A sequence that costs and holds no more.
    """
    needed = [value in graph.required for value in range(len(graph.values))]
    left = [0] * len(graph.ops)
    for op in order:
        left[op] += 1
    kept = []
    for op in reversed(order):
        left[op] -= 1
        if left[op] and not any(needed[value] for value in graph.ops[op].outputs):
            continue
        kept.append(op)
        for value in graph.ops[op].outputs:
            needed[value] = False
        for value in graph.ops[op].inputs:
            needed[value] = True
    return kept[::-1]


def covers(scope: Scope, order: Sequence[int]) -> bool:
    """Whether a sequence without unread repeats lies in the scope, all its computes told apart.

    Parameters
    ----------
    scope : Scope
    order : sequence of int
    """
    counts = [0] * len(scope.graph.ops)
    stage = 0
    for op in order:
        if not counts[op]:
            stage = op + 1
        elif stage > scope.latest[op]:
            return False
        counts[op] += 1
    return not any(
        count > most or scope.stands_for_more(op, count - 1)
        for op, (count, most) in enumerate(zip(counts, scope.copies, strict=True))
    )
