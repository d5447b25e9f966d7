"""Chunks of a softmax cross-entropy, in Triton; `cross_entropy_reference` says what is computed.

Chunks are float32, float16 or bfloat16, all else float32. One program per row, its
columns in order, nothing added atomically: the same bit for bit every time.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from hcb_opt.runtime.kernels.compilation import KernelCase
from hcb_opt.runtime.kernels.cross_entropy_reference import Running

# Against the float64 reference, as a share of the largest output. Half precisions round the scores themselves.
TOLERANCES = {torch.float32: 4e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}

COLUMNS = 1024  # in one step of a program's loop
WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]
def take_chunk_kernel(  # type: ignore[no-untyped-def]
    chunk, targets, maxima, sums, scores, width, first, columns_size: tl.constexpr
):
    """One row of (programs, width)."""
    row = tl.program_id(0).to(tl.int64)
    maximum = tl.load(maxima + row)
    total = tl.load(sums + row)
    for offset in range(0, width, columns_size):
        column = offset + tl.arange(0, columns_size)
        numbers = tl.load(chunk + row * width + column, mask=column < width, other=float("-inf")).to(tl.float32)
        larger = tl.maximum(maximum, tl.max(numbers, axis=0))
        total = total * tl.exp(maximum - larger) + tl.sum(tl.exp(numbers - larger), axis=0)
        maximum = larger
    tl.store(maxima + row, maximum)
    tl.store(sums + row, total)
    target = tl.load(targets + row) - first
    own = (target >= 0) & (target < width)
    score = tl.load(chunk + row * width + target, mask=own, other=0.0).to(tl.float32)
    tl.store(scores + row, score, mask=own)


@triton.jit  # type: ignore[untyped-decorator]
def make_gradient_kernel(  # type: ignore[no-untyped-def]
    chunk, targets, logsumexp, scales, width, first, columns_size: tl.constexpr
):
    """``columns_size`` columns of one row of (programs, width)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * columns_size + tl.arange(0, columns_size)
    place = chunk + row * width + column
    numbers = tl.load(place, mask=column < width, other=0.0).to(tl.float32)
    target = tl.load(targets + row) - first
    found = tl.exp(numbers - tl.load(logsumexp + row)) - tl.where(column == target, 1.0, 0.0)
    tl.store(place, (found * tl.load(scales + row)).to(chunk.dtype.element_ty), mask=column < width)


def take_chunk(chunk: Tensor, first: int, targets: Tensor, running: Running) -> None:
    """As `cross_entropy_reference.take_chunk`."""
    count, width = chunk.shape
    if chunk.numel():
        take_chunk_kernel[(count,)](
            chunk, targets, running.maxima, running.sums, running.scores, width, first,
            columns_size=COLUMNS, num_warps=WARPS,
        )  # fmt: skip


def make_gradient(chunk: Tensor, first: int, targets: Tensor, logsumexp: Tensor, scales: Tensor) -> None:
    """As `cross_entropy_reference.make_gradient`."""
    count, width = chunk.shape
    if chunk.numel():
        make_gradient_kernel[(count, triton.cdiv(width, COLUMNS))](
            chunk, targets, logsumexp, scales, width, first, columns_size=COLUMNS, num_warps=WARPS
        )


def cases() -> list[KernelCase]:
    """What is compiled for the report: chunks of 4 and 2 bytes."""
    ends = {"width": "i32", "first": "i32", "columns_size": "constexpr"}
    listed = []
    for dtype in ("fp32", "bf16"):
        read, size = {"chunk": f"*{dtype}", "targets": "*i64"}, {"columns_size": COLUMNS}
        types = read | dict.fromkeys(("maxima", "sums", "scores"), "*fp32") | ends
        listed.append(KernelCase(f"cross_entropy: sums, {dtype}", take_chunk_kernel, types, size, WARPS))
        types = read | dict.fromkeys(("logsumexp", "scales"), "*fp32") | ends
        listed.append(KernelCase(f"cross_entropy: gradient, {dtype}", make_gradient_kernel, types, size, WARPS))
    return listed
