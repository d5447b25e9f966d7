"""The tables of the published-instances experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from hcb_opt.experiments.literature import (
    FASTSA,
    FIXED_ORDER_SOURCES,
    published_figure,
    same_family,
    same_size,
)
from hcb_opt.experiments.published_figure import save_published_figure
from hcb_opt.experiments.row_files import facts_block, markdown_table, percent, save_rows, save_text, seconds, status
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.plot import LEAD_METHOD
from hcb_opt.result import Status

_LEAST_SECONDS = 1e-3

NETWORKS, FILES, LAYERED, RATIOS, FREE, CHAINS = "networks", "files", "layered", "ratios", "free order", "chains"

_NOTES = {
    NETWORKS: "Networks of Checkmate's instances at the granularity of layers, from the toolkit's own tables: equally "
    "shaped, with multiply-adds as costs, but not the published files, whose costs may be profiled times.",
    FILES: "Instances read from files.",
    LAYERED: "Random layered graphs distributed like Moccasin's G1 to G4, medians over seeds; gap in percentage points "
    "of overhead. The published figures are those of the paper's graph of the same size.",
    RATIOS: f"Against other methods, same time limit, in the same run. Ratios are theirs to {LEAD_METHOD}'s. A time "
    "ratio is a lower bound (>=) where theirs ended without a proof, an upper one (<=) where ours did, and missing "
    "where both did. What a method proves is of its own claim's class.",
    FREE: "First computes in any order, medians over seeds; bounds of the fixed order do not hold for these.",
    CHAINS: "Unit chains at every number of slots: against Revolve's closed form (Griewank and Walther 2000) where the "
    "backward reads states, against Mixed checkpointing's recursion (Maddison 2024) where it reads tapes.",
}
_PUBLISHED = (
    "Published: Checkmate's MILP and Moccasin as in Bartan et al. (ICML 2023), FastSA as in Imanishi et al. (NeurIPS "
    "2023), on machines of 16 to 36 cores; a dash where there is no figure."
)


def write_report(rows: Sequence[SolveRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write ``published.md``, ``.csv`` and ``.json``; once complete, ``.png`` and ``.pdf`` too.

    Parameters
    ----------
    rows : sequence of SolveRow
        At least one.
    directory : Path
        Must exist.
    facts : mapping
        Machine, versions and settings; whether the run is ``complete``.
    """
    known = {"complete": False, **facts}
    save_rows(rows, directory, "published", known)
    save_text(report(rows, known), directory / "published.md")
    if known["complete"]:
        save_published_figure(rows, [directory / "published.png", directory / "published.pdf"])


def report(rows: Sequence[SolveRow], facts: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    makers = {
        NETWORKS: _instances, FILES: _instances, LAYERED: _layered, RATIOS: _ratios, FREE: _free, CHAINS: _chains,
    }  # fmt: skip
    parts = ["# Published instances", _PUBLISHED]
    for section, make in makers.items():
        own = [row for row in rows if row.section == section]
        if own:
            parts += [f"## {section.capitalize()}", _NOTES[section], make(own, rows)]
    return "\n\n".join([*parts, "## Machine and settings", facts_block(facts)]) + "\n"


def _instances(own: Sequence[SolveRow], _: Sequence[SolveRow]) -> str:
    header = ["instance (ops)", "budget", "overhead", "lower bound", "status", "seconds", "to first schedule"]
    lines = []
    for row in own:
        twin = same_size(row.ops, row.store_all_peak_bytes)
        line = [f"{row.instance} ({row.ops})", _budget(row), percent(row.overhead), percent(row.bound_overhead)]
        line += [status(row), seconds(row.seconds), seconds(row.first_seconds)]
        lines.append([*line, *_published(twin, row.share)])
    return markdown_table([*header, *_sources()], lines)


def _layered(own: Sequence[SolveRow], _: Sequence[SolveRow]) -> str:
    header = ["graph", "budget", "seeds", "infeasible", "schedule found", "optimal", "overhead", "gap, points"]
    header += ["largest gap", "seconds", "to first schedule", "published graph"]
    lines = []
    for group in _groups(own):
        first = group[0]
        found = [row for row in group if row.overhead is not None]
        gaps = [_gap_points(row) for row in found]
        twin = same_family(first.ops)
        line = [first.instance, _budget(first), str(len(group)), str(sum(row.infeasible for row in group))]
        line += [str(len(found)), str(sum(row.status == Status.OPTIMAL for row in group))]
        line += [percent(_median(row.overhead for row in group)), _points(_median(gaps)), _points(_largest(gaps))]
        line += [seconds(_median(row.seconds for row in group)), seconds(_median(row.first_seconds for row in group))]
        lines.append([*line, twin or "-", *_published(twin, first.share)])
    return markdown_table([*header, *_sources()], lines)


def _ratios(own: Sequence[SolveRow], rows: Sequence[SolveRow]) -> str:
    lead = {_place(row): row for row in rows if row.section in (NETWORKS, FILES, LAYERED)}
    header = ["method", "instance (ops)", "budget", f"{LEAD_METHOD}: status", "seconds", "theirs: status", "seconds"]
    lines, summary = [], []
    for method in dict.fromkeys(row.method for row in own):
        pairs = [(row, lead[_place(row)]) for row in own if row.method == method]
        for row, ours in pairs:
            line = [method, _label(row), _budget(row), status(ours), seconds(ours.seconds), status(row)]
            time_ratio, cost_ratio = _time_ratio(row, ours), _cost_ratio(row, ours)
            line += [seconds(row.seconds), "-" if time_ratio is None else f"{_side(row, ours)}{time_ratio:.3g}"]
            lines.append([*line, "-" if cost_ratio is None else f"{cost_ratio:.5f}"])
        summary.append(f"`{method}`: {_summary(pairs)}.")
    return "\n\n".join([markdown_table([*header, "time ratio", "cost ratio"], lines), *summary])


def _summary(pairs: Sequence[tuple[SolveRow, SolveRow]]) -> str:
    timed = [(ratio, _side(*pair)) for pair in pairs if (ratio := _time_ratio(*pair)) is not None]
    costs = [ratio for pair in pairs if (ratio := _cost_ratio(*pair)) is not None]
    parts = [f"{len(pairs)} solves, {sum(row.proven for row, _ in pairs)} proven by it, "
             f"{sum(ours.proven for _, ours in pairs)} by {LEAD_METHOD}"]  # fmt: skip
    if timed:
        sides = {side for _, side in timed if side}
        side = "" if not sides else sides.pop() if len(sides) == 1 else "about "
        parts.append(f"median time ratio {side}{median(ratio for ratio, _ in timed):.3g} over {len(timed)}")
    if costs:
        parts.append(f"median cost ratio {median(costs):.5f}, largest {max(costs):.5f}, over {len(costs)}")
    return "; ".join(parts)


def _time_ratio(row: SolveRow, ours: SolveRow) -> float | None:
    return row.seconds / max(ours.seconds, _LEAST_SECONDS) if row.proven or ours.proven else None


def _side(row: SolveRow, ours: SolveRow) -> str:
    """Which side of the true ratio of times to a proof the ratio of times is on."""
    return "" if row.proven and ours.proven else ">= " if ours.proven else "<= "


def _cost_ratio(row: SolveRow, ours: SolveRow) -> float | None:
    return None if row.cost is None or ours.cost is None else row.cost / ours.cost


def _free(own: Sequence[SolveRow], rows: Sequence[SolveRow]) -> str:
    fixed = {_place(row): row for row in rows if row.section in (FILES, LAYERED)}
    header = ["graph", "budget", "seeds", "free order", "fixed order", "claim", "lower bound", "seconds"]
    header += ["published graph", f"{FASTSA}, published"]
    lines = []
    for group in _groups(own):
        first = group[0]
        twin = same_size(first.ops, first.store_all_peak_bytes) if first.seed is None else same_family(first.ops)
        figure = published_figure(FASTSA, twin, first.share)
        line = [first.instance, _budget(first), str(len(group)), percent(_median(row.overhead for row in group))]
        line += [percent(_median(fixed[_place(row)].overhead for row in group)), first.claim]
        line += [percent(_median(row.bound_overhead for row in group)), seconds(_median(row.seconds for row in group))]
        lines.append([*line, twin or "-", str(figure or "-")])
    return markdown_table(header, lines)


def _chains(own: Sequence[SolveRow], _: Sequence[SolveRow]) -> str:
    header = ["chains", "method", "steps", "solves", "equal to the known optimum", "of these proven", "no schedule"]
    header += ["median seconds", "longest"]
    groups: dict[tuple[str, str], list[SolveRow]] = {}
    for row in own:
        groups.setdefault((row.instance[: row.instance.index("chain") + len("chain")], row.method), []).append(row)
    lines = []
    for (kind, method), group in groups.items():
        equal = [row for row in group if row.cost == row.known_cost]
        steps = sorted((row.ops - 1) // 2 for row in group)
        line = [kind, method, f"{steps[0]} to {steps[-1]}", str(len(group)), str(len(equal))]
        line += [str(sum(row.status == Status.OPTIMAL for row in equal)), str(sum(row.cost is None for row in group))]
        line += [seconds(_median(row.seconds for row in group)), seconds(max(row.seconds for row in group))]
        lines.append(line)
    return markdown_table(header, lines)


def _groups(rows: Iterable[SolveRow]) -> list[list[SolveRow]]:
    """Rows that differ in their seed only."""
    groups: dict[tuple[str, float], list[SolveRow]] = {}
    for row in rows:
        groups.setdefault((row.instance, round(row.share, 3)), []).append(row)
    return list(groups.values())


def _place(row: SolveRow) -> tuple[str, int | None, int]:
    return row.instance, row.seed, row.budget_bytes


def _label(row: SolveRow) -> str:
    return f"{row.instance}{'' if row.seed is None else f' seed {row.seed}'} ({row.ops})"


def _published(twin: str | None, share: float) -> list[str]:
    return [str(published_figure(source, twin, share) or "-") for source in FIXED_ORDER_SOURCES]


def _sources() -> list[str]:
    return [f"{source}, published" for source in FIXED_ORDER_SOURCES]


def _budget(row: SolveRow) -> str:
    return f"{100 * row.share:.0f} %"


def _gap_points(row: SolveRow) -> float | None:
    if row.overhead is None or row.bound_overhead is None:
        return None
    return 100 * (row.overhead - row.bound_overhead)


def _largest(figures: Iterable[float | None]) -> float | None:
    return max((figure for figure in figures if figure is not None), default=None)


def _points(points: float | None) -> str:
    return "-" if points is None else f"{points:.4f}"


def _median(figures: Iterable[float | None]) -> float | None:
    """Of those there are."""
    known = [figure for figure in figures if figure is not None]
    return median(known) if known else None
