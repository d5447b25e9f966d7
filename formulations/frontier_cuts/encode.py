"""From a schedule to a point of the relaxation: why the relaxation is one, and a warm start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hcb_opt.formulations.frontier_cuts.order_rows import OrderRows
from hcb_opt.formulations.frontier_cuts.plan import runs
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.highs import Vector
from hcb_opt.lifetimes import lifetimes


def encode(relaxation: Relaxation, order_rows: Iterable[OrderRows], order: Sequence[int]) -> Vector:
    """The point of the relaxation that a sequence of computes stands for.

    Every fixed-order sequence that fits the budget gives a feasible point that
    costs no more than its recomputes: hence the relaxation's lower bound.

    Parameters
    ----------
    relaxation : Relaxation
    order_rows : iterable of OrderRows
        All that were added to the relaxation.
    order : sequence of int
        Positions of ops, first computes in the fixed order.

    Returns
    -------
    ndarray of float64, one per column
    """
    graph = relaxation.graph
    point = np.zeros(len(relaxation.costs))
    state = lifetimes(graph, order)
    last_run: list[dict[int, int]] = [{} for _ in relaxation.recompute]
    spent = [0] * len(relaxation.recompute)
    for target, start, stop in runs(graph, order):
        stage = relaxation.stage_of(target)
        for step in range(start, stop):
            if order[step] in relaxation.recompute[stage]:
                last_run[stage][order[step]] = step
                spent[stage] += graph.ops[order[step]].cost
        if stage < len(relaxation.cuts) and target == relaxation.cuts[stage]:
            kept = (state.starts <= stop - 1) & (state.ends > stop - 1)
            for value in state.values[kept].tolist():
                if value in relaxation.carry[stage + 1]:
                    point[relaxation.carry[stage + 1][value]] = 1.0
    for stage, ran in enumerate(last_run):
        for op in ran:
            point[relaxation.recompute[stage][op]] = 1.0
            for tail in relaxation.tail[: stage + 1]:
                if op in tail:
                    point[tail[op]] = 1.0
    for stage, column in relaxation.extra.items():
        more = spent[stage] - sum(graph.ops[op].cost for op in last_run[stage])
        point[column] = min(1.0, more / max(1, relaxation.costs[column]))
    for rows in order_rows:
        _encode_order(point, rows, last_run[rows.stage])
    return point


def _encode_order(point: Vector, rows: OrderRows, last_run: dict[int, int]) -> None:
    """Set Y to who last runs after whom, and H to the least that the rows allow."""
    graph = rows.relaxation.graph
    for (op, other), column in rows.later.items():
        point[column] = float(other in last_run and last_run[other] > last_run.get(op, -1))
    readers: dict[int, list[int]] = {}
    for other in rows.ops:
        for value in graph.ops[other].inputs:
            readers.setdefault(value, []).append(other)
    for (op, value), column in rows.held.items():
        needed_at = rows.needed.get(value, -1)
        needs = [1.0 if needed_at is None else point[needed_at] if needed_at >= 0 else 0.0]
        needs += [point[rows.later[op, other]] for other in readers.get(value, ()) if other != op]
        point[column] = max(0.0, max(needs) - point[rows.later[op, graph.values[value].producer]])
