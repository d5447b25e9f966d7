"""Numbers in fewer bits, in Triton; `packing_reference` says what they compute, and codes and bits are equal to its."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from hcb_opt.runtime.kernels.compilation import KernelCase
from hcb_opt.runtime.kernels.packing_reference import LARGEST_CODE, LEAST_SCALE, ROW

ROWS = 8  # of a program
BYTES = 256  # of a program
WARPS = 4

_LARGEST = tl.constexpr(float(LARGEST_CODE))
_LEAST = tl.constexpr(LEAST_SCALE)
_WIDTH = tl.constexpr(ROW)


@triton.jit  # type: ignore[untyped-decorator]
def quantise_kernel(flat, codes, scales, count, rows_size: tl.constexpr):  # type: ignore[no-untyped-def]
    """Codes (n,) and scales of ``rows_size`` rows."""
    row = tl.program_id(0).to(tl.int64) * rows_size + tl.arange(0, rows_size)
    place = row[:, None] * _WIDTH + tl.arange(0, _WIDTH)[None, :]
    numbers = tl.load(flat + place, mask=place < count, other=0.0).to(tl.float32)
    # A maximum passes over NaNs; infinity marks their row.
    sizes = tl.where(numbers == numbers, tl.abs(numbers), float("inf"))
    scale = tl.maximum(tl.div_rn(tl.max(sizes, axis=1), _LARGEST), _LEAST)
    finite = (scale < float("inf"))[:, None]
    quotient = tl.div_rn(numbers, tl.broadcast_to(scale[:, None], numbers.shape))
    rounded = tl.floor(tl.where(finite, quotient, 0.0) + 0.5)
    tl.store(codes + place, rounded.to(tl.int8), mask=place < count)
    tl.store(scales + row, scale, mask=row * _WIDTH < count)


@triton.jit  # type: ignore[untyped-decorator]
def dequantise_kernel(codes, scales, flat, count, rows_size: tl.constexpr):  # type: ignore[no-untyped-def]
    """Numbers (n,) of ``rows_size`` rows."""
    row = tl.program_id(0).to(tl.int64) * rows_size + tl.arange(0, rows_size)
    place = row[:, None] * _WIDTH + tl.arange(0, _WIDTH)[None, :]
    code = tl.load(codes + place, mask=place < count, other=0).to(tl.float32)
    scale = tl.load(scales + row, mask=row * _WIDTH < count, other=0.0)
    tl.store(flat + place, (code * scale[:, None]).to(flat.dtype.element_ty), mask=place < count)


@triton.jit  # type: ignore[untyped-decorator]
def pack_kernel(flat, packed, count, bytes_size: tl.constexpr):  # type: ignore[no-untyped-def]
    """``bytes_size`` bytes of eight bits."""
    byte = tl.program_id(0).to(tl.int64) * bytes_size + tl.arange(0, bytes_size)
    bit = tl.arange(0, 8)
    place = byte[:, None] * 8 + bit[None, :]
    above = tl.load(flat + place, mask=place < count, other=0) > 0
    tl.store(packed + byte, tl.sum(above.to(tl.int32) << bit[None, :], axis=1).to(tl.uint8), mask=byte * 8 < count)


@triton.jit  # type: ignore[untyped-decorator]
def unpack_kernel(packed, flat, count, bytes_size: tl.constexpr):  # type: ignore[no-untyped-def]
    """Zeros and ones of ``bytes_size`` bytes."""
    byte = tl.program_id(0).to(tl.int64) * bytes_size + tl.arange(0, bytes_size)
    bit = tl.arange(0, 8)
    place = byte[:, None] * 8 + bit[None, :]
    held = tl.load(packed + byte, mask=byte * 8 < count, other=0).to(tl.int32)
    ones = ((held[:, None] >> bit[None, :]) & 1).to(tl.float32)
    tl.store(flat + place, ones.to(flat.dtype.element_ty), mask=place < count)


def quantise(flat: Tensor) -> tuple[Tensor, Tensor]:
    """As `packing_reference.quantise`."""
    rows = triton.cdiv(flat.numel(), ROW)
    codes = torch.empty_like(flat, dtype=torch.int8)
    scales = torch.empty(rows, dtype=torch.float32, device=flat.device)
    if rows:
        grid = (triton.cdiv(rows, ROWS),)
        quantise_kernel[grid](flat, codes, scales, flat.numel(), rows_size=ROWS, num_warps=WARPS)
    return codes, scales


def dequantise(codes: Tensor, scales: Tensor, flat: Tensor) -> None:
    """As `packing_reference.dequantise`."""
    if scales.numel():
        grid = (triton.cdiv(scales.numel(), ROWS),)
        dequantise_kernel[grid](codes, scales, flat, flat.numel(), rows_size=ROWS, num_warps=WARPS)


def pack_bits(flat: Tensor) -> Tensor:
    """As `packing_reference.pack_bits`."""
    packed = torch.empty(triton.cdiv(flat.numel(), 8), dtype=torch.uint8, device=flat.device)
    if packed.numel():
        numbers = flat.view(torch.uint8) if flat.dtype is torch.bool else flat
        grid = (triton.cdiv(packed.numel(), BYTES),)
        pack_kernel[grid](numbers, packed, flat.numel(), bytes_size=BYTES, num_warps=WARPS)
    return packed


def unpack_bits(packed: Tensor, flat: Tensor) -> None:
    """As `packing_reference.unpack_bits`."""
    if packed.numel():
        numbers = flat.view(torch.uint8) if flat.dtype is torch.bool else flat
        grid = (triton.cdiv(packed.numel(), BYTES),)
        unpack_kernel[grid](packed, numbers, flat.numel(), bytes_size=BYTES, num_warps=WARPS)


def cases() -> list[KernelCase]:
    """What is compiled for the report: numbers of 4 and 2 bytes, bits of these and of booleans."""
    kept = {"codes": "*i8", "scales": "*fp32"}
    rows = {"count": "i32", "rows_size": "constexpr"}
    bits = {"count": "i32", "bytes_size": "constexpr"}
    listed = []
    for dtype in ("fp32", "bf16"):
        numbers, size = {"flat": f"*{dtype}"}, {"rows_size": ROWS}
        listed += [
            KernelCase(f"packing: quantise, {dtype}", quantise_kernel, numbers | kept | rows, size, WARPS),
            KernelCase(f"packing: dequantise, {dtype}", dequantise_kernel, kept | numbers | rows, size, WARPS),
        ]
    for dtype in ("u8", "fp32"):
        numbers, packed, size = {"flat": f"*{dtype}"}, {"packed": "*u8"}, {"bytes_size": BYTES}
        listed += [
            KernelCase(f"packing: pack, {dtype}", pack_kernel, numbers | packed | bits, size, WARPS),
            KernelCase(f"packing: unpack, {dtype}", unpack_kernel, packed | numbers | bits, size, WARPS),
        ]
    return listed
