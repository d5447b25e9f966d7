"""The cheapest way through one stage, or the whole step, by search over what is resident."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from hcb_opt.graph import Graph
from hcb_opt.settled import SettledStates

FEW_MOVES = 20_000
_MOVES_PER_STOP = 256


@dataclass(frozen=True, slots=True)
class Passage:
    """How a stage with at most one new op can be passed.

    Attributes
    ----------
    cost : int or None
        Of the cheapest recomputes alone; None if there is no way through.
    ops : tuple of int
        Those recomputes, in order, and the new ops before the target.
    """

    cost: int | None
    ops: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Run:
    """An op that could help, with its values as bits."""

    op: int
    cost: int
    inputs: int
    outputs: int
    workspace_bytes: int


def cheapest_passage(
    graph: Graph,
    target: int,
    available: Collection[int],
    kept: Collection[int],
    budget_bytes: int,
    most_moves: int = FEW_MOVES,
    *,
    begun: int | None = None,
    enough: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Passage | None:
    """Recompute from what is available until the target can run and be left.

    A* over resident sets (Hart, Nilsson & Raphael 1968); an op may run any number
    of times, in any order. Values are dropped only to make room, a set within one
    that was reached no dearer is not looked at, and what remains is estimated by
    the ops that must run again because of what is absent.

    Parameters
    ----------
    graph : Graph
    target : int
        The stage's new op; the number of ops for the stage after the last,
        which ends with every output resident.
    available : collection of int
        Values resident when the stage begins.
    kept : collection of int
        Values that must be resident when the target runs, and after.
    budget_bytes : int
    most_moves : int
        Moves to try at most.
    begun : int, optional
        How many ops have been computed before; those up to the target that have
        not are first computed on the way, in order. By default all have.
    enough : int, optional
        End the search with this cost once no cheaper passage is left.
    stop : callable
        Asked now and then; True ends the search as its limit does.

    Returns
    -------
    Passage or None
        None if the search grows beyond its limit.
    """
    inputs = graph.ops[target].inputs if target < len(graph.ops) else graph.outputs
    wanted = {value for value in (*kept, *inputs) if graph.values[value].producer < target}
    begun = target if begun is None else begun
    ops = _ancestors(graph, wanted, range(begun, target))
    useful = sorted(wanted.union(*(graph.ops[op].inputs for op in ops)))
    bit = {value: 1 << index for index, value in enumerate(useful)}
    sizes = [(bit[value], graph.sizes[value]) for value in useful if graph.sizes[value]]

    def bits(values: Collection[int]) -> int:
        return sum(bit[value] for value in set(values) if value in bit)

    # Outputs that nothing here reads still take room while their op runs.
    runs = [
        _Run(
            op,
            graph.ops[op].cost,
            bits(graph.ops[op].inputs),
            bits(graph.ops[op].outputs),
            graph.ops[op].workspace_bytes + sum(graph.sizes[v] for v in graph.ops[op].outputs if v not in bit),
        )
        for op in ops
    ]
    goal = bits(wanted)
    positions = range(begun, target + 1)
    needed = [_read_later(runs, goal, position) for position in positions]

    def cost_to_restore(next_new: int, state: int) -> int:
        """Cost of the old ops that must run again to provide what is absent."""
        missing, cost = needed[next_new - begun] & ~state, 0
        for run in reversed(runs):
            if run.op < next_new and run.outputs & missing:
                cost += run.cost
                missing |= run.inputs & ~state
        return cost

    start = (begun, bits(available))
    # Cost at least, position of the next new op, moves tried before, resident, cost so far.
    queue: list[tuple[int, int, int, int, int]] = [(cost_to_restore(*start), -begun, 0, start[1], 0)]
    reached: dict[tuple[int, int], int] = {start: 0}
    came_from: dict[tuple[int, int], tuple[tuple[int, int], int]] = {}
    settled = [SettledStates(len(useful)) for _ in positions]
    moves = 0
    while queue:
        estimate, minus_next, _, state, cost = heapq.heappop(queue)
        if enough is not None and estimate >= enough:
            return Passage(enough)
        next_new = -minus_next
        if next_new == target and goal & ~state == 0:
            return Passage(cost, _path(came_from, (next_new, state)))
        if not settled[next_new - begun].add(state, cost):
            continue
        for run in runs:
            new = run.op == next_new
            if run.op > next_new or run.inputs & ~state or not (new or run.outputs & ~state):
                continue
            during = state | run.outputs
            held_bytes = sum(size for value, size in sizes if value & during) + run.workspace_bytes
            idle = [(value, size) for value, size in sizes if value & during & ~run.inputs & ~run.outputs]
            for dropped in _smallest_drops(idle, held_bytes - budget_bytes):
                moves += 1
                if moves > most_moves or (moves % _MOVES_PER_STOP == 0 and stop()):
                    return None
                after, total = (next_new + new, during & ~dropped), cost + (0 if new else run.cost)
                if total < reached.get(after, total + 1):
                    reached[after] = total
                    came_from[after] = (next_new, state), run.op
                    heapq.heappush(queue, (total + cost_to_restore(*after), -after[0], moves, after[1], total))
    return Passage(None)


def _read_later(runs: Sequence[_Run], goal: int, computed: int) -> int:
    """What is wanted in the end, or read by the ops that have not run once so many have been computed."""
    read = goal
    for run in runs:
        if run.op >= computed:
            read |= run.inputs
    return read


def _path(came_from: dict[tuple[int, int], tuple[tuple[int, int], int]], state: tuple[int, int]) -> tuple[int, ...]:
    ops = []
    while state in came_from:
        state, op = came_from[state]
        ops.append(op)
    return tuple(reversed(ops))


def _ancestors(graph: Graph, values: Collection[int], ops: Collection[int]) -> list[int]:
    """The ops, and all that could help to run them or to make the values resident; ascending."""
    ops = set(ops)
    pending = [*values, *(value for op in ops for value in graph.ops[op].inputs)]
    while pending:
        producer = graph.values[pending.pop()].producer
        if producer not in ops:
            ops.add(producer)
            pending.extend(graph.ops[producer].inputs)
    return sorted(ops)


def _smallest_drops(idle: list[tuple[int, int]], excess_bytes: int) -> Iterator[int]:
    """Every set of idle values that frees the excess and would not without any one of them."""
    if excess_bytes <= 0:
        yield 0
        return
    ordered = sorted(idle, key=lambda each: (-each[1], each[0]))
    rest = [0] * (len(ordered) + 1)
    for index in range(len(ordered) - 1, -1, -1):
        rest[index] = rest[index + 1] + ordered[index][1]

    def extend(index: int, chosen: int, missing: int) -> Iterator[int]:
        if missing <= 0:
            yield chosen
        elif rest[index] >= missing:
            value, size = ordered[index]
            yield from extend(index + 1, chosen | value, missing - size)
            yield from extend(index + 1, chosen, missing)

    # Largest first: a set is left as soon as it suffices, so its last member is its smallest.
    yield from extend(0, 0, excess_bytes)
