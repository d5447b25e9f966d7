"""The three kernels of the semi-Markov recursions in Triton; `semicrf_reference` says what they compute.

Transitions must not depend on the duration. Columns and sums are float64, so that
differences of large numbers keep their digits; exponentials are taken of the
differences, in float32. Work is parallel over sequences, labels, times of a block
and parts of the durations; parts are joined in a fixed order and nothing is added
atomically, so that results are the same bit for bit every time.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hcb_opt.errors import InvalidInput
from hcb_opt.runtime.kernels.compilation import KernelCase
from hcb_opt.runtime.kernels.semicrf_reference import Recursion, Reference

# Tolerances against the reference: exponentials are float32, sums of up to K of them too.
TOLERANCE = 2e-6

TIMES = 16  # of a block, in one program
DURATIONS = 64  # in one step of a program's loop
PART = 512  # durations that one program sums over
DEFAULT_WARPS = 4
LEAST_BLOCK = 16  # tl.arange wants powers of two
LONGEST_RESTORED = 64  # columns restored at once: on the way, each is one number for every pair of labels
HOLDS_TERMS = False  # of a block's sums, in memory

# Runs begin and end anywhere in a block: kernels are not compiled anew for numbers that are 1 or multiples of 16.
_NUMBERS = ["width", "labels", "ring", "times", "part", "first", "last"]


@triton.jit(do_not_specialize=_NUMBERS)  # type: ignore[untyped-decorator]
def part_sums_kernel(  # type: ignore[no-untyped-def]
    window, weights, maxima, sums, width, labels, ring, times, part,
    times_size: tl.constexpr, durations_size: tl.constexpr,
):  # fmt: skip
    """Maximum and scaled sum of a part of the terms from columns before the block.

    One program per (sequence and label, times, part of the durations). Window
    (B C, width), weights (C, ring) longest duration first, maxima and sums
    (parts, B C, times).
    """
    row = tl.program_id(0).to(tl.int64)
    time = tl.program_id(1) * times_size + tl.arange(0, times_size)
    begin = tl.program_id(2) * part
    maximum = tl.full((times_size,), float("-inf"), tl.float64)
    total = tl.zeros((times_size,), tl.float32)
    for offset in range(0, part, durations_size):
        index = begin + offset + tl.arange(0, durations_size)
        inside = (index < ring) & (index < begin + part)
        place = time[:, None] + index[None, :]
        column = tl.load(window + row * width + place, mask=inside[None, :] & (place < ring), other=float("-inf"))
        weight = tl.load(weights + (row % labels) * ring + index, mask=inside, other=0.0)
        terms = column + weight[None, :]
        larger = tl.maximum(maximum, tl.max(terms, axis=1))
        # Minus infinity less itself is no number: nothing has been found up to here.
        base = tl.where(larger == float("-inf"), 0.0, larger)
        scaled = tl.exp((terms - base[:, None]).to(tl.float32))
        total = total * tl.exp((maximum - base).to(tl.float32)) + tl.sum(scaled, axis=1)
        maximum = larger
    out = (tl.program_id(2) * tl.num_programs(0) + row) * times + time
    tl.store(maxima + out, maximum, mask=time < times)
    tl.store(sums + out, total, mask=time < times)


@triton.jit(do_not_specialize=_NUMBERS)  # type: ignore[untyped-decorator]
def block_columns_kernel(  # type: ignore[no-untyped-def]
    earlier, window, weights, transition, scores, reference, growth, kept,
    width, labels, ring, times, first, last, sign,
    relative: tl.constexpr, labels_size: tl.constexpr, times_size: tl.constexpr,
):  # fmt: skip
    """Make a block's columns one after the other; one program per sequence, parallel over labels and earlier columns.

    Earlier, scores and kept (B, C, times), window (B, C, width), transition (C, C)
    from label (row) to label, reference and growth (B,).
    """
    sequence = tl.program_id(0).to(tl.int64)
    label, source = tl.arange(0, labels_size), tl.arange(0, times_size)
    exists = label < labels
    row = sequence * labels + label
    edges = tl.load(
        transition + label[:, None] * labels + label[None, :],
        mask=exists[:, None] & exists[None, :],
        other=float("-inf"),
    )
    # The block's own columns stay in registers, (times, labels).
    made = tl.load(
        window + row[None, :] * width + ring + source[:, None],
        mask=exists[None, :] & (source[:, None] < first),
        other=float("-inf"),
    )
    base = tl.load(reference + sequence)
    step = tl.load(growth + sequence)
    for time in range(first, last):
        duration = time - source
        near = (duration > 0) & (duration <= ring)
        weight = tl.load(
            weights + label[None, :] * ring + ring - duration[:, None],
            mask=near[:, None] & exists[None, :],
            other=float("-inf"),
        )
        terms = tl.where(near[:, None], made, float("-inf")) + weight
        before = tl.load(earlier + row * times + time, mask=exists, other=float("-inf"))
        largest = tl.maximum(before, tl.max(terms, axis=0))
        shift = tl.where(largest == float("-inf"), 0.0, largest)
        total = tl.exp((before - shift).to(tl.float32))
        total += tl.sum(tl.exp((terms - shift[None, :]).to(tl.float32)), axis=0)
        score = tl.load(scores + row * times + time, mask=exists, other=0.0)
        out = shift + tl.log(total).to(tl.float64) + sign * score
        if relative:
            rounded = (out - base).to(kept.dtype.element_ty)
            tl.store(kept + row * times + time, rounded, mask=exists)
            out = rounded.to(tl.float64) + base
            peak = tl.max(tl.where(exists, rounded.to(tl.float64), float("-inf")), axis=0)
            base += tl.floor(peak * 65536.0 + 0.5) / 65536.0 + step
        else:
            tl.store(kept + row * times + time, out.to(kept.dtype.element_ty), mask=exists)
        out = tl.where(exists, out, float("-inf"))
        onward = out[:, None] + edges
        highest = tl.max(onward, axis=0)
        highest = tl.where(highest == float("-inf"), 0.0, highest)
        after = tl.log(tl.sum(tl.exp((onward - highest[None, :]).to(tl.float32)), axis=0))
        column = highest + after.to(tl.float64) - sign * score
        tl.store(window + row * width + ring + time, column, mask=exists)
        made = tl.where(source[:, None] == time, column[None, :], made)
    if relative:
        tl.store(reference + sequence, base)


@triton.jit(do_not_specialize=_NUMBERS)  # type: ignore[untyped-decorator]
def add_posteriors_kernel(  # type: ignore[no-untyped-def]
    window, weights, lead, total, starts, width, labels, ring, times,
    times_size: tl.constexpr, durations_size: tl.constexpr,
):  # fmt: skip
    """Posteriors of the edges that leave a block: one program per (sequence and label, part of the durations).

    Lead (B C, times), total (B C, ring) added to, starts (parts, B C, times).
    """
    row = tl.program_id(0).to(tl.int64)
    index = tl.program_id(1) * durations_size + tl.arange(0, durations_size)
    inside = index < ring
    weight = tl.load(weights + (row % labels) * ring + index, mask=inside, other=float("-inf"))
    gathered = tl.zeros((durations_size,), tl.float64)
    for begin in range(0, times, times_size):
        time = begin + tl.arange(0, times_size)
        exists = time < times
        ahead = tl.load(lead + row * times + time, mask=exists, other=float("-inf"))
        column = tl.load(
            window + row * width + time[:, None] + index[None, :],
            mask=exists[:, None] & inside[None, :],
            other=float("-inf"),
        )
        posterior = tl.exp((column + weight[None, :] + ahead[:, None]).to(tl.float32)).to(tl.float64)
        gathered += tl.sum(posterior, axis=0)
        place = (tl.program_id(1) * tl.num_programs(0) + row) * times + time
        tl.store(starts + place, tl.sum(posterior, axis=1), mask=exists)
    old = tl.load(total + row * ring + index, mask=inside, other=0.0)
    tl.store(total + row * ring + index, old + gathered, mask=inside)


def earlier_sums(window: Tensor, recursion: Recursion, scores: Tensor) -> Tensor:
    """As `semicrf_reference.earlier_sums`; raises InvalidInput if transitions depend on the duration."""
    _require_static(recursion)
    batch, labels, times = scores.shape
    ring = recursion.weights.shape[-1]
    parts = triton.cdiv(ring, PART)
    maxima = torch.empty(parts, batch, labels, times, dtype=torch.float64, device=window.device)
    sums = torch.empty_like(maxima, dtype=torch.float32)
    grid = (batch * labels, triton.cdiv(times, TIMES), parts)
    part_sums_kernel[grid](
        window, recursion.weights, maxima, sums, _width(window), labels, ring, times, PART,
        times_size=TIMES, durations_size=DURATIONS,
    )  # fmt: skip
    return torch.logsumexp(maxima + sums.double().log(), dim=0)


def block_columns(
    sums: Tensor,
    window: Tensor,
    recursion: Recursion,
    scores: Tensor,
    first: int,
    last: int,
    dtype: torch.dtype,
    reference: Reference | None,
) -> Tensor:
    """As `semicrf_reference.block_columns`; raises InvalidInput if transitions depend on the duration."""
    _require_static(recursion)
    assert recursion.transition is not None
    batch, labels, times = scores.shape
    kept = torch.empty(batch, labels, times, dtype=dtype, device=window.device)
    value = window.new_zeros(batch) if reference is None else reference.value
    growth = value if reference is None else reference.growth
    labels_size = triton.next_power_of_2(labels)
    times_size = max(LEAST_BLOCK, triton.next_power_of_2(times))
    block_columns_kernel[(batch,)](
        sums.contiguous(), window, recursion.weights, recursion.transition.contiguous(), scores.contiguous(),
        value, growth, kept, _width(window), labels, recursion.weights.shape[-1], times, first, last, recursion.sign,
        relative=reference is not None, labels_size=labels_size, times_size=times_size,
        num_warps=_warps(labels_size, times_size),
    )  # fmt: skip
    return kept[..., first:last]


def restore_columns(out: Tensor, recursion: Recursion, scores: Tensor, window: Tensor) -> None:
    """As `semicrf_reference.restore_columns`, but near those of `block_columns`: its exponentials are float32."""
    for begin in range(0, out.shape[-1], LONGEST_RESTORED):
        part = slice(begin, begin + LONGEST_RESTORED)
        window[..., part] = recursion.column(out[..., part], scores[..., part])


def add_posteriors(
    window: Tensor, recursion: Recursion, scores: Tensor, lead: Tensor, total: Tensor
) -> tuple[Tensor, Tensor]:
    """As `semicrf_reference.add_posteriors`; raises InvalidInput if transitions depend on the duration."""
    _require_static(recursion)
    batch, labels, times = scores.shape
    ring = recursion.weights.shape[-1]
    parts = triton.cdiv(ring, DURATIONS)
    starts = torch.empty(parts, batch, labels, times, dtype=torch.float64, device=window.device)
    add_posteriors_kernel[(batch * labels, parts)](
        window, recursion.weights, lead.contiguous(), total, starts, _width(window), labels, ring, times,
        times_size=TIMES, durations_size=DURATIONS,
    )  # fmt: skip
    by_label = starts.sum(dim=0)
    return by_label.sum(dim=1, keepdim=True), by_label


def _width(window: Tensor) -> int:
    """Distance from one label's columns to the next one's: a window may be the first part of a longer one."""
    batch, before, labels, _ = window.shape
    width = window.stride(2)
    assert before == 1 and window.stride(3) == 1 and (batch == 1 or window.stride(0) == labels * width)
    return width


def _require_static(recursion: Recursion) -> None:
    if recursion.transition is None:
        what = "transitions that depend on the duration have no Triton kernels"
        raise InvalidInput("kernels", what, "use hcb_opt.runtime.kernels.semicrf_reference")


def cases() -> list[KernelCase]:
    """What is compiled for the report: float32 columns, 8 to 64 labels, blocks of 16 times and the longest."""
    numbers = dict.fromkeys(("width", "labels", "ring", "times"), "i32")
    sums = {"window": "*fp64", "weights": "*fp64", "maxima": "*fp64", "sums": "*fp32", **numbers, "part": "i32"}
    posteriors = dict.fromkeys(("window", "weights", "lead", "total", "starts"), "*fp64") | numbers
    columns = dict.fromkeys(("earlier", "window", "weights", "transition", "scores", "reference", "growth"), "*fp64")
    columns |= {"kept": "*fp32", **numbers, "first": "i32", "last": "i32", "sign": "i32"}
    tile = {"times_size": TIMES, "durations_size": DURATIONS}
    listed = [
        _case("part sums", part_sums_kernel, sums, tile),
        _case("posteriors", add_posteriors_kernel, posteriors, tile),
    ]
    for direction in ("forward", "backward"):
        for labels in (8, 16, 32, 64):
            for times in (16, min(64, 2048 // labels)):
                name = f"{direction} columns, {labels} labels, {times} times"
                constants = {"relative": direction == "forward", "labels_size": labels, "times_size": times}
                listed.append(_case(name, block_columns_kernel, columns, constants, _warps(labels, times)))
    return listed


def _case(
    name: str, kernel: Any, types: dict[str, str], constants: dict[str, Any], warps: int = DEFAULT_WARPS
) -> KernelCase:
    return KernelCase(f"semicrf: {name}", kernel, types | dict.fromkeys(constants, "constexpr"), constants, warps)


def _warps(labels: int, times: int) -> int:
    """Groups of 32 threads for a block of columns and a transition, so that they stay in registers."""
    return DEFAULT_WARPS if labels * max(labels, times) <= 1024 else 2 * DEFAULT_WARPS
