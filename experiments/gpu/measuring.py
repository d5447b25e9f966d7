"""Time and memory of a step on a device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hcb_opt.experiments.gpu.networks import Training
from hcb_opt.runtime.measure import median_seconds, peak_bytes

Step = Callable[[], object]


def measured(step: Step, device: torch.device, repeats: int) -> dict[str, Any]:
    """Median time and the most bytes held, beyond what was held before.

    Parameters
    ----------
    step : callable
        Holds nothing when it ends.
    device : torch.device
    repeats : int

    Returns
    -------
    dict
        ``requested_peak_bytes`` is what was asked of CUDA's caching allocator, which
        rounds each request up and counts that in ``measured_peak_bytes``; None on a CPU.
    """
    seconds = median_seconds(step, device, repeats)
    peak = peak_bytes(step, device)
    requested = None
    if device.type == "cuda":
        # `peak_bytes` has set all peaks back before its run.
        stats = torch.cuda.memory_stats(device)
        requested = stats["requested_bytes.all.peak"] - stats["requested_bytes.all.current"]
    return {"seconds": seconds, "measured_peak_bytes": peak, "requested_peak_bytes": requested}


def training_step(training: Training) -> Step:
    """Forward and backward by autograd; the gradients are let go."""

    def step() -> None:
        training.loss_fn(training.model, training.batch).backward()
        training.model.zero_grad(set_to_none=True)

    return step


@contextmanager
def deterministic(strict: bool = True) -> Iterator[None]:
    """Inside, kernels are deterministic; unless this is strict, those that cannot be do not say so.

    Some that can be, as the backward of fused attention, are so only where it is strict.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=not strict)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def release(device: torch.device) -> None:
    """Give cached memory back to the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()


def seconds_per_call(function: Step, device: torch.device, calls: int) -> float:
    """Time per call of several in a row, two before them not counted; by events on CUDA, so that launches overlap."""
    for _ in range(2):
        function()
    if device.type != "cuda":
        return median_seconds(function, device, calls)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    for _ in range(calls):
        function()
    end.record()
    torch.cuda.synchronize(device)
    return float(begin.elapsed_time(end)) / 1000 / calls
