"""Memory of a single block: its forward, and its backward with what it computes again."""

from __future__ import annotations

from collections.abc import Collection

from hcb_opt.chains.block import Available, Block


def forward_peak(block: Block, wanted: Collection[int], *, dying: bool) -> int:
    """Peak of a block's own values while its forward runs, workspace included.

    Parameters
    ----------
    block : Block
    wanted : collection of int
        Values that stay to the end.
    dying : bool
        What crosses into the block is dropped after its last use, and taken off
        from there; so the result may be negative.

    Returns
    -------
    int
        Bytes.
    """
    graph = block.graph
    last: dict[int, int] = {}
    for op in block.ops:
        for value in (*graph.ops[op].inputs, *graph.ops[op].outputs):
            last[value] = op
    begins: dict[int, int] = {}
    for op in reversed(block.ops):
        begins.update((value, op) for value in graph.ops[op].inputs if block.foreign(value))
    ends: dict[int, int] = {}
    for value, op in last.items():
        if block.own(value) or value in begins:
            ends[op] = ends.get(op, 0) + (0 if value in wanted else graph.sizes[value])
        elif dying and not block.passes(value) and not block.saved(value):
            ends[op] = ends.get(op, 0) + graph.sizes[value]
    held = 0
    profile: list[int] = []
    for op in block.ops:
        held += sum(graph.sizes[value] for value in graph.ops[op].outputs)
        held += sum(graph.sizes[value] for value in graph.ops[op].inputs if begins.get(value) == op)
        profile.append(held + graph.ops[op].workspace_bytes)
        held -= ends.get(op, 0)
    return max(profile)


def backward_peak(block: Block, kept: frozenset[int], available: Available, *, lean: bool) -> tuple[int, int]:
    """Peak of a block's backward, which computes what it lacks right before it is read.

    Parameters
    ----------
    block : Block
    kept : frozenset of int
        Values of the block that are resident when it begins.
    available : callable
        Tells of values that cross into the block.
    lean : bool
        Nothing that is computed again stays for the next op of the backward.

    Returns
    -------
    tuple of int
        Bytes above `Block.origin_bytes`, without what crosses into the block;
        cost of what is computed again.
    """
    graph, partition, needed = block.graph, block.partition, block.needed
    resident = set(kept)
    steps: list[tuple[int, int]] = []  # op, the backward op it serves
    for position in block.backward:
        lacking = [v for v in graph.ops[position].inputs if v in needed and v not in resident]
        if lacking:
            for op in sorted(block.closure(lacking, resident, available) or ()):
                steps.append((op, position))
                if not lean:
                    resident.update(graph.ops[op].outputs)
        steps.append((position, position))
    # A copy lasts from the step that makes it to the last one that reads it before there is another.
    change = [0] * (len(steps) + 1)
    made = dict.fromkeys(kept, 0)
    read = dict.fromkeys(kept, 0)

    def count(value: int) -> None:
        change[made[value]] += graph.sizes[value]
        change[read[value] + 1] -= graph.sizes[value]

    for step, (op, _) in enumerate(steps):
        for value in graph.ops[op].inputs:
            if value in made:
                read[value] = step
        if op < block.turn:
            for value in graph.ops[op].outputs:
                if value in made:
                    count(value)
                made[value] = read[value] = step
    for value in made:
        if value in block.left_over:
            read[value] = len(steps) - 1
        count(value)
    origin = block.origin_bytes
    peak = cost = held = 0
    for step, (op, served) in enumerate(steps):
        held += change[step]
        base = int(partition.base_bytes[served - block.turn]) - origin
        if op < block.turn:
            # Right before the backward op it serves: without what that op writes.
            base -= sum(graph.sizes[value] for value in graph.ops[served].outputs)
            cost += graph.ops[op].cost
        peak = max(peak, base + held + graph.ops[op].workspace_bytes)
    return (peak if steps else sum(graph.sizes[value] for value in kept)), cost
