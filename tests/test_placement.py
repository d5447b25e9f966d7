"""Placement policies: what each keeps, that the rest is recomputed when it is read, and what marks do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_budget, random_graph

from hcb_opt import Graph, OpSpec, Phase, Result, Status, build_graph, replay, schedule_from_computes, solve_schedule
from hcb_opt.baselines.placement import evenly_spaced, lazy_computes
from hcb_opt.blocks import turn_position
from hcb_opt.generators import chain, random_training, u_shape

METHODS = ["keep_costly_ops", "keep_even_bytes", "keep_every_nth", "keep_marked", "keep_within_bytes"]
SEARCHED = ["keep_even_bytes", "keep_every_nth", "keep_within_bytes"]


def marked(graph: Graph, patterns: str) -> Graph:
    return replace(graph, facts={**graph.facts, "keep": patterns})


def network(kinds: list[str], sizes: list[int] | None = None, costs: list[int] | None = None) -> Graph:
    """A chain of named operators; the backward of each reads what it read and wrote."""
    sizes = sizes or [4] * len(kinds)
    costs = costs or [1] * len(kinds)
    specs = [
        OpSpec(f"{kind}_{place}", costs[place], (f"x{place - 1}",) if place else (), ((f"x{place}", sizes[place]),))
        for place, kind in enumerate(kinds)
    ]
    for place in reversed(range(len(kinds))):
        reads = [
            f"x{place}",
            *([f"x{place - 1}"] if place else []),
            *([f"g{place + 1}"] if place + 1 < len(kinds) else []),
        ]
        specs.append(OpSpec(f"grad_{place}", 1, tuple(reads), ((f"g{place}", 1),), phase=Phase.BACKWARD))
    return build_graph(specs, ["g0"])


def solve(graph: Graph, budget: float | int, method: str) -> Result:
    return solve_schedule(graph, budget, method=method)


def recomputed(graph: Graph, result: Result) -> list[int]:
    assert result.schedule is not None, result.reason
    return [op for op, count in enumerate(replay(graph, result.schedule).compute_counts) if count > 1]


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_schedules_are_legal_within_budget_and_no_cheaper_than_the_optimum(method: str, seed: int) -> None:
    graph = marked(random_graph(seed, 9), "op1*, f*")
    budget_bytes = random_budget(graph, seed)
    result = solve(graph, budget_bytes, method)
    if result.schedule is None:
        assert result.reason
        return
    judged = replay(graph, result.schedule)
    optimum = solve(graph, budget_bytes, "exhaustive").cost
    assert judged.fixed_order and judged.peak_bytes <= budget_bytes
    assert optimum is not None and optimum <= judged.cost


@given(seed=st.integers(0, 100_000), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_any_choice_is_legal_and_each_op_runs_at_most_twice(seed: int, share: float) -> None:
    graph = random_training(4 + seed % 20, seed)
    kept = [value for value in range(len(graph.values)) if (value * 7919 + seed) % 97 < 97 * share]
    judged = replay(graph, schedule_from_computes(graph, lazy_computes(graph, kept)))
    turn = turn_position(graph)
    assert judged.fixed_order
    assert max(judged.compute_counts) <= 2
    assert set(judged.compute_counts[turn:]) == {1}
    assert all(judged.compute_counts[graph.values[value].producer] <= 2 for value in kept)


@pytest.mark.parametrize("method", SEARCHED)
@pytest.mark.parametrize("graph", [chain(9), u_shape(4), network(["mul"] * 6)])
def test_nothing_is_recomputed_where_everything_fits(method: str, graph: Graph) -> None:
    assert recomputed(graph, solve(graph, 1.0, method)) == []


def test_kept_values_are_not_recomputed_and_others_are_when_they_are_read() -> None:
    graph = network(["a", "b", "c", "d"])
    assert lazy_computes(graph, range(len(graph.values))) == list(range(8))
    # The gradient of d reads c and d; computing them again brings a and b back, too.
    assert lazy_computes(graph, []) == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]
    assert lazy_computes(graph, [1]) == [0, 1, 2, 3, 2, 3, 4, 5, 0, 6, 7]
    assert lazy_computes(graph, [0, 2, 3]) == [0, 1, 2, 3, 4, 1, 5, 6, 7]


def test_outputs_of_the_forward_are_kept() -> None:
    graph = network(["a", "b", "c"])
    graph = replace(graph, outputs=(*graph.outputs, 0))
    assert lazy_computes(graph, []) == [0, 1, 2, 1, 2, 3, 4, 5]


def test_costly_kinds_are_kept_and_cheap_ones_recomputed() -> None:
    kinds = ["addmm", "gelu", "native_layer_norm", "add", "view_copy", "mul"]
    graph = network(kinds)
    all_bytes = graph.store_all_peak_bytes
    first = solve(graph, all_bytes - 1, "keep_costly_ops")
    assert recomputed(graph, first) == [1, 3, 5]
    assert first.peak_bytes is not None
    second = solve(graph, first.peak_bytes - 1, "keep_costly_ops")
    if second.schedule is None:
        assert second.reason.startswith("schedules that keep costly operators' values need at least ")
    else:
        assert recomputed(graph, second) == [1, 3, 4, 5]


def test_words_of_names_count_not_parts_of_words() -> None:
    """There is no addition in "address" and no matmul in "comma"; the last word makes "_log_softmax" costly."""
    graph = network(["address", "_log_softmax", "relu", "comma"])
    result = solve(graph, graph.store_all_peak_bytes - 1, "keep_costly_ops")
    assert recomputed(graph, result) in ([2], [0, 2, 3])


def test_marks_name_the_kept_ops() -> None:
    graph = network(["block", "inner", "inner", "block", "inner", "inner"])
    result = solve(marked(graph, "block_*, nothing"), 1.0, "keep_marked")
    assert recomputed(graph, result) == [1, 2, 4, 5]
    assert recomputed(graph, solve(marked(graph, "*"), 1.0, "keep_marked")) == []


@pytest.mark.parametrize("patterns", ["", " , "])
def test_a_graph_without_marks_is_told_so(patterns: str) -> None:
    result = solve(marked(chain(3), patterns), 1.0, "keep_marked")
    assert result.status == Status.NO_SCHEDULE
    assert result.reason == "the graph marks no ops; give patterns of their names in its fact 'keep'"


def test_auto_takes_no_notice_of_marks() -> None:
    assert solve_schedule(marked(random_training(4, 1), "*"), 0.9).method == "frontier_cuts"


def test_every_nth_op_is_kept() -> None:
    graph = network(["f"] * 12)
    sizes: dict[tuple[int, ...], int] = {}
    for count in (1, 2, 3, 4, 6, 8, 12):
        kept = [op for op in range(12) if (op + 1) % count == 0]
        schedule = schedule_from_computes(graph, lazy_computes(graph, kept))
        judged = replay(graph, schedule)
        sizes[tuple(op for op in range(12) if judged.compute_counts[op] > 1)] = judged.peak_bytes
    for budget_bytes in range(min(sizes.values()), graph.store_all_peak_bytes):
        best = min((len(ops), ops) for ops, peak in sizes.items() if peak <= budget_bytes)
        assert len(recomputed(graph, solve(graph, budget_bytes, "keep_every_nth"))) == best[0]
    assert solve(graph, min(sizes.values()) - 1, "keep_every_nth").schedule is None


def test_even_bytes_space_by_size_not_by_number() -> None:
    """The first two of ten ops write as much as the other eight."""
    reached = [40, 80, 90, 100, 110, 120, 130, 140, 150, 160]
    assert evenly_spaced(reached, 0) == []
    assert evenly_spaced(reached, 1) == [1]
    assert evenly_spaced(reached, 3) == [0, 1, 5]
    assert evenly_spaced(reached, 7) == [0, 1, 3, 5, 7]
    assert evenly_spaced([0, 0], 2) == []


def test_even_bytes_reaches_the_order_of_sqrt_n() -> None:
    steps = 400
    assert solve(chain(steps), 2 * 20 + 25, "keep_even_bytes").schedule is not None


def test_what_costs_most_per_byte_is_kept_first() -> None:
    graph = network(["f"] * 4, sizes=[10, 10, 10, 10], costs=[1, 40, 20, 30])
    result = solve(graph, graph.store_all_peak_bytes - 1, "keep_within_bytes")
    assert recomputed(graph, result) == [0]
