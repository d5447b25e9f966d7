"""Shortest path over all reachable memory states: the referee for small graphs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.settled import SettledStates

MAX_OPS = 14
MAX_OPS_FREE = 10
_MAX_STATES = 2_000_000
_PROGRESS_EVERY = 256

State = tuple[int, int]
"""The ops computed at least once, and the resident values, as bit masks."""


@method(
    "exhaustive",
    kind="exact",
    graphs="any DAG of at most 14 ops",
    cites="A*: Hart, Nilsson & Raphael 1968",
    max_ops=MAX_OPS,
    orders=("fixed", "free"),
)
def exhaustive(problem: Problem, progress: Progress) -> None:
    """Try every memory state in order of its cost; exact, for small graphs.

    A* over `State`. A move computes the next op of the fixed order, or in the
    free order any that has not run yet, at no charge, or recomputes an earlier
    one, for its cost, and first drops as little as makes room. That loses nothing:
    what a schedule drops earlier than needed it may as well drop later, and a state
    with more resident can do whatever one with less can. What remains is estimated
    by the ops that must run again because of what has been dropped; the estimate
    falls by no more than a move costs, so that every state settled proves a lower
    bound.
    """
    graph = problem.graph
    if problem.order == "free" and len(graph.ops) > MAX_OPS_FREE:
        progress.give_up(f"in the free order exhaustive takes graphs of at most {MAX_OPS_FREE} ops")
        return
    moves = _Moves(graph, problem.budget_bytes, problem.order == "free")
    everything = (1 << len(graph.ops)) - 1
    came_from: dict[State, tuple[State, int]] = {}
    best: dict[State, int] = {(0, 0): 0}
    settled: dict[int, SettledStates] = {}
    # (recompute cost at least, minus number of ops computed, these ops, resident, recompute
    # cost so far): among equal estimates the state that is furthest along comes first.
    heap = [(0, 0, 0, 0, 0)]
    tried = 0
    while heap:
        estimate, _, computed, resident, cost = heapq.heappop(heap)
        if computed not in settled:
            settled[computed] = SettledStates(len(graph.values))
        if not settled[computed].add(resident, cost):
            continue
        progress.raise_bound(graph.base_cost + estimate)
        if computed == everything and resident & moves.required == moves.required:
            progress.offer(schedule_from_computes(graph, _trace(came_from, (computed, resident))))
            return
        for op, after in moves.of((computed, resident)):
            tried += 1
            if tried % _PROGRESS_EVERY == 0 and _must_stop(progress, len(best)):
                return
            cost_after = cost + (graph.ops[op].cost if computed >> op & 1 else 0)
            if cost_after < best.get(after, cost_after + 1):
                best[after] = cost_after
                came_from[after] = ((computed, resident), op)
                estimate_after = cost_after + moves.cost_to_restore(after)
                heapq.heappush(heap, (estimate_after, -after[0].bit_count(), *after, cost_after))
    states = f"none of the {len(best)} reachable memory states"
    progress.prove_infeasible(f"{states} completes every op within {problem.budget_bytes} bytes")


@dataclass(frozen=True)
class _Moves:
    """The moves of the game on bit masks of resident values."""

    graph: Graph
    budget_bytes: int
    any_order: bool

    @cached_property
    def _useful(self) -> dict[int, int]:
        return {}

    @cached_property
    def _needed(self) -> dict[int, int]:
        return {}

    @cached_property
    def required(self) -> int:
        return _mask(self.graph.outputs)

    @cached_property
    def inputs(self) -> list[int]:
        return [_mask(op.inputs) for op in self.graph.ops]

    @cached_property
    def outputs(self) -> list[int]:
        return [_mask(op.outputs) for op in self.graph.ops]

    def useful(self, computed: int) -> int:
        """The values that may be read again or must stay, once these ops have been computed.

        A reader counts if it is yet to run, or writes a useful value itself.
        """
        useful = self._useful.get(computed)
        if useful is None:
            useful = self.required
            for op in range(len(self.graph.ops) - 1, -1, -1):
                if not computed >> op & 1 or self.outputs[op] & useful:
                    useful |= self.inputs[op]
            self._useful[computed] = useful
        return useful

    def needed(self, computed: int) -> int:
        """The values that must stay or that ops yet to run read, once these ops have been computed."""
        needed = self._needed.get(computed)
        if needed is None:
            needed = self.required
            for op, inputs in enumerate(self.inputs):
                if not computed >> op & 1:
                    needed |= inputs
            self._needed[computed] = needed
        return needed

    def of(self, state: State) -> Iterator[tuple[int, State]]:
        """The ops worth computing next, and the states that this may lead to."""
        computed, resident = state
        for op in range(len(self.graph.ops)):
            new = not computed >> op & 1
            if self.inputs[op] & ~resident == 0 and (new or self.outputs[op] & self.useful(computed) & ~resident):
                after = computed | 1 << op
                useful = self.useful(after)
                touched = self.inputs[op] | self.outputs[op]
                room = self.budget_bytes - self.graph.workset_bytes[op]
                for kept in self._fillings(_members(resident & ~touched & useful), room):
                    yield op, (after, (touched | kept) & useful)
            if new and not self.any_order:
                return

    def cost_to_restore(self, state: State) -> int:
        """Cost of the computed ops that must run again to provide what is absent."""
        computed, resident = state
        needed = self.needed(computed)
        cost = 0
        for op in range(computed.bit_length() - 1, -1, -1):
            if computed >> op & 1 and self.outputs[op] & needed & ~resident:
                cost += self.graph.ops[op].cost
                needed |= self.inputs[op]
        return cost

    def _fillings(self, values: list[int], room_bytes: int) -> Iterator[int]:
        """Masks of those subsets of the values that fit and to which no other can be added."""
        sizes = self.graph.sizes
        if room_bytes < 0:
            return
        if sum(sizes[value] for value in values) <= room_bytes:
            yield _mask(values)
            return
        values = sorted(values, key=lambda value: -sizes[value])
        rest = [sum(sizes[value] for value in values[index:]) for index in range(len(values) + 1)]

        def extend(index: int, kept: int, room: int, smallest_left_out: int) -> Iterator[int]:
            if room - rest[index] >= smallest_left_out:
                return
            if rest[index] <= room:
                yield kept | _mask(values[index:])
                return
            size = sizes[values[index]]
            if size <= room:
                yield from extend(index + 1, kept | 1 << values[index], room - size, smallest_left_out)
            yield from extend(index + 1, kept, room, min(size, smallest_left_out))

        yield from extend(0, 0, room_bytes, room_bytes + 1)


def _must_stop(progress: Progress, states: int) -> bool:
    if progress.done:
        if not progress.closed:
            progress.give_up(f"time limit reached after {states} memory states")
        return True
    if states > _MAX_STATES:
        progress.give_up(f"more than {_MAX_STATES} memory states; use frontier_cuts")
        return True
    return False


def _trace(came_from: dict[State, tuple[State, int]], state: State) -> list[int]:
    computes = []
    while state in came_from:
        state, op = came_from[state]
        computes.append(op)
    return computes[::-1]


def _mask(values: tuple[int, ...] | list[int]) -> int:
    mask = 0
    for value in values:
        mask |= 1 << value
    return mask


def _members(mask: int) -> list[int]:
    return [value for value in range(mask.bit_length()) if mask >> value & 1]
