"""Torch's own choice of what to save, as schedules of the captured step."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hcb_opt import InvalidInput, replay  # noqa: E402
from hcb_opt.blocks import turn_position  # noqa: E402
from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.step import CapturedStep  # noqa: E402
from hcb_opt.capture.torch_partition import KNAPSACKS, _joint, _partition, partition_schedule, saved_values  # noqa: E402
from hcb_opt.capture.torch_shim import fake_tensors  # noqa: E402
from hcb_opt.models import zoo  # noqa: E402


def captured(model: str, **flags: int | float) -> CapturedStep:
    with fake_tensors():
        parts = zoo()[model].build(**flags)
    return capture_step(*parts, cost="flops")


@pytest.fixture(scope="module")
def mlp() -> CapturedStep:
    return captured("mlp", layers=4)


@pytest.fixture(scope="module")
def transformer() -> CapturedStep:
    return captured("gpt2", layers=1, vocabulary=1000, sequence=32, dropout=0.1)


def test_at_the_whole_budget_of_relu_layers_nothing_is_recomputed(mlp: CapturedStep) -> None:
    judged = replay(mlp.graph, partition_schedule(mlp))
    assert judged.cost == mlp.graph.base_cost
    assert judged.peak_bytes == mlp.graph.store_all_peak_bytes


def test_the_default_partition_saves_all_that_the_backward_reads(mlp: CapturedStep, transformer: CapturedStep) -> None:
    for step in (mlp, transformer):
        graph = step.graph
        turn = turn_position(graph)
        read = {value for op in graph.ops[turn:] for value in op.inputs if graph.values[value].producer < turn}
        assert saved_values(step, None) >= read - graph.required
        judged = replay(graph, partition_schedule(step, None))
        assert (judged.cost, judged.peak_bytes) == (graph.base_cost, graph.store_all_peak_bytes)


def test_at_budget_nought_nothing_is_saved(mlp: CapturedStep) -> None:
    assert saved_values(mlp, 0.0) == frozenset()
    counts = replay(mlp.graph, partition_schedule(mlp, 0.0)).compute_counts
    assert max(counts) == 2


@pytest.mark.parametrize("knapsack", KNAPSACKS)
def test_what_is_recomputed_is_what_torch_recomputes(knapsack: str, transformer: CapturedStep) -> None:
    """The ops of the forward that stand in the backward torch makes, by name."""
    graph = transformer.graph
    _, backward = _partition(*_joint(transformer), 0.4, knapsack)
    turn = turn_position(graph)
    names = {node.name for node in backward.graph.nodes if node.op == "call_function"}
    judged = replay(graph, partition_schedule(transformer, 0.4, knapsack))
    assert judged.fixed_order
    assert {graph.ops[op].name for op in range(turn) if judged.compute_counts[op] == 2} == {
        graph.ops[op].name for op in range(turn) if graph.ops[op].name in names
    }
    assert judged.cost > graph.base_cost


def test_a_smaller_budget_saves_fewer_bytes(mlp: CapturedStep) -> None:
    sizes = mlp.graph.sizes
    saved = [sum(sizes[value] for value in saved_values(mlp, budget)) for budget in (1.0, 0.5, 0.1, 0.0)]
    assert saved == sorted(saved, reverse=True)
    assert len(set(saved)) == 4


def test_nothing_of_the_captured_step_is_changed(mlp: CapturedStep) -> None:
    before = str(mlp.module.graph)
    tags = [dict(node.meta).get("partitioner_tag") for node in mlp.module.graph.nodes]
    saved_values(mlp, 0.5)
    assert str(mlp.module.graph) == before
    assert [dict(node.meta).get("partitioner_tag") for node in mlp.module.graph.nodes] == tags


@pytest.mark.parametrize(("budget", "knapsack"), [(1.5, "dp"), (-0.1, "dp"), (0.5, "gredy")])
def test_what_is_out_of_range_is_refused(budget: float, knapsack: str, mlp: CapturedStep) -> None:
    with pytest.raises(InvalidInput, match=r"number from 0 to 1|did you mean 'greedy'"):
        saved_values(mlp, budget, knapsack)
