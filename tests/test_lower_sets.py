"""Lower sets against all subsets, and Kusumoto's programme against all sequences of lower sets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs

from hcb_opt import Graph, OpSpec, Status, build_graph, replay, schedule_from_computes, solve_schedule
from hcb_opt.blocks import Chain, turn_position
from hcb_opt.generators import chain, u_shape
from hcb_opt.layer_graphs import layer_graph
from hcb_opt.lower_sets import LowerSetBlocks, LowerSetProgramme, all_lower_sets, ancestor_sets
from hcb_opt.reversal import keep_every_cut, reversal_computes

Sets = frozenset[int]
FAMILIES = ("all", "ancestors")


def forward(seed: int) -> Graph:
    """Up to six ops, some with two outputs, with dead ends, and a last op that reads some of them."""
    rng = random.Random(seed)
    specs: list[OpSpec] = []
    written: list[str] = []
    for position in range(rng.randint(1, 6)):
        inputs = rng.sample(written, min(len(written), rng.choice((0, 1, 1, 2, 3))))
        outputs = [(f"v{position}_{each}", rng.randint(0, 5)) for each in range(rng.choice((1, 1, 2)))]
        written += [name for name, _ in outputs]
        specs.append(OpSpec(f"f{position}", rng.randint(0, 5), tuple(inputs), tuple(outputs)))
    reads = rng.sample(written, rng.randint(1, len(written)))
    return build_graph([*specs, OpSpec("back", 1, tuple(reads), (("g", 1),))], ["g"])


def lower_sets(graph: Graph, turn: int) -> list[Sets]:
    """All subsets that hold with every op those it reads from."""
    reads = [{graph.values[value].producer for value in op.inputs} for op in graph.ops[:turn]]
    subsets = (frozenset(each) for size in range(turn + 1) for each in combinations(range(turn), size))
    return [each for each in subsets if all(reads[op] <= each for op in each)]


def sequences(family: list[Sets], whole: Sets) -> Iterator[list[Sets]]:
    def extend(prefix: list[Sets]) -> Iterator[list[Sets]]:
        if prefix and prefix[-1] == whole:
            yield prefix
            return
        for each in family:
            if (prefix[-1] if prefix else frozenset()) < each:
                yield from extend([*prefix, each])

    return extend([])


def modelled(graph: Graph, turn: int, sequence: list[Sets]) -> tuple[int, int]:
    """Overhead and peak by the paper's equations 1 and 2, set by set; the last block is not recomputed."""
    readers = [[op for op in each if op < turn] for each in graph.consumers]
    sizes = graph.sizes
    kept: set[int] = set()
    overhead = peak = 0
    before: Sets = frozenset()
    for lower in sequence:
        block = lower - before
        boundary = {
            value
            for op in lower
            for value in graph.ops[op].outputs
            if any(reader not in lower for reader in readers[value])
        }
        children = {reader for value in boundary for reader in readers[value] if reader not in lower}
        others = {
            value for op in children for value in graph.ops[op].inputs if graph.values[value].producer not in lower
        }
        held = sum(sizes[value] for value in kept)
        held += 2 * sum(sizes[value] for op in block for value in graph.ops[op].outputs)
        held += sum(sizes[value] for op in children for value in graph.ops[op].outputs)
        held += sum(sizes[value] for value in others)
        peak = max(peak, held)
        if lower != sequence[-1]:
            overhead += sum(
                graph.ops[op].cost
                for op in block
                if any(graph.consumers[value] and value not in boundary for value in graph.ops[op].outputs)
            )
        kept |= boundary
        before = lower
    return overhead, peak


@given(graphs(14))
@settings(max_examples=60, deadline=None)
def test_lower_sets_are_the_subsets_that_hold_what_they_read(graph: Graph) -> None:
    turn = min(turn_position(graph), 8)
    expected = lower_sets(graph, turn)
    found = all_lower_sets(graph, turn, len(expected))
    assert found is not None
    assert {frozenset(np.flatnonzero(row).tolist()) for row in found} == set(expected)
    assert len(found) == len(expected)
    assert all_lower_sets(graph, turn, len(expected) - 1) is None
    spanned = {frozenset(np.flatnonzero(row).tolist()) for row in ancestor_sets(graph, turn)}
    smallest = {min((each for each in expected if op in each), key=len) for op in range(turn)}
    assert spanned == smallest | {frozenset(), frozenset(range(turn))}


@pytest.mark.parametrize("family", FAMILIES)
def test_programme_finds_least_and_most_overhead_of_all_sequences(family: str) -> None:
    """At every limit at which the answer may change."""
    within = 0
    for seed in range(60):
        graph = forward(seed)
        turn = len(graph.ops) - 1
        members = all_lower_sets(graph, turn, 1000) if family == "all" else ancestor_sets(graph, turn)
        assert members is not None
        rows = [frozenset(np.flatnonzero(row).tolist()) for row in members]
        every = [modelled(graph, turn, each) for each in sequences(rows[1:], rows[-1])]
        programme = LowerSetProgramme(graph, turn, members)
        assert modelled(graph, turn, [rows[-1]]) == (0, programme.most_bytes)
        for limit in sorted({peak + change for _, peak in every for change in (-1, 0)}):
            fitting = [overhead for overhead, peak in every if peak <= limit]
            plans = programme.plans(limit)
            answers = [modelled(graph, turn, [rows[row] for row in plan]) for plan in plans]
            assert all(peak <= limit for _, peak in answers), (seed, limit)
            expected = sorted({min(fitting), max(fitting)}) if fitting else []
            assert [overhead for overhead, _ in answers] == expected, (seed, limit)
            within += bool(fitting) and min(fitting) > 0
    assert within > 50


@pytest.mark.parametrize(
    "graph", [layer_graph("unet"), layer_graph("mobilenet"), u_shape(5)], ids=lambda each: each.name
)
def test_blocks_run_again_at_most_once_and_cost_no_more_than_planned(graph: Graph) -> None:
    """Where the backward reads the blocks one after the other; costs are compared but for their rounding."""
    turn = turn_position(graph)
    programme = LowerSetProgramme(graph, turn, ancestor_sets(graph, turn))
    blocks = set()
    for percent in (15, 25, 40, 60):
        for plan in programme.plans(programme.most_bytes * percent // 100):
            computes = reversal_computes(programme.blocks(plan), keep_every_cut)
            judged = replay(graph, schedule_from_computes(graph, computes))
            assert judged.fixed_order
            assert max(judged.compute_counts) <= 2
            rows = [frozenset(np.flatnonzero(programme.members[row]).tolist()) for row in plan]
            assert judged.cost - graph.base_cost <= modelled(graph, turn, rows)[0]
            blocks.add(len(plan))
    assert max(blocks) > 2


def test_prefixes_of_the_order_are_the_blocks_of_a_chain() -> None:
    graph = layer_graph("resnet50", 1)
    turn = turn_position(graph)
    contiguous = Chain(graph, (0, 20, 21, 60, turn))
    blocks = LowerSetBlocks(graph, contiguous.block_of)
    assert (blocks.turn, blocks.block_count, blocks.cuts) == (turn, 4, contiguous.cuts)
    assert reversal_computes(blocks, keep_every_cut) == reversal_computes(contiguous, keep_every_cut)


@given(st.lists(st.integers(1, 9), min_size=4, max_size=16))
@settings(max_examples=30, deadline=None)
def test_exact_and_approximate_are_one_on_chains(sizes: list[int]) -> None:
    """Every lower set of a chain is spanned by one op."""
    graph = chain(len(sizes), sizes)
    turn = turn_position(graph)
    members = all_lower_sets(graph, turn, 100)
    assert members is not None and (members == ancestor_sets(graph, turn)).all()


def test_a_chain_of_100_in_the_memory_of_chen() -> None:
    """Of 10 blocks of 10, nine are recomputed but for what is kept: 81 steps."""
    graph = chain(100)
    chen = solve_schedule(graph, 22, method="linearised_sqrt")
    lower = solve_schedule(graph, 22, method="kusumoto_exact")
    assert chen.cost is not None and lower.cost is not None
    assert lower.cost <= chen.cost
    assert lower.cost - graph.base_cost <= 81


def test_too_many_lower_sets_are_declined_and_the_approximation_named() -> None:
    specs = [OpSpec(f"f{each}", 1, (), ((f"x{each}", 1),)) for each in range(12)]
    join = OpSpec("join", 1, tuple(f"x{each}" for each in range(12)), (("y", 1),))
    graph = build_graph([*specs, join, OpSpec("back", 1, ("x0", "y"), (("g", 12),))], ["g"])
    refused = solve_schedule(graph, 14, method="kusumoto_exact")
    assert refused.status is Status.NO_SCHEDULE
    assert "more than 1000 lower sets; kusumoto_approximate" in refused.reason
    assert solve_schedule(graph, 14, method="kusumoto_approximate").status is Status.OPTIMAL
