"""A bias and the Gaussian error linear unit as one op; `bias_gelu_reference` has the equations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hcb_opt.capture.scratch import Scratch, declares_scratch
from hcb_opt.runtime.fused.shapes import as_rows, copied_bytes, piece_bytes
from hcb_opt.runtime.kernels.bias_gelu_reference import PARTS
from hcb_opt.runtime.kernels.choice import kernels_for


def bias_gelu(hidden: Tensor, bias: Tensor, approximate: str = "none") -> Tensor:
    """``gelu(hidden + bias)``; the backward reads ``hidden`` and ``bias``.

    Parameters
    ----------
    hidden : Tensor
        (..., D).
    bias : Tensor
        (D,).
    approximate : str
        ``none`` or ``tanh``, as in `torch.nn.GELU`.
    """
    made: Tensor = _bias_gelu(hidden, bias, approximate == "tanh")
    return made


class LinearGELU(nn.Module):
    """A linear layer and the unit after it; its bias is added with the unit.

    Parameters
    ----------
    linear : torch.nn.Linear
        Whose parameters become this module's; it must have a bias.
    approximate : str
        As in `bias_gelu`.
    """

    def __init__(self, linear: nn.Linear, approximate: str = "none") -> None:
        super().__init__()
        self.weight, self.bias, self.approximate = linear.weight, linear.bias, approximate

    def forward(self, hidden: Tensor) -> Tensor:
        """From (..., columns of the weight) to (..., D)."""
        return bias_gelu(nn.functional.linear(hidden, self.weight), self.bias, self.approximate)


@torch.library.custom_op(
    "hcb_opt::bias_gelu", mutates_args=(), schema="(Tensor hidden, Tensor bias, bool tanh) -> Tensor"
)
def _bias_gelu(hidden: Tensor, bias: Tensor, tanh: bool) -> Tensor:
    made: Tensor = kernels_for(hidden, "bias_gelu").forward(as_rows(hidden), bias.contiguous(), tanh)
    return made.view(hidden.shape)


@torch.library.custom_op(
    "hcb_opt::bias_gelu_backward",
    mutates_args=(),
    schema="(Tensor gradient, Tensor hidden, Tensor bias, bool tanh) -> (Tensor, Tensor)",
)
def _bias_gelu_backward(gradient: Tensor, hidden: Tensor, bias: Tensor, tanh: bool) -> tuple[Tensor, Tensor]:
    kernels = kernels_for(hidden, "bias_gelu")
    made, total = kernels.backward(as_rows(gradient), as_rows(hidden), bias.contiguous(), tanh)
    return made.view(hidden.shape), total


@_bias_gelu.register_fake
def _(hidden: Tensor, bias: Tensor, tanh: bool) -> Tensor:
    return torch.empty_like(hidden, memory_format=torch.contiguous_format)


@_bias_gelu_backward.register_fake
def _(gradient: Tensor, hidden: Tensor, bias: Tensor, tanh: bool) -> tuple[Tensor, Tensor]:
    return torch.empty_like(hidden, memory_format=torch.contiguous_format), torch.empty_like(bias)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    hidden, bias, ctx.tanh = inputs
    ctx.save_for_backward(hidden, bias)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    return *_bias_gelu_backward(gradient, *ctx.saved_tensors, ctx.tanh), None


_bias_gelu.register_autograd(_differentiate, setup_context=_keep)


@declares_scratch(torch.ops.hcb_opt.bias_gelu)
def _scratch(hidden: Tensor, bias: Tensor, tanh: bool) -> Scratch:
    return Scratch(copied_bytes(hidden) + piece_bytes(hidden, 4))


@declares_scratch(torch.ops.hcb_opt.bias_gelu_backward)
def _backward_scratch(gradient: Tensor, hidden: Tensor, bias: Tensor, tanh: bool) -> Scratch:
    sums = PARTS * bias.numel() * 4 if hidden.device.type == "cuda" else 0
    return Scratch(copied_bytes(gradient, hidden) + piece_bytes(hidden, 7) + sums, 2 * sums)
