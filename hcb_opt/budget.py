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
_SIZE_FORMS = "write whole bytes (4294967296) or a size (4GiB, 500MB)"


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
    number, unit, whole = _number_and_unit(budget, where, "not a budget", _FORMS)
    if unit == "%":
        return _share(number / 100, store_all_peak_bytes, where)
    if unit:
        return _in_bytes(number, unit, where, _FORMS)
    return _positive(int(number), where) if whole else _share(number, store_all_peak_bytes, where)


def parse_memory_limit(limit: int | str) -> int:
    """Turn a limit on memory into bytes: written like a budget, but never a share.

    Parameters
    ----------
    limit : int or str

    Returns
    -------
    int
        Bytes, at least 1.

    Raises
    ------
    InvalidInput
        If it is neither whole bytes nor a number with a unit, or not positive.
    """
    where = f"memory limit {limit!r}"
    if isinstance(limit, int) and not isinstance(limit, bool):
        return _positive(limit, where, _SIZE_FORMS)
    number, unit, whole = _number_and_unit(limit, where, "not a size", _SIZE_FORMS)
    if not unit and not whole:
        raise InvalidInput(where, "not a size", _SIZE_FORMS)
    return _in_bytes(number, unit or "b", where, _SIZE_FORMS)


def format_bytes(size_bytes: int) -> str:
    """Bytes for people: ``1.50 GiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TiB"


def _number_and_unit(text: object, where: str, what: str, forms: str) -> tuple[Fraction, str, bool]:
    """A number, its unit (empty without one), and whether it is written without a point."""
    match = None
    if isinstance(text, str):
        match = re.fullmatch(r"([+-]?\d+)?(\.\d*)?\s*([a-zA-Z]+|%)?", text.strip().replace("_", ""))
    if not match or not (match[1] or match[2]) or match[2] == ".":
        raise InvalidInput(where, what, forms)
    return Fraction((match[1] or "0") + (match[2] or "")), match[3] or "", match[2] is None


def _in_bytes(number: Fraction, unit: str, where: str, forms: str) -> int:
    if unit.lower() not in _UNITS:
        raise InvalidInput(where, f"unknown unit '{unit}'", f"use one of {', '.join(_UNITS)}")
    return _positive(int(number * _UNITS[unit.lower()]), where, forms)


def _positive(size_bytes: int, where: str, forms: str = _FORMS) -> int:
    if size_bytes < 1:
        raise InvalidInput(where, "not above zero", forms)
    return size_bytes


def _share(share: Fraction | None, store_all_peak_bytes: int, where: str) -> int:
    if share is None or share <= 0:
        raise InvalidInput(where, "not above zero", _FORMS)
    if share > 1:
        raise InvalidInput(where, "ambiguous: a share above 1, or bytes?", _FORMS)
    return max(1, math.floor(share * store_all_peak_bytes))
