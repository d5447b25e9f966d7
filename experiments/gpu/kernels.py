"""Kernels against what eager torch does instead: speed, memory, and the share of what the device can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from hcb_opt.capture.costs import devices
from hcb_opt.experiments.gpu.measuring import release, seconds_per_call
from hcb_opt.experiments.gpu.sections import Case, Left, Row, Settings, named
from hcb_opt.runtime.kernels.benchmark_cases import BenchmarkCase, Sizes, benchmark_cases
from hcb_opt.runtime.measure import peak_bytes

DTYPES = ("bfloat16", "float32")
QUICK_SIZES = Sizes(rows=8, width=64, classes=11)
CALLS = 20


def cases(settings: Settings) -> Sequence[Case]:
    """Every kernel, by dtype."""
    dtypes = DTYPES[1:] if settings.quick else DTYPES
    return [Case(f"kernels in {dtype}", partial(_run, settings, dtype)) for dtype in dtypes]


def _run(settings: Settings, dtype: str, left: Left) -> Iterator[Row]:
    device = torch.device(settings.device)
    sizes = QUICK_SIZES if settings.quick else None
    for case in benchmark_cases(device, (getattr(torch, dtype),), sizes):
        name = f"{case.name}, {case.dtype}"
        if left() <= 0:
            yield {"case": name, "reason": "skipped, no time left"}
            continue
        try:
            yield {"case": name, **_measured(case, device, 1 if settings.quick else CALLS)}
        except Exception as error:
            yield {"case": name, "error": named(error)}
        release(device)


def _measured(case: BenchmarkCase, device: torch.device, calls: int) -> Row:
    seconds, eager = (seconds_per_call(each, device, calls) for each in (case.kernels, case.eager))
    ideal = ideal_seconds(case.moved_bytes, case.flops, case.dtype, device)
    return {
        "seconds": seconds,
        "eager_seconds": eager,
        "moved_bytes": case.moved_bytes,
        "flops": case.flops,
        "peak_bytes": peak_bytes(case.kernels, device),
        "eager_peak_bytes": peak_bytes(case.eager, device),
        "roofline_share": None if ideal is None else ideal / seconds,
        "eager_roofline_share": None if ideal is None else ideal / eager,
    }


def ideal_seconds(moved_bytes: int, flops: int, dtype: str, device: torch.device) -> float | None:
    """The least time by the datasheet's rates; None for a device that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device).lower()
    known = next((each for key, each in devices().items() if key in name), None)
    if known is None:
        return None
    rate = known.flops_per_second.get(dtype, known.flops_per_second["float32"])
    return max(moved_bytes / known.bytes_per_second, flops / rate)
