"""Whether a certificate is right, without trust in whoever made it.

A certificate is a text file (`hcb_opt.proof_text`) of a graph, a budget, a
schedule, and a proof of a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hcb_opt.bound_proof import proven_bound
from hcb_opt.errors import HcbOptError, InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.proof_text import Case, graph_lines, read_case
from hcb_opt.replay import IllegalSchedule, replay
from hcb_opt.result import relative_gap
from hcb_opt.verified import CERT, CHECK, ask, program


class NotVerified(HcbOptError, ValueError):
    """A certificate that does not hold."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a certificate proves.

    Attributes
    ----------
    budget_bytes, peak_bytes, cost : int
        Of the schedule, which is legal, in fixed order and within the budget.
    lower_bound : int
        No fixed-order schedule within the budget costs less.
    by_programs : bool
        Whether the verified programs of ``proofs/`` said the same; False if they
        are not built.
    """

    budget_bytes: int
    peak_bytes: int
    cost: int
    lower_bound: int
    by_programs: bool

    @property
    def certified(self) -> bool:
        """Whether the schedule is optimal: cost and bound are the same whole number."""
        return self.cost == self.lower_bound

    @property
    def gap(self) -> float:
        """(cost - lower bound) / lower bound."""
        return relative_gap(self.cost, self.lower_bound)


def verify(path: str | Path, graph: Graph | None = None) -> Verified:
    """Check a certificate in whole numbers, and with the verified programs where they are built.

    Parameters
    ----------
    path : str or Path
    graph : Graph, optional
        The graph that the certificate is to be about. If not given, what holds
        is said of the graph that the certificate contains.

    Returns
    -------
    Verified

    Raises
    ------
    InvalidInput
        If the file cannot be used.
    NotVerified
        If it is about another graph, if the schedule is not legal, not in fixed
        order or over budget, if the proof proves nothing, or if the verified
        programs say otherwise.
    """
    case = read_case(path)
    if graph is not None and graph_lines(graph) != graph_lines(case.graph):
        raise NotVerified(f"the certificate is about another graph than {graph.name}")
    peak_bytes, cost = _judge(case)
    assert case.budget_bytes is not None and case.proof is not None
    try:
        lower_bound = proven_bound(case.graph, case.budget_bytes, case.proof)
    except InvalidInput as error:
        raise NotVerified(f"the bound is not proved: {error}") from None
    wanted = {CHECK: f"LEGAL peak {peak_bytes} cost {cost} order fixed", CERT: f"PROVED cost at least {lower_bound}"}
    built = [name for name in wanted if program(name) is not None]
    for name in built:
        said = ask(name, path)
        if list(said) != [wanted[name]]:
            raise NotVerified(f"{name} says '{' '.join(said)}', but '{wanted[name]}' was found here")
    return Verified(case.budget_bytes, peak_bytes, cost, lower_bound, len(built) == len(wanted))


def _judge(case: Case) -> tuple[int, int]:
    """Peak and cost of the schedule."""
    for what, part in (("budget", case.budget_bytes), ("schedule", case.schedule), ("proof", case.proof)):
        if part is None:
            raise NotVerified(f"the certificate has no {what}")
    assert case.schedule is not None and case.budget_bytes is not None
    try:
        judged = replay(case.graph, case.schedule)
    except IllegalSchedule as error:
        raise NotVerified(f"the schedule is illegal at {error}") from None
    if not judged.fixed_order:
        raise NotVerified("the schedule is not in the graph's order")
    if judged.peak_bytes > case.budget_bytes:
        raise NotVerified(f"the schedule holds {judged.peak_bytes} bytes; the budget is {case.budget_bytes}")
    return judged.peak_bytes, judged.cost
