"""Drop-in use: steps within a budget against eager, and what happens when they fail."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import hcb_opt
from hcb_opt.capture import capture_step
from hcb_opt.io import save_graph, save_schedule
from hcb_opt.schedule import schedule_from_computes

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from training_steps import Step, class_loss, gpt2, resnet18, tied  # noqa: E402

from hcb_opt.capture.program_json import program_to_json  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.runtime.errors import ExecutionError, OutOfBudget, StepMismatch  # noqa: E402
from hcb_opt.runtime.executor import Executor  # noqa: E402
from hcb_opt.runtime.module import HCModule  # noqa: E402
from hcb_opt.runtime.optimize import OptimizedStep  # noqa: E402
from hcb_opt.runtime.step import ModelStep  # noqa: E402


def optimized(step: Step, budget: float | str = 0.8, **arguments: Any) -> OptimizedStep:
    arguments = {"method": "chen_greedy", "time_limit": 5, "measure_workspaces": False} | arguments
    return hcb_opt.optimize(*step, budget, **arguments)


def twins(make: Callable[[], Step]) -> tuple[Step, Step]:
    """A step and its copy."""
    torch.manual_seed(0)
    model, loss_fn, batch = make()
    return (model, loss_fn, batch), (copy.deepcopy(model), loss_fn, batch)


def eager(step: Step) -> Tensor:
    model, loss_fn, batch = step
    loss = loss_fn(model, batch)
    loss.backward()
    return loss.detach()


def everything(model: nn.Module) -> list[Tensor]:
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return [*model.state_dict().values(), *gradients, torch.get_rng_state()]


def require_same(first: list[Tensor], second: list[Tensor]) -> None:
    assert len(first) == len(second)
    assert all(map(torch.equal, first, second))


def test_twenty_steps_of_gpt2_give_eagers_weights() -> None:
    ours, theirs = twins(gpt2)
    step = optimized(ours, 0.75)
    prepared = step.prepare(ours[2])
    assert prepared.result.overhead > 0
    assert (
        hcb_opt.replay(prepared.graph, prepared.result.schedule).peak_bytes
        <= 0.75 * prepared.graph.store_all_peak_bytes
    )
    ends = []
    for (model, _, batch), run in ((ours, step), (theirs, lambda batch: eager(theirs))):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        torch.manual_seed(1)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            losses.append(run(batch))
            optimizer.step()
        ends.append([*losses, *everything(model)])
    require_same(*ends)
    assert ends[0][0] > ends[0][19]


@pytest.mark.parametrize("make", [resnet18, tied])
@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_accumulate_as_in_eager(make: Callable[[], Step], to_none: bool) -> None:
    ours, theirs = twins(make)
    step = optimized(ours)
    for _ in range(2):
        for (model, _, batch), run in ((ours, step), (theirs, lambda batch: eager(theirs))):
            model.zero_grad(set_to_none=to_none)
            run(batch)
            run(batch)
        require_same(everything(ours[0]), everything(theirs[0]))


def test_each_grad_has_its_own_memory_and_its_parameters_strides() -> None:
    def make() -> Step:
        model = nn.ParameterList([torch.randn(3, 4), torch.randn(3, 4), torch.randn(4, 3).t()])
        return model, lambda model, batch: (model[0] + model[1] + model[2] + batch).square().sum(), torch.randn(3, 4)

    ours, theirs = twins(make)
    optimized(ours, 1.0)(ours[2])
    eager(theirs)
    gradients = [each.grad for each in ours[0]]
    assert len({each.data_ptr() for each in gradients}) == 3
    for each, expected in zip(ours[0], theirs[0], strict=True):
        assert each.grad.stride() == expected.grad.stride() == each.stride()
        assert torch.equal(each.grad, expected.grad)


class Given(torch.autograd.Function):
    """A product whose gradient is the very tensor that it is given."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, given: Tensor) -> Tensor:
        ctx.save_for_backward(given)
        return (weight * given).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0], None


def test_a_gradient_that_is_the_batch_itself_is_copied() -> None:
    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        return Given.apply(model.weight, batch) + model.bias.square().sum()

    model, batch = nn.Linear(3, 2), torch.randn(2, 3)
    optimized((model, loss, batch), 1.0)(batch)
    assert torch.equal(model.weight.grad, batch)
    assert model.weight.grad.data_ptr() != batch.data_ptr()


def test_other_shapes_and_modes_are_captured_once_each(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = twins(gpt2)
    step = optimized(ours, 1.0)
    longer = (torch.randint(0, 31, (3, 8)), torch.randint(0, 31, (3, 8)))
    with caplog.at_level(logging.WARNING, "hcb_opt"):
        step(ours[2])
        assert not caplog.records
        for _ in range(2):
            step(longer)
        assert "step 2: batch shapes or the model's modes are new ((3, 8), (3, 8))" in caplog.records[0].message
        ours[0].eval()
        step(ours[2])
    assert len(caplog.records) == 2
    assert step.prepare(longer) is step.prepare(longer)
    theirs[0].eval()
    ours[0].zero_grad()
    require_same([step(ours[2]), *everything(ours[0])], [eager(theirs), *everything(theirs[0])])


def test_a_parameter_frozen_later_gets_no_gradient() -> None:
    ours, _ = twins(tied)
    step = optimized(ours, 1.0)
    prepared = step.prepare(ours[2]).step
    ours[0].mix.requires_grad_(False)
    with pytest.raises(StepMismatch, match=r"mix.weight: frozen since the step was captured"):
        prepared(ours[2])
    step(ours[2])
    assert ours[0].mix.weight.grad is None
    assert ours[0].tokens.weight.grad is not None


def test_a_failing_step_changes_nothing() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 5))
    good = (torch.randint(0, 9, (3, 2)), torch.tensor([0, 1, 4]))
    step = optimized((model, class_loss, good), 1.0)
    step(good)
    before = [each.clone() for each in everything(model)]
    for bad, op in (((good[0], good[1] + 7), "nll_loss_forward"), ((good[0] + 9, good[1]), "embedding")):
        with pytest.raises(ExecutionError, match=f"op '{op}' .* out of "):
            step(bad)
        require_same(before, everything(model))
    step(good)
    assert not torch.equal(before[-1], torch.get_rng_state())


def test_a_step_whose_gradients_have_no_place_changes_nothing() -> None:
    ours, _ = twins(gpt2)
    step = optimized(ours, 1.0)
    step(ours[2])
    last = list(ours[0].parameters())[-1]
    last.grad = last.grad.to_sparse()
    before = [each.clone() for each in everything(ours[0])]
    with pytest.raises(StepMismatch, match=r"\.grad of another layout; call zero_grad"):
        step(ours[2])
    last.grad, before[-2] = last.grad.to_dense(), before[-2].to_dense()
    require_same(before, everything(ours[0]))


def test_buffers_that_change_places() -> None:
    class Swapping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.register_buffer("one", torch.tensor([1.0, 2.0]))
            self.register_buffer("other", torch.tensor([3.0, 4.0]))

        def forward(self, batch: Tensor) -> Tensor:
            self.one, self.other = self.other, self.one
            return (self.weight * batch * self.one).sum()

    ours, theirs = twins(lambda: (Swapping(), lambda model, batch: model(batch), torch.randn(2)))
    step = optimized(ours, 1.0)
    for _ in range(3):
        assert torch.equal(step(ours[2]), eager(theirs))
        require_same(everything(ours[0]), everything(theirs[0]))


def test_a_module_that_steps_trains_like_the_model() -> None:
    ours, theirs = twins(resnet18)
    module = HCModule(optimized(ours, 0.9))
    ends = []
    for model, run in ((ours[0], module), (theirs[0], lambda batch: theirs[1](theirs[0], batch))):
        optimizer = torch.optim.SGD(run.parameters() if model is ours[0] else model.parameters(), lr=0.1)
        hooked: list[Tensor] = []
        next(model.parameters()).register_hook(lambda gradient, hooked=hooked: hooked.append(gradient))
        for _ in range(3):
            loss = run(ours[2])
            (loss * 4.0).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            last = run(ours[2])
        ends.append([loss.detach(), last, *hooked, *everything(model)])
    require_same(*ends)
    ours[0].train()
    loss = module(ours[2])
    loss.backward(retain_graph=True)
    with pytest.raises(ExecutionError, match="its gradients are spent"):
        loss.backward()


def test_budgets_that_nothing_fits_are_told() -> None:
    torch.manual_seed(0)
    with pytest.raises(OutOfBudget, match=r"budget 100 bytes: no schedule fits: .* give more"):
        optimized(tied(), "100B")
    with pytest.raises(OutOfBudget, match="no schedule found"):
        optimized(tied(), 0.99, method="store_all")


def test_workspaces_count_against_the_budget() -> None:
    torch.manual_seed(0)
    step = resnet18()
    without, measured = optimized(step, 1.0), optimized(step, 1.0, measure_workspaces=True)
    captured, seen = without.prepare(step[2]).graph, measured.prepare(step[2]).graph
    assert not any(op.workspace_bytes for op in captured.ops)
    assert any(op.workspace_bytes for op in seen.ops if op.name.startswith("convolution"))
    with pytest.raises(OutOfBudget, match="workspace"):
        optimized(step, f"{captured.store_all_peak_bytes // 4}B", measure_workspaces=True, method="frontier_cuts")


def test_gradient_hooks_and_shared_buffers_are_refused() -> None:
    ours, _ = twins(resnet18)
    step = optimized(ours)
    handle = ours[0][0].weight.register_hook(lambda gradient: gradient)
    with pytest.raises(StepMismatch, match=r"0.weight: has a gradient hook"):
        step(ours[2])
    handle.remove()
    ours[0][1].running_mean = ours[0][1].running_var
    prepared = next(iter(step._prepared.values())).step
    with pytest.raises(StepMismatch, match=r"1.running_mean: the step writes to it, and it shares memory"):
        prepared(ours[2])


def test_a_gradient_scaler_scales_as_in_eager() -> None:
    ours, theirs = twins(tied)
    ends = []
    for model, loss_fn, batch in (ours, theirs):
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        run = optimized(ours, scaler=scaler) if model is ours[0] else None
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            if run is None:
                loss = scaler.scale(loss_fn(model, batch))
                loss.backward()
            else:
                loss = run(batch)
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.detach())
        assert scaler.get_scale() == 512.0
        ends.append([*losses, *everything(model)])
    require_same(*ends)


def test_a_graph_file_and_a_schedule_file_suffice_where_no_solver_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, loss_fn, batch = tied()
    captured = capture_step(model, loss_fn, batch)
    schedule = schedule_from_computes(captured.graph, [0, 1, 0, *range(1, len(captured.graph.ops))])
    program = record_program(captured)
    save_graph(captured.graph, tmp_path / "graph.json", program_to_json(program))
    save_schedule(schedule, captured.graph, tmp_path / "schedule.json")
    expected = ModelStep(copy.deepcopy(model), Executor(captured.graph, program, schedule))
    loss = expected(batch)
    torch.save(
        (model.state_dict(), batch, loss, [each.grad for each in expected.model.parameters()]), tmp_path / "t.pt"
    )
    code = """
import sys
for name in ("ortools", "highspy", "pulp"):
    sys.modules[name] = None
import torch
from hcb_opt.runtime.step import load_step
from training_steps import Tied
state, batch, loss, gradients = torch.load("t.pt")
model = Tied()
model.load_state_dict(state)
assert torch.equal(load_step(model, "graph.json", "schedule.json")(batch), loss)
for each, gradient in zip(model.parameters(), gradients, strict=True):
    assert torch.equal(each.grad, gradient)
"""
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
