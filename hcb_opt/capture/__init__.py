"""Training steps as graphs: `capture`, and the steps of a user's own file.

The module is callable, so that ``hcb_opt.capture(...)`` means the same whether or
not something has imported this module: importing a submodule binds it to the
package under its name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hcb_opt.capture.costs import CostModel, Device, Work, cost_model, devices
from hcb_opt.capture.user_step import load_user_step
from hcb_opt.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from hcb_opt.capture.step import CapturedStep

__all__ = [
    "CostModel",
    "Device",
    "Work",
    "capture",
    "capture_step",
    "cost_model",
    "devices",
    "load_user_step",
]


def capture(
    model: torch.nn.Module,
    loss_fn: Callable[[Any, Any], torch.Tensor],
    batch: Any,
    *,
    cost: str = "roofline:h200",
    name: str | None = None,
) -> Graph:
    """The forward and backward of one training step, as a graph.

    Nothing is computed and nothing of the model's size is allocated: the step is
    traced on fake tensors. The model, its gradients, buffers and mode, and the
    random-number generators are left as they were, also after an error.

    Parameters
    ----------
    model : torch.nn.Module
        On a CPU, CUDA or meta device (meta is traced as the CPU).
    loss_fn : callable
        ``loss_fn(model, batch)`` returns the scalar loss.
    batch : tensor, or nested tuples, lists and dicts of them
    cost : str
        ``flops``, ``bytes`` or ``roofline:<device>``.
    name : str, optional
        The graph's label; by default the model's class.

    Returns
    -------
    Graph
        Its outputs are the loss, the gradient of every parameter that gets one,
        and the new value of every buffer that the step updates.

    Raises
    ------
    CaptureError
        If the step has no backward, depends on the data it computes, or uses an
        op that cannot be traced; the message names the op and the user's line.
    InvalidInput
        If the cost model or an argument is not usable.
    """
    return capture_step(model, loss_fn, batch, cost=cost, name=name).graph


def capture_step(
    model: torch.nn.Module,
    loss_fn: Callable[[Any, Any], torch.Tensor],
    batch: Any,
    *,
    cost: str = "roofline:h200",
    name: str | None = None,
) -> CapturedStep:
    """As `capture`, with the traced module that an executor needs beside the graph."""
    from hcb_opt.capture.step import capture_traced

    return capture_traced(model, loss_fn, batch, cost_model(cost), name)


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Graph:
        return capture(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
