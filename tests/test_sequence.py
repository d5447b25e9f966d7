"""The editable sequence holds what `lifetimes` says, after any edits, and undoes them exactly."""

from __future__ import annotations

import random

from strategies import random_graph
from walks import random_walk

from hcb_opt.evictions import cheapest_evictions, recomputes
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
        ops = recomputes(sequence, rng.choice(computed), before, budget_bytes=rng.randrange(40))
        assert ops is not None
        assert sequence.insert(before, ops)
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


def test_evictions_relieve_the_worst_step() -> None:
    seen = 0
    for seed in range(400):
        graph = random_graph(seed, max_ops=10)
        sequence = EditableSequence(graph, random_walk(graph, seed))
        budget_bytes = int(0.8 * sequence.profile_bytes.max())
        excess = sequence.excess_bytes(budget_bytes)
        if not excess.any():
            continue
        worst = sequence.labels[int(excess.argmax())]
        at_worst = sequence.profile_bytes[sequence.position(worst)]
        evictions = cheapest_evictions(sequence, excess, budget_bytes)
        assert evictions == sorted(evictions)
        for eviction in evictions:
            ops = recomputes(sequence, eviction.value, eviction.after, budget_bytes)
            assert ops is not None and graph.values[eviction.value].producer in ops
            mark = sequence.mark()
            sequence.insert(eviction.after, ops)
            check(graph, sequence)
            # What is dropped goes; inputs that are kept for it may come on top, up to the budget only.
            assert sequence.profile_bytes[sequence.position(worst)] < max(at_worst, budget_bytes + 1)
            sequence.undo(mark)
            seen += 1
    assert seen > 200
