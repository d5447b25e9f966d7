"""A module whose output is the loss, for training loops that call ``loss.backward()`` themselves."""

from __future__ import annotations

from typing import Any

import torch

from hcb_opt.runtime.delivery import apply_updates
from hcb_opt.runtime.errors import ExecutionError
from hcb_opt.runtime.optimize import OptimizedStep
from hcb_opt.runtime.step import ModelStep


class HCModule(torch.nn.Module):
    """``loss = module(batch)``, then ``loss.backward()``, as with any module.

    The whole step runs in the forward; the backward multiplies the gradients by
    its own and hands them to autograd. So they take their memory from the
    forward on, gradient hooks and gradient scalers work, and training frameworks
    need not know. In evaluation, or without gradients, the model runs as it is.

    Parameters
    ----------
    step : OptimizedStep
        From `hcb_opt.optimize`.

    Attributes
    ----------
    model : torch.nn.Module
        The model itself: its parameters are this module's.
    """

    def __init__(self, step: OptimizedStep) -> None:
        super().__init__()
        self.model = step.model
        self.step = step

    def forward(self, batch: Any) -> torch.Tensor:
        """The loss; parameters and buffers as after eager's forward."""
        if not torch.is_grad_enabled() or not any(each.requires_grad for each in self.model.parameters()):
            return self.step.loss_fn(self.model, batch)
        prepared = self.step.prepare(batch).step
        arguments = prepared.arguments(batch)
        parameters = arguments[: prepared.executor.program.parameters]
        loss: torch.Tensor = _Stepped.apply(prepared, arguments, *parameters)  # type: ignore[no-untyped-call]
        return loss


class _Stepped(torch.autograd.Function):
    """The step as one differentiable operation of its parameters."""

    @staticmethod
    def forward(ctx: Any, step: ModelStep, arguments: list[torch.Tensor], *parameters: torch.Tensor) -> torch.Tensor:
        executed = step.execute(arguments)
        apply_updates(executed, arguments)
        ctx.gradients = executed.gradients
        if step.executor.reuses_memory:  # another forward may come before the backward
            ctx.gradients = [None if each is None else each.clone() for each in executed.gradients]
        return executed.loss

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise ExecutionError("loss: its gradients are spent; call the module again before another backward")
        scaled: list[torch.Tensor | None] = []
        for position, each in enumerate(gradients):
            scaled.append(None if each is None else each * outer[0])
            gradients[position] = None
        return (None, None, *scaled)
