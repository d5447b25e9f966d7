"""Packing instances for tests: rectangles cut apart, whose smallest arena is known, and ops that write in place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from hcb_opt.graph import Graph
from hcb_opt.layout.instances import Buffer
from hcb_opt.layout.packing import Packing, Whole

CAPACITY = 1024
STEPS = 400


def cut_rectangle(count: int, seed: int) -> tuple[Buffer, ...]:
    """Buffers that fill `CAPACITY` bytes over `STEPS` steps without a gap, in random order.

    The rectangle of bytes and steps is cut in two, one of the largest pieces again,
    and so on: tightly packed, as the hard instances of minimalloc's benchmark are.
    """
    rng = random.Random(seed)
    pieces = [(0, STEPS, 0, CAPACITY)]
    while len(pieces) < count:
        pieces.sort(key=lambda each: (each[1] - each[0]) * (each[3] - each[2]))
        left, right, bottom, top = pieces.pop(-rng.randint(1, min(4, len(pieces))))
        if (rng.random() < 0.5 and right - left > 1) or top - bottom == 1:
            middle = rng.randint(left + 1, right - 1)
            pieces += [(left, middle, bottom, top), (middle, right, bottom, top)]
        else:
            middle = rng.randint(bottom + 1, top - 1)
            pieces += [(left, right, bottom, middle), (left, right, middle, top)]
    rng.shuffle(pieces)
    return tuple(
        Buffer(f"b{index}", left, right, top - bottom) for index, (left, right, bottom, top) in enumerate(pieces)
    )


def random_buffers(seed: int, most: int) -> tuple[Buffer, ...]:
    """A few buffers with small sizes and lifetimes; some are empty."""
    rng = random.Random(seed)
    buffers = []
    for index in range(rng.randint(0, most)):
        start = rng.randint(0, 8)
        buffers.append(Buffer(f"b{index}", start, start + rng.randint(1, 6), rng.choice((0, 1, 2, 3, 4, 5, 7))))
    return tuple(buffers)


def smallest_arena_by_trial(buffers: Sequence[Buffer]) -> int:
    """Stack buffers in every order: in the order of its offsets, each layout is at least as high as one of these."""
    best = sum(each.size_bytes for each in buffers)

    def stack(placed: list[tuple[Buffer, int]], waiting: frozenset[Buffer], arena: int) -> None:
        nonlocal best
        if arena >= best:
            return
        if not waiting:
            best = arena
        for buffer in sorted(waiting, key=lambda each: each.name):
            top = max((top for below, top in placed if meet(below, buffer)), default=0) + buffer.size_bytes
            stack([*placed, (buffer, top)], waiting - {buffer}, max(arena, top))

    stack([], frozenset(buffers), 0)
    return best


def require_apart(packing: Packing, offsets: Whole, capacity: int | None = None) -> None:
    """Assert that no two buffers share bytes while both are held, and that all lie within a capacity."""
    starts, ends, tops = packing.starts, packing.ends, offsets + packing.sizes
    assert offsets.min() >= 0 and (capacity is None or tops.max() <= capacity)
    together = (starts[:, None] < ends) & (ends[:, None] > starts)
    shared = together & (offsets[:, None] < tops) & (tops[:, None] > offsets)
    assert shared.sum() == packing.count  # each with itself


def meet(one: Buffer, other: Buffer) -> bool:
    """Whether two buffers, both with bytes, are held at the same step."""
    return bool(one.size_bytes and other.size_bytes) and one.start < other.end and other.start < one.end


def writing_in_place(graph: Graph, seed: int) -> Graph:
    """The graph with sizes of few kinds, and ops with one output that may write over inputs of its size."""
    rng = random.Random(seed)
    values = tuple(replace(each, size_bytes=rng.choice((0, 2, 2, 3))) for each in graph.values)
    ops = []
    for op in graph.ops:
        size = values[op.outputs[0]].size_bytes if len(op.outputs) == 1 else None
        may = tuple(each for each in op.inputs if values[each].size_bytes == size and rng.random() < 0.8)
        ops.append(replace(op, in_place=may, workspace_bytes=op.workspace_bytes % 3))
    return replace(graph, values=values, ops=tuple(ops))
