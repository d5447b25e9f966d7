"""Dropout whose mask is made again from a seed instead of kept; `dropout_reference` has the equations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hcb_opt.capture.scratch import Scratch, declares_scratch
from hcb_opt.errors import InvalidInput
from hcb_opt.runtime.fused.shapes import copied_bytes
from hcb_opt.runtime.kernels.choice import kernels_for
from hcb_opt.runtime.kernels.pieces import PIECE

_WORD_BYTES = 24  # that the reference takes for the words of an element, at most


def dropout(hidden: Tensor, seed: Tensor, probability: float, offset: int = 0) -> Tensor:
    """Numbers dropped with a probability, the others made larger; the backward reads the seed only.

    Parameters
    ----------
    hidden : Tensor
    seed : Tensor of int64
        One number; the same seed and offset drop the same elements, on every device.
    probability : float
        In [0, 1).
    offset : int
        Tells several dropouts of one seed apart.
    """
    made: Tensor = _dropout(hidden, seed, offset, probability)
    return made


class Dropout(nn.Module):
    """Dropout in training, with a seed drawn from torch's generator at every call.

    Parameters
    ----------
    probability : float

    Raises
    ------
    InvalidInput
        If the probability is not in [0, 1).
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise InvalidInput("probability", f"{probability} is not in [0, 1)", "give the share to be dropped")
        self.probability = probability

    def forward(self, hidden: Tensor) -> Tensor:
        """From any shape to the same."""
        if not self.training or self.probability == 0:
            return hidden
        seed = torch.randint(2**63 - 1, (), device=hidden.device)
        return dropout(hidden, seed, self.probability)


@torch.library.custom_op(
    "hcb_opt::dropout",
    mutates_args=(),
    schema="(Tensor hidden, Tensor seed, int offset, float probability) -> Tensor",
)
def _dropout(hidden: Tensor, seed: Tensor, offset: int, probability: float) -> Tensor:
    made: Tensor = kernels_for(hidden, "dropout").dropout(hidden.contiguous().view(-1), seed, offset, probability)
    return made.view(hidden.shape)


@_dropout.register_fake
def _(hidden: Tensor, seed: Tensor, offset: int, probability: float) -> Tensor:
    return torch.empty_like(hidden, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, seed, ctx.offset, ctx.probability = inputs
    ctx.save_for_backward(seed)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    (seed,) = ctx.saved_tensors
    return _dropout(gradient, seed, ctx.offset, ctx.probability), None, None, None


_dropout.register_autograd(_differentiate, setup_context=_keep)


@declares_scratch(torch.ops.hcb_opt.dropout)
def _scratch(hidden: Tensor, seed: Tensor, offset: int, probability: float) -> Scratch:
    piece = 0 if hidden.device.type == "cuda" else min(PIECE, hidden.numel() + 3)
    number = torch.promote_types(hidden.dtype, torch.float32).itemsize
    return Scratch(copied_bytes(hidden) + piece * (_WORD_BYTES + 2 * number))
