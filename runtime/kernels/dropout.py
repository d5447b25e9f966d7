"""Dropout without a mask, in Triton; `dropout_reference` says what is computed, and the same elements are kept.

Numbers are float32, float16 or bfloat16. A program draws four words at a time.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from hcb_opt.runtime.kernels.compilation import KernelCase
from hcb_opt.runtime.kernels.dropout_reference import threshold

COUNTERS = 512  # of a program, for four elements each
WARPS = 4


@triton.jit(do_not_specialize=["offset", "least"])  # type: ignore[untyped-decorator]
def dropout_kernel(  # type: ignore[no-untyped-def]
    flat, seed, made, count, offset, least, scale, counters_size: tl.constexpr
):
    """Four elements of each of ``counters_size`` counters."""
    begin = tl.program_id(0).to(tl.int64) * counters_size
    counter = begin + tl.arange(0, counters_size)
    key = tl.load(seed)
    low, high = counter.to(tl.uint32), (counter >> 32).to(tl.uint32)
    offset = offset.to(tl.int64)
    offset_low, offset_high = offset.to(tl.uint32) + low * 0, (offset >> 32).to(tl.uint32) + low * 0
    one, two, three, four = tl.philox(key, low, high, offset_low, offset_high)
    words = tl.reshape(tl.join(tl.join(one, three), tl.join(two, four)), (4 * counters_size,))
    place = begin * 4 + tl.arange(0, 4 * counters_size)
    numbers = tl.load(flat + place, mask=place < count, other=0.0).to(tl.float32)
    left = tl.where(words >= least.to(tl.uint32), numbers * scale, 0.0)
    tl.store(made + place, left.to(made.dtype.element_ty), mask=place < count)


def dropout(flat: Tensor, seed: Tensor, offset: int, probability: float) -> Tensor:
    """As `dropout_reference.dropout`."""
    made = torch.empty_like(flat)
    if made.numel():
        dropout_kernel[(triton.cdiv(flat.numel(), 4 * COUNTERS),)](
            flat, seed, made, flat.numel(), offset, threshold(probability), 1 / (1 - probability),
            counters_size=COUNTERS, num_warps=WARPS,
        )  # fmt: skip
    return made


def cases() -> list[KernelCase]:
    """What is compiled for the report: numbers of 4 and 2 bytes."""
    plain = {"count": "i32", "offset": "i32", "least": "i64", "scale": "fp32", "counters_size": "constexpr"}
    return [
        KernelCase(
            f"dropout: {dtype}",
            dropout_kernel,
            {"flat": f"*{dtype}", "seed": "*i64", "made": f"*{dtype}"} | plain,
            {"counters_size": COUNTERS},
            WARPS,
        )
        for dtype in ("fp32", "bf16")
    ]
