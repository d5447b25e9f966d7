"""Revolve's forward steps: the closed form, reversals that are played, schedules that are replayed, and online ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.binomial import extra_forward_steps
from hcb_opt.experiments.chain_report import Curve, DataRow, Panel, write_report
from hcb_opt.experiments.row_files import markdown_table, seconds
from hcb_opt.generators import chain
from hcb_opt.hierarchy.h_revolve import HRevolve
from hcb_opt.hierarchy.multistage import multistage_actions
from hcb_opt.hierarchy.platform import Level, Platform
from hcb_opt.hierarchy.play import play
from hcb_opt.online import online_forward_steps
from hcb_opt.solve import solve_schedule

NAME = "revolve-table"
SUMMARY = "Revolve's forward steps: closed form, recursion, played, replayed as schedules of graphs, and online"

STEPS = (10, 30, 100, 300, 1000, 3000, 10000)
SNAPSHOTS = (2, 3, 5, 10, 20, 50, 100, 500)
QUICK_STEPS = (10, 100, 1000)
QUICK_SNAPSHOTS = (3, 5, 10, 20)

#: t(n, s) of Griewank and Walther (ACM TOMS 26(1), 2000), from a calculation that shares nothing with this toolkit.
KNOWN = {(10, 3): 15, (100, 5): 316, (1000, 10): 3636, (10000, 20): 37976}
_MOST_REPLAYED = 200_000
_MOST_BY_RECURSION = 1000


@dataclass(frozen=True)
class RevolveRow(DataRow):
    """Forward steps beside the one that each step is reversed from, for one length and number of snapshots.

    Attributes
    ----------
    steps, snapshots : int
    known, closed_form, recursion, played, replayed, online : int or None
        As known before; by `hcb_opt.binomial`; by H-Revolve's recursion with one level; of the actions,
        as played; of `unit_chain`'s schedule of the training step, by replay; and
        if the length was not known.
    seconds : float
        To make the actions.
    """

    steps: int
    snapshots: int
    known: int | None
    closed_form: int
    recursion: int | None
    played: int
    replayed: int | None
    online: int
    seconds: float


def run_default(directory: Path, quick: bool = False) -> None:
    """Make the table and print it.

    Parameters
    ----------
    directory : Path
        Gets ``revolve-table.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Up to 1000 steps: seconds instead of some minutes.
    """
    steps, snapshots = (QUICK_STEPS, QUICK_SNAPSHOTS) if quick else (STEPS, SNAPSHOTS)
    rows = measure(steps, snapshots)
    write_report(
        directory, NAME, rows, report(rows), panels(rows), {"steps": list(steps), "snapshots": list(snapshots)}
    )


def measure(steps: Iterable[int], snapshots: Iterable[int]) -> list[RevolveRow]:
    """A row for every length and every number of snapshots below it."""
    counts = list(snapshots)
    return [_row(length, held) for length in steps for held in counts if held < length]


def _row(steps: int, snapshots: int) -> RevolveRow:
    closed_form = extra_forward_steps(steps, snapshots)
    platform = Platform((Level(snapshots), Level(0)))
    started = time.perf_counter()
    actions = multistage_actions(steps, platform)
    duration = time.perf_counter() - started
    replayed = None
    if closed_form <= _MOST_REPLAYED:
        result = solve_schedule(chain(steps), snapshots + 2, "unit_chain")
        # Beside f_n, the loss and the backward ops, which run once.
        replayed = None if result.cost is None else result.cost - (steps + 2)
    recursion = None
    if steps <= _MOST_BY_RECURSION:
        recursion = HRevolve(steps, Platform((Level(snapshots),), 1, 0)).cost(steps)
    return RevolveRow(
        steps, snapshots, KNOWN.get((steps, snapshots)), closed_form, recursion,
        play(actions, steps, platform).forward_steps, replayed, online_forward_steps(steps, snapshots), duration,
    )  # fmt: skip


def report(rows: Sequence[RevolveRow]) -> str:
    """The table as Markdown, and how many rows agree."""
    header = ["steps", "snapshots", "known", "closed form", "recursion", "played", "replayed", "online", "seconds"]
    lines = []
    for row in rows:
        figures = (row.known, row.closed_form, row.recursion, row.played, row.replayed, row.online)
        shown = ["-" if figure is None else str(figure) for figure in figures]
        lines.append([str(row.steps), str(row.snapshots), *shown, seconds(row.seconds)])
    agreeing = sum(
        each in (None, row.closed_form) for row in rows for each in (row.known, row.recursion, row.played, row.replayed)
    )
    return "\n\n".join(
        [
            "# Revolve: forward steps beside the one that each step is reversed from",
            f"{agreeing} of {4 * len(rows)} figures agree with the closed form or are not there. `online`: the length "
            "is not known until the last step.",
            markdown_table(header, lines),
        ]
    )


def panels(rows: Sequence[RevolveRow]) -> list[Panel]:
    """How often a step is repeated, and what it costs not to know the length, against the snapshots."""
    repeats, prices = [], []
    for steps in dict.fromkeys(row.steps for row in rows):
        own = [row for row in rows if row.steps == steps]
        places = [row.snapshots for row in own]
        repeats.append(Curve(f"{steps} steps", places, [row.closed_form / steps for row in own]))
        prices.append(Curve(f"{steps} steps", places, [100 * (row.online / row.closed_form - 1) for row in own]))
    return [
        Panel("Revolve", "snapshots", "t(n, s) / n", repeats, "xy"),
        Panel("length not known", "snapshots", "more forward steps, %", prices, "x"),
    ]
