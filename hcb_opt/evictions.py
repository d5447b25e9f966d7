"""Which values to drop and compute again, where a sequence exceeds the budget."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcb_opt.sequence import EditableSequence

_MOST = 40
_ENOUGH = 8
_FIRST_REACH = 4.0
_FURTHER = 8.0


@dataclass(frozen=True, slots=True, order=True)
class Eviction:
    """Drop a value after one use, and compute it again right before the next.

    Attributes
    ----------
    rate : float
        Added cost per byte of excess removed.
    value : int
    after : int
        Label of the next use.
    """

    rate: float
    value: int
    after: int


def cheapest_evictions(sequence: EditableSequence, excess: NDArray[np.int64], budget_bytes: int) -> list[Eviction]:
    """Evictions that relieve the step furthest over budget, about the cheapest ones, by rate.

    Parameters
    ----------
    sequence : EditableSequence
    excess : ndarray of int64, one per step
        By how many bytes the steps exceed the budget.
    budget_bytes : int

    Returns
    -------
    list of Eviction
        Some 40 at most. Those whose recomputes are dear are not looked into,
        unless there are few others.
    """
    graph = sequence.graph
    options = sorted(_straddling(sequence, excess))
    over = np.flatnonzero(excess)
    found: list[Eviction] = []
    rates: list[float] = []
    reach = _FIRST_REACH * options[min(len(options) - 1, _MOST)][0] if options else 0.0
    while options and len(found) < _ENOUGH:
        dearer = []
        for least, gain, value, after in options:
            most = rates[_MOST - 1] if len(rates) >= _MOST else reach
            last_over = int(np.searchsorted(over, sequence.position(after))) - 1
            floor = sequence.labels[over[last_over]] if last_over >= 0 else 0
            ops = None
            if least <= most:
                ops = recomputes(sequence, value, after, budget_bytes, most_cost=most * gain, floor=floor)
            if ops is None:
                dearer.append((least, gain, value, after))
            else:
                rate = (sum(graph.ops[op].cost for op in ops) + 1) / gain
                insort(rates, rate)
                found.append(Eviction(rate, value, after))
        options = dearer
        reach *= _FURTHER
    return sorted(found)


def _straddling(sequence: EditableSequence, excess: NDArray[np.int64]) -> Iterator[tuple[float, int, int, int]]:
    """Least rate, excess removed, value and next use of what the worst step holds but does not touch."""
    graph, labels = sequence.graph, sequence.labels
    worst = int(excess.argmax())
    here = labels[worst]
    touched: set[int] = set()
    if worst < len(labels) - 1:
        op = graph.ops[sequence.ops[worst]]
        touched = {*op.inputs, *op.outputs}
    counts = np.concatenate(([0], np.cumsum(excess > 0))).tolist()
    totals = np.concatenate(([0], np.cumsum(excess))).tolist()
    for value, producers in enumerate(sequence.producers):
        readers = sequence.readers[value]
        if producers[0] >= here or not readers or readers[-1] <= here or value in touched:
            continue
        after, before = sequence.next_read(value, here), sequence.last_use(value, here)
        if after is None or before is None or not graph.sizes[value]:
            continue
        first, end = bisect_left(labels, before) + 1, bisect_left(labels, after)
        gain = max(1, min((counts[end] - counts[first]) * graph.sizes[value], totals[end] - totals[first]))
        yield (graph.ops[graph.values[value].producer].cost + 1) / gain, gain, value, after


def recomputes(
    sequence: EditableSequence,
    value: int,
    before: int,
    budget_bytes: int,
    most_cost: float = math.inf,
    floor: int = 0,
) -> list[int] | None:
    """The ops to run right before a step so that a value is computed again.

    An input that is not held there is kept from its last use on, if there is
    room for it all the way, and computed again otherwise.

    Parameters
    ----------
    sequence : EditableSequence
    value : int
    before : int
        The step's label.
    budget_bytes : int
    most_cost : float
        Look no further once the ops cost more.
    floor : int
        A label from which on no step before ``before`` exceeds the budget.

    Returns
    -------
    list of int or None
        Positions of ops, ascending; None if they cost more.
    """
    graph = sequence.graph
    ops = {graph.values[value].producer}
    cost = graph.ops[graph.values[value].producer].cost
    pending = list(ops)
    end = sequence.position(before)
    while pending and cost <= most_cost:
        for needed in graph.ops[pending.pop()].inputs:
            producer = graph.values[needed].producer
            if producer in ops or sequence.held(needed, before):
                continue
            used = sequence.last_use(needed, before)
            if used is not None and used >= floor:
                since = sequence.profile_bytes[sequence.position(used) + 1 : end]
                if int(since.max(initial=0)) + graph.sizes[needed] <= budget_bytes:
                    continue
            ops.add(producer)
            cost += graph.ops[producer].cost
            pending.append(producer)
    return sorted(ops) if cost <= most_cost else None
