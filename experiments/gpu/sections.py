"""Sections of the measurement on a GPU: named cases under a time limit, of which none takes the others down."""

from __future__ import annotations

import importlib
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Left = Callable[[], float]
"""Seconds that are left to a case."""

GRACE_SECONDS = 10.0
# Read when torch starts to use the device. Without the first, matrix products are not repeatable. The others leave out
# cuDNN's attention (by the names of new and old releases), whose backward never is: what is captured would then not be
# what runs where eager has to repeat itself.
ENVIRONMENT = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "TORCH_CUDNN_SDPA_DEPRIORITIZED": "1",
    "TORCH_CUDNN_SDPA_PREFERRED": "0",
}


class NothingToMeasure(Exception):
    """Why a case has no figures, which is a result, too."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all sections are told.

    Attributes
    ----------
    device : str
        ``cuda`` or ``cpu``.
    quick : bool
        Tiny sizes, to see in seconds whether all works.
    directory : Path
        Where results go.
    """

    device: str
    quick: bool
    directory: Path


@dataclass(frozen=True, slots=True)
class Case:
    """A measurement.

    Attributes
    ----------
    name : str
    run : callable
        Gives rows as it finds them; told how many seconds are left, it may end
        earlier. A row may have a ``case`` of its own, and is a failure if it has an
        ``error``.
    """

    name: str
    run: Callable[[Left], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Section:
    """Cases that share a process and a time limit.

    Attributes
    ----------
    name : str
    seconds : float
        Of which the process's start and the making of the cases are a part.
    module : str
        With a function ``cases(settings, *arguments)`` that lists the cases, in the
        order of their worth.
    arguments : tuple of str
    """

    name: str
    seconds: float
    module: str
    arguments: tuple[str, ...] = ()

    def cases(self, settings: Settings) -> Sequence[Case]:
        """The cases; what they need is imported now."""
        listed: Sequence[Case] = importlib.import_module(self.module).cases(settings, *self.arguments)
        return listed


@dataclass
class Outcome:
    """What became of a section.

    Attributes
    ----------
    name : str
    rows : list of dict
        Each with the name of its ``case``.
    failed : dict
        By case, what went wrong; ``start`` stands for what comes before the first case.
    skipped : list of str
        Cases for which no time was left.
    seconds : float
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


Tell = Callable[[str, str, Any], None]


def run_here(section: Section, settings: Settings, seconds: float) -> Outcome:
    """Run a section's cases in this process."""
    outcome = Outcome(section.name)
    started = time.monotonic()
    run_cases(section, settings, seconds, lambda kind, case, what: _take(outcome, [], kind, case, what))
    outcome.seconds = round(time.monotonic() - started, 3)
    return outcome


def run_apart(section: Section, settings: Settings, seconds: float) -> Outcome:
    """Run a section's cases in a process of their own, and end it if it does not end by itself.

    So a device that is full, or in error, is as new to the next section.
    """
    outcome = Outcome(section.name)
    pending: list[str] = []
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(section, settings, seconds, sender))
    process.start()
    sender.close()
    try:
        ended = _follow(receiver, started + seconds + GRACE_SECONDS, lambda *message: _take(outcome, pending, *message))
        process.join(GRACE_SECONDS if ended != LATE else 0.0)
    finally:
        if process.is_alive():
            process.kill()
            process.join()
    if ended:
        said = f"did not end within {seconds:.0f} s" if ended == LATE else f"the process ended: code {process.exitcode}"
        outcome.failed[pending[0] if pending else "start"] = said
        outcome.skipped += pending[1:]
    outcome.seconds = round(time.monotonic() - started, 3)
    return outcome


LATE, LOST = "late", "lost"


def _follow(receiver: Connection, deadline: float, take: Callable[..., None]) -> str:
    """Take messages until the last; otherwise, why there are no more."""
    while receiver.poll(max(0.0, deadline - time.monotonic())):
        try:
            message = receiver.recv()
        except EOFError:
            return LOST
        if message is None:
            return ""
        take(*message)
    return LATE


def run_cases(section: Section, settings: Settings, seconds: float, tell: Tell) -> None:
    """Run one case after the other; what fails, or has no time left, is told by name.

    Parameters
    ----------
    section, settings
    seconds : float
        For all cases together.
    tell : callable
        Called with ``listed``, ``row``, ``failed``, ``skipped`` or ``ended``, the case's
        name and what there is to say.
    """
    deadline = time.monotonic() + seconds
    os.environ.update({name: os.environ.get(name, text) for name, text in ENVIRONMENT.items()})
    try:
        cases = section.cases(settings)
    except Exception as error:
        tell("failed", "start", named(error))
        return
    tell("listed", "", [case.name for case in cases])
    for case in cases:
        if time.monotonic() >= deadline:
            tell("skipped", case.name, None)
            continue
        try:
            for row in case.run(lambda: deadline - time.monotonic()):
                tell("row", case.name, row)
        except NothingToMeasure as reason:
            tell("row", case.name, {"reason": str(reason)})
        except Exception as error:
            tell("failed", case.name, named(error))
        tell("ended", case.name, None)


def named(error: Exception) -> str:
    """An error's type and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:300]


def _take(outcome: Outcome, pending: list[str], kind: str, case: str, what: Any) -> None:
    if kind == "listed":
        pending += what
    elif kind == "row" and "error" in what:
        outcome.failed[what.get("case", case)] = what["error"]
    elif kind == "row":
        outcome.rows.append({"case": case, **_finite(what)})
    elif kind == "failed":
        outcome.failed[case] = what
    if kind == "skipped":
        outcome.skipped.append(case)
    if kind in ("skipped", "ended") and case in pending:
        pending.remove(case)


def _finite(fact: Any) -> Any:
    """As JSON can hold it: None for what is no number."""
    if isinstance(fact, dict):
        return {name: _finite(each) for name, each in fact.items()}
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact


def _serve(section: Section, settings: Settings, seconds: float, sender: Connection) -> None:
    """In the process: a message for each thing told, and None at the end."""
    run_cases(section, settings, seconds, lambda *message: sender.send(message))
    sender.send(None)
