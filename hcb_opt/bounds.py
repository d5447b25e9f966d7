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

from hcb_opt.graph import Graph


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
    return graph.base_cost + math.ceil(_cheapest_cover(graph, straddling_at(graph, position), deficit))


def tightest_position(graph: Graph, budget_bytes: int) -> int:
    """The position whose covering knapsack costs most: where one cut proves most.

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
    # Floats suffice to choose: the bound that each position gives is valid.
    import numpy as np

    costs = np.array([op.cost for op in graph.ops], dtype=float)
    freed = np.zeros(len(graph.ops))  # by producer: bytes of its values that are alive
    alive: set[int] = set()
    dying: list[list[int]] = [[] for _ in range(len(graph.ops) + 1)]
    for value, last in enumerate(graph.last_needed):
        dying[last].append(value)

    def count(value: int, sign: int) -> None:
        freed[graph.values[value].producer] += sign * graph.sizes[value]

    peak = max(range(len(graph.ops)), key=graph.store_all_profile_bytes.__getitem__)
    best = (-1.0, peak)
    for position, op in enumerate(graph.ops):
        for value in dying[position]:
            if value in alive:
                alive.remove(value)
                count(value, -1)
        held = [value for value in {*op.inputs, *op.outputs} if value in alive]
        for value in held:
            count(value, -1)
        producers = np.flatnonzero(freed)
        bytes_freed = freed[producers]
        deficit = bytes_freed.sum() + graph.workset_bytes[position] - budget_bytes
        if deficit > 0:
            cheapest = np.argsort(costs[producers] / bytes_freed)
            bytes_freed, prices = bytes_freed[cheapest], costs[producers][cheapest]
            covered = np.cumsum(bytes_freed)
            last = int(np.searchsorted(covered, deficit))
            share = 1.0 - (covered[last] - deficit) / bytes_freed[last]
            best = max(best, (float(prices[:last].sum() + share * prices[last]), position))
        for value in held:
            count(value, 1)
        for value in op.outputs:
            if graph.last_needed[value] > position:
                alive.add(value)
                count(value, 1)
    return best[1]


def _cheapest_cover(graph: Graph, values: Sequence[int], deficit_bytes: int) -> Fraction:
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
