"""The smallest arena by CP-SAT: what is held together lies at different addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from hcb_opt.bounds import integer_bound
from hcb_opt.cpsat import Search, cpsat
from hcb_opt.layout.packing import Packing, Whole
from hcb_opt.solver_process import Report

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar

MOST_BUFFERS = 600
"""Larger packings are left to the heuristics."""


@dataclass(frozen=True)
class SmallestArena:
    """The constraint programme: an offset for each buffer, no overlap in any section.

    Attributes
    ----------
    sizes : tuple of int, one per buffer
        In units of their common divisor.
    cliques : tuple of tuple of int
        Buffers held together, by densest section.
    least, most : int
        Between which the arena lies, in the same units.
    """

    sizes: tuple[int, ...]
    cliques: tuple[tuple[int, ...], ...]
    least: int
    most: int

    def build(self, model: CpModel) -> Sequence[IntVar]:
        """Fill an empty model; reports give the offsets."""
        arena = model.new_int_var(self.least, self.most, "arena")
        offsets = [model.new_int_var(0, self.most - size, "offset") for size in self.sizes]
        intervals = [
            model.new_fixed_size_interval_var(offset, size, "buffer")
            for offset, size in zip(offsets, self.sizes, strict=True)
        ]
        for clique in self.cliques:
            model.add_no_overlap([intervals[buffer] for buffer in clique])
        if self.least < self.most:
            for offset, size in zip(offsets, self.sizes, strict=True):
                model.add(offset + size <= arena)
        model.minimize(arena)
        return offsets


@dataclass(frozen=True)
class ExactAnswer:
    """What CP-SAT found.

    Attributes
    ----------
    offsets : ndarray of int64 or None
        In alignments; None if nothing below ``most`` was found.
    lower_bound : int
        No arena is smaller, in alignments.
    """

    offsets: Whole | None
    lower_bound: int


class Settled(Exception):
    """Raised by what is called meanwhile: there is a layout that is good enough."""


def smallest_arena(
    packing: Packing,
    lower_bound: int,
    target: int,
    most: int,
    seconds: float,
    seed: int = 0,
    workers: int = 1,
    meanwhile: Callable[[], None] | None = None,
) -> ExactAnswer:
    """Look for the smallest arena in a solver's process.

    First for one of the target's size, which is often there and found soonest
    where nothing is to be minimised; then for the smallest.

    Parameters
    ----------
    packing : Packing
        Of at most `MOST_BUFFERS` buffers.
    lower_bound : int
        Proven, in alignments.
    target : int
        At least the lower bound: an arena of this size is good enough.
    most : int
        The arena may have at most this size.
    seconds : float
    seed, workers : int
    meanwhile : callable, optional
        Called again and again while the process is busy; may raise `Settled`.

    Returns
    -------
    ExactAnswer

    Raises
    ------
    Settled
        By what is called meanwhile; the process is ended.
    """
    unit = gcd(*packing.sizes.tolist())
    least, wanted, most = -(-lower_bound // unit), target // unit, most // unit
    deadline = time.perf_counter() + seconds
    first = _solve(packing, unit, (wanted, wanted), seconds / 2, seed, workers, meanwhile)
    if first.values is not None:
        return ExactAnswer(_offsets(first, unit), lower_bound)
    if first.infeasible:
        least = wanted + 1
    left = deadline - time.perf_counter()
    if least > most or left <= 0:
        return ExactAnswer(None, least * unit)
    second = _solve(packing, unit, (least, most), left, seed, workers, meanwhile)
    if second.infeasible:
        return ExactAnswer(None, (most + 1) * unit)
    if second.bound is not None:
        least = max(least, integer_bound(second.bound))
    return ExactAnswer(_offsets(second, unit), least * unit)


def _solve(
    packing: Packing,
    unit: int,
    between: tuple[int, int],
    seconds: float,
    seed: int,
    workers: int,
    meanwhile: Callable[[], None] | None,
) -> Report:
    """One solve, with the arena between two sizes in units."""
    programme = SmallestArena(
        tuple((packing.sizes // unit).tolist()),
        tuple(tuple(held.nonzero()[0].tolist()) for held in packing.densest_sections),
        *between,
    )
    return cpsat().solve(Search(programme, seconds=seconds, seed=seed, workers=workers), meanwhile=meanwhile)


def _offsets(report: Report, unit: int) -> Whole | None:
    return None if report.values is None else np.rint(report.values).astype(np.int64) * unit
