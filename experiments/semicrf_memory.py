"""Buffers of the semi-Markov recursion at T = 400,000 by plan, beside storing everything and the uniform rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path

from hcb_opt.experiments.row_files import markdown_table, save_text
from hcb_opt.files import require_folder, write_csv
from hcb_opt.ring_chains import RingPlan, ring_plan, square_root_interval, uniform_plan
from hcb_opt.ring_reach import fewest_slots

NAME = "semicrf-memory"
SUMMARY = "buffers of the semi-Markov recursion: every column stored, sqrt(T), sqrt(TK), and the best plans"

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One way to hold the columns.

    Attributes
    ----------
    way : str
    columns : int
        Forward columns held at once at most, those of rings included.
    megabytes : float
        10^6 bytes of them and of one ring of backward columns, float32.
    formula_megabytes : float or None
        As usually written: T / L rings, L columns, and the backward ring; for the
        uniform rules.
    most_runs : int
        How often the busiest step runs.
    extra_forwards : float
        Steps run again, as a multiple of T.
    """

    way: str
    columns: int
    megabytes: float
    formula_megabytes: float | None
    most_runs: int
    extra_forwards: float


def memory_rows(steps: int, ring: int, labels: int) -> list[Row]:
    """The table for T, K and C."""
    rows = [_row("all columns", ring_plan(steps, ring, steps), labels)]
    for name, interval in {"sqrt(T)": sqrt(steps), "sqrt(TK)": sqrt(steps * ring)}.items():
        plan = uniform_plan(steps, ring, square_root_interval(steps, ring if name == "sqrt(TK)" else 1))
        rows.append(_row(f"ring every {name} steps", plan, labels, steps / interval * ring + interval))
    for extra in (1, 2, 3):
        plan = ring_plan(steps, ring, fewest_slots(steps, ring, extra + 1))
        rows.append(_row(f"plan, {extra} extra forward{'s' * (extra > 1)}", plan, labels))
    return rows


def run_default(directory: Path, quick: bool = False) -> None:
    """Print the table and write ``semicrf-memory.md`` and ``.csv``.

    T = 400,000, K = 3,000, C = 24; ``quick`` takes T = 10,000, K = 500, C = 16.
    """
    steps, ring, labels = (10_000, 500, 16) if quick else (400_000, 3_000, 24)
    rows = memory_rows(steps, ring, labels)
    header = ["way", "columns", "MB", "MB by formula", "most runs of a step", "steps run again / T"]
    lines = [
        [
            row.way, f"{row.columns}", f"{row.megabytes:.2f}",
            "-" if row.formula_megabytes is None else f"{row.formula_megabytes:.2f}",
            f"{row.most_runs}", f"{row.extra_forwards:.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    text = f"T = {steps}, K = {ring}, C = {labels}, float32\n\n{markdown_table(header, lines)}"
    print(text)
    require_folder(directory)
    save_text(text + "\n", directory / f"{NAME}.md")
    write_csv(directory / f"{NAME}.csv", [asdict(row) for row in rows])


def _row(way: str, plan: RingPlan, labels: int, formula: float | None = None) -> Row:
    """``formula`` is in forward columns."""
    size = labels * FLOAT_BYTES / 1e6
    formula_megabytes = None if formula is None else (formula + plan.ring) * size
    megabytes = (plan.slots + plan.ring) * size
    return Row(way, plan.slots, megabytes, formula_megabytes, plan.most_runs, plan.extra_forwards)
