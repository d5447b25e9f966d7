"""Triton kernels of the fused layers and of compression against their references, on any device.

Each comparison returns, by what was compared, the largest difference as a share of the tolerance: at most 1 is right.
References run in float64 on the CPU, kernels in the dtype on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hcb_opt.runtime.kernels import (
    bias_gelu,
    bias_gelu_reference,
    cross_entropy,
    cross_entropy_reference,
    dropout,
    dropout_reference,
    norms,
    norms_reference,
    packing,
    packing_reference,
)
from hcb_opt.runtime.kernels.cross_entropy_reference import Running
from hcb_opt.runtime.kernels.packing_reference import ROW

HALVES = (torch.float16, torch.bfloat16)

# Rows and columns: none, one, odd, long rows, several tiles, a tile's and one more.
MATRICES = [(0, 3), (1, 1), (3, 5), (2, 1025), (70, 7), (17, 129)]

# Rows, columns of the scores, columns of a chunk: one, odd, longer than a step of a kernel's loop, several chunks.
SCORES = [(1, 1, 1), (3, 5, 2), (3, 1030, 1027), (5, 210, 70)]

# Numbers: none, one, less and more than a program takes.
COUNTS = [0, 1, 7, 2047, 2051]

# The interpreter cuts numbers to bfloat16 instead of rounding them.
CUT = {torch.bfloat16: 2.0}

Found = dict[str, float]


def share(found: Tensor, expected: Tensor, tolerance: float) -> float:
    """The largest difference over what is allowed; infinite where one is no number."""
    if not expected.numel():
        return 0.0 if found.shape == expected.shape else math.inf
    off = (found.detach().cpu().double() - expected.double()).abs().max()
    allowed = tolerance * max(1.0, float(expected.double().abs().max()))
    return float(off) / allowed if bool(off.isfinite()) else math.inf


def drawn(seed: int, dtype: torch.dtype, *shape: int) -> Tensor:
    """Normal numbers that the dtype holds exactly."""
    return (2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


def compare_gelu(device: torch.device, dtype: torch.dtype, rows: int, width: int) -> Iterator[float]:
    """Both units, forward and backward."""
    hidden, gradient, bias = drawn(0, dtype, rows, width), drawn(1, dtype, rows, width), drawn(2, dtype, width)
    hidden64, gradient64, given = (each.double() for each in (hidden, gradient, bias))
    tolerance = bias_gelu.TOLERANCES[dtype] * CUT.get(dtype, 1.0)
    for tanh in (True, False):
        on = [each.to(device) for each in (gradient, hidden, bias)]
        yield share(bias_gelu.forward(*on[1:], tanh), bias_gelu_reference.forward(hidden64, given, tanh), tolerance)
        expected = bias_gelu_reference.backward(gradient64, hidden64, given, tanh)
        for one, other in zip(bias_gelu.backward(*on, tanh), expected, strict=True):
            yield share(one, other, tolerance)


def compare_norms(device: torch.device, dtype: torch.dtype, rows: int, width: int) -> Iterator[float]:
    """Both norms, forward and backward, with a weight of float32."""
    hidden, gradient, plain = drawn(0, dtype, rows, width), drawn(1, dtype, rows, width), torch.float32
    weight, bias = drawn(2, plain, width), drawn(3, plain, width)
    hidden64, gradient64, weight64, bias64 = (each.double() for each in (hidden, gradient, weight, bias))
    tolerance, epsilon = norms.TOLERANCES[dtype] * CUT.get(dtype, 1.0), 1e-2
    for centred in (True, False):
        on = [each.to(device) for each in (gradient, hidden, weight)]
        shift = bias.to(device) if centred else None
        expected = norms_reference.forward(hidden64, weight64, bias64 if centred else None, epsilon, centred)
        yield share(norms.forward(*on[1:], shift, epsilon, centred), expected, tolerance)
        made = norms.backward(*on, epsilon, centred)
        right = norms_reference.backward(gradient64, hidden64, weight64, epsilon, centred)
        for one, other in list(zip(made, right, strict=True))[: 3 if centred else 2]:
            yield share(one, other, tolerance)


def compare_entropy(device: torch.device, dtype: torch.dtype, rows: int, classes: int, columns: int) -> Iterator[float]:
    """Sums over all chunks, and the gradient of each; the last target lies outside of the vocabulary."""
    scores = drawn(rows, dtype, rows, classes) * 4
    targets = torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(1))
    targets[-1] = -100 if rows > 1 else classes - 1
    tolerance = cross_entropy.TOLERANCES[dtype] * CUT.get(dtype, 1.0)
    found = _running(cross_entropy, scores.to(device), targets.to(device), columns, torch.float32)
    expected = _running(cross_entropy_reference, scores.double(), targets, columns, torch.float64)
    for one, other in zip(found, expected, strict=True):
        yield share(one.nan_to_num(nan=-1.0), other.nan_to_num(nan=-1.0), tolerance)
    logsumexp, scales = torch.logsumexp(scores.double(), dim=1), drawn(3, torch.float32, rows)
    for first in range(0, classes, columns):
        part = scores[:, first : first + columns].contiguous()
        made, right = part.to(device, copy=True), part.double()
        rest = (targets.to(device), logsumexp.float().to(device), scales.to(device))
        cross_entropy.make_gradient(made, first, *rest)
        cross_entropy_reference.make_gradient(right, first, targets, logsumexp, scales.double())
        yield share(made, right, tolerance)


def _running(kernels: object, scores: Tensor, targets: Tensor, columns: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    starts = (-math.inf, 0.0, math.nan)
    running = Running(*(torch.full(targets.shape, start, dtype=dtype, device=scores.device) for start in starts))
    for first in range(0, scores.shape[1], columns):
        kernels.take_chunk(scores[:, first : first + columns].clone(), first, targets, running)  # type: ignore[attr-defined]
    return running.maxima + running.sums.log(), running.scores


def compare_dropout(device: torch.device, dtype: torch.dtype, count: int) -> Iterator[float]:
    """The same elements are kept, bit for bit, and the same numbers in float32."""
    flat = drawn(0, dtype, count)
    for seed, offset, probability in ((7, 1, 0.0), (2**62 + 12345, 2**40 + 1, 0.9)):
        key = torch.tensor(seed)
        made = dropout.dropout(flat.to(device), key.to(device), offset, probability).cpu()
        right = dropout_reference.dropout(flat, key, offset, probability)
        yield 0.0 if torch.equal(made == 0, right == 0) else math.inf
        if dtype is torch.float32:
            yield 0.0 if torch.equal(made, right) else math.inf
        else:
            yield share(made, right, 8e-3 * CUT.get(dtype, 1.0))


def compare_packing(device: torch.device, dtype: torch.dtype, count: int) -> Iterator[float]:
    """Codes, scales and bits are the same; so are the numbers read back, but for the last digit of half precisions."""
    flat = drawn(0, dtype, count) * torch.exp(5 * drawn(1, torch.float32, count)).clamp(max=1e3).to(dtype)
    if count > 3 * ROW and dtype is torch.float32:
        flat[3], flat[ROW], flat[2 * ROW : 3 * ROW] = math.nan, math.inf, 1e-42
    seen = []
    for kernels, given in ((packing, flat.to(device)), (packing_reference, flat)):
        codes, scales = kernels.quantise(given)
        bits, back, ones = kernels.pack_bits(given), torch.empty_like(given), torch.empty_like(given)
        kernels.dequantise(codes, scales, back)
        kernels.unpack_bits(bits, ones)
        mask = given > 0
        packed, again = kernels.pack_bits(mask), torch.empty_like(mask)
        kernels.unpack_bits(packed, again)
        seen.append([each.cpu() for each in (codes, scales, bits, ones, packed, again, back)])
    for one, other in zip(seen[0][:-1], seen[1][:-1], strict=True):
        yield 0.0 if torch.equal(one, other) else math.inf
    one, other = (each[-1].double().nan_to_num(nan=-7.0) for each in seen)
    allowed = 2 * torch.finfo(dtype).eps * other.abs() if dtype is not torch.float32 else torch.zeros_like(other)
    yield 0.0 if bool(((one - other).abs() <= allowed).all()) else math.inf


COMPARISONS: list[tuple[str, Callable[..., Iterator[float]], list[tuple[int, ...]]]] = [
    ("bias_gelu", compare_gelu, MATRICES),
    ("norms", compare_norms, MATRICES),
    ("cross_entropy", compare_entropy, SCORES),
    ("dropout", compare_dropout, [(count,) for count in COUNTS]),
    ("packing", compare_packing, [(count,) for count in COUNTS]),
]


def compared(device: torch.device, halves: bool) -> dict[str, list[float]]:
    """By family, shape and dtype; float16 and bfloat16 with all shapes, or with the last of each table."""
    return {
        f"{name} {shape} {str(dtype).removeprefix('torch.')}": list(compare(device, dtype, *shape))
        for name, compare, shapes in COMPARISONS
        for shape in shapes
        for dtype in (torch.float32, *(HALVES if halves or shape == shapes[-1] else ()))
    }
