"""Published instances and their kin, solved and tabulated beside the published figures."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hcb_opt.binomial import extra_forward_steps
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.bench import Bench
from hcb_opt.experiments.published_report import CHAINS, FILES, FREE, LAYERED, NETWORKS, RATIOS, write_report
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.experiments.task import Task
from hcb_opt.generators import chain, tape_chain
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.layered import random_layered
from hcb_opt.mixed import mixed_table
from hcb_opt.plot import LEAD_METHOD
from hcb_opt.registry import get_method

NAME = "published"
SUMMARY = "Checkmate's networks, Moccasin's random graphs and unit chains, beside the published figures"

SEEDS = (0, 1, 2)
RIVALS = ("checkmate_milp", "retention_intervals")
RIVAL_MAX_OPS = 500
REPORT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a run covers.

    Attributes
    ----------
    networks : tuple of str
        Of `hcb_opt.layer_graphs.LAYER_NETWORKS`.
    shares : tuple of float
        Budgets of networks and files.
    layered_ops : tuple of int
        Sizes of the random layered graphs.
    layered_shares : tuple of float
        Their budgets; other methods are compared at these only.
    chain_steps : tuple of int
        Lengths of unit chains, each at every number of slots.
    proof_steps : tuple of int
        Lengths of those that the lead method, which knows no closed form, solves as well.
    """

    networks: tuple[str, ...]
    shares: tuple[float, ...]
    layered_ops: tuple[int, ...]
    layered_shares: tuple[float, ...]
    chain_steps: tuple[int, ...]
    proof_steps: tuple[int, ...]


FULL = Extent(
    tuple(LAYER_NETWORKS),
    (0.9, 0.8, 0.7, 0.6, 0.5),
    (100, 250, 500, 1000, 2000, 4000),
    (0.9, 0.8),
    tuple(range(2, 65)),
    (4, 8, 12),
)
QUICK = Extent(("fcn8", "vgg16", "unet"), (0.9, 0.7), (30, 40), (0.9,), (3, 5, 8), (4,))


def run_default(
    directory: Path,
    quick: bool = False,
    *,
    instances: Path | None = None,
    seeds: Sequence[int] | None = None,
    time_limit: float | None = None,
    workers: int = 2,
) -> None:
    """Run the experiment and print its tables.

    Parameters
    ----------
    directory : Path
        Gets ``published.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Few and small instances, one seed, 3 s per solve unless told otherwise:
        about a minute.
    instances : Path, optional
        Folder with instances in Checkmate's or Moccasin's JSON; those that can
        be read are solved as well.
    seeds : sequence of int, optional
        Of the random layered graphs; 0, 1 and 2 if not given.
    time_limit, workers
        As in `hcb_opt.experiments.catalogue.Experiment`.
    """
    if seeds is None:
        seeds = SEEDS[:1] if quick else SEEDS
    if time_limit is None:
        time_limit = 3.0 if quick else 60.0
    extent = QUICK if quick else FULL
    run(directory, extent, instances=instances, seeds=seeds, time_limit=time_limit, workers=workers)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def run(
    directory: Path,
    extent: Extent,
    *,
    instances: Path | None = None,
    seeds: Sequence[int] = SEEDS,
    time_limit: float = 60.0,
    workers: int = 2,
) -> list[SolveRow]:
    """Solve everything in ``extent``, writing rows and tables as they come.

    Interrupted, it leaves what it has, and the next run with the same settings
    goes on from there.

    Parameters
    ----------
    directory : Path
        Made if missing.
    extent : Extent
    instances, seeds, time_limit, workers
        As in `run_default`.

    Returns
    -------
    list of SolveRow

    Raises
    ------
    InvalidInput
        If ``instances`` is no folder.
    KeyboardInterrupt
        If a solve was interrupted.
    """
    files = {} if instances is None else load_instances(instances)
    settings = {"seeds": list(seeds), "files": list(files)}
    bench = Bench(directory, NAME, time_limit=time_limit, workers=workers, settings=settings)
    written = -math.inf

    def solve(task: Task) -> SolveRow:
        nonlocal written
        row = bench.solve(task)
        if time.perf_counter() > written + REPORT_SECONDS:
            write_report(bench.rows, directory, bench.facts)
            written = time.perf_counter()
        return row

    with bench.reporting(bench.rows, partial(write_report, bench.rows, directory)):
        solvable = [task for task in _lead_tasks(extent, files, seeds) if not solve(task).infeasible]
        for task in _further_tasks(extent, solvable):
            solve(task)
    return bench.rows


def _lead_tasks(extent: Extent, files: Mapping[str, Graph], seeds: Sequence[int]) -> Iterator[Task]:
    for name in extent.networks:
        graph = layer_graph(name)
        for share in extent.shares:
            yield Task(NETWORKS, LAYER_NETWORKS[name].title, graph, share, LEAD_METHOD)
    for label, graph in files.items():
        for share in extent.shares:
            yield Task(FILES, label, graph, share, LEAD_METHOD)
    for ops in extent.layered_ops:
        for seed in seeds:
            graph = random_layered(ops, seed=seed)
            for share in extent.layered_shares:
                yield Task(LAYERED, f"layered {ops}", graph, share, LEAD_METHOD, seed=seed)


def _further_tasks(extent: Extent, solvable: Sequence[Task]) -> Iterator[Task]:
    """Other methods and the free order on what has a schedule; unit chains."""
    compared = [task for task in solvable if task.budget in extent.layered_shares]
    for name in RIVALS:
        rival = get_method(name)
        for task in compared:
            if len(task.graph.ops) <= RIVAL_MAX_OPS and not rival.declines(task.graph, task.budget_bytes):
                yield Task(RATIOS, task.instance, task.graph, task.budget, name, seed=task.seed)
    for task in compared:
        if task.seed is not None or task.graph.facts.get("source_format") == "moccasin":
            yield Task(FREE, task.instance, task.graph, task.budget, "auto", "free", task.seed)
    for steps in extent.chain_steps:
        yield from _chain_tasks(steps, "unit_chain", "mixed")
    for steps in extent.proof_steps:
        yield from _chain_tasks(steps, LEAD_METHOD, LEAD_METHOD)


def _chain_tasks(steps: int, method: str, taped_method: str) -> Iterator[Task]:
    """Chains at every number of slots, whose backward reads states (Revolve) or tapes (Mixed)."""
    plain, taped = chain(steps), tape_chain(steps)
    for slots in range(1, steps + 1):
        # Revolve's slots hold states, the initial one included; a backward step needs two gradients beside them.
        # Every step but the last, which runs once, is among the closed form's.
        repeated = extra_forward_steps(steps, slots) - (steps - 1)
        cost = plain.base_cost + repeated
        yield Task(CHAINS, f"chain {steps}, {slots} slots", plain, slots + 2, method, known_cost=cost)
    for slots in range(steps - 1):
        # A forward step runs beside the slots, a gradient, and the two states and the tape that it reads and writes.
        # While there is no gradient yet, its room holds the tape of the step before the last.
        repeated = mixed_table(steps - 1).fewest(steps - 1, slots) - (steps - 1)
        cost = taped.base_cost + repeated
        yield Task(CHAINS, f"tape chain {steps}, {slots} slots", taped, slots + 4, taped_method, known_cost=cost)


def load_instances(folder: Path) -> dict[str, Graph]:
    """The instances of a folder by name, or by file where a name comes twice."""
    if not folder.is_dir():
        raise InvalidInput(str(folder), "is no folder", "give the folder that holds the instances")
    graphs: dict[str, Graph] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            graph = load_graph(path)
        except InvalidInput as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            graphs[path.stem if graph.name in graphs else graph.name] = graph
    return graphs
