"""Numbers in fewer bits, in plain torch: int8 with a scale per row, and one bit each.

A tensor is its n elements x in the order of memory; a row is `ROW` of them, the last
one shorter. Scales are float32::

    scale[r] = max(max over row r of |x| / 127, 2^-120),    code[i] = floor(x[i] / scale[r] + 1/2)
    x[i] is read back as code[i] scale[r]

    bit k of byte j = x[8 j + k] > 0,    read back as 1 or 0

Codes lie in -127 .. 127. An infinity or a NaN makes its whole row read back as NaN.
Elements are taken a piece at a time, so that little memory is held on the way.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ROW = 256
LARGEST_CODE = 127
LEAST_SCALE = 2.0**-120
PIECE = 2**16  # elements at a time; a multiple of a row's and of 8


def quantise(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and scales of numbers.

    Parameters
    ----------
    flat : Tensor
        (n,) of a floating-point dtype, contiguous.

    Returns
    -------
    Tensor of int8, Tensor of float32
        (n,) and (ceil(n / ROW),).
    """
    codes = torch.empty_like(flat, dtype=torch.int8)
    scales = torch.empty(-(-flat.numel() // ROW), dtype=torch.float32, device=flat.device)
    for piece in _pieces(flat.numel()):
        numbers = flat[piece].float()
        grid = _padded(numbers, ROW).view(-1, ROW)
        largest = grid.abs().nan_to_num_(nan=torch.inf, posinf=torch.inf).amax(dim=1)
        scale = scales[_share(piece, ROW)]
        scale.copy_((largest / LARGEST_CODE).clamp_min_(LEAST_SCALE))
        rounded = torch.floor(grid / scale[:, None] + 0.5)
        rounded = torch.where(scale[:, None] < torch.inf, rounded, 0.0)
        codes[piece] = rounded.flatten()[: len(numbers)].to(torch.int8)
    return codes, scales


def dequantise(codes: Tensor, scales: Tensor, flat: Tensor) -> None:
    """Write the numbers that codes and scales stand for.

    Parameters
    ----------
    codes, scales : Tensor
        From `quantise`.
    flat : Tensor
        (n,), contiguous; of any floating-point dtype.
    """
    for piece in _pieces(flat.numel()):
        held = codes[piece]
        grid = _padded(held.float(), ROW).view(-1, ROW) * scales[_share(piece, ROW), None]
        flat[piece] = grid.flatten()[: len(held)]


def pack_bits(flat: Tensor) -> Tensor:
    """One bit for each number: whether it is above 0.

    Parameters
    ----------
    flat : Tensor
        (n,), contiguous, of any real dtype.

    Returns
    -------
    Tensor of uint8
        (ceil(n / 8),); the last one is filled up with zeros.
    """
    packed = torch.empty(-(-flat.numel() // 8), dtype=torch.uint8, device=flat.device)
    places = torch.arange(8, dtype=torch.uint8, device=flat.device)
    for piece in _pieces(flat.numel()):
        bits = _padded((flat[piece] > 0).to(torch.uint8), 8).view(-1, 8)
        packed[_share(piece, 8)] = (bits << places).sum(dim=1, dtype=torch.uint8)
    return packed


def unpack_bits(packed: Tensor, flat: Tensor) -> None:
    """Write 1 for each bit that is set, and 0 elsewhere.

    Parameters
    ----------
    packed : Tensor
        From `pack_bits`.
    flat : Tensor
        (n,), contiguous, of any real dtype.
    """
    places = torch.arange(8, dtype=torch.uint8, device=packed.device)
    for piece in _pieces(flat.numel()):
        bits = (packed[_share(piece, 8), None] >> places) & 1
        flat[piece] = bits.flatten()[: len(flat[piece])]


def _pieces(count: int) -> Iterator[slice]:
    return (slice(first, min(first + PIECE, count)) for first in range(0, count, PIECE))


def _share(piece: slice, group: int) -> slice:
    """The groups of elements that a piece is made of."""
    return slice(piece.start // group, -(-piece.stop // group))


def _padded(flat: Tensor, multiple: int) -> Tensor:
    lacking = -flat.numel() % multiple
    return torch.nn.functional.pad(flat, (0, lacking)) if lacking else flat
