"""Large-neighbourhood search: whatever it returns fits and is no dearer."""

from __future__ import annotations

import random
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from hcb_opt.generators import chain, random_layered
from hcb_opt.graph import Graph
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.shake import Shaker
from hcb_opt.solve import solve_schedule


def never() -> bool:
    return False


def fitting(graph: Graph, budget_bytes: int) -> list[int] | None:
    return make_fit(graph, range(len(graph.ops)), budget_bytes, never)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.75, 0.98))
def test_a_neighbour_fits_and_is_no_dearer(seed: int, share: float) -> None:
    graph = random_layered(40, seed=seed)
    budget_bytes = int(share * graph.store_all_peak_bytes)
    start = fitting(graph, budget_bytes)
    if start is None:
        return
    shaker = Shaker(graph, start, budget_bytes, random.Random(seed))
    for _ in range(12):
        cost = shaker.cost
        cheaper = shaker.shake(never)
        after = replay(graph, schedule_from_computes(graph, shaker.order))
        assert after.peak_bytes <= budget_bytes and after.fixed_order
        assert after.cost == shaker.cost
        assert cheaper == (shaker.cost < cost) and shaker.cost <= cost


def test_nothing_to_leave_out_is_no_neighbour() -> None:
    graph = chain(10)
    order = list(range(len(graph.ops)))
    shaker = Shaker(graph, order, graph.store_all_peak_bytes, random.Random(0))
    assert not shaker.shake(never)
    assert shaker.order == order


def test_a_stopped_search_leaves_the_sequence_as_it_was() -> None:
    graph = random_layered(60, seed=5)
    budget_bytes = int(0.85 * graph.store_all_peak_bytes)
    start = fitting(graph, budget_bytes)
    assert start is not None
    shaker = Shaker(graph, start, budget_bytes, random.Random(1))
    for allowed in range(6):
        asked = count()
        before = shaker.order
        if not shaker.shake(lambda asked=asked, allowed=allowed: next(asked) >= allowed):  # type: ignore[misc]
            judged = replay(graph, schedule_from_computes(graph, shaker.order))
            assert judged.peak_bytes <= budget_bytes and judged.cost <= sum(graph.ops[op].cost for op in before)


def test_it_improves_a_poor_sequence_and_repeats_by_seed() -> None:
    graph = random_layered(100, seed=2)
    budget_bytes = int(0.75 * graph.store_all_peak_bytes)
    found = fitting(graph, budget_bytes)
    assert found is not None
    start = remove_needless(graph, found, budget_bytes, never)

    def searched() -> list[int]:
        shaker = Shaker(graph, start, budget_bytes, random.Random(7))
        for _ in range(40):
            shaker.shake(never)
        return shaker.order

    once = searched()
    assert sum(graph.ops[op].cost for op in once) < sum(graph.ops[op].cost for op in start)
    assert once == searched()


def test_two_workers_find_schedules_that_are_judged_alike() -> None:
    graph = random_layered(60, seed=3)
    alone = solve_schedule(graph, 0.8, "frontier_cuts", time_limit=3.0)
    together = solve_schedule(graph, 0.8, "frontier_cuts", time_limit=3.0, workers=2)
    for result in (alone, together):
        assert result.schedule is not None and result.lower_bound is not None and result.cost is not None
        assert result.lower_bound <= result.cost
        assert replay(graph, result.schedule).cost == result.cost
    assert together.lower_bound <= alone.cost and alone.lower_bound <= together.cost  # type: ignore[operator]
