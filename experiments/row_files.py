"""Rows as CSV and JSON, tables as Markdown: what the measured experiments write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hcb_opt.budget import format_bytes
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.files import replacing, write_csv, write_json
from hcb_opt.result import Status

FORMAT_VERSION = 1


class Row(Protocol):
    """A row of a table, such as a `SolveRow`."""

    def record(self) -> dict[str, Any]:
        """Its columns by name."""
        ...


def save_rows(rows: Sequence[Row], directory: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write ``NAME.csv`` and ``NAME.json``; the JSON adds the facts of the run.

    Parameters
    ----------
    rows : sequence of Row
        At least one.
    directory : Path
        Must exist.
    name : str
        Of the experiment.
    facts : mapping
        Machine, versions, limits, seeds, and whether the run is complete.
    """
    records = [row.record() for row in rows]
    write_csv(directory / f"{name}.csv", records)
    document = {"format": f"hcb-opt {name}", "version": FORMAT_VERSION, "provenance": dict(facts), "rows": records}
    write_json(directory / f"{name}.json", document, rows=("rows",))


def save_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns padded so that it can be read as it is."""
    cells = [list(header), *map(list, lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def percent(share: float | None, digits: int = 3) -> str:
    """A share in percent; a dash for None."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def seconds(duration: float | None) -> str:
    """Seconds, the small ones to a hundredth; a dash for None."""
    if duration is None:
        return "-"
    return f"{duration:.2f}" if duration < 10 else f"{duration:.0f}"


def status(row: SolveRow) -> str:
    """How a solve ended, in a word or two."""
    if row.status == Status.FEASIBLE:
        return f"gap {percent(row.gap)}"
    return {Status.OPTIMAL: "optimal", Status.INFEASIBLE: "infeasible, proven"}.get(Status(row.status), "no schedule")


def facts_block(facts: Mapping[str, Any]) -> str:
    """Machine, versions and settings as a Markdown list."""
    shown = {name: "not installed" if fact is None else fact for name, fact in facts.items()}
    if isinstance(facts.get("memory_bytes"), int):
        shown["memory_bytes"] = format_bytes(facts["memory_bytes"])
    named = {"memory_bytes": "memory", "time_limit": "time limit, s"}
    return "\n".join(
        f"- {named.get(name, name)}: {'; '.join(map(str, fact)) or 'none' if isinstance(fact, list) else fact}"
        for name, fact in shown.items()
    )
