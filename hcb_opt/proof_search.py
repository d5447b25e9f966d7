"""Search for the proof of a bound, in a process of its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.bound_proof import BoundProof, Branch, Leaf, SumBranch, TreeNode
from hcb_opt.errors import HcbOptError
from hcb_opt.proof_rows import Name, Programme

_GRACE_SECONDS = 120.0


class ProofSearchFailed(HcbOptError, RuntimeError):
    """The process that searches for proofs ended without one."""


@dataclass(frozen=True, slots=True)
class ProofQuestion:
    """An integer programme, and what is to be proved of its optimum.

    Attributes
    ----------
    costs : tuple of int
        Of each 0/1 column.
    rows : tuple of (columns, coefficients, bound)
        ``sum coefficient * column >= bound``, in whole numbers.
    groups : tuple of tuple of int
        Columns that are alike: their sums are worth branching on.
    unit, target : int
        The optimum is a multiple of ``unit``; prove that it is at least ``target``.
    seconds : float
        After this long, the best that has been proved.
    """

    costs: tuple[int, ...]
    rows: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...]
    groups: tuple[tuple[int, ...], ...]
    unit: int
    target: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Node:
    """A branch, or a leaf with multipliers ``(multiplier, row)`` and ``(multiplier, limit)``.

    A branch is on a column, or on whether the sum of a group, counted after the
    columns, is at most ``most``. Limits are counted from the nearest such branch.
    """

    column: int | None = None
    most: int = 0
    scale: int = 1
    rows: tuple[tuple[int, int], ...] = ()
    limits: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ProofFound:
    """What was proved, and the tree, a branch before its parts."""

    target: int
    nodes: tuple[Node, ...]


def search_proof(programme: Programme, names: Iterable[Name], unit: int, target: int, seconds: float) -> BoundProof:
    """Prove that recomputes cost at least ``target``, or as much of that as time allows.

    Parameters
    ----------
    programme : Programme
    names : iterable of Name
        Rows to use. Of a memory row only variables that other rows or the
        objective name are used: the others can be 0.
    unit : int
        Divides every cost.
    target : int
        A multiple of ``unit``.
    seconds : float

    Returns
    -------
    BoundProof
        Its target may be smaller than asked; `hcb_opt.bound_proof.proven_bound`
        checks it.

    Raises
    ------
    ProofSearchFailed
        If the process dies.
    """
    names = tuple(dict.fromkeys(names))
    rows = [programme.row(name) for name in names]
    memory = [str(name[0]) in ("cut-memory", "run-memory") for name in names]
    columns: dict[Name, int] = {}
    for row, about_memory in zip(rows, memory, strict=True):
        if not about_memory:
            for _, variable in row.terms:
                columns.setdefault(variable, len(columns))
    prices = {variable: cost for cost, variable in programme.objective()}
    kept = [[(factor, variable) for factor, variable in row.terms if variable in columns] for row in rows]
    variables = list(columns)
    groups = _alike(programme, columns)
    question = ProofQuestion(
        tuple(prices.get(variable, 0) for variable in variables),
        tuple(
            (tuple(columns[variable] for _, variable in terms), tuple(factor for factor, _ in terms), row.bound)
            for terms, row in zip(kept, rows, strict=True)
        ),
        groups, unit, target, seconds,
    )  # fmt: skip
    found = _ask(question)

    def named(node: Node) -> TreeNode:
        if node.column is None:
            return Leaf(node.scale, tuple((multiplier, names[row]) for multiplier, row in node.rows), node.limits)
        if node.column < len(variables):
            return Branch(variables[node.column])
        return SumBranch(node.most, tuple(variables[column] for column in groups[node.column - len(variables)]))

    return BoundProof(programme.cuts, unit, found.target, tuple(named(node) for node in found.nodes))


def _alike(programme: Programme, columns: dict[Name, int]) -> tuple[tuple[int, ...], ...]:
    """Recomputes of one stage that cost the same, and values of the same size that a stage begins with."""
    graph = programme.graph
    alike: dict[tuple[str | int, ...], list[int]] = {}
    for (kind, stage, number, *_), column in columns.items():
        if kind == "R":
            alike.setdefault((kind, stage, graph.ops[int(number)].cost), []).append(column)
        elif kind == "S":
            alike.setdefault((kind, stage, graph.sizes[int(number)]), []).append(column)
    return tuple(tuple(group) for group in alike.values() if len(group) > 1)


def _ask(question: ProofQuestion) -> ProofFound:
    here = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "hcb_opt.proof_worker"],
            input=pickle.dumps(question, protocol=pickle.HIGHEST_PROTOCOL),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            timeout=question.seconds * 2 + _GRACE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ProofSearchFailed("the search for a proof hangs; try a longer time limit") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ProofSearchFailed(f"the search for a proof ended with code {done.returncode}: {' '.join(last)}")
    found: ProofFound = pickle.loads(done.stdout)
    return found
