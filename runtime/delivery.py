"""Hands a step's results over: gradients to ``.grad``, new contents to buffers, as eager's backward would.

All that can fail comes first, so that either everything is handed over or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hcb_opt.capture.torch_shim import storage_key
from hcb_opt.runtime.errors import OutOfBudget, StepMismatch
from hcb_opt.runtime.executor import Executed


def deliver(executed: Executed, parameters: Sequence[torch.Tensor], arguments: Sequence[torch.Tensor]) -> None:
    """Accumulate gradients and apply updates, each once.

    Parameters
    ----------
    executed : Executed
        Emptied on the way, so that a gradient that must be copied is freed.
    parameters : sequence of torch.nn.Parameter
        As the gradients are ordered. Where ``.grad`` is None it becomes the
        gradient, with the parameter's strides; otherwise the gradient is added
        to it in place.
    arguments : sequence of torch.Tensor
        What the step ran on; updates are copied into them.

    Raises
    ------
    StepMismatch
        If a ``.grad`` has another layout than its parameter.
    OutOfBudget
        If the device has no room for a gradient's copy.
    """
    for parameter, gradient in zip(parameters, executed.gradients, strict=True):
        if gradient is not None and parameter.grad is not None:
            _check_accumulates(parameter, gradient)
    with torch.no_grad():
        owned = _owned_gradients(executed, parameters, arguments)
        for parameter, gradient in zip(parameters, owned, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                parameter.grad.add_(gradient)
    apply_updates(executed, arguments)


def apply_updates(executed: Executed, arguments: Sequence[torch.Tensor]) -> None:
    """Copy what the step writes to its arguments into them."""
    keys = {storage_key(each) for each in arguments}
    with torch.no_grad():
        # Arguments may exchange their contents: those that are read from are copied before any is written.
        updates = [
            (position, each.clone() if storage_key(each) in keys else each) for position, each in executed.updates
        ]
        for position, each in updates:
            arguments[position].copy_(each)


def _check_accumulates(parameter: torch.Tensor, gradient: torch.Tensor) -> None:
    present = parameter.grad
    assert present is not None
    if present.layout != torch.strided or present.shape != gradient.shape:
        raise StepMismatch(
            f"a parameter of shape {tuple(parameter.shape)} has a .grad of another layout; call zero_grad() first"
        )


def _owned_gradients(
    executed: Executed, parameters: Sequence[torch.Tensor], arguments: Sequence[torch.Tensor]
) -> list[torch.Tensor | None]:
    """The gradients, each with a storage of its own and, where it becomes ``.grad``, its parameter's strides."""
    shared = {storage_key(each) for each in arguments} | {storage_key(executed.loss)}
    shared |= {storage_key(update) for _, update in executed.updates}
    owned: list[torch.Tensor | None] = []
    for position, parameter in enumerate(parameters):
        gradient = executed.gradients[position]
        executed.gradients[position] = None
        if gradient is None or parameter.grad is not None:
            owned.append(gradient)
            continue
        later = (each for each in executed.gradients[position + 1 :] if each is not None)
        key = storage_key(gradient)
        if key in shared or any(storage_key(each) == key for each in later) or not _fits(gradient, parameter):
            gradient = _copied(gradient, parameter)
        owned.append(gradient)
    return owned


def _fits(gradient: torch.Tensor, parameter: torch.Tensor) -> bool:
    whole = gradient.untyped_storage().nbytes() == gradient.numel() * gradient.element_size()
    return whole and gradient.stride() == parameter.stride() and gradient.dtype == parameter.dtype


def _copied(gradient: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    try:
        return torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(gradient)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        raise OutOfBudget(f"no room to copy a gradient of shape {tuple(gradient.shape)}: {error}") from None
