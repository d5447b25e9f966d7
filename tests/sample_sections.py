"""Sections for tests of what runs them; imported in other processes, too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from hcb_opt.experiments.gpu.sections import Case, Left, NothingToMeasure, Row, Settings


def cases(settings: Settings, *names: str) -> Sequence[Case]:
    if "unmade" in names:
        raise ValueError("no such device\nand more")
    return [Case(name, globals()[name]) for name in names]


def good(left: Left) -> Iterator[Row]:
    yield {"left": left() > 0, "limit": float("inf"), "nested": {"nan": float("nan")}}
    yield {"case": "half good", "error": "KeyError: one"}


def failing(left: Left) -> Iterator[Row]:
    yield {"begun": True}
    raise RuntimeError("out of luck\nin detail")


def empty(left: Left) -> Iterator[Row]:
    raise NothingToMeasure("nothing fits")
    yield {}


def slow(left: Left) -> Iterator[Row]:
    while left() > 0:
        time.sleep(0.01)
    yield {"slept": True}


def stuck(left: Left) -> Iterator[Row]:
    yield {"begun": True}
    time.sleep(600)


def dying(left: Left) -> Iterator[Row]:
    yield {"begun": True}
    os._exit(7)
