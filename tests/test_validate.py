"""``hcb-opt validate``: predictions against measurements, and results against eager."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from hcb_opt.cli import main
from hcb_opt.io import load_graph, save_graph, save_schedule
from hcb_opt.schedule import schedule_from_computes

torch = pytest.importorskip("torch")

from training_steps import resnet18, tied  # noqa: E402

from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.runtime.executor import Executed  # noqa: E402
from hcb_opt.runtime.validate import Reference, eager_reference, random_arguments, validate  # noqa: E402

SIZES = ["--layers", "3", "--width", "16", "--batch", "64"]


def recomputing(path: Path, graph_path: Path) -> None:
    """A schedule that computes the first op twice."""
    graph = load_graph(graph_path)
    order = [0, 1, 0, *range(2, len(graph.ops))]
    save_schedule(schedule_from_computes(graph, order), graph, path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = main([str(each) for each in arguments])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("what", ["mlp", "graph"])
def test_command_reports_peak_time_and_gradients(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    graph, schedule = tmp_path / "mlp.json", tmp_path / "schedule.json"
    assert main(["capture", "mlp", *SIZES, "-o", str(graph)]) == 0
    recomputing(schedule, graph)
    capsys.readouterr()
    step = ["mlp", schedule, *SIZES] if what == "mlp" else [graph, schedule]
    code, report = printed(capsys, "validate", *step, "--repeats", 1)
    assert code == 0
    assert report["reference"] == ("eager" if what == "mlp" else "stored order")
    assert report["bit_equal"] and report["generators_bit_equal"]
    assert report["measured_peak_bytes"] == report["predicted_peak_bytes"]
    assert report["predicted_overhead"] > 0
    assert report["seconds"] > 0 and report["reference_seconds"] > 0 and report["stored_order_seconds"] > 0
    assert report["gradients"]["0.weight"] == {"max_abs_difference": 0.0, "bit_equal": True}
    assert len(report["gradients"]) == 6
    assert report["loss"]["loss"]["bit_equal"]


def test_command_takes_a_users_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    captured = capture_step(*tied())
    save_graph(captured.graph, tmp_path / "tied.json")
    recomputing(tmp_path / "schedule.json", tmp_path / "tied.json")
    step = f"{ROOT / 'tests' / 'training_steps.py'}:tied"
    code, report = printed(capsys, "validate", step, tmp_path / "schedule.json", "--repeats", 1)
    assert (code, report["graph"], report["bit_equal"]) == (0, "tied", True)


def test_command_refuses_what_does_not_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, schedule = tmp_path / "mlp.json", tmp_path / "schedule.json"
    assert main(["capture", "mlp", *SIZES, "-o", str(graph)]) == 0
    recomputing(schedule, graph)
    for arguments, message in (
        (["mlp", schedule, *SIZES[:-1], "32"], "made for another graph"),
        ([graph, schedule, "--layers", "3"], "--layers: of the zoo's models only"),
        (["mlpx", schedule], "model 'mlpx': not in the zoo; did you mean 'mlp'?"),
        (["mlp", schedule, "--repeats", "0"], "--repeats 0: not above zero"),
    ):
        capsys.readouterr()
        assert main(["validate", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err


def test_differences_are_told() -> None:
    torch.manual_seed(0)
    model, loss_fn, batch = resnet18()
    captured = capture_step(model, loss_fn, batch)
    program = record_program(captured)
    schedule = schedule_from_computes(captured.graph, range(len(captured.graph.ops)))
    arguments = [*(each.detach().clone() for each in (*model.parameters(), *model.buffers())), *batch]
    eager = eager_reference(model, loss_fn, batch, program)

    def disturbed() -> Executed:
        executed = eager.run()
        executed.gradients[1].view(-1)[0] += 0.5
        torch.rand(1)
        return executed

    before = [each.clone() for each in model.state_dict().values()]
    equal = validate(captured.graph, program, schedule, arguments, eager, repeats=1)
    assert equal["bit_equal"] and equal["buffers"]["1.running_mean"]["bit_equal"]
    assert equal["buffers"]["1.num_batches_tracked"]["bit_equal"]
    assert all(map(torch.equal, before, model.state_dict().values()))
    workspace_peak = equal["predicted_peak_with_workspaces_bytes"]
    assert equal["predicted_peak_bytes"] < equal["measured_peak_bytes"] == workspace_peak
    report = validate(captured.graph, program, schedule, arguments, Reference("eager", disturbed), repeats=1)
    assert not report["bit_equal"] and not report["generators_bit_equal"]
    wrong = [name for name, each in report["gradients"].items() if not each["bit_equal"]]
    assert wrong == [program.parameter_names[1]]
    assert report["gradients"][wrong[0]]["max_abs_difference"] == pytest.approx(0.5)


def test_random_arguments_have_the_programs_layouts() -> None:
    program = record_program(capture_step(*tied()))
    arguments = random_arguments(program, 3)
    assert [tuple(each.shape) for each in arguments] == [each.shape for each in program.layouts]
    assert [each.stride() for each in arguments] == [each.strides for each in program.layouts]
    assert not arguments[-1].any() and arguments[0].std() > 0
    assert torch.equal(arguments[0], random_arguments(program, 3)[0])
