"""Local search: what it returns is legal, fits, and is never dearer."""

from __future__ import annotations

from itertools import count

from strategies import random_budget, random_graph
from walks import random_walk

from hcb_opt.generators import chain, random_layered
from hcb_opt.graph import Graph
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.replay import Replay, replay
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule


def never() -> bool:
    return False


def judge(graph: Graph, order: list[int]) -> Replay:
    judged = replay(graph, schedule_from_computes(graph, order))
    assert judged.fixed_order
    return judged


def test_make_fit_fits() -> None:
    repaired = lost = 0
    for seed in range(900):
        graph = random_graph(seed, max_ops=10)
        budget = random_budget(graph, seed)
        order = random_walk(graph, seed) if seed % 2 else list(range(len(graph.ops)))
        before = judge(graph, order)
        fitting = make_fit(graph, order, budget, never)
        if fitting is None:
            lost += 1
            continue
        assert judge(graph, fitting).peak_bytes <= budget, graph.name
        if before.peak_bytes <= budget:
            assert fitting == order
        else:
            repaired += 1
    assert repaired > 150
    assert lost < 500


def test_make_fit_says_no_to_what_cannot_be() -> None:
    for seed in range(300):
        graph = random_graph(seed, max_ops=7)
        budget = random_budget(graph, seed)
        if solve_schedule(graph, budget, method="exhaustive").schedule is None:
            assert make_fit(graph, range(len(graph.ops)), budget, never) is None


def test_remove_needless_is_never_dearer() -> None:
    shorter = 0
    for seed in range(900):
        graph = random_graph(seed, max_ops=9)
        order = random_walk(graph, seed)
        before = judge(graph, order)
        budget = before.peak_bytes + seed % 3
        cheap = remove_needless(graph, order, budget, never)
        after = judge(graph, cheap)
        assert after.peak_bytes <= budget, graph.name
        assert after.cost <= before.cost
        assert len(cheap) <= len(order)
        shorter += len(cheap) < len(order)
    assert shorter > 400


def test_remove_needless_leaves_nothing_that_goes_alone() -> None:
    # With all the room there is, no recompute is needed.
    for seed in range(200):
        graph = random_graph(seed, max_ops=9)
        order = random_walk(graph, seed)
        plenty = graph.store_all_peak_bytes + judge(graph, order).peak_bytes
        assert remove_needless(graph, order, plenty, never) == list(range(len(graph.ops))), graph.name


def test_stop_ends_the_search() -> None:
    graph = random_layered(100, seed=1)
    order = range(len(graph.ops))
    budget = graph.store_all_peak_bytes // 2
    asked = count()
    assert make_fit(graph, order, budget, lambda: next(asked) >= 1) is None
    assert next(asked) <= 2
    again = [*order, 5, 7]
    assert remove_needless(graph, again, 2 * graph.store_all_peak_bytes, lambda: True) == again


def test_chain_is_repaired_at_a_tight_budget() -> None:
    graph = chain(20)
    for share in (0.3, 0.5, 0.9):
        budget = int(graph.store_all_peak_bytes * share)
        fitting = make_fit(graph, range(len(graph.ops)), budget, never)
        assert fitting is not None
        cheap = remove_needless(graph, fitting, budget, never)
        judged = judge(graph, cheap)
        assert judged.peak_bytes <= budget
        assert graph.base_cost < judged.cost <= 3 * graph.base_cost
