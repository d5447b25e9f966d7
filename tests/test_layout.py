"""Layouts of schedules and of any buffers: lifetimes, bounds, rules, searches and the exact model."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import islice

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from packings import CAPACITY, cut_rectangle, random_buffers, require_apart, smallest_arena_by_trial
from strategies import graphs, random_graph
from walks import random_walk

import hcb_opt
from hcb_opt.errors import InvalidInput
from hcb_opt.generators import chain, random_training
from hcb_opt.graph import Graph
from hcb_opt.layout import Buffer, layout, place
from hcb_opt.layout.best_fit import best_fit, first_fit, orders, stack
from hcb_opt.layout.canonical import CanonicalSearch
from hcb_opt.layout.exact import ExactAnswer, smallest_arena
from hcb_opt.layout.instances import Kind, value_instances
from hcb_opt.layout.packing import pack
from hcb_opt.layout.search import _reorder
from hcb_opt.layout.validator import check_layout, check_schedule_layout
from hcb_opt.replay import IllegalSchedule, replay
from hcb_opt.schedule import Compute, Drop, Schedule, schedule_from_computes
from hcb_opt.solve import solve_schedule

FOREVER = float("inf")
NEVER_TIGHT = (
    ("y", 0, 1, 2),
    ("z", 0, 2, 2),
    ("a", 1, 3, 1),
    ("b", 1, 4, 1),
    ("c", 2, 3, 1),
    ("d", 2, 4, 1),
    ("x", 3, 5, 2),
    ("w", 4, 5, 2),
)


def test_instances_of_the_step(step: Graph) -> None:
    x1, x2, x3, loss = 0, 2, 3, 4
    actions = [Compute(0), Compute(1), Drop(x1), Compute(2), Drop(x2), Compute(3), Drop(x3), Compute(0), Compute(0)]
    buffers = value_instances(step, Schedule(tuple(actions)))
    assert [(each.name, each.start, each.end, each.size_bytes, each.kind) for each in buffers] == [
        ("x1", 0, 2, 10, Kind.FIRST),
        ("mask", 0, 7, 2, Kind.FIRST),  # computed again while held
        ("x2", 1, 4, 20, Kind.FIRST),
        ("x3", 3, 6, 20, Kind.FIRST),
        ("loss", 5, 9, 4, Kind.FIRST),
        ("loss", 5, 6, 6, Kind.WORKSPACE),
        ("x1", 7, 8, 10, Kind.AGAIN),
        ("mask", 7, 8, 2, Kind.AGAIN),
        ("x1", 8, 9, 10, Kind.AGAIN),
        ("mask", 8, 9, 2, Kind.AGAIN),
    ]
    assert step.values[loss].name == "loss"


@given(graphs(), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_buffers_weigh_what_replay_counts(graph: Graph, seed: int) -> None:
    for schedule in (
        schedule_from_computes(graph, random_walk(graph, seed)),
        Schedule(tuple(Compute(op) for op in random_walk(graph, seed))),  # nothing dropped, much replaced
    ):
        judged = replay(graph, schedule)
        held = [0] * len(schedule.actions)
        for buffer in value_instances(graph, schedule):
            for step in range(buffer.start, buffer.end):
                held[step] += buffer.size_bytes
        assert tuple(held) == judged.timeline_bytes


@given(graphs(), st.integers(0, 10_000), st.sampled_from((1, 4, 256)))
@settings(max_examples=40, deadline=None)
def test_layouts_of_random_schedules_are_right(graph: Graph, seed: int, alignment: int) -> None:
    schedule = schedule_from_computes(graph, random_walk(graph, seed))
    found = layout(graph, schedule, alignment_bytes=alignment, time_limit=0.2)
    check_schedule_layout(graph, schedule, found)
    assert found.live_peak_bytes == found.lower_bound_bytes <= found.arena_bytes
    peak = replay(graph, schedule).peak_bytes
    assert found.live_peak_bytes >= peak
    if alignment == 1:
        assert found.live_peak_bytes == peak


@pytest.mark.parametrize("budget", [1.0, 0.9, 0.7, 0.6])
def test_training_steps_are_packed_within_two_percent(budget: float) -> None:
    for seed in range(4):
        graph = random_training(12, seed)
        method = "store_all" if budget == 1.0 else "block_programme"
        result = solve_schedule(graph, budget, method=method, time_limit=0.5)
        if result.schedule is None:
            continue
        found = layout(graph, result.schedule, alignment_bytes=1, time_limit=3.0)
        check_schedule_layout(graph, result.schedule, found)
        assert found.fragmentation <= 0.02


def test_persistent_bytes_have_an_arena_of_their_own(step: Graph) -> None:
    schedule = schedule_from_computes(step, range(len(step.ops)))
    found = hcb_opt.layout(step, schedule, alignment_bytes=64)
    assert found.persistent_bytes == 128
    assert found.arena_bytes == found.live_peak_bytes == 6 * 64  # x1, mask, x2, x3, loss and g3


def test_an_illegal_schedule_is_refused(step: Graph) -> None:
    with pytest.raises(IllegalSchedule):
        layout(step, Schedule((Compute(1),)))


@pytest.mark.parametrize("option", ["alignment_bytes", "time_limit", "workers", "capacity_bytes"])
def test_options_out_of_range_are_named(option: str) -> None:
    with pytest.raises(InvalidInput, match=f"{option.removesuffix('_bytes').replace('_', ' ')} 0: not above zero"):
        place([], **{option: 0})


def test_a_negative_seed_is_named() -> None:
    with pytest.raises(InvalidInput, match="seed -1: below zero"):
        place([], seed=-1)


def test_nothing_to_place() -> None:
    for buffers in ((), (Buffer("empty", 0, 3, 0),)):
        found = place(buffers, exact=True)
        check_layout(found)
        assert found.arena_bytes == 0 and found.fragmentation == 0.0 and found.proven


@given(st.integers(0, 100_000), st.sampled_from((stack, first_fit, best_fit)))
@settings(max_examples=60, deadline=None)
def test_every_rule_gives_a_layout_on_its_own_legs(seed: int, rule) -> None:  # type: ignore[no-untyped-def]
    packing, _ = pack(random_buffers(seed, 14), 1)
    for order in orders(packing).values() if packing.count else ():
        offsets = rule(packing, order)
        assert sorted(order.tolist()) == list(range(packing.count))
        require_apart(packing, offsets)


def test_best_fit_takes_the_smallest_gap() -> None:
    """Two gaps below the top: of 5 bytes at 1, of 3 at 8; the last buffer has 3."""
    held = [("a", 0, 9, 1), ("gap5", 0, 1, 5), ("b", 0, 9, 2), ("gap3", 0, 1, 3), ("c", 0, 9, 1)]
    packing, _ = pack([*(Buffer(*each) for each in held), Buffer("last", 1, 9, 3)], 1)
    order = np.arange(6)
    assert first_fit(packing, order).tolist() == [0, 1, 6, 8, 11, 1]
    assert best_fit(packing, order).tolist() == [0, 1, 6, 8, 11, 8]


@given(st.integers(0, 100_000))
@settings(max_examples=25, deadline=None)
def test_exact_is_brute_force(seed: int) -> None:
    buffers = random_buffers(seed, 7)
    found = place(buffers, exact=True, time_limit=10)
    check_layout(found)
    assert found.arena_bytes == found.lower_bound_bytes == smallest_arena_by_trial(buffers)


def test_exact_proves_that_the_live_peak_is_not_reached() -> None:
    """Halves left by y and z hold a beside b and c beside d; then x wants a beside c, and w the rest in one piece."""
    found = place([Buffer(*each) for each in NEVER_TIGHT], exact=True, time_limit=20)
    check_layout(found)
    assert (found.live_peak_bytes, found.lower_bound_bytes, found.arena_bytes) == (4, 5, 5)
    assert smallest_arena_by_trial(found.buffers) == 5
    packing, _ = pack(found.buffers, 1)
    assert smallest_arena(packing, 4, 4, 4, 20.0) == ExactAnswer(None, 5)
    one_less = smallest_arena(packing, 4, 4, 5, 20.0)
    assert one_less.offsets is not None and packing.arena(one_less.offsets) == one_less.lower_bound == 5
    heuristic = place(found.buffers)
    assert heuristic.lower_bound_bytes == 4 and not heuristic.proven


@given(st.integers(0, 100_000), st.booleans(), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_depth_first_search_finds_a_layout_if_and_only_if_there_is_one(
    seed: int, tightest: bool, shuffled: int
) -> None:
    buffers = random_buffers(seed, 7)
    packing, _ = pack(buffers, 1)
    if not packing.count:
        return
    smallest = smallest_arena_by_trial(buffers)
    order = np.random.default_rng(shuffled).permutation(packing.count)
    for capacity in range(packing.lower_bound, smallest + 2):
        offsets = CanonicalSearch(packing, capacity, order, tightest).run(10**6, FOREVER)
        assert (offsets is not None) == (capacity >= smallest)
        if offsets is not None:
            require_apart(packing, offsets, capacity)


@given(st.integers(8, 14), st.integers(0, 100_000), st.booleans())
@settings(max_examples=100, deadline=None)
def test_depth_first_search_finds_every_perfect_packing(count: int, seed: int, tightest: bool) -> None:
    """In any order: most of the way there are places that only the second arm of a branch leaves free."""
    packing, _ = pack(cut_rectangle(count, seed), 1)
    order = np.random.default_rng(seed).permutation(count)
    offsets = CanonicalSearch(packing, CAPACITY, order, tightest).run(10**6, FOREVER)
    assert offsets is not None
    require_apart(packing, offsets, CAPACITY)


def test_a_search_without_patience_ends_at_its_first_dead_end() -> None:
    packing, _ = pack(cut_rectangle(14, 3), 1)
    searches = [CanonicalSearch(packing, CAPACITY, np.arange(14), tightest) for tightest in (False, True)]
    found = [search.run(10**6, FOREVER, patience=0) is not None for search in searches]
    assert all(search.run(10**6, FOREVER) is not None for search in searches) and not all(found)


def test_heuristics_go_on_beside_cp_sat() -> None:
    """Whoever is first ends the other; what CP-SAT has proven by then is kept."""
    for seed in range(5):
        buffers = random_buffers(seed, 9)
        found = place(buffers, exact=True, time_limit=20.0, workers=2)
        assert found.arena_bytes == smallest_arena_by_trial(buffers)
    crowded = cut_rectangle(250, 1)
    began = time.perf_counter()
    found = place(crowded, exact=True, time_limit=4.0, workers=2)
    assert time.perf_counter() - began < 8.0
    check_layout(found)
    assert found.arena_bytes >= CAPACITY


@pytest.mark.parametrize("tightest", [False, True])
def test_depth_first_search_lays_no_dead_end_to_what_lies_apart_in_time(tightest: bool) -> None:
    """Of the twelve buffers that come first there are very many layouts: none is tried but one."""
    early = [Buffer(f"early{index}", index % 3, 4 + index % 2, 1) for index in range(12)]
    late = [Buffer(name, start + 5, end + 5, 3 * size) for name, start, end, size in NEVER_TIGHT]
    packing, _ = pack([*early, *late], 1)
    began = time.perf_counter()
    search = CanonicalSearch(packing, packing.lower_bound, np.arange(packing.count), tightest)
    assert search.run(10**9, began + 10) is None
    assert time.perf_counter() < began + 5


@pytest.mark.parametrize("seed", [0, 2, 5])
def test_reordering_alone_packs_what_its_rule_does_not(seed: int) -> None:
    packing, _ = pack(cut_rectangle(60, seed), 1)
    order = orders(packing)["size x lifetime"]
    assert packing.arena(stack(packing, order)) > 1.15 * CAPACITY
    rounds = islice(_reorder(packing, order, np.random.default_rng(0)), 600)
    assert min(packing.arena(offsets) for offsets in rounds) <= 1.05 * CAPACITY


@pytest.mark.parametrize("seed", range(8))
def test_perfect_packings_are_found_by_heuristics(seed: int) -> None:
    buffers = cut_rectangle(30, seed)
    found = place(buffers, time_limit=20)
    check_layout(found, CAPACITY)
    assert found.proven and found.live_peak_bytes == CAPACITY


@pytest.mark.parametrize("count", [100, 250])
def test_large_perfect_packings_are_found_within_the_capacity(count: int) -> None:
    found = place(cut_rectangle(count, 1), capacity_bytes=CAPACITY, exact=True, time_limit=15, workers=2)
    check_layout(found, CAPACITY)


def test_a_capacity_above_the_live_peak_ends_the_search() -> None:
    buffers = cut_rectangle(60, 3)
    loose = place(buffers, capacity_bytes=2 * CAPACITY, time_limit=20)
    assert CAPACITY < loose.arena_bytes <= 2 * CAPACITY and not loose.proven


def test_the_time_limit_holds_for_large_schedules() -> None:
    graph = chain(1500)
    schedule = schedule_from_computes(graph, range(len(graph.ops)))
    began = time.perf_counter()
    found = layout(graph, schedule, alignment_bytes=1, time_limit=0.01)
    assert time.perf_counter() - began < 5
    check_schedule_layout(graph, schedule, found)


def test_same_seed_same_layout() -> None:
    graph = random_graph(33, 8)
    schedule = schedule_from_computes(graph, random_walk(graph, 5))
    assert layout(graph, schedule, seed=3).offsets == layout(graph, schedule, seed=3).offsets
    buffers = cut_rectangle(24, 2)
    assert place(buffers, seed=3).offsets == place(buffers, seed=3).offsets


def test_heuristics_import_no_solver() -> None:
    code = (
        "import sys\n"
        "sys.modules['ortools'] = None\n"
        "sys.modules['highspy'] = None\n"
        "import hcb_opt\n"
        "from hcb_opt.generators import chain\n"
        "graph = chain(9)\n"
        "found = hcb_opt.layout(graph, hcb_opt.schedule_from_computes(graph, range(len(graph.ops))))\n"
        "print(found.proven, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True False\n", done.stderr
