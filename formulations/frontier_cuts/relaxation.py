"""The frontier-cut relaxation as a mixed-integer programme."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hcb_opt.bounds import cost_divisor
from hcb_opt.graph import Graph
from hcb_opt.highs import Model

_OBJECTIVE_RANGE = 1e9
_ROW_RANGE = 1e3


@dataclass
class Rows:
    """Linear rows ``lower <= sum coefficient * variable`` under construction."""

    columns: list[int] = field(default_factory=list)
    coefficients: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    lower: list[float] = field(default_factory=list)

    def at_least(self, bound: float, terms: Iterable[tuple[int, float]]) -> None:
        """Add ``sum coefficient * variable >= bound``."""
        for column, coefficient in terms:
            self.columns.append(column)
            self.coefficients.append(coefficient)
        self.starts.append(len(self.columns))
        self.lower.append(bound)


class Relaxation:
    """Variables and rows of the relaxation for one choice of cuts.

    Stage k holds the ops first computed in (b_{k-1}, b_k]; the last stage ends
    at the last op.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
    cuts : iterable of int
        Positions b_1 < ... < b_K of ops, before the last.

    Attributes
    ----------
    recompute : list of dict of int to int
        For each stage, op -> column of R[k, op]; a stage's new ops run anyway
        and have none.
    carry : list of dict of int to int
        For each stage, value -> column of S[k, value]: resident when the op
        before the stage is first computed, and kept into it.
    tail : list of dict of int to int
        For each stage, op -> column of Z[k, op], see `tail_rows`; empty without them.
    extra : dict of int to int
        For stages with passage rows, the column of E[k]: what ops that run more
        than once in the stage cost beyond R, as a share of the column's cost.
    """

    def __init__(self, graph: Graph, budget_bytes: int, cuts: Iterable[int]) -> None:
        self.graph = graph
        self.budget_bytes = budget_bytes
        self.cuts = tuple(sorted(cuts))
        self.costs: list[int] = []
        self.extra: dict[int, int] = {}
        self.tail: list[dict[int, int]] = []
        self.rows = Rows()
        self.recompute: list[dict[int, int]] = []
        self.carry: list[dict[int, int]] = []
        for boundary in (-1, *self.cuts):
            ops, values = reachable_past(graph, boundary)
            self.recompute.append({op: self.variable(graph.ops[op].cost) for op in ops})
            self.carry.append({value: self.variable(0) for value in values})
        for stage in range(len(self.recompute)):
            self._available(stage)
            if stage < len(self.cuts):
                self._carried(stage)
                self._cut_memory(stage)
            else:
                self._outputs(stage)

    def variable(self, cost: int) -> int:
        """Add a 0/1 variable of this cost and return its column."""
        self.costs.append(cost)
        return len(self.costs) - 1

    def extra_cost(self, stage: int, cost: int) -> int:
        """The column of E[k], a share from 0 to 1 of the largest cost asked for."""
        if stage not in self.extra:
            self.extra[stage] = self.variable(0)
        column = self.extra[stage]
        self.costs[column] = max(self.costs[column], cost)
        return column

    def first_op(self, stage: int) -> int:
        """Position of the stage's first new op."""
        return self.cuts[stage - 1] + 1 if stage else 0

    def last_op(self, stage: int) -> int:
        """Position of the stage's last new op."""
        return self.cuts[stage] if stage < len(self.cuts) else len(self.graph.ops) - 1

    def stage_of(self, position: int) -> int:
        """The stage in which the op at this position is first computed."""
        return int(np.searchsorted(self.cuts, position))

    def model(self, *, seconds: float, seed: int, memory_limit_bytes: int | None = None) -> Model:
        """The relaxation as the solver takes it.

        Parameters
        ----------
        seconds, seed, memory_limit_bytes
            As in `Model`; gaps are those of the recomputes' cost alone.

        Returns
        -------
        Model
            Its costs are in units of `scale`.
        """
        integrality = np.ones(len(self.costs), dtype=np.uint8)
        integrality[list(self.extra.values())] = 0
        return Model(
            costs=np.array(self.costs, dtype=np.float64) / self.scale,
            lower=np.zeros(len(self.costs)),
            upper=np.ones(len(self.costs)),
            row_lower=np.array(self.rows.lower),
            row_upper=np.full(len(self.rows.lower), np.inf),
            row_starts=np.array(self.rows.starts, dtype=np.int32),
            row_columns=np.array(self.rows.columns, dtype=np.int32),
            row_coefficients=np.array(self.rows.coefficients),
            integrality=integrality,
            seconds=seconds,
            seed=seed,
            memory_limit_bytes=memory_limit_bytes,
        )

    @cached_property
    def scale(self) -> float:
        """Cost units per unit of the model's objective.

        The largest that keeps objectives whole, of which the solver makes use;
        but no less than the solver's precision can tell apart.
        """
        return max(1.0, cost_divisor(self.graph), self.graph.base_cost / _OBJECTIVE_RANGE)

    def _sources(self, stage: int, value: int) -> list[tuple[int, float]]:
        """R[k, prod(v)] + S[k, v]: how an old value comes to be resident in a stage."""
        producer = self.graph.values[value].producer
        return [(self.recompute[stage][producer], 1.0), (self.carry[stage][value], 1.0)]

    def _available(self, stage: int) -> None:
        """R[k,o] <= R[k,prod(v)] + S[k,v] for every input v of o."""
        first = self.first_op(stage)
        for op, column in self.recompute[stage].items():
            for value in self.graph.ops[op].inputs:
                self.rows.at_least(0, [*self._sources(stage, value), (column, -1.0)])
        old_inputs = {
            value
            for position in range(first, self.last_op(stage) + 1)
            for value in self.graph.ops[position].inputs
            if self.graph.values[value].producer < first
        }
        for value in sorted(old_inputs):
            self.rows.at_least(1, self._sources(stage, value))

    def _carried(self, stage: int) -> None:
        """S[k+1,v] <= S[k,v] + R[k,prod(v)]."""
        first = self.first_op(stage)
        for value, column in self.carry[stage + 1].items():
            if self.graph.values[value].producer < first:
                self.rows.at_least(0, [*self._sources(stage, value), (column, -1.0)])

    def _cut_memory(self, stage: int) -> None:
        """sum bytes(v) S[k+1,v] over v not touching b_k <= budget - workset(b_k)."""
        cut = self.cuts[stage]
        op = self.graph.ops[cut]
        touched = {*op.inputs, *op.outputs}
        room = self.budget_bytes - self.graph.workset_bytes[cut]
        self.memory_row(
            room,
            [
                (column, self.graph.sizes[value])
                for value, column in self.carry[stage + 1].items()
                if value not in touched
            ],
        )

    def memory_row(self, room_bytes: int, terms: list[tuple[int, int]]) -> None:
        """Add ``sum bytes * variable <= room``, in thousandths of the budget."""
        scale = _ROW_RANGE / max(1, self.budget_bytes)
        if sum(size for _, size in terms if size > 0) > room_bytes:
            self.rows.at_least(-room_bytes * scale, [(column, -size * scale) for column, size in terms])

    def _outputs(self, stage: int) -> None:
        """S[K+1,v] + R[K+1,prod(v)] >= 1 for every output v of the graph."""
        first = self.first_op(stage)
        for value in self.graph.outputs:
            if self.graph.values[value].producer < first:
                self.rows.at_least(1, self._sources(stage, value))


def reachable_past(graph: Graph, boundary: int) -> tuple[list[int], list[int]]:
    """What may still be recomputed, and what may be carried, past a boundary.

    Parameters
    ----------
    graph : Graph
    boundary : int
        Position of the last op before the boundary; -1 for the start.

    Returns
    -------
    ops : list of int
        Ancestors, up to the boundary, of values that are needed past it.
    values : list of int
        Those values and the inputs of those ops.
    """
    values = {value for value, each in enumerate(graph.values) if each.producer <= boundary < graph.last_needed[value]}
    ops: set[int] = set()
    pending = list(values)
    while pending:
        producer = graph.values[pending.pop()].producer
        if producer not in ops:
            ops.add(producer)
            for value in graph.ops[producer].inputs:
                if value not in values:
                    values.add(value)
                    pending.append(value)
    # A value already known may have been pushed before its producer's inputs were: every
    # member of `values` was pending once, so its producer is in `ops`.
    return sorted(ops), sorted(values)
