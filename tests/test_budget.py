"""Budgets as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcb_opt.budget import format_bytes, parse_budget
from hcb_opt.errors import InvalidInput

PEAK = 1000


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [
        (1, 1),
        (2**40, 2**40),
        ("1", 1),
        ("8589934592", 2**33),
        ("1_000", 1000),
        ("8GiB", 2**33),
        ("8 gib", 2**33),
        ("1.5KiB", 1536),
        ("500MB", 500_000_000),
        ("7b", 7),
        (0.6, 600),
        ("0.6", 600),
        (".6", 600),
        ("60%", 600),
        ("12.5 %", 125),
        (1.0, 1000),
        ("1.0", 1000),
        ("100%", 1000),
        (0.9999, 999),
        (1e-9, 1),
    ],
)
def test_accepted(written: int | float | str, size_bytes: int) -> None:
    assert parse_budget(written, PEAK) == size_bytes


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (0, "not above zero"),
        (-1, "not above zero"),
        ("0", "not above zero"),
        ("-1", "not above zero"),
        (0.0, "not above zero"),
        (-0.5, "not above zero"),
        ("0%", "not above zero"),
        ("0GiB", "not above zero"),
        ("12 parsecs", "unknown unit 'parsecs'"),
        (5.0, "ambiguous"),
        ("5.0", "ambiguous"),
        ("150%", "ambiguous"),
        (math.nan, "not above zero"),
        (math.inf, "not above zero"),
        ("nan", "not a budget"),
        ("", "not a budget"),
        ("lots", "not a budget"),
        ("GiB", "not a budget"),
        ("1 2", "not a budget"),
        (".", "not a budget"),
        (True, "not a budget"),
        (None, "not a budget"),
    ],
)
def test_refused(written: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_budget(written, PEAK)  # type: ignore[arg-type]
    assert repr(written) in str(caught.value)


@given(st.integers(1, 10**6), st.integers(1, 10**15))
def test_shares_are_rounded_down_exactly(millionths: int, peak: int) -> None:
    assert parse_budget(f"{millionths / 10**6:.6f}", peak) == max(1, millionths * peak // 10**6)
    assert parse_budget(millionths / 10**6, peak) == max(1, millionths * peak // 10**6)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (2**33, "8.00 GiB"), (2**45, "32.00 TiB")],
)
def test_format(size_bytes: int, text: str) -> None:
    assert format_bytes(size_bytes) == text
