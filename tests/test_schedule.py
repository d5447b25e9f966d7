"""Drops: `schedule_from_computes` against a naive account of what must stay."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from hcb_opt.graph import Graph
from hcb_opt.realise import recompute_on_demand
from hcb_opt.replay import replay
from hcb_opt.schedule import Compute, Drop, Schedule, schedule_from_computes


def test_drops_by_hand(step: Graph) -> None:
    actions = schedule_from_computes(step, (0, 1, 2, 3, 1, 4, 5, 6)).actions
    assert actions == (
        Compute(0), Compute(1), Compute(2), Drop(2), Compute(3), Compute(1), Compute(4), Drop(2), Drop(3),
        Compute(5), Drop(0), Drop(5), Compute(6), Drop(1), Drop(6),
    )  # fmt: skip


def test_unread_output_is_dropped_at_once(step: Graph) -> None:
    actions = schedule_from_computes(step, (0, 0, 1, 2, 3, 4, 5, 6)).actions
    assert actions[:4] == (Compute(0), Drop(0), Drop(1), Compute(0))


def test_computes_are_kept(step: Graph) -> None:
    assert schedule_from_computes(step, (0, 1, 0, 2, 3, 4, 5, 6)).computes == (0, 1, 0, 2, 3, 4, 5, 6)


def _must_stay_after(graph: Graph, computes: list[int], index: int) -> set[int]:
    """Values whose instance of this moment is read later: looked up forward, one by one."""
    stay = set()
    for value, each in enumerate(graph.values):
        if each.producer not in computes[: index + 1]:
            continue
        for later in computes[index + 1 :]:
            if value in graph.ops[later].inputs:
                stay.add(value)
                break
            if later == each.producer:
                break
        else:
            if value in graph.required:
                stay.add(value)
    return stay


def _random_computes(graph: Graph, seed: int) -> list[int]:
    rng = random.Random(seed)
    values = range(len(graph.values))
    evictions = {
        position: [value for value in values if rng.random() < 0.3]
        for position in range(len(graph.ops))
        if rng.random() < 0.7
    }
    return recompute_on_demand(graph, evictions)


@given(graphs(max_ops=10), st.integers(0, 1000))
def test_resident_is_exactly_what_must_stay(graph: Graph, seed: int) -> None:
    computes = _random_computes(graph, seed)
    schedule = schedule_from_computes(graph, computes)
    replay(graph, schedule)
    resident: set[int] = set()
    index = -1
    moments = []
    for action in schedule.actions:
        if isinstance(action, Compute):
            moments.append(set(resident))
            index += 1
            resident |= set(graph.ops[action.op].outputs)
        else:
            resident.remove(action.value)
    moments.append(set(resident))
    for index in range(len(computes)):
        assert moments[index + 1] == _must_stay_after(graph, computes, index)


@given(graphs(max_ops=8), st.integers(0, 1000))
def test_no_other_drops_hold_less(graph: Graph, seed: int) -> None:
    """Delaying any drop keeps the schedule legal and never lowers the timeline."""
    computes = _random_computes(graph, seed)
    best = schedule_from_computes(graph, computes)
    held = [b for b, a in zip(replay(graph, best).timeline_bytes, best.actions, strict=True) if isinstance(a, Compute)]
    drops = [index for index, action in enumerate(best.actions) if isinstance(action, Drop)]
    for index in random.Random(seed).sample(drops, min(3, len(drops))):
        actions = list(best.actions)
        delayed = actions.pop(index)
        later = next((at for at in range(index, len(actions)) if isinstance(actions[at], Compute)), None)
        if later is None or delayed.value in graph.ops[actions[later].op].outputs:
            continue
        actions.insert(later + 1, delayed)
        other = Schedule(tuple(actions))
        timeline = replay(graph, other).timeline_bytes
        others = [b for b, a in zip(timeline, other.actions, strict=True) if isinstance(a, Compute)]
        assert all(mine <= theirs for mine, theirs in zip(held, others, strict=True))
