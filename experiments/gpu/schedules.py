"""Schedules for graphs that were captured on the device: solved there by a quick method, or beforehand, elsewhere.

A graph for CUDA is captured on a CUDA machine, which may have no solver. Its
file is kept, so that `hcb-opt reproduce gpu-schedules` solves it elsewhere; the next
measurement on the device takes what that found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hcb_opt.budget import format_bytes
from hcb_opt.errors import HcbOptError
from hcb_opt.experiments.gpu.sections import NothingToMeasure
from hcb_opt.files import read_json
from hcb_opt.graph import Graph
from hcb_opt.io import graph_digest, load_schedule, save_schedule
from hcb_opt.replay import replay
from hcb_opt.result import Result, relative_gap
from hcb_opt.schedule import Schedule
from hcb_opt.solve import solve_schedule

QUICK_METHOD = "block_programme"
FOLDER = "schedules"
COMMITTED = Path("results/gpu") / FOLDER


@dataclass(frozen=True)
class Chosen:
    """A schedule and where it is from.

    Attributes
    ----------
    schedule : Schedule
    method : str
    lower_bound_overhead : float or None
        What no schedule of the fixed order is below.
    seconds : float
        That it took to solve.
    """

    schedule: Schedule
    method: str
    lower_bound_overhead: float | None
    seconds: float


def file_name(graph: Graph, share: float) -> str:
    """Under which a graph's schedule at a share of its store-all peak is kept; scratch memory is left aside."""
    return f"{graph_digest(_bare(graph)).removeprefix('sha256:')[:16]}-{100 * share:g}.json"


def choose(graph: Graph, share: float, directory: Path, seconds: float) -> Chosen:
    """The cheapest at hand: solved elsewhere and kept, or found here within so many seconds.

    Parameters
    ----------
    graph : Graph
        With measured scratch memory.
    share : float
        Of its store-all peak.
    directory : Path
        Whose folder ``schedules`` is looked into, after the one that is committed.
    seconds : float

    Raises
    ------
    NothingToMeasure
        If nothing fits, or nothing is found in time.
    """
    budget_bytes = int(share * graph.store_all_peak_bytes)
    name = file_name(graph, share)
    for path in (COMMITTED / name, directory / FOLDER / name):
        if path.is_file():
            schedule = load_schedule(path, _bare(graph))
            if replay(graph, schedule).peak_bytes <= budget_bytes:
                told = read_json(path)["result"]
                return Chosen(schedule, told["method"], told["lower_bound_overhead"], told["seconds"])
    result = solve_here(graph, budget_bytes, seconds)
    if result.schedule is None:
        raise NothingToMeasure(f"{format_bytes(budget_bytes)}: {result.reason}")
    bound = relative_gap(result.lower_bound, graph.base_cost) if result.lower_bound is not None else None
    return Chosen(result.schedule, result.method, bound, result.seconds)


def solve_here(graph: Graph, budget_bytes: int, seconds: float) -> Result:
    """Solve where no solver may be installed."""
    method = "store_all" if graph.store_all_peak_bytes <= budget_bytes else QUICK_METHOD
    return solve_schedule(graph, budget_bytes, method=method, time_limit=seconds, gap=0.005)


def keep(graph: Graph, share: float, chosen: Chosen, directory: Path) -> Path:
    """Write a schedule to where `choose` looks for it."""
    told = {
        "method": chosen.method,
        "lower_bound_overhead": chosen.lower_bound_overhead,
        "seconds": round(chosen.seconds, 3),
    }
    (directory / FOLDER).mkdir(parents=True, exist_ok=True)
    path = directory / FOLDER / file_name(graph, share)
    save_schedule(chosen.schedule, _bare(graph), path, told)
    return path


def solve_elsewhere(graph: Graph, share: float, time_limit: float, workers: int) -> Chosen:
    """As exactly as `frontier_cuts` does in this time.

    Raises
    ------
    HcbOptError
        If it finds no schedule.
    """
    budget_bytes = int(share * graph.store_all_peak_bytes)
    result = solve_schedule(graph, budget_bytes, method="frontier_cuts", time_limit=time_limit, workers=workers)
    if result.schedule is None:
        raise HcbOptError(f"{graph.name} at {share:.0%}: {result.reason}")
    bound = relative_gap(result.lower_bound, graph.base_cost) if result.lower_bound is not None else None
    return Chosen(result.schedule, result.method, bound, result.seconds)


def _bare(graph: Graph) -> Graph:
    """Without scratch memory, which is measured and may differ from run to run."""
    return replace(graph, ops=tuple(replace(op, workspace_bytes=0) for op in graph.ops))
