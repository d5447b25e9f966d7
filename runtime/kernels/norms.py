"""Layer norm and root-mean-square norm, in Triton; `norms_reference` says what is computed.

Rows and gradients are float32, float16 or bfloat16, of at most `WIDEST` columns, so that
a row stays in registers; wider ones go to the reference. Each program
of the backward sums its part of the rows; the parts are joined in a fixed order, so
that gradients are the same bit for bit every time.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hcb_opt.runtime.kernels import norms_reference
from hcb_opt.runtime.kernels.compilation import KernelCase
from hcb_opt.runtime.kernels.norms_reference import PARTS

# Against the float64 reference, as a share of the largest output: float32's and what the dtype itself rounds.
TOLERANCES = {torch.float32: 4e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}

WIDEST = 8192
WIDEST_SUMMED = 4096  # of rows that are summed where they are made; wider ones are read again for the sums
ROWS = 16  # of a tile that is read again
COLUMNS = 128
WARPS = 4
_LEAST = 16  # columns


@triton.jit  # type: ignore[untyped-decorator]
def forward_kernel(  # type: ignore[no-untyped-def]
    rows, weight, bias, made, width, epsilon, centred: tl.constexpr, biased: tl.constexpr, columns_size: tl.constexpr
):
    """One row of (programs, width)."""
    column = tl.arange(0, columns_size)
    exists = column < width
    place = tl.program_id(0).to(tl.int64) * width + column
    away = tl.load(rows + place, mask=exists, other=0.0).to(tl.float32)
    if centred:
        away = tl.where(exists, away - tl.sum(away, axis=0) / width, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(away * away, axis=0) / width + epsilon)
    normed = away * inverse * tl.load(weight + column, mask=exists, other=0.0).to(tl.float32)
    if biased:
        normed += tl.load(bias + column, mask=exists, other=0.0).to(tl.float32)
    tl.store(made + place, normed.to(made.dtype.element_ty), mask=exists)


@triton.jit  # type: ignore[untyped-decorator]
def backward_kernel(  # type: ignore[no-untyped-def]
    gradient, rows, weight, made, scales, shifts, means, inverses, count, width, part, epsilon,
    centred: tl.constexpr, summed: tl.constexpr, columns_size: tl.constexpr,
):  # fmt: skip
    """``part`` rows, and the sums (programs, width) of their gradients of weight and bias.

    Unless ``summed``, each row's mean and inverse deviation (count,) instead of the sums.
    """
    column = tl.arange(0, columns_size)
    exists = column < width
    scale = tl.zeros((columns_size,), tl.float32)
    shift = tl.zeros((columns_size,), tl.float32)
    first = tl.program_id(0).to(tl.int64) * part
    for row in range(first, tl.minimum(first + part, count)):
        place = row * width + column
        away = tl.load(rows + place, mask=exists, other=0.0).to(tl.float32)
        mean = tl.sum(away, axis=0) / width
        if centred:
            away = tl.where(exists, away - mean, 0.0)
        inverse = 1.0 / tl.sqrt(tl.sum(away * away, axis=0) / width + epsilon)
        normed = away * inverse
        given = tl.load(gradient + place, mask=exists, other=0.0).to(tl.float32)
        scaled = given * tl.load(weight + column, mask=exists, other=0.0).to(tl.float32)
        if summed:
            scale += given * normed
            shift += given
        else:
            tl.store(means + row, mean)
            tl.store(inverses + row, inverse)
        found = scaled - normed * (tl.sum(scaled * normed, axis=0) / width)
        if centred:
            found -= tl.sum(scaled, axis=0) / width
        tl.store(made + place, (found * inverse).to(made.dtype.element_ty), mask=exists)
    if summed:
        own = tl.program_id(0).to(tl.int64) * width + column
        tl.store(scales + own, scale, mask=exists)
        tl.store(shifts + own, shift, mask=exists)


@triton.jit  # type: ignore[untyped-decorator]
def sums_kernel(  # type: ignore[no-untyped-def]
    gradient, rows, scales, shifts, means, inverses, count, width, part,
    centred: tl.constexpr, rows_size: tl.constexpr, columns_size: tl.constexpr,
):  # fmt: skip
    """The sums (parts, width) of ``part`` rows' gradients of weight and bias, some columns of them."""
    column = tl.program_id(1) * columns_size + tl.arange(0, columns_size)
    scale = tl.zeros((columns_size,), tl.float32)
    shift = tl.zeros((columns_size,), tl.float32)
    first = tl.program_id(0).to(tl.int64) * part
    for offset in range(0, part, rows_size):
        row = first + offset + tl.arange(0, rows_size)
        inside = row < tl.minimum(first + part, count)
        exists = inside[:, None] & (column < width)[None, :]
        place = row[:, None] * width + column[None, :]
        away = tl.load(rows + place, mask=exists, other=0.0).to(tl.float32)
        given = tl.load(gradient + place, mask=exists, other=0.0).to(tl.float32)
        if centred:
            away -= tl.load(means + row, mask=inside, other=0.0)[:, None]
        scale += tl.sum(given * away * tl.load(inverses + row, mask=inside, other=0.0)[:, None], axis=0)
        shift += tl.sum(given, axis=0)
    own = tl.program_id(0).to(tl.int64) * width + column
    tl.store(scales + own, scale, mask=column < width)
    tl.store(shifts + own, shift, mask=column < width)


def forward(rows: Tensor, weight: Tensor, bias: Tensor | None, epsilon: float, centred: bool) -> Tensor:
    """As `norms_reference.forward`."""
    count, width = rows.shape
    if width > WIDEST:
        return norms_reference.forward(rows, weight, bias, epsilon, centred)
    made = torch.empty_like(rows)
    if made.numel():
        columns_size = _columns_size(width)
        forward_kernel[(count,)](
            rows, weight, weight if bias is None else bias, made, width, epsilon,
            centred=centred, biased=bias is not None, columns_size=columns_size, num_warps=_warps(columns_size),
        )  # fmt: skip
    return made


def backward(
    gradient: Tensor, rows: Tensor, weight: Tensor, epsilon: float, centred: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """As `norms_reference.backward`; the bias's gradient is 0 where rows are not centred."""
    count, width = rows.shape
    if width > WIDEST:
        return norms_reference.backward(gradient, rows, weight, epsilon, centred)
    made = torch.empty_like(rows)
    part = triton.cdiv(count, PARTS)
    parts = triton.cdiv(count, max(1, part))
    scales, shifts = torch.empty(2, parts, width, dtype=torch.float32, device=rows.device)
    if made.numel():
        columns_size = _columns_size(width)
        summed = columns_size <= WIDEST_SUMMED
        means, inverses = torch.empty(2, 0 if summed else count, dtype=torch.float32, device=rows.device)
        backward_kernel[(parts if summed else count,)](
            gradient, rows, weight, made, scales, shifts, means, inverses, count, width, part if summed else 1, epsilon,
            centred=centred, summed=summed, columns_size=columns_size, num_warps=_warps(columns_size),
        )  # fmt: skip
        if not summed:
            sums_kernel[(parts, triton.cdiv(width, COLUMNS))](
                gradient, rows, scales, shifts, means, inverses, count, width, part,
                centred=centred, rows_size=ROWS, columns_size=COLUMNS, num_warps=WARPS,
            )  # fmt: skip
    return made, scales.sum(dim=0).to(weight.dtype), shifts.sum(dim=0).to(weight.dtype)


def _columns_size(width: int) -> int:
    return max(_LEAST, int(triton.next_power_of_2(width)))


def _warps(columns_size: int) -> int:
    """Groups of 32 threads for a row, so that its numbers and sums stay in registers: at most 8 each."""
    return max(1, min(32, columns_size // 128))


def cases() -> list[KernelCase]:
    """What is compiled for the report: short, common and the longest rows, of 4 and 2 bytes."""
    listed = []
    for dtype in ("fp32", "bf16"):
        rows, given, made = ({name: f"*{dtype}"} for name in ("rows", "gradient", "made"))
        weight, bias, count, width = {"weight": "*fp32"}, {"bias": "*fp32"}, {"count": "i32"}, {"width": "i32"}
        part, epsilon = {"part": "i32"}, {"epsilon": "fp32"}
        sums = dict.fromkeys(("scales", "shifts", "means", "inverses"), "*fp32")
        for centred in (True, False):
            kind = f"{'layer' if centred else 'rms'}, {dtype}"
            for columns_size in (_LEAST, 1024, WIDEST_SUMMED, WIDEST):
                name, warps = f"{kind}, {columns_size} columns", _warps(columns_size)
                types = rows | weight | bias | made | width | epsilon
                constants = {"centred": centred, "biased": centred, "columns_size": columns_size}
                listed.append(_case(f"forward, {name}", forward_kernel, types, constants, warps))
                types = given | rows | weight | made | sums | count | width | part | epsilon
                summed = columns_size <= WIDEST_SUMMED
                constants = {"centred": centred, "summed": summed, "columns_size": columns_size}
                listed.append(_case(f"backward, {name}", backward_kernel, types, constants, warps))
            constants = {"centred": centred, "rows_size": ROWS, "columns_size": COLUMNS}
            types = given | rows | sums | count | width | part
            listed.append(_case(f"sums, {kind}", sums_kernel, types, constants, WARPS))
    return listed


def _case(name: str, kernel: Any, types: dict[str, str], constants: dict[str, Any], warps: int) -> KernelCase:
    return KernelCase(f"norms: {name}", kernel, types | dict.fromkeys(constants, "constexpr"), constants, warps)
