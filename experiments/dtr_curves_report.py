"""The tables and the figure of the curves of dynamic tensor rematerialization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hcb_opt.experiments.dtr_simulator import simulated_run
from hcb_opt.experiments.overhead_curves import (
    OPTIMUM,
    bound_slowdown,
    by_instance,
    curve_of,
    overhead_figure,
    slowdown,
    slowdown_table,
)
from hcb_opt.experiments.row_files import facts_block, markdown_table, save_rows, save_text
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.figure_style import save_figure
from hcb_opt.plot import LEAD_METHOD

#: The heuristics, as the paper names them.
HEURISTICS: Mapping[str, str] = {
    "dtr": "h_DTR",
    "dtr_eq": "h_DTR^eq",
    "dtr_local": "h_DTR^local",
    "dtr_msps": "h_MSPS",
    "dtr_lru": "h_LRU",
    "dtr_size": "h_size",
    "dtr_random": "h_rand",
}
_NONE = "-"

_CAPTION = (
    "Cost over the cost of computing every op once. A dash: no schedule found, since the online run had no memory left "
    f"or computed more than twenty times as many ops as there are. `{OPTIMUM}` is the cheapest schedule of "
    f"`{LEAD_METHOD}`, proven unless the bound below it, which no fixed-order schedule can beat, is less. Budgets are "
    "shares of the store-all peak; in operator logs, constants count."
)
_SIMULATOR = (
    "Slowdowns of the paper's own simulator on its published logs, told by their size. It lets go of values when the "
    "log releases them, counts outputs twice while an operator with several is run again, and charges a view's time "
    "again when it is needed again."
)


def write_report(rows: Sequence[SolveRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``dtr-curves.md``, ``.csv`` and ``.json``; once complete, ``.png`` and ``.pdf`` too.

    Parameters
    ----------
    rows : sequence of SolveRow
        At least one.
    directory : Path
        Must exist.
    facts : mapping
        Machine, versions and settings; whether the run is ``complete``.
    """
    name = "dtr-curves"
    save_rows(rows, directory, name, facts)
    save_text(report(rows, facts), directory / f"{name}.md")
    if facts["complete"]:
        save_figure(overhead_figure(rows, HEURISTICS), [directory / f"{name}.png", directory / f"{name}.pdf"])


def report(rows: Sequence[SolveRow], facts: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = ["# Dynamic tensor rematerialization: slowdown against budget", _CAPTION]
    for instance, own in by_instance(rows).items():
        parts += [f"## {instance} ({own[0].ops} ops)", slowdown_table(own, HEURISTICS)]
    if compared := _beside_the_simulator(rows):
        parts += ["## Beside the paper's simulator", _SIMULATOR, compared]
    return "\n\n".join([*parts, "## Machine and settings", facts_block(facts)]) + "\n"


def _beside_the_simulator(rows: Sequence[SolveRow]) -> str:
    lines = []
    for row in rows:
        found = simulated_run(row.ops, row.store_all_peak_bytes, row.method, row.share)
        if found is not None:
            ours = None if row.cost is None else row.cost / row.base_cost
            apart = _NONE if ours is None or found.slowdown is None else f"{100 * (ours / found.slowdown - 1):+.2f} %"
            theirs = "out of memory" if found.slowdown is None else f"{found.slowdown:.3f}"
            best = curve_of([each for each in rows if each.instance == row.instance], LEAD_METHOD).get(row.share)
            line = [row.instance, f"{100 * row.share:.0f} %", HEURISTICS[row.method], slowdown(row), theirs, apart]
            lines.append([*line, slowdown(best), bound_slowdown(best)])
    header = ["log", "budget", "heuristic", "slowdown", "simulator", "apart", OPTIMUM, "lower bound"]
    return markdown_table(header, lines) if lines else ""
