"""What one execution of an op costs: operations, bytes moved, or time by the roofline."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from hcb_opt.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Work:
    """What one execution of an op does, whatever the device.

    Attributes
    ----------
    flops : int
        Floating-point operations by a formula for this op (matrix products,
        convolutions, attention); 0 if there is none.
    elements : int
        Elements of all its outputs.
    read_bytes, written_bytes : int
        Bytes of the tensors it reads and writes, each once; a lookup reads the
        rows it looks up, not the table.
    dtype : str
        What it computes in, as in ``float32``.
    scratch_bytes : int
        Written to scratch memory of its own and read from it, where that is declared.
    """

    flops: int
    elements: int
    read_bytes: int
    written_bytes: int
    dtype: str
    scratch_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """Peak rates of a device, from its datasheet.

    Attributes
    ----------
    name, source : str
        What it is, and where the figures come from.
    flops_per_second : mapping of str to int
        By dtype; the dtypes that are missing run at float32's rate.
    bytes_per_second : int
    host_bytes_per_second : int
        To host memory, and from it, at the same time.
    launch_ns : int
        Time an op takes whatever its size.
    """

    name: str
    source: str
    flops_per_second: Mapping[str, int]
    bytes_per_second: int
    host_bytes_per_second: int
    launch_ns: int


@dataclass(frozen=True, slots=True)
class CostModel:
    """A way to turn work into an integer cost.

    Attributes
    ----------
    name : str
        As written by the user, ``roofline:h200``.
    unit : str
        ``flop``, ``byte`` or ``ns``.
    cost : callable
        From `Work` to an integer, at least 1: no op is free, or recomputing it
        without end would be too.
    """

    name: str
    unit: str
    cost: Callable[[Work], int]


@cache
def devices() -> dict[str, Device]:
    """The devices of the roofline model, by the name a user writes."""
    text = resources.files("hcb_opt.capture").joinpath("devices.toml").read_text(encoding="utf-8")
    return {key: Device(**table) for key, table in tomllib.loads(text).items()}


def flop_cost(work: Work) -> int:
    """Floating-point operations; one per output element where no formula is known."""
    return max(1, work.flops or work.elements)


def byte_cost(work: Work) -> int:
    """Bytes read and written, those of scratch memory included."""
    return max(1, work.read_bytes + work.written_bytes + work.scratch_bytes)


def roofline_cost(work: Work, device: Device) -> int:
    """Nanoseconds by the roofline model, plus the device's launch time.

    ``max(flops / peak, bytes / bandwidth)`` of Williams, Waterman and Patterson,
    "Roofline: an insightful visual performance model for multicore
    architectures", CACM 52(4), 2009, rounded up.
    """
    peak = device.flops_per_second.get(work.dtype, device.flops_per_second["float32"])
    compute_ns = -(-flop_cost(work) * 10**9 // peak)
    memory_ns = -(-byte_cost(work) * 10**9 // device.bytes_per_second)
    return max(compute_ns, memory_ns) + device.launch_ns


def cost_model(spec: str) -> CostModel:
    """The cost model a user names.

    Parameters
    ----------
    spec : str
        ``flops``, ``bytes`` or ``roofline:<device>``.

    Raises
    ------
    InvalidInput
        If the model or the device is unknown; the message lists them.
    """
    kind, _, device_name = spec.partition(":")
    if spec == "flops":
        return CostModel(spec, "flop", flop_cost)
    if spec == "bytes":
        return CostModel(spec, "byte", byte_cost)
    names = ", ".join(devices())
    if kind != "roofline":
        fix = f"use flops, bytes, measured (`hcb-opt capture` only) or roofline:<device> with device one of {names}"
        raise InvalidInput(f"cost {spec!r}", "unknown", fix)
    if device_name not in devices():
        what = f"unknown device '{device_name}'" if device_name else "names no device"
        raise InvalidInput(f"cost {spec!r}", what, f"use roofline:<device> with device one of {names}")
    device = devices()[device_name]
    return CostModel(spec, "ns", lambda work: roofline_cost(work, device))
