"""The gap experiment's rows as a table for people and as files for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hcb_opt.budget import format_bytes
from hcb_opt.experiments.machine import machine_facts
from hcb_opt.files import write_csv, write_json
from hcb_opt.gap_row import GapRow, common_claim
from hcb_opt.result import Status

FORMAT_VERSION = 1
LEGEND = "overhead in %; * proven optimal; - no schedule found; declined: the graph is too large for the method"


def format_table(rows: Sequence[GapRow]) -> str:
    """For each graph a table: methods against budgets, and the best proven lower bound.

    Parameters
    ----------
    rows : sequence of GapRow
    """
    parts = []
    for graph in dict.fromkeys(row.graph for row in rows):
        own = [row for row in rows if row.graph == graph]
        parts.append("\n".join(_graph_table(own, common_claim(rows))))
    classes = []
    for claim in dict.fromkeys(row.claim for row in rows if row.claim != common_claim(rows)):
        names = ", ".join(dict.fromkeys(row.method for row in rows if row.claim == claim))
        classes.append(f"; proofs by {names} speak of {claim} only")
    return "\n\n".join([*parts, LEGEND + "".join(classes)])


def _graph_table(rows: Sequence[GapRow], claim: str) -> list[str]:
    first = rows[0]
    budgets = list(dict.fromkeys(row.budget_bytes for row in rows))
    cells = [["budget", *(f"{budget / max(1, first.store_all_peak_bytes):.0%}" for budget in budgets)]]
    for method in dict.fromkeys(row.method for row in rows):
        found = {row.budget_bytes: _cell(row) for row in rows if row.method == method}
        cells.append([method, *(found.get(budget, "") for budget in budgets)])
    common = [row for row in rows if row.claim == claim]
    bounds = [_bound_cell([row for row in common if row.budget_bytes == budget]) for budget in budgets]
    cells.append(["lower bound", *bounds])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    title = f"{first.graph}: {first.ops} ops, store-all peak {format_bytes(first.store_all_peak_bytes)}"
    lines = []
    for line in cells:
        numbers = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join([line[0].ljust(widths[0]), *numbers]).rstrip())
    return [title, *lines]


def _cell(row: GapRow) -> str:
    if row.overhead is not None:
        return f"{100 * row.overhead:.2f}{'*' if row.status is Status.OPTIMAL else ' '}"
    if row.status is Status.INFEASIBLE:
        return "infeasible"
    return "declined" if row.declined else "- "


def _bound_cell(rows: Sequence[GapRow]) -> str:
    if any(row.status is Status.INFEASIBLE for row in rows):
        return "infeasible"
    best = max((row.bound_overhead for row in rows if row.bound_overhead is not None), default=None)
    return "" if best is None else f"{100 * best:.2f} "


def save_rows(rows: Sequence[GapRow], directory: Path, facts: Mapping[str, float | int | str | None]) -> None:
    """Write ``gap.csv`` and ``gap.json``.

    The JSON adds what is needed to judge and repeat the run: versions, machine,
    limits.

    Parameters
    ----------
    rows : sequence of GapRow
    directory : Path
        Must exist.
    facts : mapping
        Limits, seed and workers of the run.
    """
    records = [_record(row) for row in rows]
    write_csv(directory / "gap.csv", records)
    provenance = {**machine_facts(), **facts}
    document = {"format": "hcb-opt gap", "version": FORMAT_VERSION, "provenance": provenance, "rows": records}
    write_json(directory / "gap.json", document, rows=("rows",))


def _record(row: GapRow) -> dict[str, Any]:
    return {
        "graph": row.graph,
        "ops": row.ops,
        "method": row.method,
        "kind": row.kind,
        "claim": row.claim,
        "budget_share": round(row.share, 6) if row.store_all_peak_bytes else None,
        "budget_bytes": row.budget_bytes,
        "store_all_peak_bytes": row.store_all_peak_bytes,
        "status": "DECLINED" if row.declined and row.status is Status.NO_SCHEDULE else row.status.value,
        "peak_bytes": row.peak_bytes,
        "base_cost": row.base_cost,
        "cost": row.cost,
        "overhead": row.overhead,
        "lower_bound": row.lower_bound,
        "lower_bound_overhead": row.bound_overhead,
        "gap": row.gap,
        "seconds": round(row.seconds, 3),
        "reason": row.reason,
    }
