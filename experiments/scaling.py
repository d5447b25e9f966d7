"""How the lead method's time grows with the number of ops: the zoo at ten budgets each."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hcb_opt.experiments.bench import Bench
from hcb_opt.experiments.scaling_report import Network, write_report
from hcb_opt.experiments.task import Task
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph, save_graph
from hcb_opt.minimum import minimum_budget
from hcb_opt.models import zoo
from hcb_opt.plot import LEAD_METHOD

NAME = "scaling"
SUMMARY = "the zoo at ten budgets down to the smallest: gaps, times, memory, and the growth of time with ops"

BUDGETS = 10
LARGEST_SHARE = 0.95
OPS_PER_SECOND = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """A model of the zoo at some size.

    Attributes
    ----------
    title, model : str
    flags : mapping
        As `hcb_opt.models.Model.capture` takes them.
    """

    title: str
    model: str
    flags: Mapping[str, int | float] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Of its captured graph: model and sizes."""
        return "-".join([self.model, *(f"{name}{size}" for name, size in self.flags.items())]) + ".json"


FULL = (
    Subject("MLP, 16 layers", "mlp", {"layers": 16}),
    Subject("MLP, 64 layers", "mlp", {"layers": 64}),
    Subject("U-Net", "unet"),
    Subject("ResNet-50", "resnet50"),
    Subject("ResNet-152", "resnet152"),
    Subject("BERT", "bert"),
    *(Subject(f"GPT-2, {layers} layers", "gpt2", {"layers": layers}) for layers in (12, 24, 48, 96, 192)),
    Subject("LSTM, 2 x 32", "lstm", {"layers": 2, "steps": 32}),
    Subject("LSTM, 4 x 128", "lstm", {"layers": 4, "steps": 128}),
)
QUICK = (
    Subject("MLP, 4 layers", "mlp", {"layers": 4}),
    Subject("U-Net, 1 level", "unet", {"levels": 1, "image": 32, "batch": 1}),
    Subject("GPT-2, 2 layers", "gpt2", {"layers": 2, "batch": 1, "vocabulary": 512}),
)


def run_default(directory: Path, quick: bool = False, *, time_limit: float | None = None, workers: int = 2) -> None:
    """Run the experiment and print its table and exponents.

    Parameters
    ----------
    directory : Path
        Gets ``scaling.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``, and under
        ``graphs`` what was captured, which later runs take from there.
    quick : bool
        Three small networks at three budgets, 3 s per solve unless told
        otherwise: about a minute.
    time_limit : float, optional
        Seconds per solve; 60 if not given. The search of a smallest budget takes
        as long, or a second for every 500 ops where that is more.
    workers : int
        As in `solve_schedule`.
    """
    if time_limit is None:
        time_limit = 3.0 if quick else 60.0
    subjects, budgets = (QUICK, 3) if quick else (FULL, BUDGETS)
    run(directory, subjects, budgets=budgets, time_limit=time_limit, workers=workers)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def run(
    directory: Path,
    subjects: Sequence[Subject],
    *,
    budgets: int = BUDGETS,
    time_limit: float = 60.0,
    workers: int = 2,
) -> list[Network]:
    """Solve every subject at even budgets from 95 % of its store-all peak to the smallest that was found.

    Interrupted, it leaves what it has, and the next run with the same settings
    goes on from there.

    Parameters
    ----------
    directory : Path
        Made if missing.
    subjects : sequence of Subject
    budgets : int
        How many, at least 2.
    time_limit, workers
        As in `run_default`.

    Returns
    -------
    list of Network

    Raises
    ------
    KeyboardInterrupt
        If a solve was interrupted.
    """
    settings = {"networks": [subject.title for subject in subjects], "budgets": budgets}
    bench = Bench(directory, NAME, time_limit=time_limit, workers=workers, settings=settings)
    networks: list[Network] = []
    with bench.reporting(bench.rows, partial(write_report, networks, directory)):
        for subject in subjects:
            graph = captured(subject, directory / "graphs")
            smallest = bench.noted(subject.title, partial(_smallest_budget, subject, graph, time_limit, workers))
            network = Network(subject.title, len(graph.ops), graph.store_all_peak_bytes, **smallest)
            networks.append(network)
            for budget_bytes in even_budgets(graph.store_all_peak_bytes, network.smallest_budget_bytes, budgets):
                network.rows.append(bench.solve(Task(NAME, subject.title, graph, budget_bytes, LEAD_METHOD)))
                write_report(networks, directory, bench.facts)
    return networks


def captured(subject: Subject, folder: Path) -> Graph:
    """The graph of a subject: from the folder, or captured now and kept there."""
    path = folder / subject.file_name
    if path.exists():
        return load_graph(path)
    started = time.perf_counter()
    graph = zoo()[subject.model].capture(cost="roofline:h200", **subject.flags)
    folder.mkdir(exist_ok=True)
    save_graph(graph, path)
    seconds = time.perf_counter() - started
    print(f"captured {subject.title}: {len(graph.ops)} ops, {seconds:.1f} s", file=sys.stderr)
    return graph


def even_budgets(store_all_peak_bytes: int, smallest_bytes: int, count: int) -> list[int]:
    """Budgets at even steps from 95 % of the store-all peak to the smallest, largest first."""
    largest = max(int(LARGEST_SHARE * store_all_peak_bytes), smallest_bytes)
    step = (largest - smallest_bytes) / (count - 1)
    return sorted({smallest_bytes + round(number * step) for number in range(count)}, reverse=True)


def _smallest_budget(subject: Subject, graph: Graph, time_limit: float, workers: int) -> dict[str, int]:
    found = minimum_budget(graph, time_limit=max(time_limit, len(graph.ops) / OPS_PER_SECOND), workers=workers)
    if found.interrupted:
        raise KeyboardInterrupt
    shares = [size / graph.store_all_peak_bytes for size in (found.peak_bytes, found.lower_bound_bytes)]
    print(f"{subject.title}: smallest budget {shares[0]:.1%}, proven not below {shares[1]:.1%}", file=sys.stderr)
    return {"smallest_budget_bytes": found.peak_bytes, "budget_lower_bound_bytes": found.lower_bound_bytes}
