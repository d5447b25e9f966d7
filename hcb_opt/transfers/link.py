"""What copies cost: between a device and host memory, and into fewer bytes on the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.graph import Graph

_NOT_NEGATIVE = ("latency", "units_per_second", "device_bytes_per_second")
_BY_HAND = "give the link: hcb_opt.Link(...), or --link DEVICE on the command line"


@dataclass(frozen=True, slots=True)
class Link:
    """The way between device and host memory, one copy engine in each direction.

    Attributes
    ----------
    offload_bytes_per_second, prefetch_bytes_per_second : int
        Bandwidth from the device to the host, and back.
    latency : int
        Cost units that a copy takes whatever its size.
    units_per_second : int
        Cost units of the graph in a second: 10**9 where costs are nanoseconds.
    device_bytes_per_second : int
        At which a value is compressed and decompressed: bytes read and written. 0
        if that is not known; nothing can be compressed then.

    Raises
    ------
    InvalidInput
        If a figure is no whole number, or a bandwidth is 0.
    """

    offload_bytes_per_second: int
    prefetch_bytes_per_second: int
    latency: int = 0
    units_per_second: int = 10**9
    device_bytes_per_second: int = 0

    def __post_init__(self) -> None:
        for name in ("offload_bytes_per_second", "prefetch_bytes_per_second", *_NOT_NEGATIVE):
            minimum = 0 if name in _NOT_NEGATIVE else 1
            found = getattr(self, name)
            if isinstance(found, bool) or not isinstance(found, int) or found < minimum:
                raise InvalidInput(f"link.{name}", f"{found!r} is not a whole number >= {minimum}", "write an integer")

    def offload_cost(self, size_bytes: int) -> int:
        """Cost units that a copy of so many bytes to the host takes, rounded up."""
        return self.latency - (-size_bytes * self.units_per_second // self.offload_bytes_per_second)

    def prefetch_cost(self, size_bytes: int) -> int:
        """Cost units that a copy of so many bytes from the host takes, rounded up."""
        return self.latency - (-size_bytes * self.units_per_second // self.prefetch_bytes_per_second)

    def compress_cost(self, size_bytes: int, compressed_bytes: int) -> int:
        """Cost units that it takes to compress a value, or to decompress it, rounded up."""
        moved = size_bytes + compressed_bytes
        return self.latency - (-moved * self.units_per_second // self.device_bytes_per_second)


INSTANT = Link(1, 1, 0, 0, 1)
"""Copies that take no time: for who asks only whether a schedule is legal, and for its bytes."""


def link_of(graph: Graph, device: str | None = None, host_bytes_per_second: int | None = None) -> Link:
    """The link of a device of the roofline model.

    Parameters
    ----------
    graph : Graph
        Its costs must be nanoseconds.
    device : str or None
        One of `hcb_opt.capture.devices`; None takes the one of the roofline model
        that the graph was captured with.
    host_bytes_per_second : int or None
        Another bandwidth than the device's datasheet says, in both directions.

    Returns
    -------
    Link
        A copy's latency is the device's launch time; values are compressed at the
        bandwidth of its memory.

    Raises
    ------
    InvalidInput
        If the graph does not tell its device, costs are no nanoseconds, or the
        device is unknown.
    """
    from hcb_opt.capture.costs import devices

    kind, _, named = str(graph.facts.get("cost_model", "")).partition(":")
    name = device or (named if kind == "roofline" else "")
    if not name:
        raise InvalidInput("link", f"graph '{graph.name}' does not say which device's costs it has", _BY_HAND)
    if name not in devices():
        raise InvalidInput(f"link '{name}'", "unknown device", did_you_mean(name, devices()))
    if graph.cost_unit != "ns":
        raise InvalidInput(
            "link",
            f"graph '{graph.name}' has costs in '{graph.cost_unit}', not ns",
            "give a Link with units_per_second",
        )
    entry = devices()[name]
    host = entry.host_bytes_per_second
    link = Link(host, host, entry.launch_ns, device_bytes_per_second=entry.bytes_per_second)
    if host_bytes_per_second is None:
        return link
    return replace(
        link, offload_bytes_per_second=host_bytes_per_second, prefetch_bytes_per_second=host_bytes_per_second
    )
