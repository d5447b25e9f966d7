"""Checkmate's rounding: what it keeps, the least recomputes for that, and its allowance."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_budget, random_graph

from hcb_opt import OpSpec, Status, build_graph, replay, schedule_from_computes, solve_schedule
from hcb_opt.baselines.lp_rounding import rounded_computes
from hcb_opt.generators import chain, u_shape
from hcb_opt.graph import Graph
from hcb_opt.highs import Report, highs
from hcb_opt.layer_graphs import layer_graph
from hcb_opt.stage_model import NO_COLUMN, StageModel


def solved(model: StageModel, *, relaxed: bool) -> Report:
    return highs("hcb_opt.scipy_worker").solve(model.programme(60.0, 0.0, None, relaxed=relaxed))


@given(st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_a_whole_solution_is_its_own_rounding(seed: int) -> None:
    """The least R for the S of an optimum costs no more than its own R, and cannot cost less."""
    graph = random_graph(seed, 8)
    model = StageModel(graph, random_budget(graph, seed))
    answer = solved(model, relaxed=False)
    if answer.values is not None:
        judged = replay(graph, schedule_from_computes(graph, rounded_computes(model, answer.values, 0.5)))
        assert judged.fixed_order
        assert judged.cost == sum(graph.ops[op].cost for op in model.computes(answer.values))


@given(st.integers(0, 100_000), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_any_choice_of_what_to_keep_becomes_a_schedule_that_keeps_it(seed: int, share: float) -> None:
    """R is the least: in a stage an op runs for the stage's own op, for a value to keep, or for another that runs."""
    graph = random_graph(seed, 10)
    model = StageModel(graph, graph.store_all_peak_bytes)
    rng = np.random.default_rng(seed)
    solution = (rng.random(len(model.costs)) < share).astype(float)
    solution[model.S[-1][list(graph.outputs)]] = 1.0
    kept = [[column != NO_COLUMN and solution[column] > 0.5 for column in row] for row in model.S]
    stages = least_stages(graph, kept)
    computes = rounded_computes(model, solution, 0.5)
    assert computes == [op for stage in stages for op in stage]
    assert replay(graph, schedule_from_computes(graph, computes)).fixed_order


def least_stages(graph: Graph, kept: list[list[bool]]) -> list[list[int]]:
    """For each stage the ops that must run, by marking from the last to the first."""
    stages = []
    for stage in range(len(graph.ops)):
        fresh = [value for value, keep in enumerate(kept[stage + 1]) if keep and not kept[stage][value]]
        wanted = {graph.values[value].producer for value in fresh}
        wanted.add(stage)
        for op in range(stage, -1, -1):
            if op in wanted:
                wanted |= {graph.values[value].producer for value in graph.ops[op].inputs if not kept[stage][value]}
        stages.append(sorted(wanted))
    return stages


@pytest.mark.parametrize("graph", [chain(12), u_shape(3), layer_graph("vgg16", 1)], ids=lambda graph: graph.name)
def test_within_budget_and_not_below_the_relaxation(graph: Graph) -> None:
    found = 0
    for share in (0.95, 0.85):
        result = solve_schedule(graph, share, method="lp_rounding")
        if result.cost is not None:
            found += 1
            model = StageModel(graph, result.budget_bytes)
            relaxed = solved(model, relaxed=True)
            assert result.peak_bytes is not None and result.peak_bytes <= result.budget_bytes
            assert relaxed.bound is not None and result.cost >= model.bound(relaxed.bound, 1e-5)
        else:
            assert result.status is Status.NO_SCHEDULE, result.reason
            assert re.match(
                "Checkmate's linear relaxation has no solution|roundings of the linear relaxation need", result.reason
            )
    assert found


@pytest.mark.parametrize(("threshold", "kept"), [(0.5, True), (0.6, False)])
def test_a_half_is_kept_at_the_threshold_of_a_half(threshold: float, kept: bool) -> None:
    """x1 is read by the last op alone; unless it is kept, its producer runs again."""
    specs = [OpSpec(f"f{each}", 1, (f"x{each - 1}",) if each else (), ((f"x{each}", 1),)) for each in range(3)]
    graph = build_graph([*specs, OpSpec("back", 1, ("x2", "x1", "x0"), (("g", 1),))], ["g"])
    model = StageModel(graph, 10)
    solution = np.zeros(len(model.costs))
    solution[model.S[1:, 0][model.S[1:, 0] != NO_COLUMN]] = 1.0
    solution[model.S[2:4, 1]] = 0.5 - 1e-9
    solution[[model.S[3, 2], model.S[4, 3]]] = 1.0
    assert rounded_computes(model, solution, threshold) == ([0, 1, 2, 3] if kept else [0, 1, 1, 2, 1, 3])


def test_layers_that_cost_nothing_are_not_run_in_halves() -> None:
    """With halves of them a U-Net's roundings cost twice the optimum and more."""
    graph = layer_graph("unet", 1)
    result = solve_schedule(graph, 0.8, method="lp_rounding")
    optimum = solve_schedule(graph, 0.8, method="frontier_cuts", gap=0.001)
    assert result.cost is not None and optimum.lower_bound is not None
    assert optimum.lower_bound <= result.cost <= 1.05 * optimum.lower_bound


def test_a_tenth_of_the_budget_is_held_back() -> None:
    """What fits the whole budget without recomputes is not what nine tenths of it give."""
    graph = chain(20)
    result = solve_schedule(graph, 1.0, method="lp_rounding")
    assert result.cost is not None and result.cost > graph.base_cost
    assert result.peak_bytes is not None and result.peak_bytes < graph.store_all_peak_bytes
