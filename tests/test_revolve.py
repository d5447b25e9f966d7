"""Binomial checkpointing: closed form, recursion, and the schedules that are run."""

from __future__ import annotations

from functools import cache

import pytest

from hcb_opt import OpSpec, Phase, build_graph, replay, schedule_from_computes
from hcb_opt.binomial import best_split, extra_forward_steps, longest_chain
from hcb_opt.blocks import Chain
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.reversal import binomial_placement, reversal_computes

MOST_STEPS, MOST_SNAPSHOTS = 60, 12


def taped_chain(steps: int) -> Graph:
    """A chain whose backward step i reads only what running forward step i writes down.

    A state takes one byte and everything else none, so that the peak counts states.
    """
    specs = []
    for step in range(steps):
        reads = (f"state{step}",) if step else ()
        writes = ((f"state{step + 1}", 1), (f"tape{step}", 0)) if step + 1 < steps else ((f"tape{step}", 0),)
        specs.append(OpSpec(f"forward{step}", 1, reads, writes))
    for step in reversed(range(steps)):
        reads = (f"tape{step}", *([f"gradient{step + 1}"] if step + 1 < steps else []))
        specs.append(OpSpec(f"backward{step}", 1, reads, ((f"gradient{step}", 0),), phase=Phase.BACKWARD))
    return build_graph(specs, outputs=["gradient0"])


@cache
def fewest_by_recursion(steps: int, snapshots: int) -> int:
    if steps == 1:
        return 0
    if snapshots == 1:
        return steps * (steps - 1) // 2
    return min(
        k + fewest_by_recursion(steps - k, snapshots - 1) + fewest_by_recursion(k, snapshots) for k in range(1, steps)
    )


@pytest.mark.parametrize(
    ("steps", "snapshots", "extra"), [(10, 3, 15), (100, 5, 316), (1000, 10, 3636), (10000, 20, 37976)]
)
def test_large_values(steps: int, snapshots: int, extra: int) -> None:
    assert extra_forward_steps(steps, snapshots) == extra


def test_closed_form_solves_the_recursion() -> None:
    for steps in range(1, MOST_STEPS + 1):
        for snapshots in range(1, MOST_SNAPSHOTS + 1):
            assert extra_forward_steps(steps, snapshots) == fewest_by_recursion(steps, snapshots), (steps, snapshots)


def test_split_is_the_first_that_attains_the_minimum() -> None:
    for steps in range(2, MOST_STEPS + 1):
        for snapshots in range(2, MOST_SNAPSHOTS + 1):
            attained = [
                k + fewest_by_recursion(steps - k, snapshots - 1) + fewest_by_recursion(k, snapshots)
                for k in range(1, steps)
            ]
            assert best_split(steps, snapshots) == 1 + attained.index(min(attained)), (steps, snapshots)


@pytest.mark.parametrize("snapshots", range(1, MOST_SNAPSHOTS + 1))
def test_executed_schedules_take_exactly_that_many_steps_and_snapshots(snapshots: int) -> None:
    for steps in range(1, MOST_STEPS + 1):
        graph = taped_chain(steps)
        chain = Chain(graph, tuple(range(steps + 1)))
        judged = replay(graph, schedule_from_computes(graph, reversal_computes(chain, binomial_placement(snapshots))))
        assert judged.fixed_order
        assert judged.cost - graph.base_cost == extra_forward_steps(steps, snapshots), steps
        # Snapshots beside the free initial state, and the states a running step reads and writes.
        assert judged.peak_bytes <= snapshots - 1 + 2, steps


def test_longest_chain_is_where_repetitions_grow() -> None:
    for snapshots in range(2, 8):
        for repetitions in range(1, 5):
            longest = longest_chain(snapshots, repetitions)
            growth = extra_forward_steps(longest + 1, snapshots) - extra_forward_steps(longest, snapshots)
            assert growth == repetitions + 1


@pytest.mark.parametrize(("steps", "snapshots"), [(0, 3), (3, 0)])
def test_numbers_below_one_are_refused(steps: int, snapshots: int) -> None:
    with pytest.raises(InvalidInput, match="give at least 1"):
        extra_forward_steps(steps, snapshots)
