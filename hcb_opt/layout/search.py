"""Offsets by heuristics alone: rules, then depth-first searches, then better and better orders."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from hcb_opt.layout.best_fit import best_fit, first_fit, orders, stack
from hcb_opt.layout.packing import Packing, Whole
from hcb_opt.layout.tight import TightSearch

_ORDERS_TO_FIT = 2
_NODES = 2000
_NODES_OF_RESTARTS = 1000
_RESTARTS = 80
_NOISE = 0.3
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
    for offsets in _tight(packing, target, named, rng, deadline):
        yield offsets, "depth-first search"
    for offsets in _reorder(packing, named[ranked[0]], rng):
        yield offsets, "reordering"


def _tight(
    packing: Packing, target: int, named: dict[str, Whole], rng: np.random.Generator, deadline: float
) -> Iterator[Whole]:
    """Searches from good orders, then from random changes of the orders by lifetime and by size x lifetime."""
    if packing.count * packing.section_count > _MOST_CELLS:
        return
    tries = [(named[name], False, _NODES) for name in ("size x lifetime", "lifetime", "size, longest first")]
    lifetimes = (packing.ends - packing.starts).astype(float)
    for restart in range(_RESTARTS):
        noise = rng.uniform(1 - _NOISE, 1 + _NOISE, packing.count)
        by_section = restart % 2 == 0
        weights = noise * (lifetimes if by_section else lifetimes * packing.sizes)
        tries.append((np.argsort(-weights, kind="stable"), by_section, _NODES_OF_RESTARTS))
    for order, by_section, node_limit in tries:
        if time.perf_counter() > deadline:
            return
        offsets = TightSearch(packing, target, order, by_section, node_limit, deadline).run()
        if offsets is not None:
            yield offsets


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
