"""Reversals with memory and disk: Revolve, multistage, Disk-Revolve, its periodic variant, and H-Revolve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.experiments.chain_report import Curve, DataRow, Panel, write_report
from hcb_opt.experiments.row_files import markdown_table
from hcb_opt.hierarchy.actions import Action
from hcb_opt.hierarchy.disk_revolve import DiskRevolve
from hcb_opt.hierarchy.h_revolve import HRevolve
from hcb_opt.hierarchy.multistage import multistage_actions
from hcb_opt.hierarchy.periodic import best_period, periodic_actions
from hcb_opt.hierarchy.platform import Level, Platform, memory_and_disk
from hcb_opt.hierarchy.play import play

NAME = "disk-hierarchy"
SUMMARY = "reversals with memory and disk: Revolve, multistage, Disk-Revolve, periodic, H-Revolve, as played"

STEPS = (10, 20, 50, 100, 200, 500, 1000)
QUICK_STEPS = (10, 50, 100)
MEMORY_SLOTS = 5
DISK_SLOTS = 10
DISK_COSTS = (1, 5, 20)


@dataclass(frozen=True)
class DiskRow(DataRow):
    """A reversal, as played.

    Attributes
    ----------
    algorithm : str
    steps, memory_slots : int
    disk_slots : int or None
        None for a disk without limit, 0 for none.
    disk_cost : int
        Of writing and of reading a state; a forward step and a backward step cost 1.
    cost, forward_steps, disk_writes, disk_reads : int
    period : int or None
        Steps between states on disk, where that is fixed.
    """

    algorithm: str
    steps: int
    memory_slots: int
    disk_slots: int | None
    disk_cost: int
    cost: int
    forward_steps: int
    disk_writes: int
    disk_reads: int
    period: int | None = None


def run_default(directory: Path, quick: bool = False) -> None:
    """Make the table and print it.

    Parameters
    ----------
    directory : Path
        Gets ``disk-hierarchy.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Up to 100 steps.
    """
    steps = QUICK_STEPS if quick else STEPS
    rows = [row for disk_cost in DISK_COSTS for row in measure(steps, disk_cost)]
    settings = {"steps": list(steps), "memory slots": MEMORY_SLOTS, "disk slots": DISK_SLOTS}
    write_report(directory, NAME, rows, report(rows), panels(rows), settings)


def measure(steps: Sequence[int], disk_cost: int) -> Iterator[DiskRow]:
    """All algorithms at every length, with one cost of the disk.

    Parameters
    ----------
    steps : sequence of int
    disk_cost : int
        Of writing and of reading a state.
    """
    most = max(steps)
    unlimited = memory_and_disk(MEMORY_SLOTS, disk_cost, disk_cost)
    limited = Platform((Level(MEMORY_SLOTS), Level(DISK_SLOTS, disk_cost, disk_cost)))
    alone = Platform((Level(MEMORY_SLOTS), Level(0, disk_cost, disk_cost)))
    disk, revolve, hierarchy = DiskRevolve(most, unlimited), HRevolve(most, alone), HRevolve(most, limited)
    period = best_period(disk)

    def row(
        algorithm: str, length: int, actions: list[Action], platform: Platform, every: int | None = None
    ) -> DiskRow:
        played = play(actions, length, platform)
        return DiskRow(
            algorithm, length, MEMORY_SLOTS, platform.levels[1].slots, disk_cost, played.cost, played.forward_steps,
            played.writes[1], played.reads[1], every,
        )  # fmt: skip

    for length in steps:
        yield row("Revolve, memory alone", length, revolve.actions(length), alone)
        yield row("multistage", length, multistage_actions(length, limited), limited)
        yield row("H-Revolve", length, hierarchy.actions(length), limited)
        yield row("Disk-Revolve", length, disk.actions(length), unlimited)
        yield row("periodic Disk-Revolve", length, periodic_actions(disk, length), unlimited, period)


def report(rows: Sequence[DiskRow]) -> str:
    """The tables as Markdown."""
    header = ["steps", "algorithm", "disk slots", "cost", "cost / steps", "forward steps", "disk writes", "disk reads"]
    parts = [
        "# Reversals with memory and disk",
        f"{MEMORY_SLOTS} slots of memory for nothing. A forward step and a backward step cost 1 each, so that 2 per "
        "step cannot be avoided. The algorithms are described, with their papers, in `docs/chains.md`; costs are those "
        "of the actions, as played.",
    ]
    for disk_cost in dict.fromkeys(row.disk_cost for row in rows):
        lines = [
            [
                str(row.steps), row.algorithm + (f", p = {row.period}" if row.period else ""),
                "no limit" if row.disk_slots is None else str(row.disk_slots), str(row.cost),
                f"{row.cost / row.steps:.3f}", str(row.forward_steps), str(row.disk_writes), str(row.disk_reads),
            ]
            for row in rows
            if row.disk_cost == disk_cost
        ]  # fmt: skip
        parts += [f"## Writing and reading cost {disk_cost}", markdown_table(header, lines)]
    return "\n\n".join(parts)


def panels(rows: Sequence[DiskRow]) -> list[Panel]:
    """Cost of a step against the length, a panel for each cost of the disk."""
    found = []
    for disk_cost in dict.fromkeys(row.disk_cost for row in rows):
        curves = []
        for algorithm in dict.fromkeys(row.algorithm for row in rows):
            own = [row for row in rows if (row.disk_cost, row.algorithm) == (disk_cost, algorithm)]
            limit = {None: "", 0: ""}.get(own[0].disk_slots, f", {own[0].disk_slots} disk slots")
            curves.append(Curve(algorithm + limit, [row.steps for row in own], [row.cost / row.steps for row in own]))
        title = f"{MEMORY_SLOTS} memory slots, disk costs {disk_cost}"
        found.append(Panel(title, "steps", "cost / step", curves, "xy"))
    return found
