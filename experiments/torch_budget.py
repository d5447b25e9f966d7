"""Torch's partitioners on transformers: true peak against recomputed flops, beside the optimum at the same peak."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hcb_opt.experiments.bench import Bench
from hcb_opt.experiments.task import Task
from hcb_opt.experiments.torch_budget_report import DEFAULT, MINIMUM_CUT, BudgetRow, write_report
from hcb_opt.models import zoo
from hcb_opt.plot import LEAD_METHOD
from hcb_opt.replay import replay

if TYPE_CHECKING:
    from hcb_opt.capture.step import CapturedStep

NAME = "torch-budget"
SUMMARY = (
    "torch's partitioners and its memory budget: true peaks and recomputed flops, beside the optimum at the same peak"
)

KNOBS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
QUICK_KNOBS = (0.6, 0.2, 0.0)
# Budgets below all of torch's peaks, as shares of the smallest.
BELOW = (0.95, 0.9, 0.8, 0.7)
QUICK_BELOW = (0.8,)

_FULL: Mapping[str, tuple[str, dict[str, int | float]]] = {
    "GPT-2, 12 layers": ("gpt2", {"layers": 12}),
    "BERT, 12 layers, dropout 0.1": ("bert", {"layers": 12, "dropout": 0.1}),
}
_SMALL = {"width": 128, "heads": 4, "vocabulary": 500, "sequence": 128, "batch": 2}
_QUICK: Mapping[str, tuple[str, dict[str, int | float]]] = {
    "GPT-2, 2 layers": ("gpt2", {"layers": 2, **_SMALL}),
    "BERT, 2 layers, dropout 0.1": ("bert", {"layers": 2, "dropout": 0.1, **_SMALL}),
}


def run_default(directory: Path, quick: bool = False, *, time_limit: float | None = None, workers: int = 2) -> None:
    """Run the experiment and print its table.

    Parameters
    ----------
    directory : Path
        Gets ``torch-budget.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Two layers of small width, three budgets, 2 s per solve unless told
        otherwise: within a minute.
    time_limit, workers
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if time_limit is None:
        time_limit = 2.0 if quick else 60.0
    chosen = _QUICK if quick else _FULL
    steps = {title: zoo()[model].capture_step(cost="flops", **flags) for title, (model, flags) in chosen.items()}
    knobs, below = (QUICK_KNOBS, QUICK_BELOW) if quick else (KNOBS, BELOW)
    run(directory, steps, knobs, below, time_limit=time_limit, workers=workers)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def run(
    directory: Path,
    steps: Mapping[str, CapturedStep],
    knobs: Sequence[float] = KNOBS,
    below: Sequence[float] = BELOW,
    *,
    time_limit: float = 60.0,
    workers: int = 2,
) -> list[BudgetRow]:
    """Replay all that torch's partitioners choose, and solve every step at the peaks found.

    Interrupted, it leaves what it has, and the next run with the same settings
    goes on from there.

    Parameters
    ----------
    directory : Path
        Made if missing.
    steps : mapping of str to CapturedStep
        With costs in flops.
    knobs : sequence of float
        Values of ``activation_memory_budget`` below 1.
    below : sequence of float
        Further budgets for the solver, as shares of torch's smallest peak.
    time_limit, workers
        As in `run_default`.

    Returns
    -------
    list of BudgetRow

    Raises
    ------
    KeyboardInterrupt
        If a solve was interrupted.
    """
    settings = {"steps": list(steps), "knobs": list(knobs), "below": list(below)}
    bench = Bench(directory, NAME, time_limit=time_limit, workers=workers, settings=settings)
    rows: list[BudgetRow] = []
    with bench.reporting(rows, partial(write_report, rows, directory)):
        for title, step in steps.items():
            own = list(_partitioned(title, step, knobs))
            rows += own
            for budget_bytes in _budgets(own, below):
                task = Task("optimum", title, step.graph, budget_bytes, LEAD_METHOD)
                rows.append(BudgetRow.of_solve(bench.solve(task)))
    return rows


def _partitioned(title: str, step: CapturedStep, knobs: Sequence[float]) -> Iterator[BudgetRow]:
    """The rows of torch's partitioners on one step."""
    from hcb_opt.capture.torch_partition import KNAPSACKS

    yield _torch_row(title, step, DEFAULT, None)
    yield _torch_row(title, step, MINIMUM_CUT, 1.0)
    for knapsack in KNAPSACKS:
        for knob in knobs:
            yield _torch_row(title, step, knapsack, knob)


def _torch_row(title: str, step: CapturedStep, partitioner: str, knob: float | None) -> BudgetRow:
    from hcb_opt.capture.torch_partition import KNAPSACKS, partition_schedule

    graph = step.graph
    started = time.perf_counter()
    schedule = partition_schedule(step, knob, partitioner if partitioner in KNAPSACKS else KNAPSACKS[0])
    seconds = time.perf_counter() - started
    judged = replay(graph, schedule)
    row = BudgetRow(
        model=title,
        ops=len(graph.ops),
        partitioner=partitioner,
        knob=knob,
        status="",
        base_cost=graph.base_cost,
        cost=judged.cost,
        lower_bound=None,
        budget_bytes=None,
        peak_bytes=judged.peak_bytes,
        store_all_peak_bytes=graph.store_all_peak_bytes,
        seconds=round(seconds, 6),
    )
    told = "" if knob is None else f" at {knob:g}"
    print(f"{title}, torch's {partitioner}{told}: peak {row.peak_share:.1%}, {row.overhead:.3%}", file=sys.stderr)
    return row


def _budgets(rows: Sequence[BudgetRow], below: Sequence[float]) -> list[int]:
    """Every peak of torch's, largest first, then shares of the smallest."""
    peaks = sorted({row.peak_bytes for row in rows if row.peak_bytes is not None}, reverse=True)
    return [*peaks, *(int(share * peaks[-1]) for share in below)]
