"""Reading and writing files: errors name the file, and no file is ever half-written."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hcb_opt.errors import InvalidInput


def read_json(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict

    Raises
    ------
    InvalidInput
        If the file cannot be read, is truncated or otherwise no JSON, or holds
        something else than an object.
    """
    where = str(path)
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InvalidInput(
            where, f"cannot be read ({error.strerror})", "give the path of a readable JSON file"
        ) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(
            where, f"not JSON at {place} ({error.msg})", "the file may be truncated; write it again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(where, f"not JSON ({error})", "give a UTF-8 JSON file") from None
    if not isinstance(document, dict):
        raise InvalidInput(where, "holds no JSON object", "give a graph, schedule or result file")
    return document


def write_json(path: str | Path, document: Mapping[str, Any], rows: Collection[str] = ()) -> None:
    """Write a JSON object beside its destination, then rename it into place.

    Parameters
    ----------
    path : str or Path
    document : mapping
    rows : collection of str
        Fields whose elements each get a line of their own, so that files can be
        compared line by line.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    lines = []
    for key, item in document.items():
        if key in rows and item:
            elements = ",\n  ".join(json.dumps(each, allow_nan=False) for each in item)
            lines.append(f"{json.dumps(key)}: [\n  {elements}\n ]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(item, allow_nan=False)}")
    with replacing(path) as beside:
        beside.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


def write_csv(path: str | Path, records: Sequence[Mapping[str, object]]) -> None:
    """Write records as CSV, whole or not at all.

    Parameters
    ----------
    path : str or Path
    records : sequence of mapping
        At least one; all have the columns of the first.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to; it becomes `path` when the block ends well.

    Parameters
    ----------
    path : str or Path

    Yields
    ------
    Path
        With the same suffix, removed if the block fails.

    Raises
    ------
    InvalidInput
        If the folder is missing or may not be written to, or `path` is a folder
        or a device.
    """
    require_writable(path)
    destination = Path(os.path.realpath(path))
    beside = destination.with_name(f".{destination.stem}.{os.getpid()}.partial{destination.suffix}")
    try:
        yield beside
        os.replace(beside, destination)
    except OSError as error:
        raise InvalidInput(
            str(path), f"cannot be written ({error.strerror})", "give a path in a writable folder"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def require_writable(path: str | Path) -> None:
    """Refuse a destination before work is spent on what goes there.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InvalidInput
        If its folder is missing or may not be written to, or it is a folder or
        a device.
    """
    destination = Path(os.path.realpath(path))
    if destination.exists() and not destination.is_file():
        where = str(path) or "''"
        raise InvalidInput(where, "cannot be written (not a regular file)", "give the path of a file")
    if not destination.parent.is_dir():
        raise InvalidInput(str(path), "cannot be written (its folder does not exist)", "make the folder first")
    if not os.access(destination.parent, os.W_OK):
        raise InvalidInput(str(path), "cannot be written (its folder is read-only)", "give a path in a writable folder")


def require_folder(directory: str | Path) -> None:
    """Make a folder if it is missing, before work is spent on what goes there.

    Parameters
    ----------
    directory : str or Path

    Raises
    ------
    InvalidInput
        If it cannot be made or may not be written to.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(str(directory), f"cannot be made ({error.strerror})", "give a writable folder") from None
    if not os.access(directory, os.W_OK):
        raise InvalidInput(str(directory), "is read-only", "give a writable folder")
