"""Programs: what is recorded of a step, what is refused, and the way to a file and back."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT

from hcb_opt.cli import main
from hcb_opt.errors import CaptureError, InvalidInput
from hcb_opt.io import load_graph, save_graph
from hcb_opt.schedule import schedule_from_computes

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402
from training_steps import Step, gpt2, tied  # noqa: E402

from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.program import Argument, Output, Program, call_references  # noqa: E402
from hcb_opt.capture.program_json import load_program, program_from_json, program_to_json  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.capture.step import CapturedStep  # noqa: E402
from hcb_opt.capture.torch_shim import fake_tensors  # noqa: E402
from hcb_opt.runtime.errors import StepMismatch  # noqa: E402
from hcb_opt.runtime.executor import Executor  # noqa: E402


def recorded(step: Step) -> tuple[CapturedStep, Program]:
    captured = capture_step(*step)
    return captured, record_program(captured)


def linear_with(loss: Callable[[nn.Module, Any], Tensor]) -> Step:
    return nn.Linear(2, 2), loss, torch.randn(3, 2)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    captured, program = recorded(tied())
    save_graph(captured.graph, tmp_path / "graph.json", program_to_json(program))
    return tmp_path / "graph.json"


def test_calls_of_a_small_step() -> None:
    captured, program = recorded(linear_with(lambda model, batch: model(batch).sum()))
    assert program.parameter_names == ("weight", "bias")
    assert [each.name for each in program.layouts] == ["weight", "bias", "batch[0]"]
    assert program.layouts[2].shape == (3, 2)
    assert (program.layouts[2].strides, program.layouts[2].dtype, program.layouts[2].device) == (
        (2, 1),
        "float32",
        "cpu",
    )
    transposed, linear, *_ = program.calls
    assert (transposed.operator, transposed.op, transposed.values) == ("aten::t", None, (None,))
    assert (linear.operator, linear.op) == ("aten::addmm", 0)
    assert call_references(linear) == [Argument(1), Argument(2), Output(0, 0)]
    ops = [call.op for call in program.calls if call.op is not None]
    assert ops == list(range(len(captured.graph.ops)))
    assert program.updates == ()


def test_tied_weights_are_one_argument() -> None:
    _, program = recorded(tied())
    assert program.parameter_names == ("tokens.weight", "mix.weight", "mix.bias")


def test_a_tensor_given_twice_is_two_arguments_that_are_read() -> None:
    examples = torch.randn(3, 4)
    step = capture_step(
        nn.Linear(4, 4), lambda model, batch: (model(batch[0]) - batch[1]).square().sum(), [examples] * 2
    )
    program = record_program(step)
    assert [each.name for each in program.layouts[2:]] == ["batch[0]", "batch[1]"]
    assert program.updates == ()


def test_a_program_survives_its_file(tmp_path: Path) -> None:
    for step in (tied(), gpt2(), linear_with(lambda model, batch: model(batch).clamp(max=float("inf")).sum())):
        captured, program = recorded(step)
        save_graph(captured.graph, tmp_path / "graph.json", program_to_json(program))
        graph = load_graph(tmp_path / "graph.json")
        assert graph == captured.graph
        assert load_program(tmp_path / "graph.json", graph) == program


def test_constants_keep_their_contents(tmp_path: Path) -> None:
    table = torch.tensor([[1.5, -2.0], [3.25, 4.0]], dtype=torch.bfloat16)
    step = linear_with(lambda model, batch: (model(batch) @ table.float()).sum())
    captured, program = recorded(step)
    assert program.constants[0].data_ptr() == table.data_ptr()
    read = program_from_json(json.loads(json.dumps(program_to_json(program))))
    assert torch.equal(read.constants[0], table)
    schedule = schedule_from_computes(captured.graph, range(len(captured.graph.ops)))
    model, loss_fn, batch = step
    arguments = [*(each.detach() for each in model.parameters()), batch]
    executed = Executor(captured.graph, read, schedule).run(arguments)
    assert torch.equal(executed.loss, loss_fn(model, batch))


def test_a_generator_of_ones_own_is_refused() -> None:
    generator = torch.Generator()
    step = linear_with(lambda model, batch: (model(batch) * torch.rand(2, generator=generator)).sum())
    with pytest.raises(CaptureError, match=r"an op is given a Generator .* default generator"):
        capture_step(*step)


def test_dropout_inside_a_checkpoint_is_refused() -> None:
    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        return checkpoint(lambda given: functional.dropout(model(given).tanh(), 0.5), batch, use_reentrant=False).sum()

    captured = capture_step(*linear_with(loss))
    with pytest.raises(CaptureError, match=r"op aten.bernoulli.p .* draws random numbers in the backward"):
        record_program(captured)


COMPLEX = """
import torch

def step():
    loss = lambda model, batch: (model(batch) * torch.full((2,), 3 + 4j).abs()).sum()
    return torch.nn.Linear(2, 2), loss, torch.randn(3, 2)
"""


def test_a_step_that_can_be_solved_only_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.py").write_text(COMPLEX)
    assert main(["capture", f"{tmp_path}/odd.py:step", "-o", f"{tmp_path}/odd.json"]) == 0
    told = capsys.readouterr().err
    assert "cannot be executed: op aten.full.default (node 'full') takes a complex" in told
    assert "program" not in json.loads((tmp_path / "odd.json").read_text())


def test_constants_without_data_are_refused() -> None:
    with fake_tensors():
        table = torch.zeros(2, 2)
        step = nn.Linear(2, 2), lambda model, batch: (model(batch) @ table).sum(), torch.zeros(3, 2)
    with pytest.raises(CaptureError, match="a tensor without data"):
        program_to_json(recorded(step)[1])


def test_files_with_a_program_follow_the_schema(saved: Path) -> None:
    schema = json.loads((ROOT / "hcb_opt" / "schemas" / "graph.schema.json").read_text())
    jsonschema.validate(json.loads(saved.read_text()), schema)


def test_a_graph_without_a_program_is_told(tmp_path: Path) -> None:
    captured, _ = recorded(tied())
    save_graph(captured.graph, tmp_path / "graph.json")
    with pytest.raises(InvalidInput, match=r"graph.json: program: missing: .* capture the step with hcb-opt capture"):
        load_program(tmp_path / "graph.json", captured.graph)


BROKEN: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda program: program.pop("calls"), r"program.calls: missing"),
    (lambda program: program.update(extra=1), r"program.extra: unknown field"),
    (lambda program: program["calls"].pop(2), r"program.calls\[\d+\] '\w+': "),
    (lambda program: program["calls"].reverse(), r"reads what is not there before it"),
    (lambda program: program["calls"][0].update(op=5), r"calls\[0\] 'embedding': does not belong to this graph"),
    (lambda program: program["calls"][0].update(values=[1]), r"calls\[0\] 'embedding': does not belong to this graph"),
    (lambda program: program["calls"][0].update(values=["x"]), r"calls\[0\]: op and values are positions or null"),
    (lambda program: program["calls"][0].update(arguments=[{"tensor": 1}]), r'{"tensor": 1} is no argument'),
    (lambda program: program["calls"][0].update(arguments=[{"dtype": "save"}]), r'{"dtype": "save"} is no argument'),
    (lambda program: program["calls"][0].update(arguments=[{"argument": 99}]), r"reads what is not there"),
    (lambda program: program.update(loss=3), r"program.loss: 3 names no tensor"),
    (lambda program: program.update(loss={"output": [0, 0]}), r"value 'embedding' is no output of the graph"),
    (lambda program: program.update(gradients=[]), r"its parameters, buffers and layouts do not agree"),
    (lambda program: program.update(updates=[[0]]), r"updates\[0\]: \[0\] is no update"),
    (lambda program: program["layouts"][0].update(strides=[1]), r"layouts\[0\]: shape and strides"),
]


@pytest.mark.parametrize(("harm", "message"), BROKEN, ids=range(len(BROKEN)))
def test_broken_programs_are_refused(saved: Path, harm: Callable[[dict[str, Any]], object], message: str) -> None:
    document = json.loads(saved.read_text())
    harm(document["program"])
    saved.write_text(json.dumps(document))
    graph = load_graph(saved)
    with pytest.raises(InvalidInput, match=message):
        load_program(saved, graph)


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ("aten::no_such_op", "there is no operator aten::no_such_op here"),
        ("elsewhere::op.default", "there is no operator elsewhere::op.default here"),
        ("aten::add_.Tensor", "aten::add_.Tensor writes to its arguments"),
    ],
)
def test_operators_that_cannot_be_called_are_refused(operator: str, message: str) -> None:
    captured, program = recorded(tied())
    document = copy.deepcopy(program_to_json(program))
    document["calls"][0]["operator"] = operator
    schedule = schedule_from_computes(captured.graph, range(len(captured.graph.ops)))
    with pytest.raises(StepMismatch, match=f"op 'embedding': {message}"):
        Executor(captured.graph, program_from_json(document), schedule)


@pytest.mark.parametrize("storage_offset", [0, 2])
def test_strided_views_of_arguments_hold_to_their_offset(storage_offset: int) -> None:
    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        return (model.weight * batch.as_strided((2, 2), (1, 1), 2)).sum()

    whole = torch.arange(12.0)
    model, batch = nn.Linear(2, 2), whole[2:8]
    captured, program = recorded((model, loss, batch))
    schedule = schedule_from_computes(captured.graph, range(len(captured.graph.ops)))
    executor = Executor(captured.graph, program, schedule)
    given = whole[storage_offset : storage_offset + 6]
    arguments = [model.weight.detach(), model.bias.detach(), given]
    if storage_offset == 2:
        assert torch.equal(executor.run(arguments).loss, loss(model, batch))
    else:
        with pytest.raises(StepMismatch, match=r"batch\[0\]: storage offset is 0, but the step was captured with 2"):
            executor.run(arguments)
