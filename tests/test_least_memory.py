"""Plans of blocks of less and less memory: legal, ever smaller, and as small as can be on chains."""

from __future__ import annotations

from itertools import pairwise

import pytest
from strategies import random_training

from hcb_opt.chains.least_memory import least_memory_schedules
from hcb_opt.generators import chain
from hcb_opt.graph import Graph
from hcb_opt.replay import Replay, replay
from hcb_opt.result import Status
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule


def judged(graph: Graph) -> list[Replay]:
    schedules = filter(None, least_memory_schedules(graph, lambda: False))
    return [replay(graph, schedule_from_computes(graph, computes)) for computes in schedules]


@pytest.mark.parametrize("seed", range(20))
def test_every_schedule_is_smaller_than_the_one_before(seed: int) -> None:
    graph = random_training(3 + seed % 6, seed)
    found = judged(graph)
    peaks = [graph.store_all_peak_bytes, *(each.peak_bytes for each in found)]
    assert all(later < earlier for earlier, later in pairwise(peaks))
    assert all(each.fixed_order for each in found)


@pytest.mark.parametrize("length", range(3, 25, 4))
def test_a_chain_comes_down_to_its_smallest_budget(length: int) -> None:
    graph = chain(length)
    smallest = min(each.peak_bytes for each in judged(graph))
    assert solve_schedule(graph, smallest - 1, "unit_chain").status is Status.INFEASIBLE
    assert solve_schedule(graph, smallest, "unit_chain").schedule is not None


def test_it_stops_when_told() -> None:
    assert not list(least_memory_schedules(chain(12), lambda: True))
