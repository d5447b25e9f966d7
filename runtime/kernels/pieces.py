"""References go through a tensor some rows at a time, so that they hold little memory on the way."""

from __future__ import annotations

from collections.abc import Iterator

PIECE = 2**16  # elements, or one row


def row_pieces(rows: int, columns: int) -> Iterator[slice]:
    """Consecutive rows of at most `PIECE` elements together, at least one row."""
    step = rows_at_once(rows, columns)
    return (slice(first, min(first + step, rows)) for first in range(0, rows, step))


def rows_at_once(rows: int, columns: int) -> int:
    """Rows of a piece, at least 1."""
    return max(1, min(rows, PIECE // max(1, columns)))
