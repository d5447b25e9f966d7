"""CP-SAT in a process of its own; the counterpart of `hcb_opt.highs` for constraint programmes."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

from hcb_opt.solver_process import SolverProcess

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar

MOST_EXACT = 2**53
"""Objectives and solutions travel as floats: whole numbers up to here are exact."""


class Programme(Protocol):
    """What is to be solved, in terms that need no ortools to be pickled."""

    def build(self, model: CpModel) -> Sequence[IntVar]:
        """Add variables, constraints, objective and hint to an empty model.

        Called in the solver's process.

        Returns
        -------
        sequence of IntVar
            The variables whose values a report gives, in this order.
        """


@dataclass(frozen=True)
class Search:
    """A constraint programme to minimise, and the limits of its solve.

    Attributes
    ----------
    programme : Programme
        Its class must be importable by name.
    seconds, relative_gap, seed, workers, memory_limit_bytes
        Limits, as in `hcb_opt.progress.Problem`.
    """

    programme: Programme
    seconds: float = 60.0
    relative_gap: float = 0.0
    seed: int = 0
    workers: int = 1
    memory_limit_bytes: int | None = None


class CpSatProcess(SolverProcess[Search]):
    """One CP-SAT process, started when first used and kept for further solves."""

    def __init__(self) -> None:
        super().__init__("hcb_opt.cpsat_worker", "CP-SAT")


@cache
def cpsat() -> CpSatProcess:
    """The process that all searches of this interpreter share."""
    process = CpSatProcess()
    atexit.register(process.stop)
    return process
