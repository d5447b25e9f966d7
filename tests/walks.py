"""Random legal sequences of computes for tests."""

from __future__ import annotations

import random

from hcb_opt.graph import Graph


def random_walk(graph: Graph, seed: int) -> list[int]:
    """A legal fixed-order sequence: random evictions, recomputes on demand, needless recomputes, repeats.

    Some walks forget much and hold little, some keep everything; ops may run
    several times between two first computes, and after the last.
    """
    rng = random.Random(seed)
    forgetting = rng.choice((0.0, 0.15, 0.4, 0.8))
    needless = rng.choice((0.0, 0.1, 0.5))
    order: list[int] = []
    resident: set[int] = set()

    def run(op: int) -> None:
        for value in graph.ops[op].inputs:
            provide(value)
        order.append(op)
        resident.update(graph.ops[op].outputs)

    def provide(value: int) -> None:
        if value not in resident:
            run(graph.values[value].producer)

    for target in range(len(graph.ops) + 1):
        while target and rng.random() < needless:
            run(rng.randrange(target))
            forget(resident, rng, forgetting)
        if target < len(graph.ops):
            run(target)
            forget(resident, rng, forgetting)
    for value in graph.outputs:
        provide(value)
    return order


def forget(resident: set[int], rng: random.Random, share: float) -> None:
    """Evict each value with this probability."""
    for value in sorted(resident):
        if rng.random() < share:
            resident.remove(value)
