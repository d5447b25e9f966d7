"""Large-neighbourhood search: whatever it returns fits and is no dearer."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hcb_opt.generators import chain, random_layered
from hcb_opt.graph import Graph
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.shake import shake
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
    order = fitting(graph, budget_bytes)
    rng = random.Random(seed)
    while order is not None:
        before = replay(graph, schedule_from_computes(graph, order))
        other = shake(graph, order, budget_bytes, rng, never)
        if other is None:
            break
        after = replay(graph, schedule_from_computes(graph, other))
        assert after.peak_bytes <= budget_bytes and after.fixed_order
        assert after.cost <= before.cost
        if after.cost == before.cost:
            break
        order = other


def test_nothing_to_leave_out_is_no_neighbour() -> None:
    graph = chain(10)
    assert shake(graph, range(len(graph.ops)), graph.store_all_peak_bytes, random.Random(0), never) is None


def test_it_improves_a_poor_sequence_and_repeats_by_seed() -> None:
    graph = random_layered(100, seed=2)
    budget_bytes = int(0.9 * graph.store_all_peak_bytes)
    found = fitting(graph, budget_bytes)
    assert found is not None
    start = remove_needless(graph, found, budget_bytes, never)

    def searched() -> list[int]:
        order, rng = start, random.Random(7)
        for _ in range(40):
            order = shake(graph, order, budget_bytes, rng, never) or order
        return order

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
