"""A Pareto front as a table for people and as files for programs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hcb_opt.budget import format_bytes
from hcb_opt.experiments.machine import machine_facts
from hcb_opt.files import replacing, require_folder, write_csv, write_json
from hcb_opt.graph import Graph
from hcb_opt.pareto_front import ParetoFront, ParetoPoint
from hcb_opt.plot_pareto import save_pareto_figure
from hcb_opt.result import Status, relative_gap

PARETO_FORMAT = "hcb-opt/pareto"
VERSION = 1
FILES = ("pareto.png", "pareto.pdf", "pareto.csv", "pareto.json")


def front_to_json(front: ParetoFront, graph: Graph, facts: Mapping[str, int | float | str | None]) -> dict[str, Any]:
    """A front as a JSON object, without its schedules.

    Parameters
    ----------
    front : ParetoFront
    graph : Graph
        The graph that was solved.
    facts : mapping
        Limits, seed and workers of the run; versions and machine are added.

    Returns
    -------
    dict
        As described by ``pareto.schema.json``.
    """
    return {
        "format": PARETO_FORMAT,
        "version": VERSION,
        "graph": graph.name,
        "ops": len(graph.ops),
        "values": len(graph.values),
        "method": front.method,
        "order": front.order,
        "claim": front.claim,
        "cost_unit": graph.cost_unit,
        "base_cost": front.base_cost,
        "store_all_peak_bytes": front.store_all_peak_bytes,
        "persistent_bytes": graph.persistent_bytes,
        "minimum_bytes": front.minimum_bytes,
        "interrupted": front.interrupted,
        "seconds": round(front.seconds, 3),
        "points": [_record(point, front) for point in front.points],
        "provenance": {**machine_facts(), **facts},
    }


def save_front(
    front: ParetoFront, graph: Graph, directory: str | Path, facts: Mapping[str, int | float | str | None]
) -> None:
    """Write ``pareto.png``, ``pareto.pdf``, ``pareto.csv`` and ``pareto.json``: all of them or none.

    Parameters
    ----------
    front : ParetoFront
    graph : Graph
        The graph that was solved.
    directory : str or Path
        Made if missing.
    facts : mapping
        As in `front_to_json`.

    Raises
    ------
    InvalidInput
        If the folder cannot be made or written to.
    """
    folder = Path(directory)
    require_folder(folder)
    document = front_to_json(front, graph, facts)
    with ExitStack() as written:
        png, pdf, table, data = (written.enter_context(replacing(folder / name)) for name in FILES)
        save_pareto_figure(front, f"{graph.name} ({len(graph.ops)} ops)", [png, pdf])
        write_csv(table, document["points"])
        write_json(data, document, rows=("points",))


def format_front(front: ParetoFront, graph: Graph) -> str:
    """The front as a table, largest budget first.

    Parameters
    ----------
    front : ParetoFront
    graph : Graph
        The graph that was solved.
    """
    cells = [["budget", "share", "overhead", "lower bound", "gap"]]
    for point in reversed(front.points):
        share = f"{100 * point.budget_bytes / max(1, front.store_all_peak_bytes):.2f} %"
        below = point.status is Status.INFEASIBLE
        budget = f"below {format_bytes(point.budget_bytes + 1)}" if below else format_bytes(point.budget_bytes)
        cells.append([budget, share, *_found(point, front)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    proven = sum(point.status is Status.OPTIMAL for point in front.feasible)
    ended = ", interrupted" if front.interrupted else ""
    title = (
        f"{graph.name}: schedules for {len(front.feasible)} budgets, {proven} proven optimal ({front.claim}), "
        f"in {front.seconds:.2f} s{ended}"
    )
    return "\n".join([title, *lines])


def _found(point: ParetoPoint, front: ParetoFront) -> list[str]:
    if point.status is Status.INFEASIBLE:
        return ["infeasible", "", ""]
    figures = (_overhead(point.cost, front), _overhead(point.lower_bound, front))
    overhead, bound = ("-" if each is None else f"{100 * each:.3f} %" for each in figures)
    if point.status is Status.OPTIMAL:
        return [overhead, bound, "optimal"]
    return [overhead, bound, "-" if point.gap is None else f"{100 * point.gap:.3f} %"]


def _overhead(cost: int | None, front: ParetoFront) -> float | None:
    return None if cost is None else relative_gap(cost, front.base_cost)


def _record(point: ParetoPoint, front: ParetoFront) -> dict[str, Any]:
    whole = front.store_all_peak_bytes
    return {
        "budget_bytes": point.budget_bytes,
        "budget_share": round(point.budget_bytes / whole, 6) if whole else None,
        "status": point.status.value,
        "peak_bytes": point.peak_bytes,
        "cost": point.cost,
        "overhead": _overhead(point.cost, front),
        "schedule_from_bytes": point.schedule_from_bytes,
        "lower_bound": point.lower_bound,
        "lower_bound_overhead": _overhead(point.lower_bound, front),
        "bound_from_bytes": point.bound_from_bytes,
        "gap": point.gap,
        "nondominated": point in front.nondominated,
        "seconds": round(point.seconds, 3),
        "reason": point.reason,
    }
