"""Plans of blocks: within budget whenever they say so, and optimal where the optimum is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_budget, random_graph

from hcb_opt import Graph, replay, schedule_from_computes, solve_schedule
from hcb_opt.blocks import Chain, balanced_chain, turn_position
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.chains.byte_tables import HELD, TRANSIENT
from hcb_opt.chains.likeness import block_fronts
from hcb_opt.chains.partition import Partition
from hcb_opt.chains.programme import Programme
from hcb_opt.chains.realisation import chain_computes
from hcb_opt.chains.search import block_schedules
from hcb_opt.chains.volatile import cheap_values, volatile_sets
from hcb_opt.generators import ForwardOp, chain, random_training, tape_chain, training_step, u_shape
from hcb_opt.graph import Phase
from hcb_opt.result import Status


def one_op_each(graph: Graph) -> Partition:
    return Partition(Chain(graph, tuple(range(turn_position(graph) + 1))))


def to_the_byte(partition: Partition) -> Programme:
    ceiling_bytes = 2 * partition.graph.store_all_peak_bytes
    return Programme(partition, ceiling_bytes, ceiling_bytes)


def uneven_chain(steps: int, seed: int) -> Graph:
    """A chain whose steps differ in cost and bytes; backward steps read what their forward steps read."""
    rng = np.random.default_rng(seed)
    forward = [
        ForwardOp(
            (step - 1,) if step else (), int(rng.integers(1, 6)), int(rng.integers(1, 9)), int(rng.integers(1, 9))
        )
        for step in range(steps)
    ]
    return training_step(forward, name=f"uneven_{steps}_{seed}")


@pytest.mark.parametrize(("make", "referee"), [(chain, "unit_chain"), (tape_chain, "mixed")])
@pytest.mark.parametrize("steps", [2, 5, 13, 24])
def test_equal_steps_take_the_proven_optimum_at_every_budget(make: type, referee: str, steps: int) -> None:
    graph = make(steps)
    programme = to_the_byte(one_op_each(graph))
    for budget_bytes in range(2, graph.store_all_peak_bytes + 1):
        proven = solve_schedule(graph, budget_bytes, referee)
        if proven.cost is None:
            assert np.isinf(programme.costs[budget_bytes])
            continue
        assert proven.status is Status.OPTIMAL
        assert graph.base_cost + programme.costs[budget_bytes] == proven.cost, budget_bytes
        judged = replay(graph, schedule_from_computes(graph, chain_computes(programme, budget_bytes)))
        assert judged.cost == proven.cost
        assert judged.peak_bytes <= budget_bytes


@pytest.mark.parametrize("seed", range(12))
def test_uneven_steps_are_planned_to_the_byte_and_never_below_the_optimum(seed: int) -> None:
    graph = uneven_chain(2 + seed % 5, seed)
    programme = to_the_byte(one_op_each(graph))
    planned = 0
    for budget_bytes in range(1, graph.store_all_peak_bytes + 1):
        optimum = solve_schedule(graph, budget_bytes, "exhaustive").cost
        extra = programme.costs[budget_bytes]
        if np.isfinite(extra):
            planned += 1
            judged = replay(graph, schedule_from_computes(graph, chain_computes(programme, budget_bytes)))
            assert judged.peak_bytes <= budget_bytes
            assert judged.cost <= graph.base_cost + extra
            assert optimum is not None
            assert optimum <= judged.cost
    assert planned > 0
    assert programme.costs[-1] == 0


def test_blocks_of_many_ops_are_planned_to_the_byte_on_a_chain() -> None:
    graph = uneven_chain(24, 3)
    partition = Partition(balanced_chain(graph, [op.cost for op in graph.ops[: turn_position(graph)]], 5))
    assert 2 < partition.count < 6
    programme = to_the_byte(partition)
    assert np.isfinite(programme.costs[graph.store_all_peak_bytes // 2])
    assert programme.costs[-1] == 0
    assert np.all(np.diff(programme.costs[np.isfinite(programme.costs)]) <= 0)
    for level in np.flatnonzero(np.isfinite(programme.costs)):
        judged = replay(graph, schedule_from_computes(graph, chain_computes(programme, int(level))))
        assert judged.peak_bytes <= level
        assert judged.cost <= graph.base_cost + programme.costs[level]


@given(seed=st.integers(0, 100_000))
@settings(max_examples=150, deadline=None)
def test_every_plan_is_legal_and_in_order(seed: int) -> None:
    graph = random_training(1 + seed % 12, seed) if seed % 2 else random_graph(seed, 14)
    turn = turn_position(graph)
    sets = list(volatile_sets(graph, turn))
    blocks = balanced_chain(graph, [op.cost for op in graph.ops[:turn]], 1 + seed % turn)
    programme = Programme(Partition(blocks, sets[seed % len(sets)]), max(1, graph.store_all_peak_bytes), 24)
    for level in np.flatnonzero(np.isfinite(programme.costs)):
        judged = replay(graph, schedule_from_computes(graph, chain_computes(programme, int(level))))
        assert judged.fixed_order


@given(seed=st.integers(0, 100_000))
@settings(max_examples=25, deadline=None)
def test_schedules_fit_the_budget(seed: int) -> None:
    graph = random_training(2 + seed % 14, seed) if seed % 2 else random_graph(seed, 14)
    budget_bytes = random_budget(graph, seed)
    for computes in itertools.islice(filter(None, block_schedules(graph, budget_bytes, lambda: False)), 6):
        judged = replay(graph, schedule_from_computes(graph, computes))
        assert judged.fixed_order
        assert judged.peak_bytes <= budget_bytes


def test_uneven_steps_are_cheaper_than_with_revolve() -> None:
    graph = uneven_chain(24, 5)
    found = solve_schedule(graph, 0.5, "block_programme").cost
    revolve = solve_schedule(graph, 0.5, "revolve").cost
    assert found is not None
    assert revolve is None or found < revolve


def test_like_blocks_share_a_front() -> None:
    graph = chain(30)
    fronts = block_fronts(Partition(Chain(graph, tuple(range(0, 31, 5)))))
    inner = {(front.pass_cost, front.pass_bytes, len(front.held)) for front in fronts[1:-1]}
    assert len(inner) == 1
    for block, front in enumerate(fronts[1:-1], 1):
        kept = frozenset[int]().union(*(option.kept for option in front.held))
        assert kept
        assert kept <= set(range(5 * block, 5 * block + 5))


def test_backward_ops_belong_to_the_block_that_they_read() -> None:
    graph = chain(12)
    partition = Partition(Chain(graph, (0, 4, 8, 13)))
    for value, reads in enumerate(partition.backward_reads):
        block = partition.value_blocks[value]
        for position in reads:
            # A backward step reads the state its forward step read: of its block, or what crosses into it.
            assert partition.backward_block_of[position - partition.turn] in (block, block + 1)
    assert partition.backward_starts[-1] == partition.turn


def three_blocks() -> Partition:
    """The example of `backward_blocks` and `byte_tables`: the digits of a sum say what is in it."""
    graph = build_graph(
        [
            OpSpec("first", 1, (), (("a", 1), ("s", 10), ("t", 10000))),
            OpSpec("second", 1, ("a",), (("b", 100),)),
            OpSpec("third", 1, ("b", "s"), (("c", 1000),)),
            OpSpec("grad3", 1, ("b", "c"), (("gb", 1),), phase=Phase.BACKWARD),
            OpSpec("grad2", 1, ("a", "gb"), (("ga", 1),), phase=Phase.BACKWARD),
            OpSpec("grad1", 1, ("t", "ga"), (("g", 1),), phase=Phase.BACKWARD),
        ],
        ["g"],
    )
    return Partition(Chain(graph, (0, 1, 2, 3)))


def test_the_tables_of_three_blocks() -> None:
    partition = three_blocks()
    assert partition.backward_starts == (5, 4, 3)
    tables = partition.byte_tables
    held, transient = tables.crossing[HELD], tables.crossing[TRANSIENT]
    assert [held[0, 1, 1], held[0, 1, 2], held[0, 2, 2], held[1, 2, 2]] == [1, 11, 110, 100]
    assert transient[0, 2, 2] == 100
    assert [tables.first_read[1, 1], tables.first_read[2, 2]] == [1, 111]
    assert tables.released(1, np.array([2]), 2).tolist() == [10]
    assert tables.passing[1, 2] == 10


def test_the_tables_count_each_value_once_where_it_is_read() -> None:
    """Every entry is what its definition says, value by value."""
    for seed in range(12):
        graph = random_training(4 + seed % 6, seed)
        turn = turn_position(graph)
        partition = Partition(balanced_chain(graph, [op.cost for op in graph.ops[:turn]], 5))
        tables, blocks = partition.byte_tables, range(partition.count)
        later = list(zip(graph.sizes, partition.value_blocks, partition.later_blocks, strict=True))
        for first, boundary, end in itertools.combinations_with_replacement(blocks, 3):
            for state, kind in ((TRANSIENT, "saved_for"), (HELD, "readers")):
                crossing = sum(
                    size
                    for size, block, readers in later
                    if first <= block < boundary and any(boundary <= each <= end for each in getattr(readers, kind))
                )
                assert tables.crossing[state][first, boundary, end] == crossing
        for first, end in itertools.combinations_with_replacement(blocks, 2):
            free = [
                (size, readers)
                for value, (size, block, readers) in enumerate(later)
                if block < first and readers.readers and not partition.own_reads(value)
            ]
            first_read = sum(size for size, readers in free if readers.readers[0] <= end)
            assert tables.first_read[first, end] == first_read
            passing = sum(
                size
                for size, readers in free
                if first <= readers.readers[0] <= end and not any(each <= end for each in readers.saved_for)
            )
            assert tables.passing[first, end] == passing


def test_the_plan_of_four_steps_in_four_bytes() -> None:
    graph = chain(4)
    programme = Programme(one_op_each(graph), 5, 5)
    assert programme.costs.tolist() == [np.inf, np.inf, np.inf, 3, 1, 0]
    names = [graph.ops[op].name for op in chain_computes(programme, 4)]
    assert names == ["f1", "f2", "f3", "f4", "loss", "b4", "f2", "b3", "b2", "b1"]


def test_no_block_hands_on_what_is_volatile() -> None:
    graph = u_shape(6)
    turn = turn_position(graph)
    cheap = cheap_values(graph, turn, 1.0)
    assert cheap
    partition = Partition(Chain(graph, (*range(0, turn, 3), turn)), cheap)
    for value in cheap:
        assert partition.later_blocks[value] == ((), ())
    for boundary in range(1, partition.count):
        assert not cheap.intersection(partition.crossing(boundary, partition.count - 1, saved=False))


def test_stops_when_told() -> None:
    assert list(block_schedules(random_training(20, 1), 60, lambda: True)) == []


def test_a_budget_that_no_plan_fits_is_given_up() -> None:
    graph = chain(40)
    result = solve_schedule(graph, 2, "block_programme")
    assert result.schedule is None
    assert result.reason
