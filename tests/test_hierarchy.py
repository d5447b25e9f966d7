"""Reversals with memory and disk: against closed forms, each other, and a search of all of them."""

from __future__ import annotations

import random
import time
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hierarchy_search import fewest_by_search

from hcb_opt.binomial import extra_forward_steps
from hcb_opt.errors import InvalidInput
from hcb_opt.hierarchy.actions import Action, Backward, Discard, Forward, Read, Write, with_discards
from hcb_opt.hierarchy.disk_revolve import DiskRevolve
from hcb_opt.hierarchy.h_revolve import HRevolve
from hcb_opt.hierarchy.multistage import multistage_actions, stack_accesses
from hcb_opt.hierarchy.periodic import best_period, periodic_actions, periodic_cost
from hcb_opt.hierarchy.platform import Level, Platform, memory_and_disk
from hcb_opt.hierarchy.play import play
from hcb_opt.hierarchy.revolve import stack_moves
from hcb_opt.replay import IllegalSchedule

SEARCHED = 2000
MOST_STEPS = 40


def ordered_platform(rng: random.Random) -> Platform:
    """Two levels, the second at least as dear as the first."""
    write, read = rng.choice((0, 0, 1, 2, 3)), rng.choice((0, 0, 1, 2))
    near = Level(rng.randint(0, 2), write, read)
    far = Level(rng.choice((0, 1, 2, 2)), write + rng.choice((0, 1, 2, 5)), read + rng.choice((0, 1, 2, 5)))
    return Platform((near, far), rng.randint(1, 6), rng.randint(0, 3))


def cost_played(actions: list[Action], steps: int, platform: Platform) -> int:
    return play(actions, steps, platform).cost


def test_h_revolve_equals_a_search_of_all_reversals() -> None:
    rng = random.Random(0)
    seen = {"impossible": 0, "on disk": 0, "in memory": 0}
    for _ in range(SEARCHED):
        steps, platform = rng.randint(1, 6), ordered_platform(rng)
        table = HRevolve(steps, platform)
        cost = table.cost(steps)
        assert cost == fewest_by_search(steps, platform), (steps, platform)
        if cost is None:
            seen["impossible"] += 1
            continue
        played = play(table.actions(steps), steps, platform)
        assert played.cost == cost
        seen["on disk"] += played.writes[1] > 0
        seen["in memory"] += played.writes[0] > 0
    assert min(seen.values()) > 50, seen


def test_levels_out_of_order_may_be_reversed_cheaper_than_the_recurrence_says() -> None:
    platform = Platform((Level(1, 1, 1), Level(1, 0, 0)), 3, 1)
    assert (HRevolve(5, platform).cost(5), fewest_by_search(5, platform)) == (26, 25)
    rng = random.Random(1)
    for _ in range(300):
        levels = tuple(Level(rng.randint(0, 2), rng.randint(0, 3), rng.randint(0, 3)) for _ in range(2))
        steps, platform = rng.randint(2, 5), Platform(levels, rng.randint(1, 3))
        cost, least = HRevolve(steps, platform).cost(steps), fewest_by_search(steps, platform)
        assert (cost is None) == (least is None)
        assert cost is None or least is None or least <= cost


@pytest.mark.parametrize("slots", range(1, 8))
def test_one_free_level_is_revolve(slots: int) -> None:
    platform = Platform((Level(slots),), 3, 2)
    table = HRevolve(MOST_STEPS, platform)
    for steps in range(1, MOST_STEPS + 1):
        closed_form = 2 * steps + 3 * extra_forward_steps(steps, slots)
        assert table.cost(steps) == closed_form
        assert cost_played(table.actions(steps), steps, platform) == closed_form


def test_revolve_of_ten_thousand_steps_with_500_snapshots_takes_less_than_a_second() -> None:
    started = time.process_time()
    moves = stack_moves(10_000, 500)
    assert time.process_time() - started < 1
    forward_steps = sum(move.last - move.first for move in moves if isinstance(move, Forward))
    assert forward_steps == extra_forward_steps(10_000, 500) == 19_498


@cache
def disk_tables(slots: int, write: int, read: int, forward: int) -> DiskRevolve:
    return DiskRevolve(MOST_STEPS, memory_and_disk(slots, write, read, forward_cost=forward))


def disk_cases() -> list[DiskRevolve]:
    rng = random.Random(2)
    return [
        disk_tables(rng.randint(1, 5), rng.choice((0, 1, 3, 9, 20)), rng.choice((0, 1, 3, 9)), rng.randint(1, 4))
        for _ in range(60)
    ]


def test_disk_revolve_equals_h_revolve_which_may_write_to_disk_at_any_time() -> None:
    """Here more than two thousand lengths and costs."""
    used = 0
    for tables in disk_cases():
        assert np.array_equal(tables.costs[1:], HRevolve(MOST_STEPS, tables.platform).costs[1:]), tables.platform
        used += int(tables.costs[-1] < tables.memory_costs[-1])
    assert used > 30


def test_actions_of_all_families_cost_what_they_should() -> None:
    for tables in disk_cases()[:20]:
        platform = tables.platform
        for steps in (1, 2, 3, 8, 21, MOST_STEPS):
            assert cost_played(tables.actions(steps), steps, platform) == tables.costs[steps]
            assert cost_played(HRevolve(steps, platform).actions(steps), steps, platform) == tables.costs[steps]
            for period in (None, 1, 4, 15):
                cost = periodic_cost(tables, steps, period)
                assert cost_played(periodic_actions(tables, steps, period), steps, platform) == cost
                assert cost >= tables.costs[steps]


def test_a_disk_for_nothing_holds_every_state() -> None:
    tables = DiskRevolve(30, memory_and_disk(1, 0, 0, forward_cost=4, backward_cost=3))
    assert [int(cost) for cost in tables.costs[1:]] == [3 * steps + 4 * (steps - 1) for steps in range(1, 31)]


def test_a_disk_that_costs_too_much_is_left_alone() -> None:
    tables = DiskRevolve(MOST_STEPS, memory_and_disk(2, 10**6, 10**6))
    assert np.array_equal(tables.costs, tables.memory_costs)
    for steps in range(1, MOST_STEPS + 1):
        assert tables.costs[steps] == steps + extra_forward_steps(steps, 2)


def test_more_slots_and_a_nearer_disk_never_cost_more() -> None:
    rng = random.Random(3)
    for _ in range(60):
        near, far, write, read = rng.randint(0, 4), rng.randint(1, 4), rng.randint(0, 5), rng.randint(0, 5)
        platforms = [
            Platform((Level(near), Level(far, write, read))),
            Platform((Level(near), Level(far + 1, write, read))),
            Platform((Level(near), Level(None, write, read))),
            Platform((Level(near + 1), Level(None, write, read))),
            Platform((Level(near + 1), Level(None, max(0, write - 1), read))),
        ]
        costs = [HRevolve(25, platform).costs[1:] for platform in platforms]
        for dearer, cheaper in pairwise(costs):
            assert (cheaper <= dearer).all()


def test_three_levels_are_no_dearer_than_any_two_of_them() -> None:
    levels = (Level(2), Level(3, 2, 1), Level(None, 6, 4))
    whole = HRevolve(60, Platform(levels))
    assert cost_played(whole.actions(60), 60, Platform(levels)) == whole.cost(60)
    for left_out in range(3):
        fewer = HRevolve(60, Platform(levels[:left_out] + levels[left_out + 1 :]))
        assert (whole.costs[1:] <= fewer.costs[1:]).all() and whole.costs[60] < fewer.costs[60]


def test_what_periods_cost_beyond_the_optimum_does_not_grow() -> None:
    tables = DiskRevolve(1500, memory_and_disk(3, 7, 5))
    period = best_period(tables)
    excess = [periodic_cost(tables, steps) - int(tables.costs[steps]) for steps in range(1, 1501)]
    assert 1 < period < 100
    assert max(excess[700:]) <= max(excess[:700]) <= 20
    off = [periodic_cost(tables, steps, 2 * period) - int(tables.costs[steps]) for steps in (300, 600, 1200)]
    assert 0 < off[0] < off[1] < off[2]


def test_multistage_takes_the_fewest_steps_but_not_the_least_cost() -> None:
    rng = random.Random(4)
    dearer = 0
    for _ in range(150):
        steps, near, far = rng.randint(1, MOST_STEPS), rng.randint(1, 4), rng.randint(0, 4)
        platform = Platform((Level(near), Level(far, rng.randint(0, 6), rng.randint(0, 6))))
        played = play(multistage_actions(steps, platform), steps, platform)
        assert played.forward_steps == extra_forward_steps(steps, near + far)
        least = HRevolve(steps, platform).cost(steps)
        assert least is not None and least <= played.cost
        dearer += least < played.cost
        if not far:
            assert least == played.cost
    assert dearer > 20


def test_multistage_puts_the_least_used_depths_on_disk() -> None:
    accesses = stack_accesses(30, 4)
    assert accesses[0].writes == 1 and sum(each.writes for each in accesses) < sum(each.reads for each in accesses)
    platform = Platform((Level(2), Level(2, 1, 1)))
    played = play(multistage_actions(30, platform), 30, platform)
    uses = sorted(each.writes + each.reads for each in accesses)
    assert played.writes[1] + played.reads[1] == sum(uses[:2])


LEGAL = [Write(0, 0), Forward(0, 1), Write(1, 1), Forward(1, 2), Backward(2), Read(1, 1), Backward(1), Read(0, 0)]


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        ([*LEGAL, Forward(0, 1)], "step 9: 1 steps are not reversed"),
        ([Forward(1, 2)], "step 0: x_1 is not in the buffer, x_0 is"),
        ([Forward(0, 3)], "step 0: there is no run from x_0 to x_3"),
        ([Forward(0, 1), Backward(1)], "step 1: the next step to reverse starts from x_2, not x_1"),
        ([Forward(0, 1), Backward(2)], "step 1: x_2 is not in the buffer, x_1 is"),
        ([Write(0, 1)], "step 0: x_1 is not in the buffer, x_0 is"),
        ([Write(2, 0)], "step 0: there is no level 2"),
        ([Write(0, 0), Write(0, 0)], "step 1: x_0 is stored at level 0 already"),
        ([Write(0, 0), Forward(0, 1), Write(0, 1)], "step 2: level 0 has no free slot"),
        ([Read(1, 0)], "step 0: x_0 is not stored at level 1"),
        ([Write(0, 0), Discard(0, 0), Read(0, 0)], "step 2: x_0 is not stored at level 0"),
    ],
)
def test_the_judge_names_what_is_wrong(actions: list[Action], reason: str) -> None:
    with pytest.raises(IllegalSchedule) as caught:
        play(actions, 3, Platform((Level(1), Level(1, 5, 2))))
    assert str(caught.value) == reason


def test_the_judge_counts_what_was_done() -> None:
    played = play([*LEGAL, Backward(0)], 3, Platform((Level(1), Level(1, 5, 2)), 10, 100))
    assert (played.cost, played.forward_steps) == (20 + 300 + 5 + 2, 2)
    assert (played.writes, played.reads, played.most_held) == ((1, 1), (1, 1), (1, 1))


def test_slots_are_freed_after_the_last_read() -> None:
    assert with_discards([Write(0, 0), Write(0, 1), Read(0, 0), Write(1, 0), Read(1, 0)]) == [
        Write(0, 0), Write(0, 1), Discard(0, 1), Read(0, 0), Discard(0, 0), Write(1, 0), Read(1, 0), Discard(1, 0),
    ]  # fmt: skip


def test_what_cannot_be_is_refused() -> None:
    table = HRevolve(3, Platform((Level(0),)))
    assert (table.cost(1), table.cost(2)) == (1, None)
    for refused in (
        lambda: table.actions(2),
        lambda: table.cost(4),
        lambda: HRevolve(0, Platform((Level(1),))),
        lambda: HRevolve(9, Platform((Level(1, 2**60),))),
        lambda: Platform(()),
        lambda: Level(-1),
        lambda: DiskRevolve(3, Platform((Level(1, 1), Level(None)))),
        lambda: DiskRevolve(3, Platform((Level(1), Level(4)))),
        lambda: periodic_cost(disk_tables(1, 1, 1, 1), 5, 0),
        lambda: multistage_actions(3, Platform((Level(0), Level(0)))),
        lambda: multistage_actions(3, Platform((Level(1),))),
    ):
        with pytest.raises(InvalidInput):
            refused()
