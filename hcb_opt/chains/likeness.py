"""Blocks that are alike share one front."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace

from hcb_opt.chains.block import Block
from hcb_opt.chains.fronts import Front, Option, block_front
from hcb_opt.chains.partition import Partition


def block_fronts(partition: Partition) -> tuple[Front, ...]:
    """The front of every block; it is worked out once for all blocks with the same signature."""
    known: dict[Hashable, tuple[Front, list[int]]] = {}
    fronts: list[Front] = []
    for number in range(partition.count):
        block = Block(partition, number)
        key, values = signature(block)
        if key in known:
            front, others = known[key]
            fronts.append(_renamed(front, dict(zip(others, values, strict=True))))
        else:
            fronts.append(block_front(block))
            known[key] = fronts[-1], values
    return tuple(fronts)


def signature(block: Block) -> tuple[Hashable, list[int]]:
    """What the front depends on, and the values it names, in the order in which they occur."""
    graph, partition = block.graph, block.partition
    place: dict[int, int] = {}

    def value_signature(value: int) -> tuple[Hashable, ...]:
        if value in place:
            return (place[value],)
        number = place[value] = len(place)
        traits = block.own(value), value in partition.volatile, value in block.left_over
        crossing = block.saved(value), block.passes(value)
        # Another block's volatile value is known by the op that computes it again.
        again = op_signature(graph.values[value].producer) if block.foreign(value) else None
        return number, graph.sizes[value], traits, crossing, again

    def op_signature(position: int) -> Hashable:
        op = graph.ops[position]
        inputs, outputs = tuple(map(value_signature, op.inputs)), tuple(map(value_signature, op.outputs))
        return op.cost, op.workspace_bytes, inputs, outputs

    def backward_signature(position: int) -> Hashable:
        op = graph.ops[position]
        base_bytes = int(partition.base_bytes[position - block.turn]) - block.origin_bytes
        written_bytes = sum(graph.sizes[value] for value in op.outputs)
        inputs = tuple(value_signature(value) for value in op.inputs if value in block.needed)
        return op.workspace_bytes, base_bytes, written_bytes, inputs

    forward, backward = tuple(map(op_signature, block.ops)), tuple(map(backward_signature, block.backward))
    return (forward, backward), list(place)


def _renamed(front: Front, names: dict[int, int]) -> Front:
    def rename(options: Iterable[Option]) -> tuple[Option, ...]:
        return tuple(replace(option, kept=frozenset(names[value] for value in option.kept)) for option in options)

    return replace(front, held=rename(front.held), transient=rename(front.transient))
