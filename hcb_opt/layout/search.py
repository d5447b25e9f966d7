"""Offsets by heuristics alone: rules, then many short depth-first searches, then better and better orders."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from hcb_opt.layout.best_fit import best_fit, busiest_sections, first_fit, orders, stack
from hcb_opt.layout.canonical import CanonicalSearch
from hcb_opt.layout.packing import Packing, Whole

_ORDERS_TO_FIT = 2
_ROUNDS = 60
_NODES = 1000
_NODES_PER_BUFFER = 2
"""The larger of the two: from most orders, a layout is found almost at once or never."""
_NOISES = (0.1, 0.1, 0.3, 0.3)
_LOOSER = 3
"""Every so many searches, one is for a half, a quarter or an eighth less above the target than what was found."""
_MOST_CELLS = 1_000_000
"""Buffers times sections that the depth-first search is quick enough for."""
_PATIENCE = 400
_MOST_MOVED = 3

Found = tuple[Whole, str]
"""Offsets in alignments, and the name of what found them."""


def find_offsets(packing: Packing, target: int, seed: int, deadline: float) -> Found:
    """Look for offsets whose arena is at most a target; the best found.

    Parameters
    ----------
    packing : Packing
        Of at least one buffer.
    target : int
        In alignments; nothing is looked for once it is reached.
    seed : int
        Of random choices: the same answer for the same seed, unless time runs out.
    deadline : float
        As `time.perf_counter` counts. The first rule is always tried.

    Returns
    -------
    ndarray of int64, str
    """
    best: Found | None = None
    for found in _candidates(packing, target, seed, deadline):
        if best is None or packing.arena(found[0]) < packing.arena(best[0]):
            best = found
        if packing.arena(best[0]) <= target or time.perf_counter() > deadline:
            break
    assert best is not None
    return best


def _candidates(packing: Packing, target: int, seed: int, deadline: float) -> Iterator[Found]:
    """Layouts in the order in which they are worth their time."""
    rng = np.random.default_rng(seed)
    named = orders(packing)
    arenas: dict[str, int] = {}
    for name, order in named.items():
        offsets = stack(packing, order)
        arenas[name] = packing.arena(offsets)
        yield offsets, f"stack, {name}"
    ranked = sorted(named, key=arenas.__getitem__)
    for name in ranked[:_ORDERS_TO_FIT]:
        yield first_fit(packing, named[name]), f"first fit, {name}"
        yield best_fit(packing, named[name]), f"best fit, {name}"
    for offsets in _canonical(packing, target, min(arenas.values()), rng, deadline):
        yield offsets, "depth-first search"
    for offsets in _reorder(packing, named[ranked[0]], rng):
        yield offsets, "reordering"


def _canonical(packing: Packing, target: int, arena: int, rng: np.random.Generator, deadline: float) -> Iterator[Whole]:
    """Short searches from many orders: a dead end that one cannot leave, another may never enter."""
    if packing.count * packing.section_count > _MOST_CELLS:
        return
    searches = 0
    for order in _searched_orders(packing, rng):
        for tightest_first in (True, False):
            searches += 1
            capacity = target
            if searches % _LOOSER == 0:
                capacity = max(target, arena - 1 - ((arena - target) >> (1 + searches // _LOOSER % 3)))
            search = CanonicalSearch(packing, capacity, order, tightest_first)
            offsets = search.run(max(_NODES, _NODES_PER_BUFFER * packing.count), deadline)
            if time.perf_counter() > deadline:
                return
            if offsets is not None:
                arena = min(arena, packing.arena(offsets))
                yield offsets


def _searched_orders(packing: Packing, rng: np.random.Generator) -> Iterator[Whole]:
    """By lifetime, by the busiest section and by size x lifetime, at first just so, then with noise."""
    lifetimes = (packing.ends - packing.starts).astype(float)
    busiest = busiest_sections(packing)
    for index in range(_ROUNDS):
        noise = 0.0 if index == 0 else _NOISES[index % len(_NOISES)]
        lengths = lifetimes * np.exp(rng.uniform(-noise, noise, packing.count))
        areas = lifetimes * packing.sizes * np.exp(rng.uniform(-noise, noise, packing.count))
        yield np.lexsort((-areas, -lengths, -busiest))
        yield np.lexsort((-areas, -lengths))
        yield np.lexsort((-areas, -busiest))
        yield np.lexsort((-areas,))


def _reorder(packing: Packing, order: Whole, rng: np.random.Generator) -> Iterator[Whole]:
    """Give what ends up highest, and some of what is held with it, an earlier place in the order.

    "Squeaky wheel" optimisation (Joslin & Clements, 1999); a change that makes the
    arena no larger is kept.
    """
    offsets = stack(packing, order)
    arena, unchanged = packing.arena(offsets), 0
    while unchanged < _PATIENCE:
        tops = offsets + packing.sizes
        highest = rng.choice((tops == arena).nonzero()[0])
        together = (packing.starts < packing.ends[highest]) & (packing.ends > packing.starts[highest])
        moved = np.append(rng.choice(together.nonzero()[0], rng.integers(0, _MOST_MOVED)), highest)
        ranks = np.empty(packing.count)
        ranks[order] = np.arange(packing.count)
        ranks[moved] = ranks[moved] * rng.uniform() - 0.5
        changed = np.argsort(ranks, kind="stable")
        attempt = stack(packing, changed)
        unchanged = 0 if packing.arena(attempt) < arena else unchanged + 1
        if packing.arena(attempt) <= arena:
            order, offsets, arena = changed, attempt, packing.arena(attempt)
        yield attempt
