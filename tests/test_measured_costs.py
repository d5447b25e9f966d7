"""Costs measured on the device: medians per op and shapes, kept, with their spread."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.io import load_graph
from hcb_opt.schedule import schedule_from_computes

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from training_steps import mlp  # noqa: E402

from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.runtime import costs  # noqa: E402
from hcb_opt.runtime.costs import _spread, measured_costs  # noqa: E402
from hcb_opt.runtime.device_cache import CACHE_VARIABLE, default_cache, device_label, signature  # noqa: E402
from hcb_opt.runtime.executor import Executor  # noqa: E402
from hcb_opt.runtime.measure import op_nanoseconds  # noqa: E402
from hcb_opt.runtime.validate import random_arguments  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


class Uneven(nn.Module):
    """A product of large matrices between two of small ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 600))
        self.large = nn.Parameter(torch.ones(600, 600))

    def forward(self, batch: Tensor) -> Tensor:
        return ((batch @ self.weight) @ self.large).sum()


def test_large_products_cost_more() -> None:
    step = capture_step(Uneven(), lambda model, batch: model(batch), torch.randn(300, 4))
    graph = measured_costs(step, record_program(step))
    assert graph.cost_unit == "ns" and graph.facts["cost_model"] == f"measured on {device_label(CPU)}"
    cost = {op.name: op.cost for op in graph.ops}
    assert cost["mm_1"] > 5 * cost["mm"] >= 5
    assert [op.inputs for op in graph.ops] == [op.inputs for op in step.graph.ops]


@pytest.mark.parametrize("other", ["x.log()", "x.double().exp()", "x[:2].exp()", "x.t().exp()", "x.clamp(0)"])
def test_ops_differ_by_operator_dtype_shape_strides_and_numbers(other: str) -> None:
    functions = {"x.clamp(0)": "x.clamp(1)"}
    one, two = (last_signature(text) for text in (functions.get(other, "x.exp()"), other))
    assert one != two and one == last_signature(functions.get(other, "x.exp()"))


def last_signature(text: str) -> str:
    """Of the op that a function of a matrix ends with."""
    made = make_fx(lambda x: eval(text, {"x": x}), tracing_mode="fake")
    return signature([node for node in made(torch.ones(3, 4)).graph.nodes if node.op == "call_function"][-1])


def test_times_of_ops_are_parts_of_the_time_of_all() -> None:
    step = capture_step(*mlp())
    program = record_program(step)
    executor = Executor(step.graph, program, schedule_from_computes(step.graph, range(len(step.graph.ops))))
    began = time.perf_counter_ns()
    times = op_nanoseconds(executor, random_arguments(program), CPU, 3)
    assert 0 < sum(map(sum, times)) < time.perf_counter_ns() - began
    assert [len(each) for each in times] == [3] * len(step.graph.ops)


def test_what_is_known_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    step = capture_step(*mlp())
    program = record_program(step)
    first = measured_costs(step, program)
    (path,) = default_cache().iterdir()
    kept = json.loads(path.read_text())["nanoseconds"]
    assert set(kept) == {signature(node) for node in step.nodes} and len(kept) < len(step.nodes)
    assert all(low <= median <= high for low, median, high in kept.values())
    assert {op.name: op.cost for op in first.ops} == {
        node.name: max(1, kept[signature(node)][1]) for node in step.nodes
    }

    def refused(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(costs, "op_nanoseconds", refused)
    assert measured_costs(step, program) == first
    path.write_text('{"nanoseconds": {"a": [1, 2]}}')
    with pytest.raises(InvalidInput, match="holds no nanoseconds; delete it"):
        measured_costs(step, program)
    path.unlink()
    with pytest.raises(AssertionError, match="measured again"):
        measured_costs(step, program)


def test_spread_is_that_of_half_of_the_time() -> None:
    assert _spread([(9, 10, 11), (50, 100, 200), (900, 1000, 1100)]) == 0.2
    assert _spread([(10, 10, 10), (0, 0, 0)]) == 0.0
    assert _spread([(1, 2, 5)]) == 2.0


def test_command_measures_costs_and_workspaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "step.json"
    sizes = ["--levels", "2", "--width", "2", "--image", "8", "--batch", "2"]
    assert main(["capture", "unet", *sizes, "--cost", "measured", "--workspaces", "measured", "-o", str(path)]) == 0
    graph = load_graph(path)
    assert capsys.readouterr().out.startswith(f"costs measured on {device_label(CPU)}, spread ")
    assert graph.cost_unit == "ns" and graph.facts["cost_model"] == graph.facts["workspaces"]
    assert any(op.workspace_bytes for op in graph.ops)
