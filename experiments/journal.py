"""What a run has found so far, in a file that an interrupted run goes on from."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hcb_opt.errors import InvalidInput
from hcb_opt.files import require_folder

Key = tuple[str | int | None, ...]


class Journal:
    """Records by key, appended to ``NAME.partial.jsonl`` as they come.

    Opening it takes over what an interrupted run of the same facts has written;
    of a last line that was cut short nothing is kept.

    Parameters
    ----------
    directory : Path
        Made if missing.
    name : str
        Of the experiment.
    facts : mapping
        What records must share to be of use: settings, machine, versions.

    Attributes
    ----------
    rows : dict of tuple to dict
        Rows by the key of their task.
    notes : dict of str to dict
        What else was found, by name.

    Raises
    ------
    InvalidInput
        If the folder cannot be made, or the file not be written.
    """

    def __init__(self, directory: Path, name: str, facts: Mapping[str, Any]) -> None:
        require_folder(directory)
        self.rows: dict[Key, dict[str, Any]] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self._path = directory / f"{name}.partial.jsonl"
        self._take_over(json.dumps(facts))

    def write(self, key: Key | str, record: Mapping[str, Any]) -> None:
        """Append a row under its task's key, or a note under its name."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps([key, record])}\n")

    def noted(self, name: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What an interrupted run noted under a name, or what ``find`` finds now, to be noted."""
        if name not in self.notes:
            self.notes[name] = find()
            self.write(name, self.notes[name])
        return self.notes[name]

    def remove(self) -> None:
        """Delete the file: the next run starts anew."""
        self._path.unlink(missing_ok=True)

    def _take_over(self, head: str) -> None:
        lines: list[str] = []
        with suppress(OSError):
            lines = self._path.read_text(encoding="utf-8").splitlines()
        if lines and lines[0] != head:
            print(f"starting anew: {self._path.name} was measured otherwise", file=sys.stderr)
        kept = [head]
        if lines and lines[0] == head:
            with suppress(ValueError):
                for line in lines[1:]:
                    key, record = json.loads(line)
                    if isinstance(key, str):
                        self.notes[key] = record
                    else:
                        self.rows[tuple(key)] = record
                    kept.append(line)
            print(f"taking over {len(self.rows)} rows of an interrupted run", file=sys.stderr)
        try:
            self._path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        except OSError as error:
            what = f"cannot be written ({error.strerror})"
            raise InvalidInput(str(self._path), what, "give a writable folder") from None
