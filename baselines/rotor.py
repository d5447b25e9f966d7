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
from hcb_opt.realise import GrowingSequence
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
    ops, backward = partition.ops(number), partition.backward(number)
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
    written = (value for op in partition.ops(number) for value in graph.ops[op].outputs if value not in graph.required)
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
    sequence = GrowingSequence(partition.graph)
    begun = 0
    for move in moves:
        if isinstance(move, Run):
            output = _output(partition, move.stage) if move.output else frozenset()
            kept = output | _saved(partition, move.stage) if move.tape else output
            first = move.stage == begun
            begun += first
            _run(sequence, partition.ops(move.stage), kept, first=first)
        elif isinstance(move, Release):
            sequence.forget(_output(partition, move.stage))
        else:
            _reverse(sequence, partition.backward(move.stage))
            sequence.forget(_saved(partition, move.stage) | _output(partition, move.stage))
    return schedule_from_computes(partition.graph, sequence.order)


def _run(sequence: GrowingSequence, ops: range, kept: Collection[int], *, first: bool) -> None:
    """Run a stage and leave what is kept: all of it the first time, else what that takes."""
    if first:
        for op in ops:
            sequence.provide(sequence.graph.ops[op].inputs)
            sequence.compute(op)
    else:
        fresh = sequence.provide(kept)
        sequence.forget(value for value in fresh if value not in kept)
    written = (value for op in ops for value in sequence.graph.ops[op].outputs)
    sequence.forget(value for value in written if value not in kept)


def _reverse(sequence: GrowingSequence, backward: range) -> None:
    """Run a stage's backward; what it computes again on the way is forgotten at its end."""
    fresh: list[int] = []
    for op in backward:
        fresh += sequence.provide(sequence.graph.ops[op].inputs)
        sequence.compute(op)
    sequence.forget(fresh)
