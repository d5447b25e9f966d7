"""Lifetimes against the judge: the same bytes at every step."""

from __future__ import annotations

import numpy as np
from strategies import random_graph
from walks import random_walk

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.lifetimes import lifetimes
from hcb_opt.replay import replay
from hcb_opt.schedule import Compute, schedule_from_computes


def test_profile_is_the_judges_timeline() -> None:
    repeated = 0
    for seed in range(1500):
        graph = random_graph(seed, max_ops=9)
        order = random_walk(graph, seed)
        schedule = schedule_from_computes(graph, order)
        timeline = replay(graph, schedule).timeline_bytes
        computes = [step for step, action in enumerate(schedule.actions) if isinstance(action, Compute)]
        state = lifetimes(graph, order)
        assert state.profile_bytes.tolist() == [timeline[step] for step in computes], graph.name
        repeated += len(order) > len(graph.ops)
    assert repeated > 800


def test_residents_are_those_of_the_schedule() -> None:
    for seed in range(200):
        graph = random_graph(seed, max_ops=9)
        order = random_walk(graph, seed)
        state = lifetimes(graph, order)
        resident = [False] * len(graph.values)
        step = 0
        for action in schedule_from_computes(graph, order).actions:
            if isinstance(action, Compute):
                assert state.resident(step, len(graph.values)) == resident, f"{graph.name} at step {step}"
                step += 1
                for value in graph.ops[action.op].outputs:
                    resident[value] = True
            else:
                resident[action.value] = False
        assert state.resident(step, len(graph.values)) == resident


def test_copies_of_a_chain_read_twice() -> None:
    graph = build_graph(
        [
            OpSpec("a", 1, (), (("x", 4), ("unread", 2))),
            OpSpec("b", 1, ("x",), (("y", 8),), workspace_bytes=1),
            OpSpec("c", 1, ("x", "y"), (("z", 1),)),
        ],
        ["z"],
    )
    state = lifetimes(graph, [0, 1, 0, 2])
    assert state.values.tolist() == [0, 1, 2, 0, 1, 3]
    assert state.steps == [[0, 1], [0], [1, 3], [2, 3], [2], [3, 4]]
    assert state.profile_bytes.tolist() == [6, 13, 14, 13]
    assert state.excess_bytes(13).tolist() == [0, 0, 1, 0]


def test_a_graph_without_values_holds_its_workspaces() -> None:
    graph = build_graph([OpSpec("a", 1, workspace_bytes=3), OpSpec("b", 1)])
    assert np.array_equal(lifetimes(graph, [0, 1]).profile_bytes, [3, 0])
