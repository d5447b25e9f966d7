"""Typed fields of parsed JSON; every error names the field and says what to write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hcb_opt.errors import InvalidInput, did_you_mean


class Fields:
    """The fields of one JSON object.

    Parameters
    ----------
    document : object
        Parsed JSON; anything but an object is an error.
    where : str
        Place of the object in its file, such as ``ops[3]``; empty for the file
        itself.
    known : iterable of str or None
        Names that may appear; None allows any.

    Raises
    ------
    InvalidInput
        Here for an unknown field, and from every method for a field that is
        missing or has another type.
    """

    def __init__(self, document: object, where: str, known: Iterable[str] | None = None) -> None:
        if not isinstance(document, dict):
            raise InvalidInput(where, f"{shown(document)} is no JSON object", "write {...} here")
        self.document: Mapping[str, Any] = document
        self.where = where
        if known is not None:
            self._refuse_unknown(set(known))

    def place(self, name: str) -> str:
        """Where this field stands in the file."""
        return f"{self.where}.{name}" if self.where else name

    def required(self, name: str) -> Any:
        """The field as it stands."""
        if name not in self.document:
            raise InvalidInput(self.place(name), "missing", "add this field")
        return self.document[name]

    def text(self, name: str, default: str | None = None) -> str:
        """A string."""
        return str(self._typed(name, str, "a string", default))

    def flag(self, name: str, default: bool | None = None) -> bool:
        """True or false."""
        return bool(self._typed(name, bool, "true or false", default))

    def listing(self, name: str, default: list[Any] | None = None) -> list[Any]:
        """A list."""
        return list(self._typed(name, list, "a list", default))

    def texts(self, name: str, default: list[Any] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        found = self.listing(name, default)
        for index, each in enumerate(found):
            if not isinstance(each, str):
                raise InvalidInput(
                    f"{self.place(name)}[{index}]", f"{shown(each)} is not a string", "write the name of a value"
                )
        return tuple(found)

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number >= 0."""
        found = self._typed(name, int, "a whole number >= 0", default)
        if isinstance(found, bool) or found < 0:
            raise InvalidInput(
                self.place(name), f"{shown(found)} is not a whole number >= 0", "write sizes and costs as integers"
            )
        return int(found)

    def _typed(self, name: str, kind: type, description: str, default: object) -> Any:
        if name not in self.document and default is not None:
            return default
        found = self.required(name)
        if not isinstance(found, kind):
            raise InvalidInput(self.place(name), f"{shown(found)} is not {description}", f"write {description}")
        return found

    def _refuse_unknown(self, known: set[str]) -> None:
        for name in self.document:
            if name not in known:
                raise InvalidInput(self.place(name), "unknown field", did_you_mean(name, known))


def shown(item: object) -> str:
    """A parsed JSON item as it might stand in the file, cut to fit an error line."""
    text = json.dumps(item)
    return text if len(text) <= 60 else f"{text[:57]}..."
