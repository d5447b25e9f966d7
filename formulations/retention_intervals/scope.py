"""Which ops may run again, how often and when: what one search covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hcb_opt.graph import Graph


@dataclass(frozen=True)
class Scope:
    """How often each op runs in a search, and when.

    Attributes
    ----------
    graph : Graph
    copies : tuple of int, one per op
        Most computes of the op, the first included, that are told apart.
    open_ended : tuple of bool, one per op
        Whether the last of ``copies`` stands for itself and any number of
        further ones. They take no memory and cost nothing, so that the search
        is a relaxation.
    latest : tuple of int, one per op
        Last stage in which it may run again: stage j ends with the first
        compute of op j, and the last stage follows all first computes.
    """

    graph: Graph
    copies: tuple[int, ...]
    open_ended: tuple[bool, ...]
    latest: tuple[int, ...]

    def stands_for_more(self, op: int, turn: int) -> bool:
        """Whether the op's compute number ``turn``, from 0, stands for further ones too."""
        return self.open_ended[op] and turn == self.copies[op] - 1

    @cached_property
    def first_times(self) -> tuple[int, ...]:
        """When each op is first computed; the end comes last.

        Before it, its stage has a time for every compute that may be repeated
        there, so that they can come in any order.
        """
        count = len(self.graph.ops)
        slots = [0] * (count + 1)
        for op in range(count):
            for stage in range(op + 1, self.latest[op] + 1):
                slots[stage] += self.copies[op] - 1
        times = []
        time = 0
        for each in slots:
            times.append(time + each)
            time += each + 1
        return tuple(times)

    @property
    def end_time(self) -> int:
        """After every compute."""
        return self.first_times[-1]

    def last_time(self, op: int) -> int:
        """The latest at which an op may run."""
        return self.first_times[op] if self.copies[op] == 1 else self.first_times[self.latest[op]] - 1


def scope(graph: Graph, told_apart: Sequence[int], spare_cost: int | None = None, cover_cost: int = 0) -> Scope:
    """Limit how often each op runs, by what a cheapest schedule can gain from it.

    A compute is repeated only if one of its values is read, or must stay, before
    the op runs once more: an op repeats at most as often as its readers run. If
    the repeats of all ops may cost ``spare_cost`` together, an op's own cost is a
    limit; and if some position forces repeats of ``cover_cost``, which counts
    every op once, only what remains may go to an op's second repeat and further
    ones. An op whose values weigh nothing is not repeated: they can be kept.

    Parameters
    ----------
    graph : Graph
    told_apart : sequence of int, one per op
        So many computes of an op are told apart; if it may run more often, one
        more stands for the rest.
    spare_cost : int or None
        None if any cost will do.
    cover_cost : int
        As `hcb_opt.bounds.cover_bound` proves it; at most ``spare_cost``.
    """
    count = len(graph.ops)
    most, copies, latest = [1] * count, [1] * count, [0] * count
    for position in range(count - 1, -1, -1):
        op = graph.ops[position]
        values = [value for value in op.outputs if graph.sizes[value]]
        readers = [reader for value in values for reader in graph.consumers[value]]
        staying = sum(value in graph.required for value in values)
        repeats = sum(most[reader] for reader in readers) + staying
        if spare_cost is not None and op.cost:
            repeats = min(repeats, spare_cost // op.cost, 1 + (spare_cost - cover_cost) // op.cost)
        if repeats:
            most[position] = repeats + 1
            copies[position] = min(most[position], told_apart[position] + 1)
            latest[position] = count if staying else max(max(reader, latest[reader]) for reader in readers)
    open_ended = tuple(each < limit for each, limit in zip(copies, most, strict=True))
    return Scope(graph, tuple(copies), open_ended, tuple(latest))
