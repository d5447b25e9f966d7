"""The frontier of an order is no lower bound: twelve sources, a frontier of 13 in every order, and three bytes enough.

The graph and the schedule of ``FrontierNotBound.v`` of ``proofs/``, held against replay and against the bounds.
"""

from __future__ import annotations

import random

import networkx
import pytest

from hcb_opt.bounds import cover_bound, mandatory_memory
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.free_bounds import free_cover_bound
from hcb_opt.graph import Graph
from hcb_opt.reordering import reordered
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule


def two_passes(count: int) -> Graph:
    """Sources, each read by a first chain of ops and, in the opposite order, by a second; all of one byte."""
    specs = [OpSpec(f"s{source}", 1, (), ((f"s{source}", 1),)) for source in range(count)]
    before: tuple[str, ...] = ()
    for name, sources in (("a", range(count)), ("b", range(count - 1, -1, -1))):
        for source in sources:
            specs.append(OpSpec(f"{name}{source}", 1, (*before, f"s{source}"), ((f"{name}{source}", 1),)))
            before = (f"{name}{source}",)
    return build_graph(specs, before, name=f"two_passes_{count}")


def frontier(graph: Graph) -> int:
    """Most bytes alive between two ops, where every op runs once in the graph's order."""
    return max(
        sum(size for size, each, last in zip(graph.sizes, graph.values, graph.last_needed, strict=True)
            if each.producer < position <= last)
        for position in range(1, len(graph.ops) + 1)
    )  # fmt: skip


def each_source_right_before_it_is_read(count: int) -> list[int]:
    reads = [*range(count), *reversed(range(count))]
    return [op for number, source in enumerate(reads) for op in (source, count + number)]


def random_order(graph: Graph, rng: random.Random) -> list[int]:
    order: list[int] = []
    ready = {op for op, each in enumerate(graph.ops) if not each.inputs}
    while ready:
        order.append(rng.choice(sorted(ready)))
        ready = {
            op
            for op, each in enumerate(graph.ops)
            if op not in order and all(graph.values[value].producer in order for value in each.inputs)
        }
    return order


@pytest.mark.parametrize(("count", "orders"), [(1, 1), (2, 3), (3, 15), (4, 105)])
def test_every_order_of_few_sources(count: int, orders: int) -> None:
    graph = two_passes(count)
    network = networkx.DiGraph(
        (graph.values[value].producer, position) for position, op in enumerate(graph.ops) for value in op.inputs
    )
    frontiers = [frontier(reordered(graph, order)) for order in networkx.all_topological_sorts(network)]
    assert frontiers == [count + 1] * orders


def test_twelve_sources_have_a_frontier_of_13_in_any_order() -> None:
    graph = two_passes(12)
    rng = random.Random(12)
    assert frontier(graph) == 13
    assert {frontier(reordered(graph, random_order(graph, rng))) for _ in range(40)} == {13}
    # A proof for all orders: within 12 bytes something must run again.
    assert free_cover_bound(graph, 12) > graph.base_cost


def test_three_bytes_are_enough() -> None:
    graph = two_passes(12)
    judged = replay(graph, schedule_from_computes(graph, each_source_right_before_it_is_read(12)))
    assert (judged.peak_bytes, judged.cost) == (3, 48)
    assert mandatory_memory(graph).size_bytes == 3


@pytest.mark.parametrize("budget", range(3, 14))
def test_bounds_respect_it(budget: int) -> None:
    """No bound takes the frontier for a limit: each is below what recomputing sources costs."""
    graph = two_passes(12)
    assert cover_bound(graph, budget) <= 48
    assert free_cover_bound(graph, budget) <= 48


def test_a_method_finds_it() -> None:
    found = solve_schedule(two_passes(12), 3, "frontier_cuts", order="fixed", time_limit=30)
    assert found.peak_bytes == 3
