"""Orders with narrow frontiers, and the methods that try them where the order is free."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_budget, random_graph

from hcb_opt.blocks import frontier_bytes, turn_position
from hcb_opt.generators import ForwardOp, chain, training_step
from hcb_opt.graph import Graph
from hcb_opt.narrow_order import narrow_order
from hcb_opt.reordering import reordered
from hcb_opt.replay import replay
from hcb_opt.solve import solve_schedule

METHODS = ("block_checkpoints", "interval_tree")


def towers(count: int, height: int) -> Graph:
    """Towers of large values that end in small ones, side by side, stored row by row; a last op reads all ends."""
    forward = [
        ForwardOp((count * (row - 1) + tower,) if row else (), 1 if row == height - 1 else 10)
        for row in range(height)
        for tower in range(count)
    ]
    ends = tuple(range(count * (height - 1), count * height))
    return training_step([*forward, ForwardOp(ends, 1)], name=f"towers_{count}_{height}")


def widest(graph: Graph, turn: int) -> int:
    return max(frontier_bytes(graph, turn))


def test_towers_are_climbed_one_after_the_other() -> None:
    graph = towers(6, 5)
    turn = turn_position(graph)
    order = narrow_order(graph, turn)
    assert widest(graph, turn) == 60
    assert widest(reordered(graph, order), turn) == 5 + 10
    assert [each % 6 for each in order[:30]] == [tower for tower in range(6) for _ in range(5)]
    # The backward comes down the last tower first.
    names = [graph.ops[each].name for each in order[turn + 1 :]]
    assert names[:5] == ["b30", "b24", "b18", "b12", "b6"]


@given(st.integers(0, 100_000))
@settings(max_examples=150, deadline=None)
def test_orders_are_topological_and_no_wider(seed: int) -> None:
    graph = random_graph(seed, 14)
    turn = turn_position(graph)
    order = narrow_order(graph, turn)
    assert sorted(order) == list(range(len(graph.ops)))
    assert sorted(order[:turn]) == list(range(turn))
    assert widest(reordered(graph, order), turn) <= widest(graph, turn)  # and `reordered` refuses what is no order


def test_a_chain_stays_as_it_is() -> None:
    assert narrow_order(chain(9), 10) == list(range(len(chain(9).ops)))


@pytest.mark.parametrize("method", METHODS)
def test_a_free_order_reaches_budgets_that_the_stored_one_does_not(method: str) -> None:
    graph = towers(6, 5)
    free = solve_schedule(graph, 0.35, method, order="free")
    assert solve_schedule(graph, 0.35, method).schedule is None
    assert free.schedule is not None and free.claim == "free-order"
    judged = replay(graph, free.schedule)
    assert judged.peak_bytes <= free.budget_bytes and not judged.fixed_order


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_a_free_order_never_costs_more(method: str, seed: int) -> None:
    graph = random_graph(seed, 12)
    budget = random_budget(graph, seed)
    fixed, free = (solve_schedule(graph, budget, method, order=order) for order in ("fixed", "free"))
    assert fixed.cost is None or (free.cost is not None and free.cost <= fixed.cost)
