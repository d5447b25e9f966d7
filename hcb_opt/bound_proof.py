"""A proof of a lower bound, and its check in exact arithmetic: ``Certificate.v`` of ``proofs/``, in Python.

A proof is a tree. A branch says that a variable is 0 or 1, or that a sum of
variables is at most a number or more; a leaf names rows of the frontier-cut
programme and limits that the branches above it set, whose sum, each times a whole
number, shows that the recomputes cost no less than the target. Rows are built here, from the graph;
who made the proof need not be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.proof_rows import VARIABLES, Name, Programme, Terms


@dataclass(frozen=True, slots=True)
class Leaf:
    """The objective, times ``scale``, is bounded by rows and limits, each times its multiplier.

    Limits are those of the branches on sums above the leaf, counted from 0, the
    nearest.
    """

    scale: int
    rows: tuple[tuple[int, Name], ...]
    limits: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """What follows in the proof holds if the variable is 0; after that comes what holds if it is 1."""

    variable: Name


@dataclass(frozen=True, slots=True)
class SumBranch:
    """What follows holds if the sum of the variables is at most ``most``; after that comes what holds if it is more."""

    most: int
    variables: tuple[Name, ...]


TreeNode = Branch | SumBranch | Leaf
Limit = tuple[int, int, tuple[Name, ...]]
"""A row that a branch sets: ``sign * sum of variables >= bound``, as (sign, bound, variables)."""


@dataclass(frozen=True, slots=True)
class BoundProof:
    """A proof that recomputes cost at least ``target``.

    Attributes
    ----------
    cuts : tuple of int
        Positions of ops, ascending.
    unit : int
        Divides every op's cost, and the target.
    target : int
        In cost units; comes on top of every op's cost once.
    nodes : tuple of Branch, SumBranch or Leaf
        The tree, a branch before its two parts.
    """

    cuts: tuple[int, ...]
    unit: int
    target: int
    nodes: tuple[TreeNode, ...]


def proven_bound(graph: Graph, budget_bytes: int, proof: BoundProof) -> int:
    """The lower bound that a proof proves.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
    proof : BoundProof

    Returns
    -------
    int
        No fixed-order schedule within the budget costs less, every op's cost
        once included.

    Raises
    ------
    InvalidInput
        If the proof proves nothing, saying where it breaks.
    """
    if proof.unit < 1 or proof.target % proof.unit or any(op.cost % proof.unit for op in graph.ops):
        raise InvalidInput("unit", f"{proof.unit} does not divide every cost and the target", "use 1")
    checker = _Checker(Programme(graph, budget_bytes, proof.cuts), proof)
    checker.check_from_here({}, ())
    if checker.next != len(proof.nodes):
        raise InvalidInput(f"node {checker.next}", "the proof goes on after its end", "remove what follows")
    return graph.base_cost + proof.target


class _Checker:
    def __init__(self, programme: Programme, proof: BoundProof) -> None:
        self.programme, self.proof = programme, proof
        self.objective = {name: cost for cost, name in programme.objective() if cost}
        self.rows: dict[Name, tuple[Terms, int]] = {}
        self.next = 0

    def check_from_here(self, fixed: dict[Name, int], limits: tuple[Limit, ...]) -> None:
        """Check the subtree that begins at the next node."""
        if self.next >= len(self.proof.nodes):
            raise InvalidInput(f"node {self.next}", "the proof ends early", "give both parts of every branch")
        node = self.proof.nodes[self.next]
        where = f"node {self.next}"
        self.next += 1
        if isinstance(node, Leaf):
            self._check_leaf(where, node, fixed, limits)
        elif isinstance(node, Branch):
            _require_variable(where, node.variable)
            # A variable that is fixed already takes the value of the nearest branch, as in the verified checker.
            for value in (0, 1):
                self.check_from_here({**fixed, node.variable: value}, limits)
        else:
            for variable in node.variables:
                _require_variable(where, variable)
            for limit in ((-1, -node.most, node.variables), (1, node.most + 1, node.variables)):
                self.check_from_here(fixed, (limit, *limits))

    def _check_leaf(self, where: str, leaf: Leaf, fixed: dict[Name, int], limits: tuple[Limit, ...]) -> None:
        if leaf.scale < 0 or any(multiplier < 0 for multiplier, _ in (*leaf.rows, *leaf.limits)):
            raise InvalidInput(where, "a multiplier is negative", "multipliers are at least 0")
        if any(position >= len(limits) for _, position in leaf.limits):
            raise InvalidInput(where, "there is no such limit", "limits are those of branches on sums above")
        reduced = {name: leaf.scale * cost for name, cost in self.objective.items()}
        bound = 0
        for multiplier, name in leaf.rows:
            terms, least = self._row(name)
            bound += multiplier * least
            for coefficient, variable in terms:
                reduced[variable] = reduced.get(variable, 0) - multiplier * coefficient
        for multiplier, position in leaf.limits:
            sign, least, variables = limits[position]
            bound += multiplier * least
            for variable in variables:
                reduced[variable] = reduced.get(variable, 0) - multiplier * sign
        for variable, coefficient in reduced.items():
            value = fixed.get(variable)
            bound += min(0, coefficient) if value is None else coefficient * value
        if bound <= leaf.scale * (self.proof.target - self.proof.unit):
            raise InvalidInput(where, "its rows do not add up to the target", "this proves nothing")

    def _row(self, name: Name) -> tuple[Terms, int]:
        if name not in self.rows:
            row = self.programme.row(name)
            self.rows[name] = (row.terms, row.bound)
        return self.rows[name]


def _require_variable(where: str, variable: Name) -> None:
    if VARIABLES.get(str(variable[0])) != len(variable) - 1:
        raise InvalidInput(where, f"'{' '.join(map(str, variable))}' is no variable", "see proofs/README.md")
