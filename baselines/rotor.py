"""Rotor on a chain of blocks, cut where the forward hands on a single value."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate

import numpy as np

from hcb_opt.blocks import Chain, frontier_bytes, last_forward_reads, narrow_boundaries, turn_position
from hcb_opt.chains.partition import Partition
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress
from hcb_opt.realise import missing_ancestors
from hcb_opt.registry import method
from hcb_opt.replay import replay
from hcb_opt.rotor import Move, Release, Rotor, Run, Stage
from hcb_opt.schedule import Schedule, schedule_from_computes

MOST_STAGES = 150
SLOTS = 400
CEILING = 1.25


@method(
    "rotor",
    kind="heuristic",
    graphs="any DAG; made for chains of unequal stages",
    cites="Beaumont et al. 2019, arXiv:1911.13214 (Rotor)",
)
def rotor(problem: Problem, progress: Progress) -> None:
    """Rotor's dynamic programme over the stages of the forward: keep a stage's input or its whole tape.

    The forward is cut wherever a single value crosses (at articulation points),
    and, in a second try, at every narrow frontier; `hcb_opt.rotor` gives the
    cheapest plan for every amount of memory. Of the plans around the budget the
    cheapest counts whose schedule fits, by replay.
    """
    graph, budget_bytes = problem.graph, problem.budget_bytes
    turn = turn_position(graph)
    single, narrow = single_value_cuts(graph, turn), narrow_boundaries(frontier_bytes(graph, turn))
    # Where the loss is a stage by itself, the backward of the stage before it may seem to be the loss's.
    for cuts in dict.fromkeys((single, single[:-1], narrow)):
        partition = Partition(_chain(graph, turn, cuts))
        tables = Rotor(stages_of(partition), max(1, round(CEILING * budget_bytes)), SLOTS)
        # The least memory of each cost, dearest first; the cheaper a plan, the more it holds.
        memories = [
            int(slots) for slots in np.flatnonzero(np.isfinite(tables.costs)) if _is_cheaper(tables, int(slots))
        ]
        least, most = 0, len(memories)
        # First the plan that should just fit; its real peak may be a little less, or more.
        middle = max(0, bisect_right(memories, budget_bytes // tables.slot_bytes) - 1)
        while least < most and not progress.done:
            schedule = schedule_of(partition, tables.moves(memories[middle]))
            if replay(graph, schedule).peak_bytes <= budget_bytes:
                progress.offer(schedule)
                least = middle + 1
            else:
                most = middle
            middle = (least + most) // 2
    if progress.schedule is None:
        progress.give_up(f"no plan of Rotor's fits {budget_bytes} bytes")


def single_value_cuts(graph: Graph, turn: int) -> tuple[int, ...]:
    """Boundaries of the forward that a single value crosses.

    Parameters
    ----------
    graph : Graph
    turn : int
        Number of forward ops.
    """
    lasts = last_forward_reads(graph, turn)
    changes = [0] * (turn + 2)
    for value, last in enumerate(lasts):
        if last >= 0:
            changes[graph.values[value].producer + 1] += 1
            changes[last + 1] -= 1
    crossing = list(accumulate(changes[: turn + 1]))
    return tuple(position for position in range(1, turn) if crossing[position] == 1)


def _chain(graph: Graph, turn: int, cuts: Sequence[int]) -> Chain:
    """The forward with these cuts; of many, those are left out that divide stages of little cost."""
    if len(cuts) >= MOST_STAGES:
        reached = [0, *accumulate(op.cost for op in graph.ops[:turn])]
        cuts = sorted({reached[cut] * (MOST_STAGES - 1) // max(1, reached[turn]): cut for cut in cuts}.values())
    return Chain(graph, (0, *cuts, turn))


def stages_of(partition: Partition) -> list[Stage]:
    """Each block's costs and bytes, as Rotor counts them.

    Values that cross several cuts are counted with each; a tape is counted as held
    until its backward ends; what a backward reads of other blocks, beyond the
    block's input, is not counted.
    """
    return [_stage(partition, number) for number in range(partition.count)]


def _stage(partition: Partition, number: int) -> Stage:
    graph, turn = partition.graph, partition.turn
    ops = range(partition.boundaries[number], partition.boundaries[number + 1])
    backward = range(partition.backward_starts[number], partition.backward_ends[number])
    output, saved = _output(partition, number), _saved(partition, number)
    tape = output | saved
    last = number == partition.count - 1
    run_bytes, record_bytes, saved_bytes = (_most_bytes(graph, ops, kept) for kept in (output, tape, saved))
    return Stage(
        forward_cost=_cost(graph, ops, tape),
        backward_cost=sum(graph.ops[op].cost for op in backward),
        output_bytes=sum(graph.sizes[value] for value in output),
        tape_bytes=sum(graph.sizes[value] for value in tape),
        run_bytes=run_bytes,
        record_bytes=record_bytes,
        # The last stage's backward follows its first run, which is that of all its ops.
        again_cost=_cost(graph, ops, tape if last else saved),
        again_bytes=record_bytes if last else saved_bytes,
        gradient_bytes=0 if last else partition.between_bytes(number),
        backward_bytes=max(
            (int(partition.base_bytes[position - turn]) + _left_bytes(graph, saved, position) for position in backward),
            default=0,
        ),
    )


def _output(partition: Partition, number: int) -> frozenset[int]:
    """What the forward beyond a block reads of all before."""
    return frozenset(partition.chain.cuts[number + 1] if number + 1 < partition.count else ())


def _saved(partition: Partition, number: int) -> frozenset[int]:
    """What the backward reads of a block, less what it no longer does once the block's own begins."""
    graph, output = partition.graph, _output(partition, number)
    ops = range(partition.boundaries[number], partition.boundaries[number + 1])
    written = (value for op in ops for value in graph.ops[op].outputs if value not in graph.required)
    return frozenset(
        value
        for value in written
        if (readers := partition.backward_reads[value])
        and (value not in output or readers[-1] >= partition.backward_starts[number])
    )


def _left_bytes(graph: Graph, saved: Collection[int], position: int) -> int:
    """Bytes of saved values that the op at this position of the backward, or a later one, reads."""
    return sum(graph.sizes[value] for value in saved if graph.last_needed[value] >= position)


def _cost(graph: Graph, ops: range, wanted: Collection[int]) -> int:
    """Of computing values, as far as these ops do."""
    return sum(graph.ops[op].cost for op in _needed(graph, ops, wanted))


def _needed(graph: Graph, ops: range, wanted: Collection[int]) -> set[int]:
    """Of these ops, those that some values are computed by."""
    found: set[int] = set()
    pending = list(wanted)
    while pending:
        producer = graph.values[pending.pop()].producer
        if producer in ops and producer not in found:
            found.add(producer)
            pending.extend(graph.ops[producer].inputs)
    return found


def _most_bytes(graph: Graph, ops: range, kept: Collection[int]) -> int:
    """Most bytes of their own, and of those kept, that ops hold while they run in order."""
    resident = most = sum(graph.sizes[value] for value in kept if graph.values[value].producer not in ops)
    for op in ops:
        resident += sum(graph.sizes[value] for value in graph.ops[op].outputs)
        most = max(most, resident + graph.ops[op].workspace_bytes)
        for value in {*graph.ops[op].inputs, *graph.ops[op].outputs}:
            readers = [reader for reader in graph.consumers[value] if reader in ops]
            if graph.values[value].producer in ops and value not in kept and max(readers, default=op) == op:
                resident -= graph.sizes[value]
    return most


def _is_cheaper(tables: Rotor, slots: int) -> bool:
    return slots == 0 or bool(tables.costs[slots] < tables.costs[slots - 1])


def schedule_of(partition: Partition, moves: Iterable[Move]) -> Schedule:
    """The schedule of a plan; whatever an op reads that the plan does not hold is computed again before it."""
    walk = _Walk(partition)
    for move in moves:
        if isinstance(move, Run):
            output = _output(partition, move.stage) if move.output else frozenset()
            walk.run(move.stage, output | _saved(partition, move.stage) if move.tape else output)
        elif isinstance(move, Release):
            walk.forget(_output(partition, move.stage))
        else:
            walk.reverse(move.stage)
    return schedule_from_computes(partition.graph, walk.order)


class _Walk:
    """A run through a plan: what has been computed, and which values count as held."""

    def __init__(self, partition: Partition) -> None:
        self.partition, self.graph = partition, partition.graph
        self.order: list[int] = []
        self._available = [False] * len(self.graph.values)
        self._begun = 0

    def run(self, stage: int, kept: Collection[int]) -> None:
        ops = range(self.partition.boundaries[stage], self.partition.boundaries[stage + 1])
        if self._begun == stage:
            self._begun += 1
            for op in ops:
                self._provide(self.graph.ops[op].inputs)
                self._compute(op)
        else:
            self._forget_again(self._provide(kept), kept)
        self.forget(value for op in ops for value in self.graph.ops[op].outputs if value not in kept)

    def reverse(self, stage: int) -> None:
        partition = self.partition
        fresh: list[int] = []
        for position in range(partition.backward_starts[stage], partition.backward_ends[stage]):
            fresh += self._provide(self.graph.ops[position].inputs)
            self._compute(position)
        self._forget_again(fresh, ())
        self.forget(_saved(partition, stage) | _output(partition, stage))

    def forget(self, values: Iterable[int]) -> None:
        for value in values:
            if value not in self.graph.required:
                self._available[value] = False

    def _forget_again(self, fresh: Iterable[int], kept: Collection[int]) -> None:
        self.forget(value for value in fresh if value not in kept)

    def _provide(self, values: Iterable[int]) -> list[int]:
        """Compute what these values lack; returns the values that it made available."""
        ops = missing_ancestors(self.graph, values, self._available)
        fresh = [value for op in ops for value in self.graph.ops[op].outputs if not self._available[value]]
        for op in ops:
            self._compute(op)
        return fresh

    def _compute(self, op: int) -> None:
        self.order.append(op)
        for value in self.graph.ops[op].outputs:
            self._available[value] = True
