"""A lower bound with a proof that can be checked without trust in any solver."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hcb_opt.bound_proof import BoundProof, Leaf
from hcb_opt.bounds import cost_divisor, integer_bound, tightest_position
from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.plan import realise, worst_violations
from hcb_opt.formulations.frontier_cuts.relaxation import reachable_past
from hcb_opt.graph import Graph
from hcb_opt.highs import highs
from hcb_opt.proof_rows import Name, Programme
from hcb_opt.proof_search import search_proof

_ROUND_SHARE = 0.1
_MOST_ROUNDS = 30


def prove_bound(graph: Graph, budget_bytes: int, cost: int, *, time_limit: float = 60.0, seed: int = 0) -> BoundProof:
    """Prove that no fixed-order schedule within the budget costs less than ``cost``, or as nearly as time allows.

    Cuts and order rows are added as `frontier_cuts` adds them, until the
    relaxation's optimum is as high; then a branch-and-bound tree of that
    relaxation becomes the proof.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
    cost : int
        Of a known schedule.
    time_limit : float
        Seconds, half of it for the choice of cuts.
    seed : int

    Returns
    -------
    BoundProof
    """
    unit = cost_divisor(graph)
    target = cost - graph.base_cost
    if target == 0 or not graph.ops:
        return BoundProof((), unit, 0, (Leaf(1, ()),))
    cuts = _choose_cuts(graph, budget_bytes, target, unit, time_limit, seed)
    programme = Programme(graph, budget_bytes, sorted(cuts.positions))
    stages = {_stage(programme, target_op): ops for target_op, ops in cuts.recomputes.items()}
    return search_proof(programme, _names(programme, stages), unit, target, time_limit)


def _choose_cuts(graph: Graph, budget_bytes: int, target: int, unit: int, time_limit: float, seed: int) -> Cuts:
    """Grow cuts until the relaxation proves the target, its plan fits, or half the time is up."""
    deadline = time.perf_counter() + time_limit / 2
    cuts = Cuts(graph, {tightest_position(graph, budget_bytes)})
    best = (-1, cuts.copy())
    for _ in range(_MOST_ROUNDS):
        seconds = min(deadline - time.perf_counter(), max(4.0, time_limit * _ROUND_SHARE))
        if seconds <= 0:
            break
        relaxation, _ = cuts.relaxation(budget_bytes)
        report = highs().solve(relaxation.model(seconds=seconds, seed=seed))
        bound = 0 if report.bound is None else integer_bound(report.bound * relaxation.scale, unit)
        if bound > best[0]:
            best = (bound, cuts.copy())
        if bound >= target or report.infeasible or report.values is None:
            break
        violations = worst_violations(relaxation, realise(relaxation, report.values))
        added = [cuts.add(violation) for violation in violations]
        if not any(added):
            break
    return best[1]


def _stage(programme: Programme, target: int) -> int:
    return sum(cut < target for cut in programme.cuts)


def _names(programme: Programme, order_stages: dict[int, set[int]]) -> Iterator[Name]:
    """The rows of the relaxation, by name."""
    graph, last = programme.graph, programme.last
    reachable = [reachable_past(graph, first - 1) for first in programme.first_new[: last + 1]]
    for stage, (ops, values) in enumerate(reachable):
        first, end = programme.first_new[stage], programme.first_new[stage + 1]
        yield from (("available", stage, op, value) for op in ops for value in graph.ops[op].inputs)
        readers = {value: op for op in range(end - 1, first - 1, -1) for value in graph.ops[op].inputs}
        old = [value for value in values if graph.values[value].producer < first]
        yield from (("needed", stage, readers[value], value) for value in old if value in readers)
        if stage < last:
            carried = reachable[stage + 1][1]
            yield from (("carried", stage, value) for value in carried if graph.values[value].producer < first)
            yield ("cut-memory", stage)
        else:
            yield from (("output-kept", value) for value in graph.outputs if graph.values[value].producer < first)
        if 0 < stage < last:
            yield from _tail_names(programme, stage, ops, old)
        elif stage == last and last:
            yield from (("tail-splits", stage, op) for op in ops)
        yield from _order_names(programme, stage, sorted(order_stages.get(stage, set()) & set(ops)), set(ops))


def _tail_names(programme: Programme, stage: int, ops: list[int], old: list[int]) -> Iterator[Name]:
    graph, first = programme.graph, programme.first_new[stage]
    for op in ops:
        yield ("tail-splits", stage, op)
        yield ("tail-has-now", stage, op)
        yield ("tail-has-later", stage, op)
        yield from (("tail-available", stage, op, value) for value in graph.ops[op].inputs)
    for value in old:
        later = next((op for op in graph.consumers[value] if op >= first), None)
        if later is not None:
            yield ("tail-needed", stage, later, value)
        elif value in graph.required:
            yield ("tail-output", stage, value)


def _order_names(programme: Programme, stage: int, ops: list[int], recomputed: set[int]) -> Iterator[Name]:
    graph = programme.graph
    ended = stage == programme.last
    required = graph.outputs if ended else graph.ops[programme.cuts[stage]].inputs
    carried = [] if ended else reachable_past(graph, programme.cuts[stage])[1]
    for op in ops:
        touched = {*graph.ops[op].inputs, *graph.ops[op].outputs}

        def held(value: int, touched: set[int] = touched) -> bool:
            return value not in touched and graph.values[value].producer in recomputed and graph.sizes[value] > 0

        producers = set()
        for value in filter(held, required):
            yield ("held-for-output", op, value) if ended else ("held-for-cut", stage, op, value)
            producers.add(graph.values[value].producer)
        for value in filter(held, set(carried) - set(required)):
            yield ("held-to-end", stage, op, value)
            producers.add(graph.values[value].producer)
        for other in ops:
            for value in filter(held, graph.ops[other].inputs if other != op else ()):
                yield ("held-for-run", stage, op, other, value)
                producers.add(graph.values[value].producer)
        yield from (("later-runs", stage, op, other) for other in sorted(producers | set(ops)) if other != op)
        for other in ops:
            if other < op:
                yield ("not-both-later", stage, op, other)
                yield ("one-is-later", stage, op, other)
        yield ("run-memory", stage, op)
