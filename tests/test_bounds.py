"""Cheap bounds never exceed what the referee finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs, random_budget, random_graph

from hcb_opt.bounds import cover_bound, integer_bound, mandatory_memory, straddling_at
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.generators import chain, random_training
from hcb_opt.graph import Graph
from hcb_opt.result import Status
from hcb_opt.solve import solve_schedule


def test_cover_bound_never_exceeds_the_optimum() -> None:
    tight = above_base = 0
    for seed in range(1500):
        graph = random_training(1 + seed % 4, seed) if seed % 2 else random_graph(seed)
        budget = random_budget(graph, seed)
        if mandatory_memory(graph).size_bytes > budget:
            continue
        bound = cover_bound(graph, budget)
        result = solve_schedule(graph, budget, method="exhaustive")
        if result.cost is not None:
            assert bound <= result.cost, (seed, budget)
            above_base += bound > graph.base_cost
            tight += graph.base_cost < bound == result.cost
    assert above_base > 200
    assert tight > 50


def test_mandatory_memory_is_needed_by_every_schedule() -> None:
    for seed in range(300):
        graph = random_graph(seed, max_ops=6)
        needed = mandatory_memory(graph).size_bytes
        result = solve_schedule(graph, max(1, needed), method="exhaustive")
        assert result.peak_bytes is None or result.peak_bytes == needed, seed


@given(graphs())
def test_nothing_is_forced_where_everything_fits(graph: Graph) -> None:
    assert cover_bound(graph, graph.store_all_peak_bytes) == graph.base_cost
    assert mandatory_memory(graph).size_bytes <= graph.store_all_peak_bytes


@given(graphs(), st.integers(0, 1000))
def test_less_room_forces_no_less(graph: Graph, seed: int) -> None:
    least = mandatory_memory(graph).size_bytes
    budget = max(least, random_budget(graph, seed))
    assert cover_bound(graph, budget) <= cover_bound(graph, least)


def test_cover_bound_by_hand() -> None:
    # Beside 'big' (8 bytes) 4 bytes are left of 12; of x and y (4 bytes each) one must go: the cheaper.
    graph = build_graph(
        [
            OpSpec("a", 5, (), (("x", 4),)),
            OpSpec("b", 3, (), (("y", 4),)),
            OpSpec("big", 1, (), (("t", 8),)),
            OpSpec("c", 1, ("x", "y"), (("z", 0),)),
        ]
    )
    assert cover_bound(graph, 12) == graph.base_cost + 3
    assert cover_bound(graph, 8) == graph.base_cost + 8
    assert cover_bound(graph, 10) == graph.base_cost + 6  # 6 bytes: all of y, half of x


def test_values_of_one_op_are_freed_together() -> None:
    graph = build_graph(
        [
            OpSpec("pair", 7, (), (("x", 4), ("y", 4))),
            OpSpec("big", 1, (), (("t", 8),)),
            OpSpec("c", 1, ("x", "y"), (("z", 0),)),
        ]
    )
    assert cover_bound(graph, 8) == graph.base_cost + 7


def test_mandatory_memory_names_the_op_or_the_outputs() -> None:
    op = build_graph([OpSpec("a", 1, (), (("x", 4),)), OpSpec("wide", 1, ("x",), (("y", 5),), workspace_bytes=6)])
    assert mandatory_memory(op).size_bytes == 15
    assert "op 'wide' needs 15 bytes" in mandatory_memory(op).reason
    outputs = build_graph([OpSpec(f"o{i}", 1, (), ((f"v{i}", 3),)) for i in range(5)], [f"v{i}" for i in range(5)])
    assert mandatory_memory(outputs).size_bytes == 15
    assert "the outputs (v0, v1, v2 and 2 more)" in mandatory_memory(outputs).reason
    result = solve_schedule(op, 14)
    assert result.status == Status.INFEASIBLE
    assert result.lower_bound is None
    assert "wide" in result.reason


def test_straddling_values_live_on_both_sides_and_are_not_touched() -> None:
    graph = chain(3)
    crossing = [
        [graph.values[value].name for value in each]
        for each in (straddling_at(graph, op) for op in range(len(graph.ops)))
    ]
    assert crossing == [[], [], ["x1"], ["x1", "x2"], ["x1"], [], []]


def test_integer_bound_rounds_up_but_not_past_the_error() -> None:
    assert integer_bound(4.2) == 5
    assert integer_bound(5.0000001) == 5
    assert integer_bound(4.9999999) == 5
    assert integer_bound(41.0, 10) == 50
    assert integer_bound(-3.0) == 0
    assert integer_bound(1e12 + 1.0) <= 10**12 + 1
