"""Plans for chains of rings: published figures, an exhaustive search over all plans, and execution slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcb_opt.errors import InvalidInput
from hcb_opt.ring_chains import (
    Advance,
    Reverse,
    RingPlan,
    Store,
    ring_plan,
    square_root_interval,
    uniform_plan,
)
from hcb_opt.ring_reach import fewest_slots, longest_from_start, longest_segment, runs_needed


def reversed_by(plan: RingPlan) -> int:
    """Execute a plan slot by slot: every step finds its columns; the steps run in all."""
    slots: list[int | None] = [None] * plan.slots
    next_reversed, steps_run = plan.steps, 0
    for action in plan.actions:
        if isinstance(action, Reverse):
            for time in range(action.stop, action.start, -1):
                assert time == next_reversed
                assert slots[action.slot + time - action.start - 1] == time
                next_reversed -= 1
            continue
        source = action.source if isinstance(action, Advance) else action.slot
        window: list[int] = []
        if action.start:
            held = slots[source : source + plan.ring]
            oldest = action.start - plan.ring + 1
            assert all(column == oldest + place for place, column in enumerate(held) if oldest + place > 0)
            window = list(range(max(1, oldest), action.start + 1))
        if isinstance(action, Store) and action.start:
            slots[action.slot : action.slot + plan.ring] = [None] * plan.ring
        for time in range(action.start + 1, action.stop + 1):
            assert window[-plan.ring :] == list(range(max(1, time - plan.ring), time))
            window.append(time)
            steps_run += 1
            if isinstance(action, Store):
                slots[action.slot + time - action.start - 1] = time
        if isinstance(action, Advance):
            slots[action.slot : action.slot + plan.ring] = range(action.stop - plan.ring + 1, action.stop + 1)
    assert next_reversed == 0
    return steps_run


@cache
def all_plans(steps: int, ring: int, at_start: bool) -> frozenset[tuple[int, int, int]]:
    """(slots, most runs of a step, steps run) of all ways to split a segment, but for what is worse."""
    ways = {(max(steps, 0 if at_start else ring), 1, steps)}
    for left in range(1, steps):
        for left_slots, left_runs, left_steps in all_plans(left, ring, at_start):
            for right_slots, right_runs, right_steps in all_plans(steps - left, ring, False):
                # While it runs to the split, the ring at the start and the one at the split are held; then the right
                # part's columns beside the ring at the start; then the left part's.
                beside = 0 if at_start else ring
                slots = max(beside + ring, beside + right_slots, left_slots)
                ways.add((slots, max(1 + left_runs, right_runs), left + left_steps + right_steps))
    return frozenset(each for each in ways if not any(better(other, each) for other in ways))


def better(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("ring", [1, 2, 3, 4])
def test_no_plan_beats_the_recursion(ring: int) -> None:
    for steps in range(1, 15):
        ways = all_plans(steps, ring, True)
        for runs in range(1, 6):
            least = min(slots for slots, most, _ in ways if most <= runs)
            assert fewest_slots(steps, ring, runs) == least, (steps, runs)
            plan = ring_plan(steps, ring, least)
            assert plan.slots <= least and plan.most_runs <= runs
            possible = [total for slots, most, total in ways if slots <= least and most <= plan.most_runs]
            assert min(possible) <= plan.forward_steps <= 1.05 * min(possible), (steps, runs)


def test_closed_forms_are_the_recursion() -> None:
    for ring in (1, 2, 3, 5):
        for slots in range(25):
            for runs in range(2, 6):
                shorter = longest_segment(slots - ring, runs, ring) + longest_segment(slots, runs - 1, ring)
                assert longest_segment(slots, runs, ring) == (shorter if slots >= ring else 0)
                whole = longest_segment(slots, runs, ring) + longest_from_start(slots, runs - 1, ring)
                assert longest_from_start(slots, runs, ring) == whole
            assert longest_segment(slots, 1, ring) == (slots if slots >= ring else 0)
            assert longest_from_start(slots, 1, ring) == slots


@given(st.integers(1, 120), st.integers(1, 12), st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_plans_can_be_executed(steps: int, ring: int, more: int) -> None:
    slots = min(ring, steps) + more
    plan = ring_plan(steps, ring, slots)
    assert plan.slots <= slots
    assert plan.most_runs == runs_needed(steps, ring, slots)
    assert reversed_by(plan) == plan.forward_steps


@given(st.integers(1, 80), st.integers(1, 12), st.integers(1, 90))
@settings(max_examples=80, deadline=None)
def test_uniform_plans_can_be_executed(steps: int, ring: int, interval: int) -> None:
    plan = uniform_plan(steps, ring, interval)
    assert reversed_by(plan) == plan.forward_steps
    assert plan.most_runs <= 2


def ring_in_two_places(plan: RingPlan) -> RingPlan:
    """The plan, but one ring lies one slot further on."""
    broken: list[Advance | Store | Reverse] = list(plan.actions)
    place = next(number for number, each in enumerate(broken) if isinstance(each, Advance))
    advance = broken[place]
    assert isinstance(advance, Advance)
    broken[place] = Advance(advance.start, advance.stop, advance.source, advance.slot + 1)
    return RingPlan(plan.steps, plan.ring, tuple(broken))


def test_a_misplaced_ring_is_noticed() -> None:
    with pytest.raises(AssertionError):
        reversed_by(ring_in_two_places(ring_plan(40, 3, 12)))


def figures() -> Iterator[tuple[RingPlan, float]]:
    steps, ring = 400_000, 3_000
    for runs, megabytes in {1: 38.69, 2: 4.60, 3: 2.42, 4: 1.77}.items():
        plan = ring_plan(steps, ring, fewest_slots(steps, ring, runs))
        assert plan.most_runs == runs and plan.extra_forwards <= runs - 1
        yield plan, megabytes
    yield uniform_plan(steps, ring, square_root_interval(steps)), 182.30


def test_buffers_of_the_longest_semi_markov_chain() -> None:
    for plan, megabytes in figures():
        # One ring of backward columns beside the forward ones, 24 labels, 4 bytes.
        assert round((plan.slots + plan.ring) * 24 * 4 / 1e6, 2) == megabytes


def test_more_slots_never_run_more_steps_at_the_sizes_that_matter() -> None:
    totals = [ring_plan(10_000, 100, slots).forward_steps for slots in (10_000, 5_000, 2_000, 1_000, 500, 200, 100)]
    assert totals == sorted(totals)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="give at least 7"):
        ring_plan(20, 7, 6)
    assert ring_plan(5, 7, 5).forward_steps == 5
    for call in (lambda: fewest_slots(0, 1, 1), lambda: uniform_plan(3, 1, 0), lambda: runs_needed(3, 0, 3)):
        with pytest.raises(InvalidInput, match="not above zero"):
            call()
