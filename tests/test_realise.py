"""Recomputing on demand: legal, in the fixed order, and nothing runs unasked."""

from __future__ import annotations

import random

from strategies import random_graph

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.graph import Graph
from hcb_opt.realise import GrowingSequence, missing_ancestors, recompute_on_demand
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes


def diamond() -> Graph:
    return build_graph(
        [
            OpSpec("a", 1, (), (("x", 1), ("x2", 1))),
            OpSpec("b", 2, ("x",), (("y", 1),)),
            OpSpec("c", 4, ("x",), (("z", 1),)),
            OpSpec("d", 8, ("y", "z"), (("w", 1),)),
        ],
        ["w", "x2"],
    )


def test_nothing_evicted_is_nothing_recomputed() -> None:
    for seed in range(100):
        graph = random_graph(seed)
        assert recompute_on_demand(graph, {}) == list(range(len(graph.ops)))


def test_random_evictions_give_legal_fixed_order_sequences() -> None:
    recomputed = 0
    for seed in range(800):
        graph = random_graph(seed, max_ops=9)
        rng = random.Random(seed)
        positions = range(len(graph.ops))
        values = range(len(graph.values))
        evictions = {at: [each for each in values if rng.random() < 0.6] for at in positions if rng.random() < 0.5}
        requests = {
            at: [value for value, each in enumerate(graph.values) if each.producer < at and rng.random() < 0.3]
            for at in positions
            if rng.random() < 0.3
        }
        order = recompute_on_demand(graph, evictions, requests)
        judged = replay(graph, schedule_from_computes(graph, order))
        assert judged.fixed_order
        # An op can run again only after an eviction.
        assert max(judged.compute_counts) <= len(evictions) + 1
        recomputed += len(order) > len(graph.ops)
    assert recomputed > 200


def test_evicted_values_come_back_when_read() -> None:
    assert recompute_on_demand(diamond(), {1: [0, 1]}) == [0, 1, 0, 2, 3]
    assert recompute_on_demand(diamond(), {2: [0, 2]}) == [0, 1, 2, 0, 1, 3]
    assert recompute_on_demand(diamond(), {3: [0, 2, 3]}) == [0, 1, 2, 3]


def test_evicted_outputs_come_back_at_the_end() -> None:
    assert recompute_on_demand(diamond(), {3: [1]}) == [0, 1, 2, 3, 0]
    assert recompute_on_demand(diamond(), {3: [0, 1, 2, 3, 4]}) == [0, 1, 2, 3, 0, 1, 2, 3]


def test_requests_and_scripts_come_before_their_op() -> None:
    assert recompute_on_demand(diamond(), {1: [2]}, {2: [2]}) == [0, 1, 1, 2, 3]
    assert recompute_on_demand(diamond(), {}, None, {2: [0, 1, 0], 4: [0]}) == [0, 1, 0, 1, 0, 2, 3, 0]


def test_missing_ancestors_stop_at_what_is_available() -> None:
    graph = diamond()
    none = [False] * 5
    assert missing_ancestors(graph, [4], none) == [0, 1, 2, 3]
    assert missing_ancestors(graph, [4], [True, False, False, False, False]) == [1, 2, 3]
    assert missing_ancestors(graph, [4], [False, True, True, False, False]) == [0, 2, 3]
    assert missing_ancestors(graph, [0, 1], none) == [0]
    assert missing_ancestors(graph, [4], [False, False, False, False, True]) == []


def test_a_growing_sequence_provides_what_was_forgotten_and_keeps_outputs() -> None:
    sequence = GrowingSequence(diamond())
    assert sequence.provide([4]) == [0, 1, 2, 3, 4]
    sequence.forget(range(5))
    assert sequence.available == [False, True, False, False, True]
    assert sequence.provide([2]) == [0, 2]
    assert sequence.provide([2]) == []
    assert sequence.order == [0, 1, 2, 3, 0, 1]
