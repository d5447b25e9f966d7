"""What it saves that a slot may hold a tape: Mixed checkpointing beside Revolve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.binomial import extra_forward_steps
from hcb_opt.experiments.chain_report import Curve, DataRow, Panel, write_report
from hcb_opt.experiments.row_files import markdown_table, percent
from hcb_opt.generators import tape_chain
from hcb_opt.mixed import mixed_table
from hcb_opt.solve import solve_schedule

NAME = "mixed-vs-revolve"
SUMMARY = "forward steps if a slot may hold a tape (Mixed checkpointing) beside Revolve's, which holds states alone"

STEPS = (16, 64, 256, 1024)
SLOTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
QUICK_STEPS = (16, 64)
_MOST_REPLAYED = 300


@dataclass(frozen=True)
class MixedRow(DataRow):
    """Forward steps of a reversal, the one that each step is reversed from included.

    Attributes
    ----------
    steps, slots : int
        The initial state takes no slot.
    revolve, mixed : int
        With slots for states; for states and tapes.
    replayed : int or None
        Of the method `mixed`, by replay on a chain of one step more, which its
        first forward run reverses for nothing: that step left out.
    """

    steps: int
    slots: int
    revolve: int
    mixed: int
    replayed: int | None

    @property
    def saving(self) -> float:
        """Share of Revolve's steps that is saved."""
        return 1 - self.mixed / self.revolve


def run_default(directory: Path, quick: bool = False) -> None:
    """Make the table and print it.

    Parameters
    ----------
    directory : Path
        Gets ``mixed-vs-revolve.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Up to 64 steps: seconds instead of a minute.
    """
    steps = QUICK_STEPS if quick else STEPS
    rows = measure(steps, SLOTS)
    write_report(directory, NAME, rows, report(rows), panels(rows), {"steps": list(steps), "slots": list(SLOTS)})


def measure(steps: Iterable[int], slots: Iterable[int]) -> list[MixedRow]:
    """A row for every length and every number of slots below it."""
    counts = list(slots)
    return [_row(length, held) for length in steps for held in counts if held < length]


def _row(steps: int, slots: int) -> MixedRow:
    replayed = None
    if steps <= _MOST_REPLAYED:
        cost = solve_schedule(tape_chain(steps + 1), slots + 4, "mixed").cost
        # Beside the step that is left out, the loss and the backward ops run once.
        replayed = None if cost is None else cost - 1 - 1 - (steps + 1)
    revolve = steps + extra_forward_steps(steps, slots + 1)
    return MixedRow(steps, slots, revolve, mixed_table(steps).fewest(steps, slots), replayed)


def report(rows: Sequence[MixedRow]) -> str:
    """The table as Markdown."""
    header = ["steps", "slots", "Revolve", "Mixed", "replayed", "saved"]
    lines = [
        [
            str(row.steps),
            str(row.slots),
            str(row.revolve),
            str(row.mixed),
            str(row.replayed or "-"),
            percent(row.saving, 1),
        ]
        for row in rows
    ]
    known = [row for row in rows if row.replayed is not None]
    agreeing = sum(row.replayed == row.mixed for row in known)
    return "\n\n".join(
        [
            "# Mixed checkpointing beside Revolve: forward steps",
            "A slot holds a state; with Mixed checkpointing (Maddison, J. Comput. Sci. 82, 2024), a state or a tape of "
            f"the same size. Schedules replayed on graphs take as many steps in {agreeing} of {len(known)} cases.",
            markdown_table(header, lines),
        ]
    )


def panels(rows: Sequence[MixedRow]) -> list[Panel]:
    """Steps of both, and what is saved, against the slots as a share of the steps."""
    shares, saved = [], []
    for steps in dict.fromkeys(row.steps for row in rows):
        own = [row for row in rows if row.steps == steps]
        places = [row.slots / steps for row in own]
        shares.append(Curve(f"{steps} steps", places, [row.mixed / steps for row in own]))
        saved.append(Curve(f"{steps} steps", places, [100 * row.saving for row in own]))
    return [
        Panel("Mixed", "slots / steps", "forward steps / steps", shares, "xy"),
        Panel("beside Revolve", "slots / steps", "forward steps saved, %", saved, "x"),
    ]
