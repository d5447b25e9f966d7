"""The table of the certificates experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hcb_opt.budget import format_bytes
from hcb_opt.experiments.row_files import facts_block, markdown_table, save_rows, save_text, seconds
from hcb_opt.result import relative_gap

_NOTE = (
    "CERTIFIED: schedule and bound cost the same to the unit, as found by Python in whole numbers and by the verified "
    "programs of `proofs/`. INFEASIBLE: an op's workset exceeds the budget, hence no schedule fits in any order "
    "(`MandatoryMemory.mandatory_memory_is_needed`). Nodes are those of the branch-and-bound tree. The size is that of "
    "the whole file: graph, schedule and proof. Times to check are of schedule and proof together, reading included."
)
_HEADER = (
    "instance", "ops", "budget", "status", "gap", "cuts", "nodes", "size", "found, s", "proved, s",
    "checked by Python, s", "by the programs, s", "one unit higher",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A graph and budget, and what was certified of it; None where nothing was.

    Attributes
    ----------
    instance : str
    ops : int
    share : float
        The budget as a share of the store-all peak.
    budget_bytes : int
    status : str
        ``CERTIFIED``, ``PROVED`` (with a gap), or that of the search for a schedule.
    reason : str
        Why there is no schedule.
    cost, lower_bound : int or None
        As checked.
    cuts, nodes : int or None
        Of the proof.
    size_bytes : int or None
        Of the certificate's file.
    solve_seconds, proof_seconds : float or None
        To find the schedule, and the proof.
    python_seconds, program_seconds : float or None
        To check both in Python, and by the verified programs.
    higher_refused : bool or None
        Whether the same proof is refused for a bound one unit higher.
    """

    instance: str
    ops: int
    share: float
    budget_bytes: int
    status: str
    reason: str = ""
    cost: int | None = None
    lower_bound: int | None = None
    cuts: int | None = None
    nodes: int | None = None
    size_bytes: int | None = None
    solve_seconds: float | None = None
    proof_seconds: float | None = None
    python_seconds: float | None = None
    program_seconds: float | None = None
    higher_refused: bool | None = None

    @property
    def gap(self) -> float | None:
        """(cost - lower bound) / lower bound; None without a certificate."""
        if self.cost is None or self.lower_bound is None:
            return None
        return relative_gap(self.cost, self.lower_bound)

    def record(self) -> dict[str, Any]:
        """The row as it is written to files."""
        return {**asdict(self), "gap": self.gap}


def write_report(rows: Sequence[CertificateRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``certificates.md``, ``.csv`` and ``.json``.

    Parameters
    ----------
    rows : sequence of CertificateRow
        At least one.
    directory : Path
        Must exist.
    facts : mapping
        Machine, versions and settings.
    """
    save_rows(rows, directory, "certificates", facts)
    reasons = [f"- {row.instance} at {row.share:.0%}: {row.reason}" for row in rows if row.cost is None]
    parts = ["# Certificates", _NOTE, table(rows), "\n".join(reasons), facts_block(facts)]
    save_text("\n\n".join(filter(None, parts)) + "\n", directory / "certificates.md")


def table(rows: Sequence[CertificateRow]) -> str:
    """The rows as a Markdown table."""
    return markdown_table(_HEADER, [_cells(row) for row in rows])


def _cells(row: CertificateRow) -> list[str]:
    higher = {None: "-", True: "refused", False: "ACCEPTED"}[row.higher_refused]
    return [
        row.instance,
        str(row.ops),
        f"{100 * row.share:.0f} %",
        row.status,
        "-" if row.gap is None else f"{row.gap:.1e}" if row.gap else "0",
        *("-" if count is None else str(count) for count in (row.cuts, row.nodes)),
        "-" if row.size_bytes is None else format_bytes(row.size_bytes),
        *map(seconds, (row.solve_seconds, row.proof_seconds, row.python_seconds, row.program_seconds)),
        higher,
    ]
