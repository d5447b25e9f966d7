"""Rotor on chains of unequal stages: what its tables take, and its schedules of networks beside the optimum."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.experiments import gap
from hcb_opt.experiments.chain_report import Curve, DataRow, Panel, write_report
from hcb_opt.experiments.gap_report import format_table
from hcb_opt.experiments.row_files import markdown_table, percent, seconds
from hcb_opt.generators import ForwardOp, training_step
from hcb_opt.graph import Graph
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.rotor import Rotor, Stage, classical_stage

NAME = "rotor-chains"
SUMMARY = "Rotor: seconds for up to 300 stages, and its schedules of layered networks beside the optimum and others"

STAGES = (50, 100, 200, 300)
QUICK_STAGES = (20, 50)
SLOTS = 500
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
QUICK_SHARES = (0.8, 0.6)
NETWORKS = ("mobilenet", "resnet50", "segnet", "unet")
METHODS = ("frontier_cuts", "rotor", "block_programme", "chen_greedy", "revolve")
_TAPE_SHARES = (0.6, 0.4, 0.25)


@dataclass(frozen=True)
class RotorRow(DataRow):
    """Rotor's recursion on a random chain.

    Attributes
    ----------
    stages, slots : int
    share : float
        Memory as a share of what all tapes take.
    overhead : float or None
        Cost beyond running everything once, as a share of that; None if nothing fits.
    seconds : float
        For tables and plan.
    """

    stages: int
    slots: int
    share: float
    overhead: float | None
    seconds: float


def run_default(directory: Path, quick: bool = False) -> None:
    """Measure and print both tables.

    Parameters
    ----------
    directory : Path
        Gets ``rotor-chains.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf`` of the
        random chains, and ``gap.csv``, ``.json``, ``.png`` and ``.pdf`` of the networks.
    quick : bool
        Up to 50 stages, and one network at two budgets: seconds instead of minutes.
    """
    counts = QUICK_STAGES if quick else STAGES
    rows = measure(counts)
    write_report(directory, NAME, rows, report(rows), panels(rows), {"stages": list(counts), "slots": SLOTS, "seed": 0})
    graphs = {f"unequal chain of {length}": unequal_chain(length) for length in ((20,) if quick else (60,))}
    if not quick:
        graphs |= {LAYER_NETWORKS[name].title: layer_graph(name) for name in NETWORKS}
    shares, time_limit = (QUICK_SHARES, 2.0) if quick else (SHARES, 20.0)
    solved = gap.run(graphs, shares, METHODS, directory, time_limit=time_limit, workers=2, on_row=gap.print_progress)
    print(format_table(solved))


def measure(counts: Iterable[int]) -> list[RotorRow]:
    """A row for each number of stages and each memory."""
    rows = []
    for count in counts:
        stages = random_stages(count)
        whole = sum(stage.tape_bytes for stage in stages)
        base = sum(stage.forward_cost + stage.backward_cost for stage in stages)
        for share in _TAPE_SHARES:
            started = time.perf_counter()
            budget_bytes = round(share * whole)
            tables = Rotor(stages, budget_bytes, SLOTS)
            cost = tables.least_cost(budget_bytes)
            if cost is not None:
                tables.moves(tables.slots)
            duration = time.perf_counter() - started
            rows.append(RotorRow(count, SLOTS, share, None if cost is None else cost / base - 1, duration))
    return rows


def unequal_chain(steps: int, seed: int = 0) -> Graph:
    """A training step that is a chain, with activations of 1 to 10 bytes and forward costs of 1 to 20."""
    rng = random.Random(seed)
    forward = []
    for step in range(steps):
        size, cost = rng.randint(1, 10), rng.randint(1, 20)
        forward.append(ForwardOp((step - 1,) if step else (), size, cost, 2 * cost, saves_output=rng.random() < 0.5))
    return training_step(forward, name=f"unequal_chain_{steps}", facts={"seed": seed})


def random_stages(count: int, seed: int = 0) -> list[Stage]:
    """Stages whose costs and bytes differ by up to a factor of ten, as between layers of a network."""
    rng = random.Random(seed)
    stages = []
    for _ in range(count):
        forward, output = rng.randint(10, 100), rng.randint(10**5, 10**6)
        stages.append(classical_stage(forward, 2 * forward, output, output + rng.randint(0, 5 * output)))
    return stages


def report(rows: Sequence[RotorRow]) -> str:
    """The table as Markdown."""
    lines = [[str(row.stages), percent(row.share, 0), percent(row.overhead, 2), seconds(row.seconds)] for row in rows]
    return "\n\n".join(
        [
            "# Rotor on random chains of unequal stages",
            f"Memory, in {SLOTS} slots, as a share of what all tapes take. Seconds are of one core, for the tables of "
            "every amount of memory up to that and one plan.",
            markdown_table(["stages", "memory", "overhead", "seconds"], lines),
        ]
    )


def panels(rows: Sequence[RotorRow]) -> list[Panel]:
    """Seconds against stages, and overhead against memory."""
    times = [
        Curve(percent(share, 0), [row.stages for row in own], [row.seconds for row in own])
        for share in _TAPE_SHARES
        if (own := [row for row in rows if row.share == share])
    ]
    overheads = []
    for count in dict.fromkeys(row.stages for row in rows):
        known = [row for row in rows if row.stages == count and row.overhead is not None]
        heights = [100 * (row.overhead or 0.0) for row in known]
        overheads.append(Curve(f"{count} stages", [row.share for row in known], heights))
    return [
        Panel(f"{SLOTS} slots", "stages", "seconds", times, "xy"),
        Panel("Rotor", "memory / all tapes", "overhead, %", overheads),
    ]
