"""Methods, found by walking the folders ``formulations`` and ``baselines``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.progress import Problem, Progress

Solver = Callable[[Problem, Progress], None]

FOLDERS = ("hcb_opt.formulations", "hcb_opt.baselines")


@dataclass(frozen=True, slots=True)
class Method:
    """A registered way to solve a schedule.

    Attributes
    ----------
    name : str
    kind : str
        ``exact`` (proves optima of its claim) or ``heuristic``.
    graphs : str
        The graphs it is meant for, in words.
    cites : str
        Where it comes from.
    solve : callable
        Reports schedules, bounds and proofs to its `Progress`.
    max_ops : int or None
        Larger graphs are declined at once, since it could not end.
    claim : str
        The problem its own bound and infeasibility proofs speak of.
    summary : str
        First line of its docstring.
    """

    name: str
    kind: str
    graphs: str
    cites: str
    solve: Solver
    max_ops: int | None
    claim: str
    summary: str


_METHODS: dict[str, Method] = {}


def method(
    name: str, *, kind: str, graphs: str, cites: str, max_ops: int | None = None, claim: str = "fixed-order"
) -> Callable[[Solver], Solver]:
    """Register a solver under a name; see `Method` for the parameters."""

    def register(solver: Solver) -> Solver:
        summary = (solver.__doc__ or "").strip().splitlines()[0]
        _METHODS[name] = Method(name, kind, graphs, cites, solver, max_ops, claim, summary)
        return solver

    return register


@cache
def methods() -> dict[str, Method]:
    """All registered methods by name, baselines last."""
    for folder in FOLDERS:
        package = importlib.import_module(folder)
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
            importlib.import_module(f"{folder}.{module.name}")
    return dict(_METHODS)


def get_method(name: str) -> Method:
    """The method of this name.

    Raises
    ------
    InvalidInput
        If there is none; the message lists those there are.
    """
    found = methods().get(name)
    if found is None:
        raise InvalidInput(f"method {name!r}", "unknown", did_you_mean(name, ["auto", *methods()]))
    return found
