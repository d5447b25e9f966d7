"""Local search on a sequence of computes: make it fit the budget, then make it cheap."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcb_opt.graph import Graph
from hcb_opt.lifetimes import Lifetimes, lifetimes
from hcb_opt.realise import missing_ancestors

_TRIED_ALONE = 6
_KICK_CHOICES = 10


@dataclass(frozen=True, slots=True)
class _Eviction:
    """Drop a value after one use and compute it again right before the next."""

    value: int
    before: int
    after: int
    rate: float


def make_fit(
    graph: Graph, order: Sequence[int], budget_bytes: int, stop: Callable[[], bool], seed: int = 0, kicks: int = 0
) -> list[int] | None:
    """Evict and recompute until no step exceeds the budget.

    At the worst step each held value that the step does not touch may be
    dropped and computed again right before its next use. Those with the least
    added cost per byte of excess removed go, as many as the excess needs; if
    that does not help, the best few are tried one by one. Where none helps, one
    of the cheapest is taken all the same, a limited number of times.

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
    order = list(order)
    state = lifetimes(graph, order)
    rng = random.Random(seed)
    while True:
        excess = state.excess_bytes(budget_bytes)
        total = int(excess.sum())
        if not total:
            return order
        if stop():
            return None
        moved = _best_move(graph, order, state, excess, total, budget_bytes)
        if moved is None:
            kicks -= 1
            evictions = _cheapest_evictions(graph, order, state, excess)[:_KICK_CHOICES]
            if kicks < 0 or not evictions:
                return None
            kicked = _evict(graph, order, state, [rng.choice(evictions)])
            moved = kicked, lifetimes(graph, kicked)
        order, state = moved


def _best_move(
    graph: Graph, order: list[int], state: Lifetimes, excess: NDArray[np.int64], total: int, budget_bytes: int
) -> tuple[list[int], Lifetimes] | None:
    """The first set of evictions that lowers the total excess, together if possible, else alone."""
    worst = int(excess.argmax())
    evictions = _cheapest_evictions(graph, order, state, excess)
    together: list[_Eviction] = []
    freed_bytes = 0
    for eviction in evictions:
        together.append(eviction)
        freed_bytes += graph.sizes[eviction.value]
        if freed_bytes >= excess[worst]:
            break
    best: tuple[float, list[int], Lifetimes] | None = None
    for chosen in ([together] if len(together) > 1 else []) + [[each] for each in evictions[:_TRIED_ALONE]]:
        candidate = _evict(graph, order, state, chosen)
        after = lifetimes(graph, candidate)
        left = int(after.excess_bytes(budget_bytes).sum())
        if left >= total:
            continue
        if len(chosen) > 1:
            return candidate, after
        rate = (_cost(graph, candidate) - _cost(graph, order) + 1) / (total - left)
        if best is None or rate < best[0]:
            best = rate, candidate, after
    return None if best is None else best[1:]


def _cheapest_evictions(graph: Graph, order: list[int], state: Lifetimes, excess: NDArray[np.int64]) -> list[_Eviction]:
    """The evictions that relieve the worst step, least cost per byte of excess first."""
    found = _evictions(graph, order, state, excess, int(excess.argmax()))
    return sorted(found, key=lambda each: (each.rate, each.value))


def _evictions(
    graph: Graph, order: list[int], state: Lifetimes, excess: NDArray[np.int64], worst: int
) -> Iterable[_Eviction]:
    """Every eviction that relieves the worst step, rated by cost per byte of excess removed."""
    op = graph.ops[order[worst]]
    touched = {*op.inputs, *op.outputs}
    relieved = np.concatenate(([0], np.cumsum(excess > 0)))
    for copy in np.flatnonzero((state.starts < worst) & (state.ends > worst)):
        value = int(state.values[copy])
        if value in touched or not graph.sizes[value]:
            continue
        steps = state.steps[copy]
        before, after = steps[bisect_left(steps, worst) - 1], steps[bisect_right(steps, worst)]
        available = state.resident(after, len(graph.values))
        available[value] = False
        cost = _cost(graph, missing_ancestors(graph, [value], available))
        gain = int(relieved[after] - relieved[before + 1]) * graph.sizes[value]
        yield _Eviction(value, before, after, (cost + 1) / max(1, gain))


def _evict(graph: Graph, order: list[int], state: Lifetimes, evictions: list[_Eviction]) -> list[int]:
    """The sequence with these values dropped, and computed again before their next uses."""
    candidate: list[int] = []
    done = 0
    for after in sorted({each.after for each in evictions}):
        available = state.resident(after, len(graph.values))
        for each in evictions:
            if each.before < after <= each.after:
                available[each.value] = False
        again = missing_ancestors(graph, [each.value for each in evictions if each.after == after], available)
        candidate += [*order[done:after], *again]
        done = after
    return candidate + order[done:]


def remove_needless(graph: Graph, order: Sequence[int], budget_bytes: int, stop: Callable[[], bool]) -> list[int]:
    """Leave out recomputes, dearest first, as long as the sequence fits.

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
    order = list(order)
    while not stop():
        needless = _needless_steps(graph, order, budget_bytes)
        if not needless:
            break
        order = [position for step, position in enumerate(order) if step not in needless]
    return order


def _needless_steps(graph: Graph, order: list[int], budget_bytes: int) -> set[int]:
    """Recomputes that can be left out together: the copies before can be held instead."""
    state = lifetimes(graph, order)
    copy_at = {
        (int(start), int(value)): copy
        for copy, (start, value) in enumerate(zip(state.starts, state.values, strict=True))
    }
    previous: dict[int, int] = {}
    repeats: list[tuple[int, int, list[tuple[int, int]]]] = []
    for step, position in enumerate(order):
        if position in previous:
            holes = [
                (int(state.ends[copy_at[previous[position], value]]), graph.sizes[value])
                for value in graph.ops[position].outputs
                if len(state.steps[copy_at[step, value]]) > 1
            ]
            repeats.append((-graph.ops[position].cost, step, holes))
        previous[position] = step
    needless: set[int] = set()
    merged: set[int] = set()
    for _, step, holes in sorted(repeats):
        # Once two copies are merged, the holes around them are no longer what was noted.
        if order[step] not in merged and _hold(state, step, holes, budget_bytes):
            needless.add(step)
            merged.add(order[step])
    return needless


def _hold(state: Lifetimes, step: int, holes: list[tuple[int, int]], budget_bytes: int) -> bool:
    """Hold the former copies from their last uses until the step, if that fits.

    Inputs that would be dropped earlier are still counted, so what fits is
    certain to. The profile is updated.
    """
    first = min((end + 1 for end, _ in holes), default=step)
    if first >= step:
        return True
    during = state.profile_bytes[first:step].copy()
    for end, size_bytes in holes:
        during[max(0, end + 1 - first) :] += size_bytes
    if int(during.max()) > budget_bytes:
        return False
    state.profile_bytes[first:step] = during
    return True


def _cost(graph: Graph, ops: Iterable[int]) -> int:
    return sum(graph.ops[op].cost for op in ops)
