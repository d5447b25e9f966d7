"""Addresses for a schedule: the planner's peak is a sum of bytes, a device needs one arena.

Dynamic storage allocation. `layout` places the buffers of a schedule, `place` any
buffers; `hcb_opt.layout.validator` checks what either returns, sharing no code with
them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.layout.address_map import DEFAULT_ALIGNMENT_BYTES, Layout
from hcb_opt.layout.exact import MOST_BUFFERS, Settled, smallest_arena
from hcb_opt.layout.in_place import joined, takeovers
from hcb_opt.layout.instances import Buffer, value_instances
from hcb_opt.layout.packing import Packing, Whole, pack
from hcb_opt.layout.search import HeuristicSearch
from hcb_opt.replay import replay
from hcb_opt.schedule import Schedule

__all__ = ["Buffer", "Layout", "layout", "place"]

_ALONE_SHARE = 0.2
"""Of the time limit, for heuristics alone; then they go on beside the exact model."""
_PAUSE_SECONDS = 0.05


def layout(
    graph: Graph,
    schedule: Schedule,
    *,
    in_place: bool = True,
    capacity_bytes: int | None = None,
    alignment_bytes: int = DEFAULT_ALIGNMENT_BYTES,
    time_limit: float = 10.0,
    seed: int = 0,
    exact: bool = False,
    workers: int = 1,
) -> Layout:
    """Give every value instance and workspace of a schedule its address in one arena.

    What is never dropped (``graph.persistent_bytes``) lies in an arena of its own,
    of which the layout gives the size. An op that may write over an input does so
    where that input is dropped right after it, so that the arena may be smaller than
    the peak that `hcb_opt.replay` counts.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule
    in_place : bool
        False keeps every op's inputs and outputs apart.
    capacity_bytes : int, optional
        An arena of this size is small enough; without it, the smallest is looked for.
    alignment_bytes : int
        Every offset is a multiple of it.
    time_limit : float
        Seconds; most layouts need a fraction of one.
    seed : int
        Of random choices; the same answer for the same seed, unless time runs out or
        CP-SAT takes part.
    exact : bool
        Go on with CP-SAT beside, in a process of its own, where heuristics leave a gap and
        there are at most `hcb_opt.layout.exact.MOST_BUFFERS` buffers. Without it no
        solver needs to be installed.
    workers : int
        Of which one goes on with heuristics, and the others, at least one, are CP-SAT's.

    Returns
    -------
    Layout

    Raises
    ------
    IllegalSchedule
        If replay finds the schedule illegal.
    InvalidInput
        If a number is out of range.
    """
    replay(graph, schedule)
    buffers = value_instances(graph, schedule)
    pairs = takeovers(graph, schedule, buffers) if in_place else ()
    whole, whole_of = joined(buffers, pairs)
    placed = place(
        whole,
        capacity_bytes=capacity_bytes,
        alignment_bytes=alignment_bytes,
        time_limit=time_limit,
        seed=seed,
        exact=exact,
        workers=workers,
    )
    return replace(
        placed,
        buffers=buffers,
        offsets=tuple(placed.offsets[index] for index in whole_of),
        # What the exact model proves, it proves of buffers so joined; some might better be apart.
        lower_bound_bytes=placed.live_peak_bytes if pairs else placed.lower_bound_bytes,
        persistent_bytes=_rounded_up(graph.persistent_bytes, alignment_bytes),
        in_place=pairs,
    )


def place(
    buffers: Sequence[Buffer],
    *,
    capacity_bytes: int | None = None,
    alignment_bytes: int = 1,
    time_limit: float = 10.0,
    seed: int = 0,
    exact: bool = False,
    workers: int = 1,
) -> Layout:
    """Give every buffer its address in one arena, as small as can be found.

    Parameters
    ----------
    buffers : sequence of Buffer
    capacity_bytes, alignment_bytes, time_limit, seed, exact, workers
        As in `layout`.

    Returns
    -------
    Layout
        The best found, also where it exceeds the capacity.

    Raises
    ------
    InvalidInput
        If a number is out of range.
    """
    began = time.perf_counter()
    _require_positive("alignment", alignment_bytes)
    _require_positive("time limit", time_limit)
    _require_positive("workers", workers)
    if capacity_bytes is not None:
        _require_positive("capacity", capacity_bytes)
    if seed < 0:
        raise InvalidInput(f"seed {seed}", "below zero", "give a whole number >= 0")
    packing, chosen = pack(buffers, alignment_bytes)
    target = max(packing.lower_bound, (capacity_bytes or 0) // alignment_bytes)
    exact = exact and packing.count <= MOST_BUFFERS
    offsets, found_by, lower_bound = np.zeros(0, dtype=np.int64), "nothing to place", 0
    if packing.count:
        end = began + time_limit
        search = HeuristicSearch(packing, target, seed, end)
        search.run(began + time_limit * (_ALONE_SHARE if exact else 1.0))
        offsets, found_by, lower_bound = search.offsets, search.found_by, packing.lower_bound
        if exact and not search.reached:
            offsets, found_by, lower_bound = _with_exact(packing, target, search, end, seed, workers)
    return Layout(
        buffers=tuple(buffers),
        offsets=_all_offsets(len(buffers), chosen, offsets, alignment_bytes),
        alignment_bytes=alignment_bytes,
        arena_bytes=packing.arena(offsets) * alignment_bytes,
        live_peak_bytes=packing.lower_bound * alignment_bytes,
        lower_bound_bytes=lower_bound * alignment_bytes,
        persistent_bytes=0,
        found_by=found_by,
        seconds=time.perf_counter() - began,
    )


def _with_exact(
    packing: Packing, target: int, search: HeuristicSearch, end: float, seed: int, workers: int
) -> tuple[Whole, str, int]:
    """The best of the heuristics and the exact model, side by side; who found it; and the bound that is proven."""

    def go_on() -> None:
        search.step()
        if search.reached:
            raise Settled
        if search.exhausted:
            time.sleep(_PAUSE_SECONDS)

    seconds = max(_PAUSE_SECONDS, end - time.perf_counter())
    most, beside = search.arena - 1, max(1, workers - 1)
    lower_bound = packing.lower_bound
    try:
        answer = smallest_arena(packing, lower_bound, target, most, seconds, seed, beside, go_on)
    except Settled:
        return search.offsets, search.found_by, lower_bound
    exact = answer.offsets
    best = search.arena if exact is None else min(search.arena, packing.arena(exact))
    if best > answer.lower_bound:
        search.run(end)  # the process ended before its time
    if exact is not None and packing.arena(exact) < search.arena:
        return exact, "CP-SAT", answer.lower_bound
    return search.offsets, search.found_by, answer.lower_bound


def _all_offsets(count: int, chosen: Whole, offsets: Whole, alignment_bytes: int) -> tuple[int, ...]:
    """In bytes; empty buffers lie at 0."""
    found = [0] * count
    for index, offset in zip(chosen.tolist(), offsets.tolist(), strict=True):
        found[index] = offset * alignment_bytes
    return tuple(found)


def _rounded_up(size_bytes: int, alignment_bytes: int) -> int:
    return -(-size_bytes // alignment_bytes) * alignment_bytes


def _require_positive(what: str, number: float) -> None:
    if not number > 0:
        raise InvalidInput(f"{what} {number}", "not above zero", "give a positive number")
