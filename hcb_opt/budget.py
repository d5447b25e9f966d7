"""Budgets as people write them: bytes, ``8GiB``, or a share of the store-all peak."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from hcb_opt.errors import InvalidInput

_UNITS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_FORMS = "write whole bytes (8589934592), a size (8GiB, 500MB) or a share of the store-all peak (0.6 or 60%)"


def parse_budget(budget: int | float | str, store_all_peak_bytes: int) -> int:
    """Turn a budget into bytes.

    Parameters
    ----------
    budget : int, float or str
        An integer is bytes; a fraction in (0, 1] is a share of the store-all
        peak, rounded down; a string may be either, or carry a unit or ``%``.
    store_all_peak_bytes : int
        What a share refers to.

    Returns
    -------
    int
        Bytes, at least 1.

    Raises
    ------
    InvalidInput
        If it is none of these, not positive, or ambiguous (5.0: a share above 1,
        or five bytes?).
    """
    where = f"budget {budget!r}"
    if isinstance(budget, bool):
        raise InvalidInput(where, "not a budget", _FORMS)
    if isinstance(budget, int):
        return _positive(budget, where)
    if isinstance(budget, float):
        return _share(
            Fraction(budget).limit_denominator(10**9) if math.isfinite(budget) else None, store_all_peak_bytes, where
        )
    if not isinstance(budget, str):
        raise InvalidInput(where, "not a budget", _FORMS)
    match = re.fullmatch(r"([+-]?\d+)?(\.\d*)?\s*([a-zA-Z]+|%)?", budget.strip().replace("_", ""))
    if not match or not (match[1] or match[2]) or match[2] == ".":
        raise InvalidInput(where, "not a budget", _FORMS)
    number = Fraction((match[1] or "0") + (match[2] or ""))
    unit = (match[3] or "").lower()
    if unit == "%":
        return _share(number / 100, store_all_peak_bytes, where)
    if unit:
        if unit not in _UNITS:
            raise InvalidInput(where, f"unknown unit '{match[3]}'", f"use one of {', '.join(_UNITS)}")
        return _positive(int(number * _UNITS[unit]), where)
    if match[2] is None:
        return _positive(int(number), where)
    return _share(number, store_all_peak_bytes, where)


def format_bytes(size_bytes: int) -> str:
    """Bytes for people: ``1.50 GiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TiB"


def _positive(size_bytes: int, where: str) -> int:
    if size_bytes < 1:
        raise InvalidInput(where, "not above zero", _FORMS)
    return size_bytes


def _share(share: Fraction | None, store_all_peak_bytes: int, where: str) -> int:
    if share is None or share <= 0:
        raise InvalidInput(where, "not above zero", _FORMS)
    if share > 1:
        raise InvalidInput(where, "ambiguous: a share above 1, or bytes?", _FORMS)
    return max(1, math.floor(share * store_all_peak_bytes))
