"""The CSV files of the minimalloc benchmarks: ``id,lower,upper,size``, and ``offset`` where one is known."""

from __future__ import annotations

import csv
from pathlib import Path

from hcb_opt.errors import InvalidInput
from hcb_opt.files import replacing
from hcb_opt.layout.address_map import Layout
from hcb_opt.layout.instances import Buffer

COLUMNS = ("id", "lower", "upper", "size")
_FORM = f"write a first line {','.join(COLUMNS)}, then a line per buffer"


def read_buffers(path: str | Path) -> tuple[Buffer, ...]:
    """Read the buffers of an instance; other columns than the four are left aside.

    Parameters
    ----------
    path : str or Path
        ``lower`` is the first step that holds the buffer, ``upper`` the first that
        does not.

    Returns
    -------
    tuple of Buffer

    Raises
    ------
    InvalidInput
        If the file cannot be read or is no such file; the message names the line.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:  # as spreadsheets write it
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise InvalidInput(f"{path}: line 1", f"there is no column '{missing[0]}'", _FORM)
            return tuple(_buffer(row, f"{path}: line {reader.line_num}") for row in reader)
    except OSError as error:
        raise InvalidInput(
            str(path), f"cannot be read ({error.strerror})", "give the path of a readable CSV file"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(str(path), f"no CSV file ({error})", _FORM) from None


def write_offsets(layout: Layout, path: str | Path) -> None:
    """Write a layout's buffers with their offsets, in bytes; what is written over ends where its bytes are taken.

    Parameters
    ----------
    layout : Layout
    path : str or Path

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, "offset"))
        for buffer, end, offset in zip(layout.buffers, layout.ends, layout.offsets, strict=True):
            writer.writerow((buffer.name, buffer.start, end, buffer.size_bytes, offset))


def _buffer(row: dict[str, str | None], where: str) -> Buffer:
    if any(row[column] is None for column in COLUMNS):
        raise InvalidInput(where, "the line ends too early", f"give {', '.join(COLUMNS)}")
    start, end, size_bytes = (_whole(row[column], f"{where}, {column}") for column in COLUMNS[1:])
    if start >= end:
        raise InvalidInput(where, f"lower {start} is not below upper {end}", "a buffer is held for one step at least")
    return Buffer(str(row["id"]), start, end, size_bytes)


def _whole(text: str | None, where: str) -> int:
    if text is None or not text.strip().isdecimal():
        raise InvalidInput(where, f"{text!r} is not a whole number >= 0", "write steps and bytes as integers")
    return int(text)
