"""Semi-Markov log-partition and gradients over long sequences: time, memory, and gradients against float64."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from hcb_opt.experiments.gpu.measuring import release
from hcb_opt.experiments.gpu.sections import Case, Left, NothingToMeasure, Row, Settings
from hcb_opt.runtime.measure import median_seconds, peak_bytes
from hcb_opt.runtime.semicrf import log_partition

Size = tuple[int, int, int]

SIZES: Sequence[Size] = ((1_000, 100, 8), (10_000, 500, 16), (100_000, 1_000, 24), (400_000, 3_000, 24))
QUICK_SIZES: Sequence[Size] = ((40, 6, 2), (100, 10, 3))
# Above it, the float64 reference takes too long.
MOST_COMPARED_TERMS = 10_000 * 500 * 16
EXTRA_FORWARDS = 2


def cases(settings: Settings) -> Sequence[Case]:
    """The sizes (T, K, C), smallest first."""
    known: dict[Size, float] = {}
    sizes = QUICK_SIZES if settings.quick else SIZES
    return [Case(f"T={size[0]}, K={size[1]}, C={size[2]}", partial(_run, settings, known, size)) for size in sizes]


def _run(settings: Settings, known: dict[Size, float], size: Size, left: Left) -> Iterator[Row]:
    steps, ring, labels = size
    expected = [seconds * steps / other[0] for other, seconds in known.items()][-1:]
    if sum(expected) > left():
        raise NothingToMeasure(f"would take {expected[0]:.0f} s, by what the size before took")
    device = torch.device(settings.device)
    name = "semicrf" if device.type == "cuda" else "semicrf_reference"
    kernels = importlib.import_module(f"hcb_opt.runtime.kernels.{name}")
    inputs = _inputs(size, torch.float32, device)

    def step() -> list[torch.Tensor]:
        log_z = log_partition(*inputs, extra_forwards=EXTRA_FORWARDS, kernels=kernels)
        return list(torch.autograd.grad(log_z.sum(), inputs))

    warm = _inputs((2 * ring, ring, labels), torch.float32, device)
    log_partition(*warm, extra_forwards=EXTRA_FORWARDS, kernels=kernels).sum().backward()  # kernels are compiled
    del warm
    release(device)
    row: Row = {"steps": steps, "ring": ring, "labels": labels, "extra_forwards": EXTRA_FORWARDS, "kernels": name}
    row |= _once(step, device)
    known[size] = row["seconds"]
    if steps * ring * labels <= MOST_COMPARED_TERMS and left() > 0:
        row |= _against_float64(size, step(), device)
    yield row


def _once(step: Callable[[], object], device: torch.device) -> Row:
    """Time and peak of a single run, since the longest take many seconds; on a CPU of two."""
    if device.type != "cuda":
        return {"seconds": median_seconds(step, device, 1), "measured_peak_bytes": peak_bytes(step, device)}
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    step()
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "measured_peak_bytes": torch.cuda.max_memory_allocated(device) - before}


def _against_float64(size: Size, found: Sequence[torch.Tensor], device: torch.device) -> Row:
    """The largest relative difference of a gradient, against the plain-torch reference in float64."""
    exact = _inputs(size, torch.float64, device)
    expected = torch.autograd.grad(log_partition(*exact).sum(), exact)
    worst = max(
        float((mine.double() - right).abs().max() / right.abs().max())
        for mine, right in zip(found, expected, strict=True)
    )
    return {"gradient_relative_difference": worst}


def _inputs(size: Size, dtype: torch.dtype, device: torch.device) -> list[torch.Tensor]:
    """Prefix sums of scores, transitions and duration biases, random and the same for each dtype up to rounding."""
    steps, ring, labels = size
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, steps, labels, generator=generator, dtype=torch.float64)
    cum_scores = torch.cat([torch.zeros(1, 1, labels, dtype=torch.float64), scores.cumsum(dim=1)], dim=1)
    transition = torch.randn(labels, labels, generator=generator, dtype=torch.float64)
    duration_bias = torch.randn(ring, labels, generator=generator, dtype=torch.float64)
    rounded = (each.float() for each in (cum_scores, transition, duration_bias))
    return [each.to(device, dtype).requires_grad_() for each in rounded]
