"""Placement policies of autodiff libraries: what the forward keeps; the backward computes the rest when it reads it.

A policy names forward values to keep. The others are let go where the forward
turns, and each is computed again, with whatever it needs, when the backward first
reads it; then it stays until its last read. Libraries leave the choice to
the user (marks, every N-th layer), to sizes, to a limit on kept bytes, or to the
kind of operator. None of them looks at the peak: a policy's schedules are offered
as they come, and the cheapest that fits counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate
from math import isqrt

from hcb_opt.blocks import turn_position
from hcb_opt.graph import Graph, Op
from hcb_opt.progress import Problem, Progress
from hcb_opt.realise import recompute_on_demand
from hcb_opt.registry import method
from hcb_opt.reversal import offer_cheapest, spread_counts

MARKS = "keep"
LIMITS = 20
COSTLY = frozenset(
    {"mm", "addmm", "bmm", "baddbmm", "matmul", "einsum", "dot", "linear", "conv", "convolution"}
    | {"attention", "norm", "layernorm", "softmax"}
)
CHEAP = frozenset({"add", "sub", "mul", "div", "neg", "relu", "gelu", "silu", "tanh", "sigmoid", "threshold", "clamp"})


@method("keep_costly_ops", kind="heuristic", graphs="any DAG with named operators", cites="policies by operator kind")
def keep_costly_ops(problem: Problem, progress: Progress) -> None:
    """Keep what matmuls, attention, norms and softmax write; recompute additions, products and activations.

    Kinds are told by the words of the ops' names. Two schedules are tried: one
    recomputes only the cheap kinds, the other all but the costly ones. An op with
    words of both counts as costly.
    """
    forward = problem.graph.ops[: turn_position(problem.graph)]
    not_cheap = _outputs(op for op in forward if _is(op, COSTLY) or not _is(op, CHEAP))
    costly = _outputs(op for op in forward if _is(op, COSTLY))
    _offer(problem, progress, iter((not_cheap, costly)), "schedules that keep costly operators' values")


@method("keep_even_bytes", kind="heuristic", graphs="any DAG", cites="Chen et al. 2016, sqrt(n) by footprint")
def keep_even_bytes(problem: Problem, progress: Progress) -> None:
    """Keep about sqrt(n) ops' values, spaced so that the forward writes equally many bytes between them.

    Every number of kept ops from 2 sqrt(n) down to none is tried, and keeping all.
    """
    ops = problem.graph.ops[: turn_position(problem.graph)]
    reached = list(accumulate(sum(problem.graph.sizes[value] for value in op.outputs) for op in ops))

    def choices() -> Iterator[set[int]]:
        yield _outputs(iter(ops))
        for count in range(2 * isqrt(len(ops)), -1, -1):
            yield _outputs(ops[position] for position in evenly_spaced(reached, count))

    _offer(problem, progress, choices(), "schedules that keep values at even distances in bytes")


@method("keep_every_nth", kind="heuristic", graphs="any DAG", cites="checkpoints every N layers")
def keep_every_nth(problem: Problem, progress: Progress) -> None:
    """Keep what every N-th op of the forward writes; several N are tried.

    N is 1 (nothing is recomputed), 2, 3, 4, 6, 8, 12, ... and the length of the
    forward (only its last op's values are kept).
    """
    ops = problem.graph.ops[: turn_position(problem.graph)]
    choices = (_outputs(iter(ops[count - 1 :: count])) for count in spread_counts(len(ops)))
    _offer(problem, progress, choices, "schedules that keep every N-th op's values")


@method("keep_marked", kind="heuristic", graphs="any DAG with marks in its facts", cites="marks set by hand")
def keep_marked(problem: Problem, progress: Progress) -> None:
    """Keep what ops write whose names match the graph's fact `keep`, such as "addmm*,*attention*".

    The fact holds shell patterns, separated by commas; without it there is nothing
    to do.
    """
    graph = problem.graph
    patterns = [each for each in str(graph.facts.get(MARKS, "")).replace(" ", "").split(",") if each]
    if not patterns:
        progress.give_up(f"the graph marks no ops; give patterns of their names in its fact '{MARKS}'")
        return
    forward = graph.ops[: turn_position(graph)]
    kept = _outputs(op for op in forward if any(fnmatchcase(op.name, pattern) for pattern in patterns))
    _offer(problem, progress, iter((kept,)), "schedules that keep the marked ops' values")


@method("keep_within_bytes", kind="heuristic", graphs="any DAG", cites="limits on the bytes kept for the backward")
def keep_within_bytes(problem: Problem, progress: Progress) -> None:
    """Keep values that cost most per byte, up to a limit on kept bytes; limits from all to none are tried.

    Only values that the backward reads count; a limit is one of twenty even parts
    of their bytes.
    """
    graph = problem.graph
    turn = turn_position(graph)
    read = [
        value for value, each in enumerate(graph.values) if each.producer < turn and graph.last_needed[value] >= turn
    ]
    cost = [graph.ops[graph.values[value].producer].cost for value in range(len(graph.values))]
    read.sort(key=lambda value: (-cost[value] / max(1, graph.sizes[value]), value))
    total_bytes = sum(graph.sizes[value] for value in read)

    def choices() -> Iterator[set[int]]:
        for part in range(LIMITS, -1, -1):
            kept, left_bytes = set(), total_bytes * part // LIMITS
            for value in read:
                if graph.sizes[value] <= left_bytes:
                    kept.add(value)
                    left_bytes -= graph.sizes[value]
            yield kept

    _offer(problem, progress, choices(), "schedules that keep up to a limit of bytes")


def evenly_spaced(reached: Sequence[int], count: int) -> list[int]:
    """Positions that part a running sum into ``count + 1`` about even parts.

    Parameters
    ----------
    reached : sequence of int
        The sum at each position, ascending.
    count : int

    Returns
    -------
    list of int
        Positions where a part is full, ascending; fewer than ``count`` where one
        step fills several parts.
    """
    parts = [min(count, each * (count + 1) // max(1, reached[-1])) for each in reached]
    return [position for position, part in enumerate(parts) if part > (parts[position - 1] if position else 0)]


def lazy_computes(graph: Graph, kept: Collection[int]) -> list[int]:
    """The computes of a step that keeps some forward values, and recomputes the others when they are read.

    Parameters
    ----------
    graph : Graph
    kept : collection of int
        Values; the graph's outputs are kept too.

    Returns
    -------
    list of int
        Positions of ops, recomputes included, first computes in the fixed order.
    """
    turn = turn_position(graph)
    lasting = graph.required.union(kept)
    let_go = [value for value, each in enumerate(graph.values) if each.producer < turn and value not in lasting]
    return recompute_on_demand(graph, {turn - 1: let_go})


def _offer(problem: Problem, progress: Progress, choices: Iterator[set[int]], family: str) -> None:
    offer_cheapest(problem, progress, (lazy_computes(problem.graph, kept) for kept in choices), family)


def _outputs(ops: Iterator[Op]) -> set[int]:
    return {value for op in ops for value in op.outputs}


def _is(op: Op, kinds: frozenset[str]) -> bool:
    return not kinds.isdisjoint(re.split(r"[^a-z]+", op.name.lower()))
