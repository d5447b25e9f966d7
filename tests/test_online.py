"""Checkpointing with unknown length: the promises, at every length."""

from __future__ import annotations

from itertools import pairwise

import pytest
from test_revolve import taped_chain

from hcb_opt.baselines.online_revolve import online_placement
from hcb_opt.binomial import extra_forward_steps, longest_chain, repetitions_needed
from hcb_opt.blocks import Chain
from hcb_opt.errors import InvalidInput
from hcb_opt.generators import chain
from hcb_opt.hierarchy.actions import Discard, Forward, Write
from hcb_opt.hierarchy.platform import Level, Platform
from hcb_opt.hierarchy.play import play
from hcb_opt.online import OnlineSnapshots, online_actions, online_forward_steps, online_snapshots
from hcb_opt.replay import replay
from hcb_opt.reversal import reversal_computes
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule

MOST_SNAPSHOTS = 8


def lengths(snapshots: int, repetitions: int, most: int = 250) -> range:
    return range(1, min(most, longest_chain(snapshots, repetitions) + 2))


@pytest.mark.parametrize("snapshots", range(1, MOST_SNAPSHOTS + 1))
def test_up_to_two_repetitions_as_few_steps_as_if_the_length_were_known(snapshots: int) -> None:
    for steps in range(1, longest_chain(snapshots, 2) + 1):
        assert online_forward_steps(steps, snapshots) == extra_forward_steps(steps, snapshots), steps


def repetitions(steps: int, snapshots: int) -> int:
    """Most runs of a step beyond that which it is reversed from, the first run of the chain included."""
    stretches = list(pairwise([*online_snapshots(steps, snapshots), steps]))
    # The last stretch is reversed from the first run; the others run once more before.
    return max(
        repetitions_needed(end - first, snapshots - place) + (end < steps)
        for place, (first, end) in enumerate(stretches)
    )


@pytest.mark.parametrize("snapshots", range(1, MOST_SNAPSHOTS + 1))
def test_no_step_runs_more_often_than_it_must(snapshots: int) -> None:
    for steps in lengths(snapshots, 5):
        assert repetitions(steps, snapshots) <= repetitions_needed(steps, snapshots), steps


def test_beyond_two_repetitions_a_few_percent_more_steps() -> None:
    most = 0.0
    for snapshots in range(2, 6):
        for steps in lengths(snapshots, 5):
            fewest = extra_forward_steps(steps, snapshots)
            assert fewest <= online_forward_steps(steps, snapshots)
            most = max(most, online_forward_steps(steps, snapshots) / max(1, fewest))
    assert 1.05 < most < 1.13


@pytest.mark.parametrize("snapshots", range(1, MOST_SNAPSHOTS + 1))
def test_actions_are_legal_and_take_that_many_steps(snapshots: int) -> None:
    platform = Platform((Level(snapshots),))
    for steps in range(1, 70):
        played = play(online_actions(steps, snapshots), steps, platform)
        assert played.forward_steps == online_forward_steps(steps, snapshots), steps


def test_what_is_done_before_the_end_does_not_depend_on_the_end() -> None:
    for snapshots in (1, 2, 4):
        longest = online_actions(60, snapshots)
        for steps in range(2, 60):
            actions = online_actions(steps, snapshots)
            last_run = actions.index(Forward(steps - 2, steps - 1))
            assert actions[: last_run + 1] == longest[: last_run + 1]
            assert all(isinstance(each, Forward | Write | Discard) for each in actions[: last_run + 1])


def test_advance_tells_what_was_given_up() -> None:
    run = OnlineSnapshots(3)
    told = [run.advance() for _ in range(9)]
    assert told == [None, None, 3, 1, 5, 2, 6, 8, 9]
    assert (run.position, run.held) == (9, [0, 4, 7])


@pytest.mark.parametrize("snapshots", range(1, 7))
def test_schedules_of_graphs_run_as_many_steps(snapshots: int) -> None:
    for steps in range(1, 40):
        graph = taped_chain(steps)
        blocks = Chain(graph, tuple(range(steps + 1)))
        computes = reversal_computes(blocks, online_placement(steps, snapshots))
        judged = replay(graph, schedule_from_computes(graph, computes))
        assert judged.fixed_order
        assert judged.cost - graph.base_cost == online_forward_steps(steps, snapshots), steps
        assert judged.peak_bytes <= snapshots - 1 + 2, steps


def test_the_method_is_no_better_than_the_optimum_and_equal_where_two_repetitions_do() -> None:
    equal = 0
    for steps in range(3, 15):
        for budget in range(4, steps + 1):
            best, online = (solve_schedule(chain(steps), budget, method) for method in ("unit_chain", "online_revolve"))
            if online.cost is not None:
                assert best.cost is not None and best.cost <= online.cost
                equal += best.cost == online.cost
    assert equal > 25


def test_numbers_below_one_are_refused() -> None:
    for steps, snapshots in ((0, 2), (4, 0)):
        with pytest.raises(InvalidInput, match="give at least 1"):
            online_actions(steps, snapshots)
