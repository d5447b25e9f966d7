"""Activations in fewer bytes: what a schedule may keep in the place of a value.

===========  ==========================================  =================  ======================================
scheme       of                                          bytes, n elements  read back
===========  ==========================================  =================  ======================================
``bf16``     float32, float64                            2 n                rounded to bfloat16
``int8``     float32, float64, float16, bfloat16         n + 4 ceil(n/256)  codes times a scale per row of 256
``bits``     bool; floats of which readers ask no more   ceil(n / 8)        1 where above 0, and 0 elsewhere
             than whether they are above 0, as the
             backward of ReLU does
===========  ==========================================  =================  ======================================

Elements are taken in the order of memory, so that bytes and errors do not depend on the
shape. `packing_reference` has the equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.runtime.kernels.choice import kernels_for
from hcb_opt.runtime.kernels.packing_reference import LARGEST_CODE, LEAST_SCALE, ROW

SCHEMES = ("bf16", "int8", "bits")

_SERVED = {
    "bf16": (torch.float32, torch.float64),
    "int8": (torch.float32, torch.float64, torch.float16, torch.bfloat16),
    "bits": (torch.bool, torch.float32, torch.float64, torch.float16, torch.bfloat16),
}
_HALF = 2.0  # of the last digit


@dataclass(frozen=True, slots=True)
class ErrorBound:
    """How far what is read back may lie from x: ``relative |x| + of_row m + absolute``, m the largest of its row.

    Holds where neither x nor m exceeds float32's (for ``bf16`` bfloat16's, for
    ``int8`` into float16 that one's) largest number; larger ones become infinite
    or NaN.

    Attributes
    ----------
    relative, of_row, absolute : float
    """

    relative: float
    of_row: float
    absolute: float


def compress(tensor: Tensor, scheme: str) -> tuple[Tensor, ...]:
    """Keep a tensor in fewer bytes.

    Parameters
    ----------
    tensor : Tensor
        Of any strides whose elements fill a range of memory, each place once.
    scheme : str
        One of `SCHEMES`.

    Returns
    -------
    tuple of Tensor
        One-dimensional; together `compressed_bytes`.

    Raises
    ------
    InvalidInput
        If the scheme is unknown or not for this dtype, or the tensor overlaps or leaves gaps.
    """
    check(tensor.dtype, scheme)
    flat = _in_memory_order(tensor)
    if scheme == "bf16":
        return (flat.to(torch.bfloat16),)
    kernels = kernels_for(flat, "packing")
    if scheme == "bits":
        return (kernels.pack_bits(flat),)
    codes, scales = kernels.quantise(flat)
    return (codes, scales)


def decompress(parts: tuple[Tensor, ...], scheme: str, like: Tensor) -> Tensor:
    """What is read back, in memory of its own.

    Parameters
    ----------
    parts : tuple of Tensor
        From `compress`.
    scheme : str
        The same.
    like : Tensor
        Of the shape, strides and dtype of what was compressed. Its contents are not
        read: ``torch.empty_like(tensor, device="meta")`` will do.

    Raises
    ------
    InvalidInput
        As `compress`.
    """
    check(like.dtype, scheme)
    made = torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device=parts[0].device)
    flat = _in_memory_order(made)
    if scheme == "bf16":
        flat.copy_(parts[0])
    elif scheme == "bits":
        kernels_for(flat, "packing").unpack_bits(parts[0], flat)
    else:
        kernels_for(flat, "packing").dequantise(*parts, flat)
    return made


def compressed_bytes(elements: int, scheme: str) -> int:
    """Bytes of what `compress` returns.

    Parameters
    ----------
    elements : int
        Of the tensor.
    scheme : str

    Raises
    ------
    InvalidInput
        If the scheme is unknown.
    """
    _check_known(scheme)
    if scheme == "bf16":
        return 2 * elements
    return -(-elements // 8) if scheme == "bits" else elements + 4 * -(-elements // ROW)


def error_bound(dtype: torch.dtype, scheme: str) -> ErrorBound | None:
    """What may be lost; None where that has no bound, for ``bits`` of floats.

    Parameters
    ----------
    dtype : torch.dtype
        Of the tensor.
    scheme : str

    Raises
    ------
    InvalidInput
        As `compress`.
    """
    check(dtype, scheme)
    if scheme == "bits":
        return ErrorBound(0.0, 0.0, 0.0) if dtype is torch.bool else None
    if scheme == "bf16":
        return ErrorBound(2.0**-8, 0.0, 2.0**-134)
    # Half a step of the codes, 2^-21 of it for float32's rounding of them, and what the dtype itself rounds.
    steps = 1 / (_HALF * LARGEST_CODE) + 2.0**-21
    own = torch.finfo(dtype).eps / _HALF if dtype in (torch.float16, torch.bfloat16) else 0.0
    return ErrorBound(own, steps * (1 + own), LEAST_SCALE + (2.0**-25 if dtype is torch.float16 else 0.0))


def check(dtype: torch.dtype, scheme: str) -> None:
    """Refuse a scheme that is unknown or not for a dtype.

    Raises
    ------
    InvalidInput
    """
    _check_known(scheme)
    if dtype not in _SERVED[scheme]:
        fitting = [each for each in SCHEMES if dtype in _SERVED[each]]
        fix = f"use one of {', '.join(fitting)}" if fitting else "keep it as it is"
        raise InvalidInput(f"scheme '{scheme}'", f"not for {str(dtype).removeprefix('torch.')}", fix)


def _check_known(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise InvalidInput(f"scheme '{scheme}'", "unknown", did_you_mean(scheme, SCHEMES))


def _in_memory_order(tensor: Tensor) -> Tensor:
    """The same memory as one dimension."""
    spread = sorted((stride, size) for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size != 1)
    filled = 1
    for stride, size in spread:
        if stride != filled and tensor.numel():
            what = f"strides {tensor.stride()} of shape {tuple(tensor.shape)} overlap or leave gaps"
            raise InvalidInput("tensor", what, "compress a contiguous copy of it")
        filled *= size
    return tensor.detach().as_strided((tensor.numel(),), (1,), tensor.storage_offset())
