"""Which buffers are written over others: the output of an op over an input that dies with it.

An output and an input that it may be written over have the same size, and the input is
dropped right after the op. As one buffer, held from the start of the one to the end of
the other, they pack like any other. Of all ways to choose inputs to write over, none
holds less at any step than one that always writes over some input: the op's output then
takes no bytes of its own, whichever input it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hcb_opt.graph import Graph
from hcb_opt.layout.instances import Buffer, Kind
from hcb_opt.schedule import Compute, Drop, Schedule

Pairs = tuple[tuple[int, int], ...]
"""Buffers that are written over another one, and that other one."""


def takeovers(graph: Graph, schedule: Schedule, buffers: Sequence[Buffer]) -> Pairs:
    """For every run of an op that may write over an input that dies with it, its output and the first such input.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule
        Legal, as judged by `hcb_opt.replay`.
    buffers : sequence of Buffer
        Of the schedule, by `hcb_opt.layout.instances.value_instances`.

    Returns
    -------
    tuple of (int, int)
        Each buffer takes over one other at most, and is taken over at most once.
    """
    dropped = _dropped_at_once(schedule)
    latest: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for index, buffer in enumerate(buffers):
        if buffer.kind is Kind.WORKSPACE:
            continue
        action = schedule.actions[buffer.start]
        if isinstance(action, Compute):
            dying = [value for value in graph.ops[action.op].in_place if value in dropped[buffer.start]]
            pairs += [(index, latest[graph.values[value].name]) for value in dying[:1]]
        latest[buffer.name] = index
    return tuple(pairs)


def joined(buffers: Sequence[Buffer], pairs: Pairs) -> tuple[tuple[Buffer, ...], tuple[int, ...]]:
    """Buffers with those that share their bytes as one, and for each buffer which one it is part of.

    Parameters
    ----------
    buffers : sequence of Buffer
    pairs : tuple of (int, int)
        As `takeovers` gives them. Nothing starts between the end of an output and
        that of the input it is written over: the former ends both.
    """
    giver_of = dict(pairs)
    whole: list[Buffer] = []
    whole_of: list[int] = []
    for index, buffer in enumerate(buffers):
        if index not in giver_of:
            whole_of.append(len(whole))
            whole.append(buffer)
            continue
        part_of = whole_of[giver_of[index]]
        whole_of.append(part_of)
        whole[part_of] = replace(whole[part_of], end=buffer.end)
    return tuple(whole), tuple(whole_of)


def _dropped_at_once(schedule: Schedule) -> dict[int, set[int]]:
    """By step of a compute, the values that are dropped before anything else happens."""
    found: dict[int, set[int]] = {}
    last: set[int] = set()
    for step, action in enumerate(schedule.actions):
        if isinstance(action, Drop):
            last.add(action.value)
        else:
            last = set()
            found[step] = last
    return found
