"""Errors that name what is wrong, where, and how to mend it, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HcbOptError(Exception):
    """Base of every error the toolkit raises on purpose."""


class InvalidInput(HcbOptError, ValueError):
    """A graph, schedule, file or argument that cannot be used.

    Parameters
    ----------
    where : str
        The file and field, or the argument.
    what : str
        What is wrong with it.
    fix : str
        What to do about it.
    """

    def __init__(self, where: str, what: str, fix: str) -> None:
        super().__init__(f"{where}: {what}; {fix}")
        self.where, self.what, self.fix = where, what, fix

    def within(self, outer: str) -> InvalidInput:
        """The same error, seen from the file or object that holds the field."""
        return InvalidInput(f"{outer}: {self.where}", self.what, self.fix)


class CaptureError(HcbOptError, RuntimeError):
    """A training step that cannot be captured as a graph."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to use instead of an unknown word: the nearest one, and all there are."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"{guess}use one of {', '.join(known)}"
