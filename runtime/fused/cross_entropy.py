"""A linear layer and the softmax cross-entropy of its scores as one op, which never holds the scores whole.

`cross_entropy_reference` has the equations. The forward keeps one number per row; the
backward makes the scores again, so that all takes four matrix products instead of three.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from hcb_opt.capture.scratch import Scratch, declares_scratch
from hcb_opt.runtime.kernels.choice import kernels_for
from hcb_opt.runtime.kernels.cross_entropy_reference import Running

CHUNK = 2**23  # scores held at once
LEAST_COLUMNS = 128
_ROWS_HELD = 10  # vectors of a number per row, at most


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """Mean of ``cross_entropy(hidden @ weight.T, targets)``, without the scores.

    Under autocast, hidden and weight are cast as by `torch.nn.functional.linear`.

    Parameters
    ----------
    hidden : Tensor
        (N, D).
    weight : Tensor
        (V, D), of the same dtype.
    targets : Tensor of int64
        (N,).
    ignore_index : int
        Targets that do not count. If none does, the loss is NaN, as eager's; and so
        it is if one lies outside of the vocabulary, where eager raises an error.

    Returns
    -------
    Tensor
        A scalar, float64 for float64 and float32 for all others.
    """
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        hidden, weight = (each.to(torch.get_autocast_dtype(kind)) for each in (hidden, weight))
    loss: Tensor = _linear_cross_entropy(hidden, weight, targets, ignore_index)[0]
    return loss


class LinearCrossEntropy(nn.Module):
    """The last layer of a classifier or language model, and its loss.

    Parameters
    ----------
    width, classes : int
        D and V.
    ignore_index : int
    """

    def __init__(self, width: int, classes: int, ignore_index: int = -100) -> None:
        super().__init__()
        self.weight, self.ignore_index = nn.Linear(width, classes, bias=False).weight, ignore_index

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """The loss of hidden rows (..., D) and targets (...)."""
        return linear_cross_entropy(hidden.flatten(0, -2), self.weight, targets.flatten(), self.ignore_index)


@torch.library.custom_op(
    "hcb_opt::linear_cross_entropy",
    mutates_args=(),
    schema="(Tensor hidden, Tensor weight, Tensor targets, int ignore_index) -> (Tensor, Tensor)",
)
def _linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    kernels, hidden, targets = kernels_for(hidden, "cross_entropy"), hidden.contiguous(), targets.contiguous()
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    starts = (-torch.inf, 0.0, torch.nan)
    running = Running(*(torch.full(targets.shape, start, dtype=dtype, device=hidden.device) for start in starts))
    for columns in _chunks(len(hidden), len(weight)):
        kernels.take_chunk(hidden @ weight[columns].t(), columns.start, targets, running)
    logsumexp = running.maxima.add_(running.sums.log_())
    counts = targets != ignore_index
    losses = torch.where(counts, logsumexp - running.scores, 0.0)
    return losses.sum() / counts.sum(), logsumexp


@torch.library.custom_op(
    "hcb_opt::linear_cross_entropy_backward",
    mutates_args=(),
    schema=(
        "(Tensor gradient, Tensor hidden, Tensor weight, Tensor targets, Tensor logsumexp, int ignore_index)"
        " -> (Tensor, Tensor)"
    ),
)
def _linear_cross_entropy_backward(
    gradient: Tensor, hidden: Tensor, weight: Tensor, targets: Tensor, logsumexp: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor]:
    kernels, hidden, targets = kernels_for(hidden, "cross_entropy"), hidden.contiguous(), targets.contiguous()
    counts = targets != ignore_index
    scales = torch.where(counts, gradient / counts.sum(), 0.0).to(logsumexp.dtype)
    of_hidden = torch.zeros_like(hidden, dtype=logsumexp.dtype)
    of_weight = torch.empty_like(weight, memory_format=torch.contiguous_format)
    for columns in _chunks(len(hidden), len(weight)):
        part = weight[columns]
        chunk = hidden @ part.t()
        kernels.make_gradient(chunk, columns.start, targets, logsumexp, scales)
        torch.mm(chunk.t(), hidden, out=of_weight[columns])
        if chunk.dtype == of_hidden.dtype:
            of_hidden.addmm_(chunk, part)
        else:
            of_hidden += chunk @ part
        del chunk  # or the next one would be made beside it
    return of_hidden.to(hidden.dtype), of_weight


def _chunks(rows: int, classes: int) -> Iterator[slice]:
    step = chunk_columns(rows, classes)
    return (slice(first, min(first + step, classes)) for first in range(0, classes, step))


def chunk_columns(rows: int, classes: int) -> int:
    """Columns of the scores that are held at once: a multiple of 128, or all."""
    return min(classes, max(1, CHUNK // max(1, rows) // LEAST_COLUMNS) * LEAST_COLUMNS)


@_linear_cross_entropy.register_fake
def _(hidden: Tensor, weight: Tensor, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    return hidden.new_empty((), dtype=dtype), hidden.new_empty(targets.shape, dtype=dtype)


@_linear_cross_entropy_backward.register_fake
def _(
    gradient: Tensor, hidden: Tensor, weight: Tensor, targets: Tensor, logsumexp: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor]:
    contiguous = torch.contiguous_format
    return torch.empty_like(hidden, memory_format=contiguous), torch.empty_like(weight, memory_format=contiguous)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    hidden, weight, targets, ctx.ignore_index = inputs
    ctx.save_for_backward(hidden, weight, targets, output[1])
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor, Tensor, None, None]:
    return *_linear_cross_entropy_backward(gradient, *ctx.saved_tensors, ctx.ignore_index), None, None


_linear_cross_entropy.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.hcb_opt.linear_cross_entropy)
def _flops(hidden: list[int], weight: list[int], *others: Any, **keywords: Any) -> int:
    return 2 * hidden[0] * hidden[1] * weight[0]


@register_flop_formula(torch.ops.hcb_opt.linear_cross_entropy_backward)
def _backward_flops(gradient: list[int], hidden: list[int], weight: list[int], *others: Any, **keywords: Any) -> int:
    return 6 * hidden[0] * hidden[1] * weight[0]


@declares_scratch(torch.ops.hcb_opt.linear_cross_entropy)
def _scratch(hidden: Tensor, weight: Tensor, targets: Tensor, ignore_index: int) -> Scratch:
    # Every score is written once and read once.
    return Scratch(_held(hidden, weight), 2 * hidden.shape[0] * weight.shape[0] * hidden.element_size())


@declares_scratch(torch.ops.hcb_opt.linear_cross_entropy_backward)
def _backward_scratch(gradient: Tensor, hidden: Tensor, weight: Tensor, *others: Any) -> Scratch:
    # Scores are written, read and written over, and read by two products.
    held = 0 if hidden.element_size() >= 4 else hidden.numel() * (4 + hidden.element_size())
    return Scratch(_held(hidden, weight) + held, 5 * hidden.shape[0] * weight.shape[0] * hidden.element_size())


def _held(hidden: Tensor, weight: Tensor) -> int:
    """A chunk, in half precision on a CPU a copy in float32 too, and some numbers per row."""
    rows, size = hidden.shape[0], hidden.element_size()
    copied = size < 4 and hidden.device.type != "cuda"
    copies = 0 if hidden.is_contiguous() else hidden.numel() * size
    return rows * chunk_columns(rows, weight.shape[0]) * (size + 4 * copied) + rows * _ROWS_HELD * 8 + copies
