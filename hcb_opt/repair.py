"""Local search on a sequence of computes: make it fit the budget, then make it cheap."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from hcb_opt.evictions import Eviction, Pressure
from hcb_opt.graph import Graph
from hcb_opt.sequence import EditableSequence

_TRIED = 30
_TRIED_MORE = 6
_KICK_CHOICES = 10


def make_fit(
    graph: Graph, order: Sequence[int], budget_bytes: int, stop: Callable[[], bool], seed: int = 0, kicks: int = 0
) -> list[int] | None:
    """Evict and recompute until no step exceeds the budget: `fit` on a sequence of its own.

    Parameters
    ----------
    graph : Graph
    order : sequence of int
        Positions of ops, recomputes included, inputs always computed before.
    budget_bytes : int
    stop : callable
        Asked between moves; True ends the search.
    seed : int
        Of the choice where no move helps.
    kicks : int
        How often one is made.

    Returns
    -------
    list of int or None
        A sequence that fits; None if the search ends without one.
    """
    sequence = EditableSequence(graph, order)
    return sequence.order if fit(sequence, budget_bytes, stop, random.Random(seed), kicks=kicks) else None


def remove_needless(graph: Graph, order: Sequence[int], budget_bytes: int, stop: Callable[[], bool]) -> list[int]:
    """Leave out recomputes, dearest first, as long as the sequence fits: `clean` on a sequence of its own.

    Parameters
    ----------
    graph : Graph
    order : sequence of int
        A sequence that fits the budget.
    budget_bytes : int
    stop : callable
        Asked between moves; True ends the search.

    Returns
    -------
    list of int
        A sequence that fits, no dearer.
    """
    sequence = EditableSequence(graph, order)
    clean(sequence, budget_bytes, stop)
    return sequence.order


def fit(
    sequence: EditableSequence,
    budget_bytes: int,
    stop: Callable[[], bool],
    rng: random.Random,
    *,
    kicks: int = 0,
    noise: float = 0.0,
    most_cost: float = math.inf,
) -> bool:
    """Evict and recompute until no step exceeds the budget.

    At the worst step, values that it holds but does not touch may be dropped and
    computed again right before their next uses. They go by added cost per byte of
    excess removed, each if it lowers the total excess, until the step fits. Where
    none does, one of the cheapest is taken all the same, a limited number of times.

    Parameters
    ----------
    sequence : EditableSequence
        Edited; can be undone.
    budget_bytes : int
    stop : callable
        Asked between moves; True ends the search.
    rng : random.Random
    kicks : int
        How often a choice is made where no move helps.
    noise : float
        Spread of the random factors on the rates, as a standard deviation of their logarithms.
    most_cost : float
        Give up where the sequence would cost more.

    Returns
    -------
    bool
        Whether the sequence fits.
    """
    while True:
        pressure = Pressure(sequence, budget_bytes)
        if not pressure.total_bytes:
            return True
        if stop():
            return False
        evictions = pressure.evictions()
        if noise:
            factors = [rng.lognormvariate(0.0, noise) for _ in evictions]
            ranked = sorted(zip(factors, evictions, strict=True), key=lambda each: (each[0] * each[1].rate, each[1]))
            evictions = [eviction for _, eviction in ranked]
        if not _relieve(sequence, pressure, evictions, budget_bytes, most_cost):
            kicks -= 1
            if kicks < 0 or not evictions:
                return False
            kick = rng.choice(evictions[:_KICK_CHOICES])
            again = pressure.recomputes(kick.value, kick.before, kick.price)
            assert again is not None
            if not sequence.insert(kick.before, again.ops):
                sequence.spread()


def _relieve(
    sequence: EditableSequence, pressure: Pressure, evictions: list[Eviction], budget_bytes: int, most_cost: float
) -> bool:
    """Make evictions, each if it lowers the total excess, until the worst step fits; whether any was made."""
    worst = sequence.labels[pressure.worst]
    tries_left, moved = _TRIED, False
    for eviction in evictions:
        again = pressure.recomputes(eviction.value, eviction.before, eviction.price)
        if again is None or sequence.cost + again.cost > most_cost:
            continue
        mark = sequence.mark()
        if not sequence.insert(eviction.before, again.ops):
            sequence.spread()
            return True
        after = Pressure(sequence, budget_bytes)
        if after.total_bytes < pressure.total_bytes:
            pressure, tries_left, moved = after, _TRIED_MORE, True
            if sequence.profile_bytes[sequence.position(worst)] <= budget_bytes:
                break
        else:
            sequence.undo(mark)
            tries_left -= 1
            if not tries_left:
                break
    return moved


def clean(sequence: EditableSequence, budget_bytes: int, stop: Callable[[], bool]) -> None:
    """Leave out recomputes, dearest first, as long as the sequence fits.

    Parameters
    ----------
    sequence : EditableSequence
        Fits the budget. Edited; can be undone.
    budget_bytes : int
    stop : callable
        Asked between moves; True ends the search.
    """
    ops = sequence.graph.ops
    removed = True
    while removed:
        removed = False
        repeats = [(-ops[sequence.ops[sequence.position(label)]].cost, label) for label in sequence.repeats]
        for _, label in sorted(repeats):
            if stop():
                return
            removed = _leave_out(sequence, label, budget_bytes) or removed


def _leave_out(sequence: EditableSequence, label: int, budget_bytes: int) -> bool:
    """Leave out one recompute if the copies before it can be held instead."""
    graph = sequence.graph
    step = sequence.position(label)
    first = step
    for value in graph.ops[sequence.ops[step]].outputs:
        if sequence.next_read(value, label + 1) is None:
            continue
        used = sequence.last_use(value, label)
        assert used is not None
        since = sequence.position(used) + 1
        if int(sequence.profile_bytes[since:step].max(initial=0)) + graph.sizes[value] > budget_bytes:
            return False
        first = min(first, since)
    mark = sequence.mark()
    sequence.remove([label])
    if int(sequence.profile_bytes[first:step].max(initial=0)) > budget_bytes:
        sequence.undo(mark)
        return False
    return True
