"""Lower bounds that need no solver: on the cost at a budget, and on the budget.

The cost bound is the one-cut relaxation at its weakest: at the instant an op is
first computed, whatever must still be read later and is not resident has to be
computed again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hcb_opt.graph import Graph

_MOST_POSITIONS = 1000


@dataclass(frozen=True, slots=True)
class MandatoryMemory:
    """Bytes that every schedule holds at once.

    Attributes
    ----------
    size_bytes : int
        No schedule has a smaller peak.
    reason : str
        The op, or the outputs, that need them.
    """

    size_bytes: int
    reason: str


def mandatory_memory(graph: Graph) -> MandatoryMemory:
    """Largest memory that some instant of every schedule needs.

    An op runs with its inputs, outputs and workspace resident; when the last
    compute ends, every output of the graph is resident.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    MandatoryMemory
        A lower bound of the minimum feasible budget, for any order.
    """
    position = max(range(len(graph.ops)), key=graph.workset_bytes.__getitem__)
    op_bytes = graph.workset_bytes[position]
    output_bytes = sum(graph.sizes[value] for value in graph.outputs)
    if output_bytes > op_bytes:
        names = ", ".join(graph.values[value].name for value in graph.outputs[:3])
        more = "" if len(graph.outputs) <= 3 else f" and {len(graph.outputs) - 3} more"
        return MandatoryMemory(output_bytes, f"the outputs ({names}{more}) need {output_bytes} bytes at the end")
    op = graph.ops[position]
    names = ", ".join(f"{graph.values[value].name}: {graph.sizes[value]}" for value in (*op.inputs, *op.outputs))
    return MandatoryMemory(
        op_bytes, f"op '{op.name}' needs {op_bytes} bytes at once ({names}; workspace: {op.workspace_bytes})"
    )


def straddling_at(graph: Graph, position: int) -> tuple[int, ...]:
    """The values alive past an op that it does not touch.

    A value straddles a position if it is first produced before it and, in the
    fixed order, needed after it.

    Parameters
    ----------
    graph : Graph
    position : int
        Of the op.

    Returns
    -------
    tuple of int
        Values, ascending.
    """
    op = graph.ops[position]
    touched = {*op.inputs, *op.outputs}
    return tuple(
        value
        for value, each in enumerate(graph.values)
        if each.producer < position < graph.last_needed[value] and value not in touched
    )


def cover_bound(graph: Graph, budget_bytes: int) -> int:
    """Cheapest recomputation that any one position of the fixed order forces.

    At the instant op p is first computed its inputs, outputs and workspace are
    resident, so of the straddling values at most the rest of the budget stays;
    each one that does not is computed again. The fractional covering knapsack
    over the producers (cost per byte freed, cheapest first) bounds that from
    below; the best position counts.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
        At least the mandatory memory.

    Returns
    -------
    int
        A lower bound of the cost of every fixed-order schedule within budget,
        in cost units.
    """
    position = tightest_position(graph, budget_bytes)
    deficit = graph.store_all_profile_bytes[position] - budget_bytes
    if deficit <= 0:
        return graph.base_cost
    return graph.base_cost + math.ceil(exact_covering_cost(graph, straddling_at(graph, position), deficit))


def tightest_position(graph: Graph, budget_bytes: int) -> int:
    """The position whose covering knapsack costs most: where one cut proves most.

    Of very many positions over budget, some at even distances are looked at, and
    then those around the best of them.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
        At least the mandatory memory.

    Returns
    -------
    int
        Position of an op; the peak of the store-all schedule if no position
        forces a recompute.
    """
    profile_bytes = graph.store_all_profile_bytes
    over = [position for position, size_bytes in enumerate(profile_bytes) if size_bytes > budget_bytes]
    if not over:
        return max(range(len(graph.ops)), key=profile_bytes.__getitem__)
    apart = -(-len(over) // _MOST_POSITIONS)
    best = _dearest_cover(graph, over[::apart], budget_bytes)
    around = over.index(best)
    return _dearest_cover(graph, over[max(0, around - apart + 1) : around + apart], budget_bytes)


def _dearest_cover(graph: Graph, positions: Sequence[int], budget_bytes: int) -> int:
    """Of these positions, ascending and over budget, that whose covering knapsack costs most."""
    producers = np.array([value.producer for value in graph.values], dtype=np.int64)
    lasts = np.array(graph.last_needed, dtype=np.int64)
    sizes = np.array(graph.sizes, dtype=np.int64)
    costs = np.array([op.cost for op in graph.ops], dtype=float)
    best = (-1.0, positions[0])
    for position in positions:
        op = graph.ops[position]
        straddling = (producers < position) & (position < lasts)
        straddling[[*op.inputs, *op.outputs]] = False
        deficit_bytes = graph.store_all_profile_bytes[position] - budget_bytes
        cost = covering_cost(producers[straddling], sizes[straddling], costs, deficit_bytes)
        best = max(best, (cost, position))
    return best[1]


def covering_cost(
    producers: NDArray[np.int64], sizes: NDArray[np.int64], costs: NDArray[np.float64], deficit_bytes: int
) -> float:
    """The fractional covering knapsack in floating point: enough to choose by, since any choice gives a valid bound.

    Parameters
    ----------
    producers, sizes : ndarray, one per value that may be forgotten
        Its op, and its bytes.
    costs : ndarray, one per op
    deficit_bytes : int
        To be freed; at most all of them together.
    """
    freed_bytes = np.bincount(producers, sizes, len(costs))
    freed = np.flatnonzero(freed_bytes)
    cheapest = freed[np.argsort(costs[freed] / freed_bytes[freed])]
    covered = np.cumsum(freed_bytes[cheapest])
    last = min(int(np.searchsorted(covered, deficit_bytes)), len(cheapest) - 1)
    share = 1.0 - (covered[last] - deficit_bytes) / freed_bytes[cheapest[last]]
    return float(costs[cheapest[:last]].sum() + share * costs[cheapest[last]])


def exact_covering_cost(graph: Graph, values: Sequence[int], deficit_bytes: int) -> Fraction:
    """The same knapsack over the producers of these values, exactly.

    Parameters
    ----------
    graph : Graph
    values : sequence of int
    deficit_bytes : int
        To be freed; at most all of them together.
    """
    freed: dict[int, int] = {}
    for value in values:
        producer = graph.values[value].producer
        freed[producer] = freed.get(producer, 0) + graph.sizes[value]
    cost = Fraction(0)
    for producer in sorted(
        (each for each in freed if freed[each]), key=lambda each: Fraction(graph.ops[each].cost, freed[each])
    ):
        take = min(deficit_bytes, freed[producer])
        cost += Fraction(graph.ops[producer].cost * take, freed[producer])
        deficit_bytes -= take
        if deficit_bytes == 0:
            break
    return cost


def cost_divisor(graph: Graph) -> int:
    """The largest number that divides every op's cost, and so every schedule's; 1 if nothing costs anything."""
    return math.gcd(*(op.cost for op in graph.ops)) or 1


def integer_bound(dual: float, unit: int = 1) -> int:
    """Turn a solver's floating-point bound into a valid bound in whole units.

    Parameters
    ----------
    dual : float
        Lower bound that is right up to 1e-9 of itself and 1e-6.
    unit : int
        Every possible objective is a multiple of it.

    Returns
    -------
    int
        The smallest multiple of ``unit`` that is not below the bound less its
        error.
    """
    return max(0, math.ceil((dual - abs(dual) * 1e-9 - 1e-6) / unit)) * unit
