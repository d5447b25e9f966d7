"""A bias, then the Gaussian error linear unit (Hendrycks and Gimpel 2016), in plain torch.

With z = x + b, of rows x and a bias b for each column::

    exact     y = z Phi(z),             dy/dz = Phi(z) + z phi(z),         Phi(z) = (1 + erf(z / sqrt 2)) / 2
    tanh      y = z s,                  dy/dz = s + z s (1 - s) u'
              s = sigmoid(u),  u = 2 sqrt(2 / pi) (z + 0.044715 z^3),  which is z (1 + tanh(u / 2)) / 2

    dx = dy/dz * gradient,    db = sum over rows of dx

Computed in float64 for float64 and in float32 for all others; sums over rows too, in a
fixed order. Finite for |z| up to 1e12.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hcb_opt.runtime.kernels.pieces import row_pieces

SQRT_HALF = math.sqrt(0.5)
DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)
SLOPE = 2 * math.sqrt(2 / math.pi)
CUBIC = 0.044715
PARTS = 64  # of the rows, that kernels sum at the same time


def forward(rows: Tensor, bias: Tensor, tanh: bool) -> Tensor:
    """The unit's outputs.

    Parameters
    ----------
    rows : Tensor
        (N, D), contiguous.
    bias : Tensor
        (D,).
    tanh : bool
        Whether by tanh instead of exactly.
    """
    made = torch.empty_like(rows)
    for piece in row_pieces(*rows.shape):
        made[piece] = _unit(_biased(rows[piece], bias), tanh)
    return made


def backward(gradient: Tensor, rows: Tensor, bias: Tensor, tanh: bool) -> tuple[Tensor, Tensor]:
    """Gradients of the rows and of the bias.

    Parameters
    ----------
    gradient : Tensor
        (N, D), contiguous: of the outputs.
    rows, bias, tanh
        As in `forward`.
    """
    made = torch.empty_like(rows)
    total = torch.zeros(bias.shape, dtype=torch.promote_types(rows.dtype, torch.float32), device=rows.device)
    for piece in row_pieces(*rows.shape):
        found = _slope(_biased(rows[piece], bias), tanh).mul_(gradient[piece])
        made[piece] = found
        total += found.sum(dim=0)
    return made, total.to(bias.dtype)


def _biased(rows: Tensor, bias: Tensor) -> Tensor:
    dtype = torch.promote_types(rows.dtype, torch.float32)
    return rows.to(dtype) + bias.to(dtype)


def _unit(z: Tensor, tanh: bool) -> Tensor:
    return z * (torch.sigmoid(SLOPE * (z + CUBIC * z**3)) if tanh else 0.5 * (1 + torch.erf(z * SQRT_HALF)))


def _slope(z: Tensor, tanh: bool) -> Tensor:
    if not tanh:
        return 0.5 * (1 + torch.erf(z * SQRT_HALF)) + z * torch.exp(-0.5 * z * z) * DENSITY_AT_0
    share = torch.sigmoid(SLOPE * (z + CUBIC * z**3))
    return share + z * share * (1 - share) * SLOPE * (1 + 3 * CUBIC * z * z)
