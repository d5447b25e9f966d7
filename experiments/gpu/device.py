"""The device itself: what it is, and the bandwidth and rate that are reached on it, as ceilings for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import torch

from hcb_opt.experiments.gpu.sections import Case, Left, Row, Settings
from hcb_opt.runtime.measure import median_seconds

COPIED_BYTES = 4 * 2**30
PRODUCT_SIZE = 8192
QUICK_COPIED_BYTES = 2**20
QUICK_PRODUCT_SIZE = 64


def cases(settings: Settings) -> Sequence[Case]:
    """Facts, a copy and a matrix product."""
    return [Case(each.__name__, partial(each, settings)) for each in (facts, copy, product)]


def facts(settings: Settings, left: Left) -> Iterator[Row]:
    """Name and memory of the device, and the versions that drive it."""
    row: Row = {"device": settings.device, "torch": torch.__version__, "cuda": torch.version.cuda}
    try:
        row["triton"] = version("triton")
    except PackageNotFoundError:
        row["triton"] = None
    if settings.device == "cuda":
        told = torch.cuda.get_device_properties(0)
        row |= {
            "name": told.name,
            "memory_bytes": told.total_memory,
            "multiprocessors": told.multi_processor_count,
            "capability": f"{told.major}.{told.minor}",
            "cudnn": torch.backends.cudnn.version(),
        }
    yield row


def copy(settings: Settings, left: Left) -> Iterator[Row]:
    """Bytes per second of a copy, read and written ones counted."""
    device = torch.device(settings.device)
    size = QUICK_COPIED_BYTES if settings.quick else COPIED_BYTES
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = median_seconds(lambda: target.copy_(source), device)
    yield {"seconds": seconds, "bytes_per_second": 2 * size / seconds}


def product(settings: Settings, left: Left) -> Iterator[Row]:
    """Operations per second of a bfloat16 matrix product of random numbers."""
    device = torch.device(settings.device)
    size = QUICK_PRODUCT_SIZE if settings.quick else PRODUCT_SIZE
    one, two = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = median_seconds(lambda: one @ two, device)
    yield {"seconds": seconds, "flops_per_second": 2 * size**3 / seconds}
