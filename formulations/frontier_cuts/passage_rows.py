"""Rows that charge a stage what its passage costs, where cuts and order rows fall short.

A stage with one new op is left with no more than it begins with and recomputes.
If it begins with no value outside a set A and ends with every value of a set B,
its recomputes cost at least those of the cheapest passage from A to B, however
often and in whatever order ops run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.formulations.frontier_cuts.stage_search import FEW_MOVES, Passage, cheapest_passage
from hcb_opt.highs import Vector

_MOVES_TO_STRENGTHEN = 2_000


@dataclass(frozen=True, slots=True)
class PassageBound:
    """A bound of what one stage costs.

    Attributes
    ----------
    target : int
        The stage's only new op; the number of ops for the stage after the last.
    available, kept : frozenset of int
        The sets A and B.
    cost : int or None
        Of the cheapest passage; None if there is none.
    """

    target: int
    available: frozenset[int]
    kept: frozenset[int]
    cost: int | None


def inspect_passage(
    relaxation: Relaxation,
    solution: Vector,
    target: int,
    most_moves: int = FEW_MOVES,
    stop: Callable[[], bool] = lambda: False,
) -> Passage | list[PassageBound] | None:
    """Search the stage that a solution plans for its cheapest passage.

    Parameters
    ----------
    relaxation : Relaxation
    solution : ndarray of float64, one per column
    target : int
    most_moves : int
        Of the search.
    stop : callable
        Asked now and then; True ends the search.

    Returns
    -------
    Passage, list of PassageBound or None
        The passage if it costs no more than the solution charges; else bounds
        that the solution breaks, each made as strong as single values allow, in
        one order or another; None if the stage has other new ops than the
        target, or the search ends early.
    """
    graph = relaxation.graph
    stage = relaxation.stage_of(target)
    if not relaxation.first_op(stage) == target == max(relaxation.last_op(stage), relaxation.first_op(stage)):
        return None
    ends = relaxation.carry[stage + 1] if stage < len(relaxation.cuts) else {}
    available = {value for value, column in relaxation.carry[stage].items() if solution[column] > 0.5}
    kept = {value for value, column in ends.items() if solution[column] > 0.5}
    budget_bytes = relaxation.budget_bytes
    found = cheapest_passage(graph, target, available, kept, budget_bytes, most_moves, stop=stop)
    if found is None:
        return None
    charged = sum(graph.ops[op].cost for op, column in relaxation.recompute[stage].items() if solution[column] > 0.5)
    if stage in relaxation.extra:
        charged += round(solution[relaxation.extra[stage]] * relaxation.costs[relaxation.extra[stage]])
    if found.cost is not None and found.cost <= charged:
        return found

    def as_dear(available: set[int], kept: set[int]) -> bool:
        other = cheapest_passage(
            graph, target, available, kept, budget_bytes, _MOVES_TO_STRENGTHEN, enough=found.cost, stop=stop
        )
        return other is not None and (other.cost is None or (found.cost is not None and other.cost >= found.cost))

    bounds = []
    others = sorted(set(relaxation.carry[stage]) - available)
    for order in (others, others[::-1], sorted(others, key=lambda value: -graph.sizes[value])):
        most, least = set(available), set(kept)
        for value in order:
            if as_dear(most | {value}, least):
                most.add(value)
        for value in sorted(kept):
            if as_dear(most, least - {value}):
                least.remove(value)
        bounds.append(PassageBound(target, frozenset(most), frozenset(least), found.cost))
    return list(dict.fromkeys(bounds))


def add_passage_row(relaxation: Relaxation, bound: PassageBound, bounds: Iterable[PassageBound]) -> None:
    """sum cost(o) R[k,o] + E[k] + cost * (S in outside A + S out missing of B) >= cost.

    E[k] charges what ops cost that run more than once in the stage. Without a
    passage the sets must differ: S in outside A + S out missing of B >= 1.
    """
    stage = relaxation.stage_of(bound.target)
    differs = [(column, 1) for value, column in relaxation.carry[stage].items() if value not in bound.available]
    missing = [relaxation.carry[stage + 1][value] for value in sorted(bound.kept)]
    if bound.cost is None:
        relaxation.rows.at_least(1 - len(missing), [*differs, *((column, -1) for column in missing)])
        return
    # A share, since a count of cost units would need coefficients that solvers take for zero.
    extra = relaxation.extra_cost(stage, max(each.cost or 0 for each in bounds if each.target == bound.target))
    scale = 1.0 / max(1, bound.cost)
    relaxation.rows.at_least(
        1 - len(missing),
        [
            *((column, relaxation.graph.ops[op].cost * scale) for op, column in relaxation.recompute[stage].items()),
            (extra, relaxation.costs[extra] * scale),
            *differs,
            *((column, -1) for column in missing),
        ],
    )
