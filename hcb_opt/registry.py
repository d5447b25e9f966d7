"""Methods, found by walking the folders ``formulations`` and ``baselines``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.graph import Graph
from hcb_opt.progress import Problem, Progress

Solver = Callable[[Problem, Progress], None]
Refusal = Callable[[Graph, int], str]

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
    refuses : callable or None
        For a method of graphs of a special form: why it does not take a graph
        within a budget in bytes, in words; empty if it does. Takes time linear in
        the ops.
    orders : tuple of str
        The orders it serves: ``fixed``, ``free``. Asked for the free order, its
        bounds and proofs must hold for every topological order.
    """

    name: str
    kind: str
    graphs: str
    cites: str
    solve: Solver
    max_ops: int | None
    claim: str
    summary: str
    refuses: Refusal | None = None
    orders: tuple[str, ...] = ("fixed",)

    def declines(self, graph: Graph, budget_bytes: int) -> str:
        """Why this method is not even tried on a graph within a budget, in words; empty if it is."""
        if self.max_ops is not None and len(graph.ops) > self.max_ops:
            return f"{self.name} takes graphs of at most {self.max_ops} ops; this one has {len(graph.ops)}"
        refusal = "" if self.refuses is None else self.refuses(graph, budget_bytes)
        return f"{self.name}: {refusal}" if refusal else ""


_METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    kind: str,
    graphs: str,
    cites: str,
    max_ops: int | None = None,
    claim: str = "fixed-order",
    refuses: Refusal | None = None,
    orders: tuple[str, ...] = ("fixed",),
) -> Callable[[Solver], Solver]:
    """Register a solver under a name; see `Method` for the parameters."""

    def register(solver: Solver) -> Solver:
        summary = (solver.__doc__ or "").strip().splitlines()[0]
        _METHODS[name] = Method(name, kind, graphs, cites, solver, max_ops, claim, summary, refuses, orders)
        return solver

    return register


@cache
def methods() -> dict[str, Method]:
    """All registered methods by name, baselines last."""
    for folder in FOLDERS:
        package = importlib.import_module(folder)
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
            importlib.import_module(f"{folder}.{module.name}")
    # Some may have been imported, and so registered, before others.
    ordered = sorted(
        _METHODS.values(), key=lambda each: (not each.solve.__module__.startswith(FOLDERS[0]), each.solve.__module__)
    )
    return {each.name: each for each in ordered}


def methods_for(order: str) -> dict[str, Method]:
    """The registered methods that serve an order, by name."""
    return {name: each for name, each in methods().items() if order in each.orders}


def get_method(name: str, order: str | None = None) -> Method:
    """The method of this name.

    Raises
    ------
    InvalidInput
        If there is none, or it does not serve the order, if one is given; the
        message lists those there are.
    """
    found = methods().get(name)
    if found is None:
        raise InvalidInput(f"method {name!r}", "unknown", did_you_mean(name, ["auto", *methods()]))
    if order is not None and order not in found.orders:
        serving = ", ".join(("auto", *methods_for(order)))
        raise InvalidInput(f"method '{name}'", f"does not serve order '{order}'", f"use one of {serving}")
    return found
