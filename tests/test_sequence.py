"""The editable sequence holds what `lifetimes` says, after any edits, and undoes them exactly."""

from __future__ import annotations

import math
import random

from strategies import random_graph
from walks import random_walk

from hcb_opt.evictions import Pressure
from hcb_opt.graph import Graph
from hcb_opt.lifetimes import lifetimes
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.sequence import EditableSequence


def check(graph: Graph, sequence: EditableSequence) -> None:
    expected = lifetimes(graph, sequence.order)
    assert sequence.profile_bytes[:-1].tolist() == expected.profile_bytes.tolist(), graph.name
    assert sequence.cost == sum(graph.ops[op].cost for op in sequence.order)
    assert sequence.labels == sorted(set(sequence.labels)) and len(sequence.labels) == len(sequence.order) + 1
    copies = sorted((value, start) for value in range(len(graph.values)) for start, _ in sequence.copies(value))
    assert len(copies) == len(expected.values)


def edit(graph: Graph, sequence: EditableSequence, rng: random.Random) -> None:
    """Insert the recomputes of some value before some step, or leave out some repeats that are not missed."""
    before = rng.choice(sequence.labels)
    computed = [value for value, labels in enumerate(sequence.producers) if labels[0] < before]
    if rng.random() < 0.6 and computed:
        price = rng.choice((0.0, 1.0, math.inf))
        again = Pressure(sequence, rng.randrange(40)).recomputes(rng.choice(computed), before, price)
        assert again is not None and again.cost == sum(graph.ops[op].cost for op in again.ops)
        assert sequence.insert(before, again.ops)
    else:
        sequence.remove([label for label in sequence.repeats if rng.random() < 0.4])


def test_edits_keep_the_profile_and_undo_restores_it() -> None:
    edited = 0
    for seed in range(500):
        rng = random.Random(seed)
        graph = random_graph(seed, max_ops=9)
        sequence = EditableSequence(graph, random_walk(graph, seed))
        check(graph, sequence)
        before = sequence.order, list(sequence.labels), sequence.profile_bytes.tolist()
        mark = sequence.mark()
        for _ in range(5):
            edit(graph, sequence, rng)
            if rng.random() < 0.2:
                sequence.spread()
            check(graph, sequence)
            replay(graph, schedule_from_computes(graph, sequence.order))
        edited += sequence.order != before[0]
        sequence.undo(mark)
        check(graph, sequence)
        assert (sequence.order, sequence.profile_bytes.tolist()) == (before[0], before[2])
    assert edited > 300


def test_what_is_held_is_what_lifetimes_hold() -> None:
    for seed in range(300):
        graph = random_graph(seed, max_ops=8)
        order = random_walk(graph, seed)
        sequence, expected = EditableSequence(graph, order), lifetimes(graph, order)
        for step, label in enumerate(sequence.labels):
            held = [sequence.held(value, label) for value in range(len(graph.values))]
            assert held == expected.resident(step, len(graph.values)), (graph.name, step)


def test_there_is_always_room_for_more_after_spreading() -> None:
    graph = random_graph(3, max_ops=9)
    sequence = EditableSequence(graph, range(len(graph.ops)))
    last = sequence.labels[-1]
    crowded = 0
    for _ in range(200):
        if not sequence.insert(last, [0]):
            crowded += 1
            sequence.spread()
            last = sequence.labels[-1]
            assert sequence.insert(last, [0])
    assert crowded
    check(graph, sequence)
    sequence.undo(0)
    assert sequence.order == list(range(len(graph.ops)))


def test_evictions_are_legal_and_about_as_good_as_rated() -> None:
    relieved = seen = 0
    for seed in range(400):
        graph = random_graph(seed, max_ops=10)
        sequence = EditableSequence(graph, random_walk(graph, seed))
        budget_bytes = int(0.8 * sequence.profile_bytes.max())
        pressure = Pressure(sequence, budget_bytes)
        excess = sequence.excess_bytes(budget_bytes)
        assert (pressure.total_bytes, pressure.worst) == (int(excess.sum()), int(excess.argmax()))
        if not pressure.total_bytes:
            continue
        evictions = pressure.evictions()
        assert evictions == sorted(evictions)
        for eviction in evictions:
            again = pressure.recomputes(eviction.value, eviction.before, eviction.price)
            assert again is not None and graph.values[eviction.value].producer in again.ops
            cost, mark = sequence.cost, sequence.mark()
            sequence.insert(eviction.before, again.ops)
            check(graph, sequence)
            assert sequence.cost == cost + again.cost
            relieved += int(sequence.excess_bytes(budget_bytes).sum()) < pressure.total_bytes
            sequence.undo(mark)
            seen += 1
    assert seen > 200
    assert relieved > seen // 2
