"""The experiments there are, found by walking this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature

import hcb_opt.experiments
from hcb_opt.errors import HcbOptError


class NotHere(HcbOptError):
    """The experiment cannot be made on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A figure or table that can be made again.

    Attributes
    ----------
    name, summary : str
    run : callable
        ``run(directory, quick)`` makes it with its default configuration, writes
        its files into ``directory`` and prints its table; ``quick`` takes a
        small version that shows in seconds whether everything works. Some take,
        by keyword and optional, ``time_limit``: seconds per solve, 60 or, with
        ``quick``, a few; ``workers``: as in `hcb_opt.solve_schedule`;
        ``executor``: where tasks are solved, processes of this machine if not
        given.
    """

    name: str
    summary: str
    run: Callable[..., None]

    @property
    def options(self) -> frozenset[str]:
        """What else ``run`` takes, by keyword."""
        return frozenset(signature(self.run).parameters) - {"directory", "quick"}


def experiments() -> dict[str, Experiment]:
    """All experiments by name: the modules that define ``NAME``, ``SUMMARY`` and ``run_default``."""
    found = {}
    for module in sorted(pkgutil.iter_modules(hcb_opt.experiments.__path__), key=lambda each: each.name):
        loaded = importlib.import_module(f"hcb_opt.experiments.{module.name}")
        if hasattr(loaded, "NAME"):
            found[loaded.NAME] = Experiment(loaded.NAME, loaded.SUMMARY, loaded.run_default)
    return found
