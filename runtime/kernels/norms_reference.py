"""Layer norm (Ba et al. 2016) and root-mean-square norm (Zhang and Sennrich 2019), in plain torch.

Of each row x of D numbers, with a weight w and a bias b for each column::

    m = mean(x) (0 for the root mean square),    r = 1 / sqrt(mean((x - m)^2) + eps),    n = (x - m) r
    y = w n + b

    g = w gradient,    dx = r (g - mean(g) - n mean(g n)) (without mean(g) for the root mean square)
    dw = sum over rows of gradient n,    db = sum over rows of gradient

Mean and deviation are computed again in the backward, which reads the row anyway: only
the rows are kept. Computed in float64 for float64 and in float32 for all others; sums
over rows too, in a fixed order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hcb_opt.runtime.kernels.pieces import row_pieces

PARTS = 256  # of the rows, that kernels sum at the same time


def forward(rows: Tensor, weight: Tensor, bias: Tensor | None, epsilon: float, centred: bool) -> Tensor:
    """The normed rows.

    Parameters
    ----------
    rows : Tensor
        (N, D), contiguous.
    weight : Tensor
        (D,).
    bias : Tensor or None
        (D,).
    epsilon : float
    centred : bool
        Layer norm; else the root mean square.
    """
    made = torch.empty_like(rows)
    for piece in row_pieces(*rows.shape):
        normed, _ = _normed(rows[piece], epsilon, centred)
        normed *= weight
        made[piece] = normed if bias is None else normed.add_(bias)
    return made


def backward(
    gradient: Tensor, rows: Tensor, weight: Tensor, epsilon: float, centred: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of rows, weight and bias.

    Parameters
    ----------
    gradient : Tensor
        (N, D), contiguous: of the normed rows.
    rows, weight, epsilon, centred
        As in `forward`.
    """
    made = torch.empty_like(rows)
    dtype = torch.promote_types(rows.dtype, torch.float32)
    scales, shifts = (torch.zeros(weight.shape, dtype=dtype, device=rows.device) for _ in range(2))
    for piece in row_pieces(*rows.shape):
        normed, inverse = _normed(rows[piece], epsilon, centred)
        given = gradient[piece].to(dtype)
        scales += (given * normed).sum(dim=0)
        shifts += given.sum(dim=0)
        scaled = given * weight
        share = (scaled * normed).mean(dim=1, keepdim=True)
        found = scaled - normed * share
        if centred:
            found -= scaled.mean(dim=1, keepdim=True)
        made[piece] = found * inverse
    return made, scales.to(weight.dtype), shifts.to(weight.dtype)


def _normed(rows: Tensor, epsilon: float, centred: bool) -> tuple[Tensor, Tensor]:
    """The rows without weight and bias, and the inverse of their deviation, (N, 1)."""
    numbers = rows.to(torch.promote_types(rows.dtype, torch.float32))
    away = numbers - numbers.mean(dim=1, keepdim=True) if centred else numbers
    inverse = torch.rsqrt(away.square().mean(dim=1, keepdim=True) + epsilon)
    return away * inverse, inverse
