"""Layer norm and root-mean-square norm as one op each; `norms_reference` has the equations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hcb_opt.capture.scratch import Scratch, declares_scratch
from hcb_opt.runtime.fused.shapes import as_rows, copied_bytes, piece_bytes
from hcb_opt.runtime.kernels.choice import kernels_for
from hcb_opt.runtime.kernels.norms_reference import PARTS


def layer_norm(hidden: Tensor, weight: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Layer norm over the last dimension; the backward reads ``hidden`` and ``weight`` only.

    Parameters
    ----------
    hidden : Tensor
        (..., D).
    weight, bias : Tensor
        (D,).
    epsilon : float
    """
    made: Tensor = _layer_norm(hidden, weight, bias, epsilon)
    return made


def rms_norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root-mean-square norm over the last dimension; parameters as in `layer_norm`."""
    made: Tensor = _rms_norm(hidden, weight, epsilon)
    return made


class LayerNorm(nn.Module):
    """Layer norm.

    Parameters
    ----------
    width : int
        D.
    epsilon : float
    """

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias, self.epsilon = (
            nn.Parameter(torch.ones(width)),
            nn.Parameter(torch.zeros(width)),
            epsilon,
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """From (..., D) to the same shape."""
        return layer_norm(hidden, self.weight, self.bias, self.epsilon)


class RMSNorm(nn.Module):
    """Root-mean-square norm; parameters as in `LayerNorm`."""

    def __init__(self, width: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, hidden: Tensor) -> Tensor:
        """From (..., D) to the same shape."""
        return rms_norm(hidden, self.weight, self.epsilon)


@torch.library.custom_op(
    "hcb_opt::layer_norm",
    mutates_args=(),
    schema="(Tensor hidden, Tensor weight, Tensor bias, float epsilon) -> Tensor",
)
def _layer_norm(hidden: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return _normed(hidden, weight, bias, epsilon)


@torch.library.custom_op(
    "hcb_opt::layer_norm_backward",
    mutates_args=(),
    schema="(Tensor gradient, Tensor hidden, Tensor weight, float epsilon) -> (Tensor, Tensor, Tensor)",
)
def _layer_norm_backward(
    gradient: Tensor, hidden: Tensor, weight: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _gradients(gradient, hidden, weight, epsilon, centred=True)


@torch.library.custom_op(
    "hcb_opt::rms_norm", mutates_args=(), schema="(Tensor hidden, Tensor weight, float epsilon) -> Tensor"
)
def _rms_norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return _normed(hidden, weight, None, epsilon)


@torch.library.custom_op(
    "hcb_opt::rms_norm_backward",
    mutates_args=(),
    schema="(Tensor gradient, Tensor hidden, Tensor weight, float epsilon) -> (Tensor, Tensor)",
)
def _rms_norm_backward(gradient: Tensor, hidden: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return _gradients(gradient, hidden, weight, epsilon, centred=False)[:2]


def _normed(hidden: Tensor, weight: Tensor, bias: Tensor | None, epsilon: float) -> Tensor:
    shift = None if bias is None else bias.contiguous()
    kernels = kernels_for(hidden, "norms")
    made: Tensor = kernels.forward(as_rows(hidden), weight.contiguous(), shift, epsilon, bias is not None)
    return made.view(hidden.shape)


def _gradients(
    gradient: Tensor, hidden: Tensor, weight: Tensor, epsilon: float, centred: bool
) -> tuple[Tensor, Tensor, Tensor]:
    kernels = kernels_for(hidden, "norms")
    rows, scales, shifts = kernels.backward(as_rows(gradient), as_rows(hidden), weight.contiguous(), epsilon, centred)
    return rows.view(hidden.shape), scales, shifts


@_layer_norm.register_fake
def _(hidden: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return torch.empty_like(hidden, memory_format=torch.contiguous_format)


@_rms_norm.register_fake
def _(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return torch.empty_like(hidden, memory_format=torch.contiguous_format)


@_layer_norm_backward.register_fake
def _(gradient: Tensor, hidden: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    made = torch.empty_like(hidden, memory_format=torch.contiguous_format)
    return made, torch.empty_like(weight), torch.empty_like(weight)


@_rms_norm_backward.register_fake
def _(gradient: Tensor, hidden: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(hidden, memory_format=torch.contiguous_format), torch.empty_like(weight)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    hidden, weight, *_, ctx.epsilon = inputs
    ctx.save_for_backward(hidden, weight)


def _differentiate_layer(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    return *_layer_norm_backward(gradient, *ctx.saved_tensors, ctx.epsilon), None


def _differentiate_rms(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    return *_rms_norm_backward(gradient, *ctx.saved_tensors, ctx.epsilon), None


_layer_norm.register_autograd(_differentiate_layer, setup_context=_keep)
_rms_norm.register_autograd(_differentiate_rms, setup_context=_keep)


@declares_scratch(torch.ops.hcb_opt.layer_norm)
@declares_scratch(torch.ops.hcb_opt.rms_norm)
def _scratch(hidden: Tensor, *others: Any) -> Scratch:
    return Scratch(copied_bytes(hidden) + piece_bytes(hidden, 4))


@declares_scratch(torch.ops.hcb_opt.layer_norm_backward)
@declares_scratch(torch.ops.hcb_opt.rms_norm_backward)
def _backward_scratch(gradient: Tensor, hidden: Tensor, weight: Tensor, epsilon: float) -> Scratch:
    sums = 2 * PARTS * weight.numel() * 4 if hidden.device.type == "cuda" else 0
    moments = 2 * 4 * hidden.numel() // max(1, weight.numel()) if sums else 0
    return Scratch(copied_bytes(gradient, hidden) + piece_bytes(hidden, 6) + sums + moments, 2 * sums)
