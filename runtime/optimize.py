"""Drop-in use: a training step within a memory budget, captured and solved per batch shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hcb_opt.budget import format_bytes, parse_budget
from hcb_opt.capture import capture_step
from hcb_opt.capture.record import record_program
from hcb_opt.capture.torch_shim import autocast_state, tree_flatten
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.replay import replay
from hcb_opt.result import Result, Status
from hcb_opt.runtime.cuda_graph import record_cuda_graph, require_cuda
from hcb_opt.runtime.errors import OutOfBudget
from hcb_opt.runtime.executor import Executor
from hcb_opt.runtime.generators import restored
from hcb_opt.runtime.measure import with_measured_workspaces
from hcb_opt.runtime.recorded import RecordedExecutor, Recorder
from hcb_opt.runtime.step import ModelStep
from hcb_opt.schedule import Schedule
from hcb_opt.solve import solve_schedule

_log = logging.getLogger("hcb_opt")

LossFunction = Callable[[Any, Any], torch.Tensor]


@dataclass(frozen=True)
class Prepared:
    """A step for one batch shape.

    Attributes
    ----------
    graph : Graph
        With measured workspaces, if they were asked for.
    result : Result
    step : ModelStep
    """

    graph: Graph
    result: Result
    step: ModelStep


class OptimizedStep:
    """What `optimize` returns: called with a batch, it fills ``.grad`` and returns the loss."""

    def __init__(
        self,
        model: torch.nn.Module,
        loss_fn: LossFunction,
        budget: int | float | str,
        cost: str,
        strict: bool,
        measure_workspaces: bool,
        limits: dict[str, Any],
        recorder: Recorder | None = None,
    ) -> None:
        self.model, self.loss_fn, self.budget = model, loss_fn, budget
        self.cost, self.strict, self.measure_workspaces = cost, strict, measure_workspaces
        self._limits, self._recorder = limits, recorder
        self._prepared: dict[Any, Prepared] = {}

    def __call__(self, batch: Any) -> torch.Tensor:
        """Compute the loss and accumulate gradients; see `hcb_opt.runtime.step.ModelStep`.

        A batch of new shapes, or a change of the model's modes, is captured and
        solved first, with a message to the logger ``hcb_opt``.
        """
        return self.prepare(batch).step(batch)

    def prepare(self, batch: Any) -> Prepared:
        """The step for batches of this shape: its graph, result and executor.

        Raises
        ------
        CaptureError, InvalidInput
            As `hcb_opt.capture` and `hcb_opt.solve_schedule`.
        OutOfBudget
            If no schedule within the budget exists, or none is found in time.
        """
        key = _key(self.model, batch)
        if key not in self._prepared:
            if self._prepared:
                _log.warning(
                    "step %d: batch shapes or the model's modes are new (%s); capturing and solving again",
                    len(self._prepared) + 1,
                    _shapes(batch),
                )
            self._prepared[key] = self._make(batch)
        return self._prepared[key]

    def release(self) -> None:
        """Forget all that was captured and give its memory back; the next call captures anew."""
        for each in self._prepared.values():
            if isinstance(each.step.executor, RecordedExecutor):
                each.step.executor.release(list(self.model.parameters()))
        self._prepared.clear()

    def _make(self, batch: Any) -> Prepared:
        captured = capture_step(self.model, self.loss_fn, batch, cost=self.cost)
        program = record_program(captured)
        graph = captured.graph
        budget_bytes = parse_budget(self.budget, graph.store_all_peak_bytes)
        result, schedule = self._solve(graph, budget_bytes)
        if self.measure_workspaces:
            step = ModelStep(self.model, Executor(graph, program, schedule, strict=self.strict))
            device = torch.device(program.layouts[0].device)
            with restored([device]):
                graph = with_measured_workspaces(step.executor, step.arguments(batch), device)
            budget_bytes = parse_budget(self.budget, graph.store_all_peak_bytes)
            if replay(graph, schedule).peak_bytes > budget_bytes:
                _log.info("ops need scratch memory beyond the budget; solving again with it")
                result, schedule = self._solve(graph, budget_bytes)
        kept: dict[str, Any] = {"budget_bytes": budget_bytes, "strict": self.strict}
        if self._recorder is None:
            executor = Executor(graph, program, schedule, **kept)
        else:
            executor = RecordedExecutor(graph, program, schedule, self._recorder, **kept)
        _log.info(
            "%s: %d ops, peak %s of %s, overhead %.2f %%",
            graph.name,
            len(graph.ops),
            format_bytes(replay(graph, schedule).peak_bytes),
            format_bytes(budget_bytes),
            100 * (result.overhead or 0.0),
        )
        return Prepared(graph, result, ModelStep(self.model, executor))

    def _solve(self, graph: Graph, budget_bytes: int) -> tuple[Result, Schedule]:
        result = solve_schedule(graph, budget_bytes, **self._limits)
        if result.schedule is not None:
            return result, result.schedule
        if result.status is Status.INFEASIBLE:
            raise OutOfBudget(f"budget {budget_bytes} bytes: no schedule fits: {result.reason}; give more")
        raise OutOfBudget(
            f"budget {budget_bytes} bytes: no schedule found in {result.seconds:.0f} s: {result.reason}; "
            "give more bytes or time"
        )


def optimize(
    model: torch.nn.Module,
    loss_fn: LossFunction,
    batch: Any,
    budget: int | float | str,
    *,
    method: str = "auto",
    time_limit: float = 60.0,
    gap: float = 0.01,
    seed: int = 0,
    workers: int = 1,
    cost: str = "roofline:h200",
    strict: bool = False,
    measure_workspaces: bool = True,
    scaler: torch.amp.GradScaler | None = None,
    cuda_graph: bool = False,
) -> OptimizedStep:
    """A training step that stays within a memory budget.

    ``loss = step(batch)`` takes the place of ``loss = loss_fn(model, batch);
    loss.backward()``: gradients, buffers and random numbers come out bit-equal.
    Optimizers, gradient accumulation and ``zero_grad`` work as ever.

    Parameters
    ----------
    model : torch.nn.Module
    loss_fn : callable
        ``loss_fn(model, batch)`` returns the scalar loss.
    batch : tensor, or nested tuples, lists and dicts of them
        Of the shapes to come; others are captured and solved when they come.
    budget : int, float or str
        Of what the step holds besides parameters, buffers and batch: bytes,
        ``"8GiB"``, or a share of the store-all peak. Gradients count, until they
        are in ``.grad``.
    method, time_limit, gap, seed, workers
        As in `hcb_opt.solve_schedule`.
    cost : str
        As in `hcb_opt.capture`.
    strict : bool
        Use deterministic kernels, and refuse ops without one.
    measure_workspaces : bool
        Run the step once to see how much scratch memory each op takes, and solve
        again if that does not fit. Without it, convolutions may exceed the budget.
    scaler : torch.amp.GradScaler or None
        Its ``scale(loss)`` is then what is differentiated and returned;
        ``scaler.step`` and ``scaler.update`` remain the caller's.
    cuda_graph : bool
        Record the step as a CUDA graph when it first runs, and launch that ever
        after: no time in Python per op. The step's memory stays reserved, and a
        gradient that ``.grad`` had from one step is overwritten by the next,
        unless it is still there to be added to.

    Returns
    -------
    OptimizedStep

    Raises
    ------
    CaptureError
        If the step cannot be captured or executed.
    InvalidInput
        If an argument is not usable.
    OutOfBudget
        If no schedule fits the budget, or none is found in time.
    """
    if cuda_graph:
        require_cuda(model)
    limits = {"method": method, "time_limit": time_limit, "gap": gap, "seed": seed, "workers": workers}
    if scaler is not None:
        loss_fn = _scaled(loss_fn, scaler, next(model.parameters()).device)
    recorder = record_cuda_graph if cuda_graph else None
    step = OptimizedStep(model, loss_fn, budget, cost, strict, measure_workspaces, limits, recorder)
    step.prepare(batch)
    return step


def _scaled(loss_fn: LossFunction, scaler: torch.amp.GradScaler, device: torch.device) -> LossFunction:
    # A scaler makes its tensors at first use: that must not happen while a step is traced.
    scaler.scale(torch.zeros(1, device=device))
    return lambda model, batch: scaler.scale(loss_fn(model, batch))


def _key(model: torch.nn.Module, batch: Any) -> Any:
    """All that the trace depends on and that may change from call to call."""
    leaves, structure = tree_flatten(batch)
    try:
        hash(tuple(each for each in leaves if not isinstance(each, torch.Tensor)))
    except TypeError:
        what = "holds something that is neither a tensor nor hashable"
        raise InvalidInput("batch", what, "pass tensors, numbers, strings, tuples, lists and dicts") from None
    modes = tuple(each.training for each in model.modules())
    owned = tuple((name, _layout(each)) for name, each in (*model.named_parameters(), *model.named_buffers()))
    return (
        str(structure),
        tuple(_layout(each) if isinstance(each, torch.Tensor) else (type(each), each) for each in leaves),
        modes,
        owned,
        autocast_state(),
    )


def _layout(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device, tensor.requires_grad


def _shapes(batch: Any) -> str:
    leaves, _ = tree_flatten(batch)
    return ", ".join(str(tuple(each.shape)) for each in leaves if isinstance(each, torch.Tensor))
