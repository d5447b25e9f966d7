"""A result as JSON: the certificate that is printed and kept beside a schedule."""

from __future__ import annotations

import math
from typing import Any

from hcb_opt.graph import Graph
from hcb_opt.result import Result

RESULT_FORMAT = "hcb-opt/result"
VERSION = 1


def result_to_json(result: Result, graph: Graph, total: bool = False) -> dict[str, Any]:
    """A result as a JSON object, without its schedule.

    Parameters
    ----------
    result : Result
    graph : Graph
        The graph that was solved.
    total : bool
        Whether its budget and peaks count the persistent bytes.

    Returns
    -------
    dict
        Numbers or null in ``cost``, ``peak_bytes``, ``lower_bound``, ``overhead``
        and ``gap``; ``events`` as ``[seconds, cost, bound]``.
    """
    return {
        "format": RESULT_FORMAT,
        "version": VERSION,
        "graph": graph.name,
        "status": result.status.value,
        "method": result.method,
        "claim": result.claim,
        "ops": len(graph.ops),
        "values": len(graph.values),
        "budget_bytes": result.budget_bytes,
        "peak_bytes": result.peak_bytes,
        "store_all_peak_bytes": result.store_all_peak_bytes,
        "persistent_bytes": result.persistent_bytes,
        "total": total,
        "cost_unit": graph.cost_unit,
        "cost": result.cost,
        "base_cost": result.base_cost,
        "overhead": _finite(result.overhead),
        "lower_bound": result.lower_bound,
        "gap": _finite(result.gap),
        "seconds": round(result.seconds, 6),
        "reason": result.reason,
        "events": [[round(event.seconds, 6), event.cost, event.bound] for event in result.events],
        "provenance": dict(result.provenance),
    }


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
