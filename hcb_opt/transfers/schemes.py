"""Compressed copies: which schemes a value may take, their bytes, and what they lose."""

from __future__ import annotations

from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.graph import Graph
from hcb_opt.schedule import Compress, Schedule

ROW = 256
"""Elements that share a scale in ``int8``."""

ITEM_BYTES = {"bool": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}

SCHEMES: dict[str, tuple[str, ...]] = {
    "bits": ("bool",),
    "bf16": ("float32", "float64"),
    "int8": ("float16", "bfloat16", "float32", "float64"),
}
"""Each scheme, and the dtypes that it serves."""

ERROR_BOUNDS = {
    "bf16": "2^-8 of each number",
    "int8": "1/254 of the largest number among 256 neighbours, and what the dtype rounds",
}
"""How far what is read back may lie from a value, for the lossy schemes; ``bits`` of bools loses nothing."""


def compressed_bytes(graph: Graph, value: int, scheme: str) -> int:
    """Bytes of a value's compressed copy.

    Parameters
    ----------
    graph : Graph
    value : int
    scheme : str
        One of `SCHEMES`.

    Raises
    ------
    InvalidInput
        If the scheme is unknown, or not for the value's dtype.
    """
    if scheme not in SCHEMES:
        raise InvalidInput(f"scheme '{scheme}'", "unknown", did_you_mean(scheme, SCHEMES))
    described = graph.values[value]
    dtype = described.dtype
    if dtype not in SCHEMES[scheme] or described.size_bytes % ITEM_BYTES[dtype]:
        what = f"not for value '{described.name}' of {dtype or 'unknown dtype'}"
        raise InvalidInput(f"scheme '{scheme}'", what, f"it serves {', '.join(SCHEMES[scheme])}")
    elements = described.size_bytes // ITEM_BYTES[dtype]
    if scheme == "bits":
        return -(-elements // 8)
    return 2 * elements if scheme == "bf16" else elements + 4 * -(-elements // ROW)


def used_bounds(schedule: Schedule) -> dict[str, str]:
    """The error bound of each lossy scheme that a schedule uses."""
    used = {action.scheme for action in schedule.actions if isinstance(action, Compress)}
    return {scheme: bound for scheme, bound in ERROR_BOUNDS.items() if scheme in used}


def fits(graph: Graph, value: int, scheme: str) -> bool:
    """Whether a scheme serves a value, and makes it smaller."""
    try:
        return compressed_bytes(graph, value, scheme) < graph.sizes[value]
    except InvalidInput:
        return False
