"""What ``BlockCheckpointing.v`` of ``proofs/`` states, held against replay: condition, peaks and costs."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import pytest

from hcb_opt.blocks import turn_position
from hcb_opt.generators import chain, random_training, u_shape
from hcb_opt.graph import Graph
from hcb_opt.layer_graphs import layer_graph
from hcb_opt.models import zoo
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes

Plan = tuple["Plan", "Plan"] | None
"""None for one block; otherwise the plans for the blocks before and after a split."""


@dataclass(frozen=True)
class InBlocks:
    """A step, its turn, and where its blocks and their backward begin, as ``in_blocks`` has them."""

    graph: Graph
    turn: int
    start: tuple[int, ...]
    back: tuple[int, ...]

    def live(self, position: int) -> set[int]:
        graph = self.graph
        read = {value for op in graph.ops[position : self.turn] for value in op.inputs}
        return {v for v in read | graph.required if graph.values[v].producer < position}

    def late(self, position: int) -> set[int]:
        graph = self.graph
        read = {value for op in graph.ops[position:] for value in op.inputs}
        backward = {v for v, value in enumerate(graph.values) if self.turn <= value.producer <= position}
        written = {v for v in backward if graph.values[v].producer == position}
        return backward & (read | written) | {v for v in graph.required if graph.values[v].producer <= position}

    def largest(self, sets: list[set[int]]) -> int:
        return max(sum(self.graph.sizes[value] for value in each) for each in sets)

    def peak(self, stored: int) -> int:
        """stored w + b s + d + x."""
        ops = self.graph.ops
        w = self.largest([self.live(position) for position in range(self.turn + 1)])
        b = max(stop - first for first, stop in zip(self.start, self.start[1:], strict=False))
        s = self.largest([set(op.outputs) for op in ops[: self.turn]])
        d = self.largest([self.late(position) for position in range(self.turn, len(ops) + 1)])
        return stored * w + b * s + d + max(op.workspace_bytes for op in ops)

    def computes(self, plan: Plan, first: int, last: int) -> list[int]:
        """What a plan for the blocks from ``first`` up to ``last`` computes."""
        if plan is None:
            forward, backward = (self.start[first], self.start[last]), (self.back[last], self.back[first])
            return [*range(*forward), *range(*backward)]
        before, after = plan
        middle = first + blocks(before)
        advance = [*range(self.start[first], self.start[middle])]
        return [*advance, *self.computes(after, middle, last), *self.computes(before, first, middle)]


def blocks(plan: Plan) -> int:
    return 1 if plan is None else blocks(plan[0]) + blocks(plan[1])


def store_every_cut(count: int) -> Plan:
    return None if count == 1 else (None, store_every_cut(count - 1))


def halve(count: int) -> Plan:
    return None if count == 1 else (halve(count // 2), halve(count - count // 2))


def in_blocks(graph: Graph, length: int) -> InBlocks | None:
    """Equal blocks, and each backward op with the last block that it can belong to; None if there is none for one."""
    # A loss that only hands its gradient on begins the backward.
    turn = next((op for op, each in enumerate(graph.ops) if each.name == "loss"), turn_position(graph))
    count = ceil(turn / length)
    start = tuple(min(number * length, turn) for number in range(count + 1))
    step = InBlocks(graph, turn, start, ())
    live = [step.live(position) for position in start]
    back = [len(graph.ops)] * count + [turn]
    block = count - 1
    for op in range(turn, len(graph.ops)):
        read = {value for value in graph.ops[op].inputs if graph.values[value].producer < turn}

        def reaches(block: int, read: set[int] = read) -> bool:
            inside = range(start[block], start[block + 1])
            return all(graph.values[v].producer in inside or v in live[block] for v in read)

        while not reaches(block):
            back[block] = op
            block -= 1
            if block < 0:
                return None
    return InBlocks(graph, turn, start, tuple(back))


def promised(step: InBlocks) -> None:
    """Both plans keep their promises, as replay sees it."""
    count = len(step.start) - 1
    levels = ceil(log2(count)) if count > 1 else 0
    forward = sum(op.cost for op in step.graph.ops[: step.turn])
    extra = {"one level": (store_every_cut(count), count - 1, 1), "recursive": (halve(count), levels, levels)}
    for name, (plan, stored, repeats) in extra.items():
        computes = step.computes(plan, 0, count)
        judged = replay(step.graph, schedule_from_computes(step.graph, computes))
        assert judged.fixed_order, name
        assert judged.peak_bytes <= step.peak(stored), name
        assert judged.cost <= step.graph.base_cost + repeats * forward, name


GRAPHS = {
    "chain": chain(23),
    "U shape": u_shape(4),
    "VGG16": layer_graph("vgg16"),
    "U-Net": layer_graph("unet"),
    **{f"random {seed}": random_training(20, seed) for seed in range(6)},
}


@pytest.mark.parametrize("name", GRAPHS)
def test_plans_keep_their_promises(name: str) -> None:
    met = [step for length in (1, 2, 3, 5, 8, 64) if (step := in_blocks(GRAPHS[name], length)) is not None]
    for step in met:
        promised(step)
    assert len(met) >= (6 if name in ("chain", "VGG16") else 1)


def test_captured_steps_meet_the_condition() -> None:
    for graph in (
        zoo()["gpt2"].capture(layers=1, batch=1, vocabulary=256),
        zoo()["unet"].capture(levels=1, image=32, batch=1),
    ):
        for length in (3, 10, 25):
            step = in_blocks(graph, length)
            assert step is not None
            promised(step)


def test_a_chain_comes_close() -> None:
    step = in_blocks(chain(64), 8)
    assert step is not None
    judged = replay(step.graph, schedule_from_computes(step.graph, step.computes(store_every_cut(8), 0, 8)))
    assert step.peak(7) - 3 <= judged.peak_bytes <= step.peak(7) == 7 + 8 + 2
