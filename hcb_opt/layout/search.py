"""Offsets by heuristics alone: rules, then many short depth-first searches, then better and better orders."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from hcb_opt.layout.best_fit import best_fit, busiest_sections, first_fit, orders, stack
from hcb_opt.layout.canonical import CanonicalSearch
from hcb_opt.layout.packing import Packing, Whole

_ORDERS_TO_FIT = 2
_ROUNDS = 100
_NODES = 1000
_NODES_PER_BUFFER = 2
"""The larger of the two: from most orders, a layout is found almost at once or never."""
_STALLED = 10
"""A search ends once it came no further for one in so many of its nodes: those that find a layout hardly ever stall."""
_NOISES = (0.1, 0.1, 0.3, 0.3)
_LIFETIMES = 4
_LIFETIME_NOISE = (0.1, 0.16)
"""After the first round, so many of these to every two others: by lifetime, from which most instances are solved."""
_LOOSER = 3
"""Every so many searches, one is for a half, a quarter or an eighth less above the target than what was found."""
_MOST_CELLS = 1_000_000
"""Buffers times sections that the depth-first search is quick enough for."""
_PATIENCE = 400
_MOST_MOVED = 3

Found = tuple[Whole, str]
"""Offsets in alignments, and the name of what found them."""


class HeuristicSearch:
    """Looks for offsets whose arena is at most a target, and keeps the best found.

    Parameters
    ----------
    packing : Packing
        Of at least one buffer.
    target : int
        In alignments.
    seed : int
        Of random choices.
    deadline : float
        As `time.perf_counter` counts: no single attempt goes on for longer.

    Attributes
    ----------
    offsets : ndarray of int64
        In alignments; the first rule's to begin with.
    found_by : str
        The name of what found them.
    exhausted : bool
        Whether nothing is left to try.
    """

    def __init__(self, packing: Packing, target: int, seed: int, deadline: float) -> None:
        self._packing, self._target = packing, target
        self._candidates = _candidates(packing, target, seed, deadline)
        first = next(self._candidates)
        assert first is not None
        self.offsets, self.found_by = first
        self.exhausted = False

    @property
    def arena(self) -> int:
        """Of the best, in alignments."""
        return self._packing.arena(self.offsets)

    @property
    def reached(self) -> bool:
        """Whether the best is at most the target."""
        return self.arena <= self._target

    def step(self) -> None:
        """Try one more, if anything is left to try."""
        try:
            found = next(self._candidates)
        except StopIteration:
            self.exhausted = True
            return
        if found is not None and self._packing.arena(found[0]) < self.arena:
            self.offsets, self.found_by = found

    def run(self, deadline: float) -> None:
        """Go on until the target is reached, nothing is left to try, or time is up."""
        while not self.reached and not self.exhausted and time.perf_counter() < deadline:
            self.step()


def _candidates(packing: Packing, target: int, seed: int, deadline: float) -> Iterator[Found | None]:
    """Layouts in the order in which they are worth their time; None for an attempt in vain."""
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
    for attempt in _canonical(packing, target, min(arenas.values()), rng, deadline):
        yield None if attempt is None else (attempt, "depth-first search")
    for offsets in _reorder(packing, named[ranked[0]], rng):
        yield offsets, "reordering"


def _canonical(
    packing: Packing, target: int, arena: int, rng: np.random.Generator, deadline: float
) -> Iterator[Whole | None]:
    """Short searches from many orders: a dead end that one cannot leave, another may never enter."""
    if packing.count * packing.section_count > _MOST_CELLS:
        return
    nodes = max(_NODES, _NODES_PER_BUFFER * packing.count)
    for index, (order, tightest_first) in enumerate(_searched_orders(packing, rng), start=1):
        capacity = target
        if index % _LOOSER == 0:
            capacity = max(target, arena - 1 - ((arena - target) >> (1 + index // _LOOSER % 3)))
        search = CanonicalSearch(packing, capacity, order, tightest_first)
        offsets = search.run(nodes, deadline, patience=nodes // _STALLED)
        if time.perf_counter() > deadline:
            return
        if offsets is not None:
            arena = min(arena, packing.arena(offsets))
        yield offsets


def _searched_orders(packing: Packing, rng: np.random.Generator) -> Iterator[tuple[Whole, bool]]:
    """Orders, and whether ties go to the tightest place: of every kind, then mostly by noisy lifetimes."""
    lifetimes = (packing.ends - packing.starts).astype(float)
    areas = lifetimes * packing.sizes
    busiest = busiest_sections(packing)

    def noisy(keys: Whole, noise: float) -> Whole:
        return keys * np.exp(rng.uniform(-noise, noise, packing.count))

    for index in range(_ROUNDS):
        noise = 0.0 if index == 0 else _NOISES[index % len(_NOISES)]
        lengths, sizes = noisy(lifetimes, noise), noisy(areas, noise)
        for keys in ((-sizes, -lengths, -busiest), (-sizes, -lengths), (-sizes, -busiest), (-sizes,)):
            yield np.lexsort(keys), True
            yield np.lexsort(keys), False
            for _ in range(_LIFETIMES if index else 0):
                yield np.lexsort((-areas, -noisy(lifetimes, rng.uniform(*_LIFETIME_NOISE)))), True


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
