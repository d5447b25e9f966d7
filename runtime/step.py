"""A model and its executor: one call runs a training step and fills ``.grad``."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import torch

from hcb_opt.capture.program_json import load_program
from hcb_opt.capture.torch_shim import has_gradient_hooks, storage_key, tree_leaves
from hcb_opt.io import load_graph, load_schedule
from hcb_opt.runtime.delivery import deliver
from hcb_opt.runtime.errors import StepMismatch
from hcb_opt.runtime.executor import Executed, Executor
from hcb_opt.runtime.generators import restored_on_error


class ModelStep:
    """One training step of a model under one schedule.

    Parameters
    ----------
    model : torch.nn.Module
        Whose parameters and buffers have the names and layouts of the captured
        one's. Read at every call, so that they may be replaced in between.
    executor : Executor
    """

    def __init__(self, model: torch.nn.Module, executor: Executor) -> None:
        self.model, self.executor = model, executor

    def __call__(self, batch: Any) -> torch.Tensor:
        """Compute the loss, and accumulate gradients as ``loss.backward()`` does.

        Parameters
        ----------
        batch : tensor, or nested tuples, lists and dicts of them
            Of the captured shapes.

        Returns
        -------
        torch.Tensor
            The loss, without a graph.

        Raises
        ------
        StepMismatch
            If a tensor has another layout than the captured one, or the model
            has what a step cannot honour: gradient hooks, frozen parameters that
            were trained, or buffers that share memory.
        OutOfBudget, NondeterministicOp, ExecutionError
            As `Executor.run`. After any error parameters, ``.grad``, buffers and
            generators are as they were before.
        """
        arguments = self.arguments(batch)
        parameters = arguments[: self.executor.program.parameters]
        self._check_hooks(parameters)
        with restored_on_error({each.device for each in arguments}):
            executed = self.execute(arguments)
            deliver(executed, parameters, arguments)
        return executed.loss

    def execute(self, arguments: list[torch.Tensor]) -> Executed:
        """Run the step on what `arguments` gave; nothing of the model changes yet."""
        self._check_frozen(arguments)
        self._check_updates(arguments)
        return self.executor.run(arguments)

    def arguments(self, batch: Any) -> list[torch.Tensor]:
        """The model's parameters and buffers and the batch's tensors, as the executor takes them.

        Raises
        ------
        StepMismatch
            If the model lacks one.
        """
        program = self.executor.program
        try:
            owned = [attrgetter(name)(self.model) for name in (*program.parameter_names, *program.buffer_names)]
        except AttributeError as error:
            raise StepMismatch(f"model: {error}; give the model that was captured") from None
        return owned + [each for each in tree_leaves(batch) if isinstance(each, torch.Tensor)]

    def _check_hooks(self, parameters: list[torch.Tensor]) -> None:
        program = self.executor.program
        for name, parameter, gradient in zip(program.parameter_names, parameters, program.gradients, strict=True):
            if gradient is not None and has_gradient_hooks(parameter):
                raise StepMismatch(f"{name}: has a gradient hook, which would not run; use HCModule, or remove it")

    def _check_frozen(self, arguments: list[torch.Tensor]) -> None:
        program = self.executor.program
        for name, parameter, gradient in zip(program.parameter_names, arguments, program.gradients, strict=False):
            if gradient is not None and not parameter.requires_grad:
                raise StepMismatch(f"{name}: frozen since the step was captured; capture it again")

    def _check_updates(self, arguments: list[torch.Tensor]) -> None:
        keys = [storage_key(each) for each in arguments]
        for position, _ in self.executor.program.updates:
            if position < len(keys) and keys.count(keys[position]) > 1:
                name = self.executor.program.layouts[position].name
                raise StepMismatch(f"{name}: the step writes to it, and it shares memory with another tensor; clone it")


def load_step(
    model: torch.nn.Module,
    graph: str | Path,
    schedule: str | Path,
    *,
    budget_bytes: int | None = None,
    strict: bool = False,
) -> ModelStep:
    """A step from files: no solver is needed, and nothing is traced.

    Parameters
    ----------
    model : torch.nn.Module
        The model that was captured, or another of the same parameters and buffers.
    graph : str or Path
        As written by ``hcb-opt capture``.
    schedule : str or Path
        As written by ``hcb-opt solve -o``.
    budget_bytes, strict
        As in `Executor`.

    Raises
    ------
    InvalidInput
        If a file is not usable, or the schedule is another graph's.
    """
    loaded = load_graph(graph)
    program = load_program(graph, loaded)
    executor = Executor(loaded, program, load_schedule(schedule, loaded), budget_bytes=budget_bytes, strict=strict)
    return ModelStep(model, executor)
