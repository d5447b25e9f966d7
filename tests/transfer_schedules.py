"""Random legal schedules with transfers and compressed copies for tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from walks import random_walk

from hcb_opt.graph import Graph
from hcb_opt.schedule import (
    Action,
    Compress,
    Compute,
    Decompress,
    Discard,
    Drop,
    Offload,
    Prefetch,
    Schedule,
    schedule_from_computes,
)
from hcb_opt.transfers.schemes import SCHEMES, fits


def with_dtypes(graph: Graph, seed: int) -> Graph:
    """The graph with values of all kinds, some of them unknown."""
    rng = random.Random(seed)
    dtypes = ("bool", "float32", "bfloat16", "int64", "")
    return replace(graph, values=tuple(replace(each, dtype=rng.choice(dtypes)) for each in graph.values))


def random_transfers(
    graph: Graph, seed: int, start: Schedule | None = None, schemes: Sequence[str] = tuple(SCHEMES)
) -> Schedule:
    """A legal schedule with copies, drops of what they are of, and copies back, needed or in vain.

    Offloads and compressed copies are made at any time after a compute, drops come too
    soon or late, prefetches early or only where a compute needs them; what was fetched may be
    recomputed while it is still coming.

    Parameters
    ----------
    graph : Graph
    seed : int
    start : Schedule or None
        Of computes and drops; None takes a random walk.
    schemes : sequence of str
        Compress by these, where they make a value smaller.
    """
    rng = random.Random(seed)
    start = start or schedule_from_computes(graph, random_walk(graph, seed))
    often = rng.choice((0.05, 0.2, 0.6))
    actions: list[Action] = []
    resident: set[int] = set()
    on_host: set[int] = set()
    compressed: set[int] = set()

    def act(action: Action) -> None:
        actions.append(action)
        if isinstance(action, Compute):
            resident.update(graph.ops[action.op].outputs)
        elif isinstance(action, Drop):
            resident.remove(action.value)
        elif isinstance(action, Offload):
            on_host.add(action.value)
        elif isinstance(action, Compress):
            compressed.add(action.value)
        elif isinstance(action, Discard):
            compressed.remove(action.value)
        else:
            resident.add(action.value)

    def back(value: int) -> Action:
        ways = [way for way, copies in ((Prefetch, on_host), (Decompress, compressed)) if value in copies]
        return rng.choice(ways)(value)

    def fetch(values: tuple[int, ...]) -> None:
        for value in values:
            if value not in resident:
                act(back(value))

    for action in start.actions:
        if isinstance(action, Compute):
            fetch(graph.ops[action.op].inputs)
            act(action)
        elif action.value in resident and (action.value not in on_host | compressed or rng.random() < 0.7):
            act(action)
        for value in sorted(resident - on_host):
            if rng.random() < often:
                act(Offload(value))
        for value in sorted(resident - compressed):
            fitting = [scheme for scheme in schemes if fits(graph, value, scheme)]
            if fitting and rng.random() < often:
                act(Compress(value, rng.choice(fitting)))
        if on_host | compressed and rng.random() < 0.3:
            value = rng.choice(sorted(on_host | compressed))
            act(Drop(value) if value in resident else back(value))
            if value in compressed and value in resident and rng.random() < 0.5:
                act(Discard(value))
    fetch(graph.outputs)
    return Schedule(tuple(actions), lossy=True)
