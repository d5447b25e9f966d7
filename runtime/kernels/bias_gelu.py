"""A bias, then the Gaussian error linear unit, in Triton; `bias_gelu_reference` says what is computed.

Rows and gradients are float32, float16 or bfloat16. Each program of the backward sums
its part of the rows; the parts are joined in a fixed order, so that gradients are the
same bit for bit every time.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from hcb_opt.runtime.kernels.bias_gelu_reference import CUBIC, DENSITY_AT_0, PARTS, SLOPE, SQRT_HALF
from hcb_opt.runtime.kernels.compilation import KernelCase

# Against the float64 reference, as a share of the largest output: float32's and what the dtype itself rounds.
TOLERANCES = {torch.float32: 4e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}

ROWS = 16  # of a program's tile
COLUMNS = 128
WARPS = 4

# In kernels tensors come first in products with these: the interpreter takes a constant times a tensor for a constant.
_SQRT_HALF = tl.constexpr(SQRT_HALF)
_DENSITY = tl.constexpr(DENSITY_AT_0)
_SLOPE = tl.constexpr(SLOPE)
_CUBIC = tl.constexpr(CUBIC)


@triton.jit  # type: ignore[untyped-decorator]
def forward_kernel(  # type: ignore[no-untyped-def]
    rows, bias, made, count, width, tanh: tl.constexpr, rows_size: tl.constexpr, columns_size: tl.constexpr
):
    """One tile of the outputs, all (count, width)."""
    row = tl.program_id(0).to(tl.int64) * rows_size + tl.arange(0, rows_size)
    column = tl.program_id(1) * columns_size + tl.arange(0, columns_size)
    exists = (row < count)[:, None] & (column < width)[None, :]
    place = row[:, None] * width + column[None, :]
    added = tl.load(bias + column, mask=column < width, other=0.0).to(tl.float32)
    z = tl.load(rows + place, mask=exists, other=0.0).to(tl.float32) + added[None, :]
    share = 1.0 / (1.0 + tl.exp((z + z * z * z * _CUBIC) * -_SLOPE)) if tanh else 0.5 * (1.0 + tl.erf(z * _SQRT_HALF))
    tl.store(made + place, (z * share).to(made.dtype.element_ty), mask=exists)


@triton.jit  # type: ignore[untyped-decorator]
def backward_kernel(  # type: ignore[no-untyped-def]
    gradient, rows, bias, made, sums, count, width, part,
    tanh: tl.constexpr, rows_size: tl.constexpr, columns_size: tl.constexpr,
):  # fmt: skip
    """``part`` rows of some columns of the rows' gradient, and its sums (parts, width)."""
    column = tl.program_id(1) * columns_size + tl.arange(0, columns_size)
    added = tl.load(bias + column, mask=column < width, other=0.0).to(tl.float32)
    total = tl.zeros((columns_size,), tl.float32)
    first = tl.program_id(0).to(tl.int64) * part
    for offset in range(0, part, rows_size):
        row = first + offset + tl.arange(0, rows_size)
        exists = (row < count)[:, None] & (column < width)[None, :]
        place = row[:, None] * width + column[None, :]
        z = tl.load(rows + place, mask=exists, other=0.0).to(tl.float32) + added[None, :]
        if tanh:
            share = 1.0 / (1.0 + tl.exp((z + z * z * z * _CUBIC) * -_SLOPE))
            slope = share + z * share * (1.0 - share) * _SLOPE * (1.0 + z * z * (3.0 * _CUBIC))
        else:
            slope = 0.5 * (1.0 + tl.erf(z * _SQRT_HALF)) + z * tl.exp(-0.5 * z * z) * _DENSITY
        found = slope * tl.load(gradient + place, mask=exists, other=0.0).to(tl.float32)
        tl.store(made + place, found.to(made.dtype.element_ty), mask=exists)
        total += tl.sum(found, axis=0)
    tl.store(sums + tl.program_id(0).to(tl.int64) * width + column, total, mask=column < width)


def forward(rows: Tensor, bias: Tensor, tanh: bool) -> Tensor:
    """As `bias_gelu_reference.forward`."""
    count, width = rows.shape
    made = torch.empty_like(rows)
    if made.numel():
        forward_kernel[(triton.cdiv(count, ROWS), triton.cdiv(width, COLUMNS))](
            rows, bias, made, count, width, tanh=tanh, rows_size=ROWS, columns_size=COLUMNS, num_warps=WARPS
        )
    return made


def backward(gradient: Tensor, rows: Tensor, bias: Tensor, tanh: bool) -> tuple[Tensor, Tensor]:
    """As `bias_gelu_reference.backward`."""
    count, width = rows.shape
    made = torch.empty_like(rows)
    parts, part = parted(count)
    sums = torch.empty(parts, width, dtype=torch.float32, device=rows.device)
    if made.numel():
        backward_kernel[(parts, triton.cdiv(width, COLUMNS))](
            gradient, rows, bias, made, sums, count, width, part,
            tanh=tanh, rows_size=ROWS, columns_size=COLUMNS, num_warps=WARPS,
        )  # fmt: skip
    return made, sums.sum(dim=0).to(bias.dtype)


def parted(count: int) -> tuple[int, int]:
    """How many parts so many rows are summed in, and the rows of each, whole tiles."""
    part = triton.cdiv(triton.cdiv(count, PARTS), ROWS) * ROWS
    return triton.cdiv(count, max(1, part)), part


def cases() -> list[KernelCase]:
    """What is compiled for the report: both forms of the unit, of 4 and 2 bytes."""
    size = {"rows_size": ROWS, "columns_size": COLUMNS}
    listed = []
    for dtype in ("fp32", "bf16"):
        rows, bias, made = {"rows": f"*{dtype}"}, {"bias": "*fp32"}, {"made": f"*{dtype}"}
        numbers = {"count": "i32", "width": "i32"}
        for tanh in (True, False):
            constants = {"tanh": tanh, **size}
            ends = dict.fromkeys(constants, "constexpr")
            name = f"{'tanh' if tanh else 'exact'}, {dtype}"
            types = rows | bias | made | numbers | ends
            listed.append(KernelCase(f"bias_gelu: forward, {name}", forward_kernel, types, constants, WARPS))
            sums = {"sums": "*fp32"}
            types = {"gradient": f"*{dtype}"} | rows | bias | made | sums | numbers | {"part": "i32"} | ends
            listed.append(KernelCase(f"bias_gelu: backward, {name}", backward_kernel, types, constants, WARPS))
    return listed
