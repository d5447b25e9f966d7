"""Checkmate's stage model as a mixed-integer programme, for any solver.

Jain et al., Checkmate: Breaking the Memory Wall with Optimal Tensor
Rematerialization, MLSys 2020. Equation numbers are the paper's. Its ops have one
value each; here a value v has its own S, and its producer may write others.

Stage t ends with the first compute of op t (frontier-advancing stages, eq. 8);
before that, every earlier op may run once more, in index order. Columns:

=============  ================================================================
``R[t, i]``    op i runs in stage t
``S[t, v]``    value v is resident when stage t begins; stage n is the end
``FREE[t, p]`` in stage t value v is released after op k, where p = (v, k) and k
               writes or reads v
``U[t, k]``    bytes resident while op k runs in stage t, its workspace apart
=============  ================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from hcb_opt.bounds import cost_divisor, integer_bound
from hcb_opt.graph import Graph
from hcb_opt.highs import Model

# Solvers work with absolute tolerances near 1e-6: costs and bytes are kept below this.
_LARGEST_COEFFICIENT = 1e6
NO_COLUMN = -1  # of absent entries in R, S, FREE and U


class StageModel:
    """The columns and rows of Checkmate's programme for one graph and budget.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int

    Attributes
    ----------
    costs, lower, upper : ndarray of float64, shape (columns,)
    integrality : ndarray of int, shape (columns,)
        R and S are whole; FREE and U follow from them.
    rows : scipy.sparse.csr_matrix, shape (rows, columns)
    row_lower, row_upper : ndarray of float64, shape (rows,)
    """

    def __init__(self, graph: Graph, budget_bytes: int) -> None:
        self.graph = graph
        ops, values = len(graph.ops), len(graph.values)
        self._cost_unit = cost_divisor(graph)
        self._cost_scale = _scale(graph.base_cost / self._cost_unit)
        self._byte_unit = math.gcd(*graph.sizes) or 1
        self._byte_scale = _scale(budget_bytes / self._byte_unit)
        self._budget_bytes = budget_bytes

        self._costs: list[float] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._integral: list[int] = []
        self._entries: tuple[list[int], list[int], list[float]] = ([], [], [])
        self._row_lower: list[float] = []
        self._row_upper: list[float] = []

        self.pairs = [
            (value, op) for value, each in enumerate(graph.values) for op in (each.producer, *graph.consumers[value])
        ]
        self.pairs_of: list[list[int]] = [[] for _ in range(values)]
        for pair, (value, _) in enumerate(self.pairs):
            self.pairs_of[value].append(pair)
        # Eq. 8 (and 1d, 1e): stage t ends with the first compute of op t; what cannot be is no column.
        self.R = np.full((ops, ops), NO_COLUMN)
        self.S = np.full((ops + 1, values), NO_COLUMN)
        self.FREE = np.full((ops, len(self.pairs)), NO_COLUMN)
        self.U = np.full((ops, ops), NO_COLUMN)
        self._add_columns()

        _eq_1b_inputs_are_resident(self)
        _eq_1c_present_is_kept_or_freed_once(self)
        _eq_2_to_4_memory_in_use(self)
        _eq_7_freed_only_after_the_last_use(self)
        _eq_9_budget(self)
        _recomputed_or_kept(self)
        _recomputed_for_a_use(self)
        _kept_for_a_use(self)
        self._finish()

    def add_row(self, terms: Iterable[tuple[int, float]], lower: float, upper: float) -> None:
        """Add ``lower <= sum coefficient * column <= upper``; absent columns are zero."""
        row = len(self._row_lower)
        rows, columns, coefficients = self._entries
        for column, coefficient in terms:
            if column != NO_COLUMN:
                rows.append(row)
                columns.append(column)
                coefficients.append(coefficient)
        self._row_lower.append(lower)
        self._row_upper.append(upper)

    def bytes_in_units(self, size_bytes: int) -> float:
        """Bytes as they enter the rows."""
        return size_bytes / self._byte_unit / self._byte_scale

    def room_in_units(self, workspace_bytes: int) -> float:
        """What the budget leaves for values beside a workspace, rounded down to whole sizes."""
        return (self._budget_bytes - workspace_bytes) // self._byte_unit / self._byte_scale

    def bound(self, dual: float, error: float) -> int:
        """A lower bound of the schedule's cost from the solver's, which may be off by this much.

        Only the part above the base cost is a float's business.
        """
        base_units = self.graph.base_cost // self._cost_unit
        return (base_units + integer_bound((dual - error) * self._cost_scale - base_units)) * self._cost_unit

    def programme(
        self, seconds: float, relative_gap: float, memory_limit_bytes: int | None, *, relaxed: bool = False
    ) -> Model:
        """As a HiGHS process takes it.

        Parameters
        ----------
        seconds, relative_gap, memory_limit_bytes
            Limits, as in `hcb_opt.highs.Model`.
        relaxed : bool
            Whether R and S need not be whole: the linear relaxation.
        """
        return Model(
            costs=self.costs,
            lower=self.lower,
            upper=self.upper,
            row_lower=self.row_lower,
            row_upper=self.row_upper,
            row_starts=self.rows.indptr.astype(np.int32),
            row_columns=self.rows.indices.astype(np.int32),
            row_coefficients=self.rows.data.astype(np.float64),
            integrality=(np.zeros_like(self.integrality) if relaxed else self.integrality).astype(np.uint8),
            seconds=seconds,
            relative_gap=relative_gap,
            memory_limit_bytes=memory_limit_bytes,
        )

    def computes(self, solution: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
        """The ops in the order in which a solution runs them."""
        return [
            op for stage in range(len(self.graph.ops)) for op in range(stage + 1) if solution[self.R[stage, op]] > 0.5
        ]

    def _add_column(self, lower: float, upper: float, cost: float = 0.0, *, whole: bool) -> int:
        self._costs.append(cost)
        self._lower.append(lower)
        self._upper.append(upper)
        self._integral.append(int(whole))
        return len(self._costs) - 1

    def _add_columns(self) -> None:
        graph = self.graph
        for stage, _ in enumerate(graph.ops):
            for op in range(stage + 1):
                cost = graph.ops[op].cost / self._cost_unit / self._cost_scale
                self.R[stage, op] = self._add_column(float(op == stage), 1, cost, whole=True)
                self.U[stage, op] = self._add_column(0, math.inf, whole=False)
            for value, each in enumerate(graph.values):
                if each.producer < stage:
                    self.S[stage, value] = self._add_column(0, 1, whole=True)
            for pair, (_, op) in enumerate(self.pairs):
                if op <= stage:
                    self.FREE[stage, pair] = self._add_column(0, 1, whole=False)
        for value in graph.outputs:
            self.S[-1, value] = self._add_column(1, 1, whole=True)

    def _finish(self) -> None:
        from scipy.sparse import csr_matrix

        rows, columns, coefficients = self._entries
        self.costs, self.lower, self.upper = (np.array(each) for each in (self._costs, self._lower, self._upper))
        self.integrality = np.array(self._integral)
        self.row_lower, self.row_upper = np.array(self._row_lower), np.array(self._row_upper)
        self.rows = csr_matrix((coefficients, (rows, columns)), shape=(len(self._row_lower), len(self._costs)))


def _eq_1b_inputs_are_resident(model: StageModel) -> None:
    """``R[t, j] <= R[t, prod(v)] + S[t, v]`` for every input v of op j."""
    for stage in range(len(model.graph.ops)):
        for op in range(stage + 1):
            for value in model.graph.ops[op].inputs:
                producer = model.graph.values[value].producer
                model.add_row(
                    [(model.R[stage, op], 1), (model.R[stage, producer], -1), (model.S[stage, value], -1)], -math.inf, 0
                )


def _eq_1c_present_is_kept_or_freed_once(model: StageModel) -> None:
    """``S[t+1, v] + sum_k FREE[t, v, k] <= S[t, v] + R[t, prod(v)]``.

    Eq. 1c and the tightening ``sum FREE <= S + R`` in one: by eq. 5 a value that
    is kept is not freed.
    """
    for stage in range(len(model.graph.ops)):
        for value, each in enumerate(model.graph.values):
            if each.producer <= stage:
                freed = [(model.FREE[stage, pair], 1.0) for pair in model.pairs_of[value]]
                present = [(model.S[stage, value], -1.0), (model.R[stage, each.producer], -1.0)]
                model.add_row([(model.S[stage + 1, value], 1.0), *freed, *present], -math.inf, 0)


def _eq_2_to_4_memory_in_use(model: StageModel) -> None:
    """``U[t, k+1] = U[t, k] - sum_v bytes(v) FREE[t, v, k] + bytes(outputs of k+1) R[t, k+1]``.

    With ``U[t, 0]`` the values that begin the stage and the outputs of op 0. A
    recomputed op adds all its outputs, since by `_recomputed_or_kept` none of
    them began the stage.
    """
    graph = model.graph
    sizes = [model.bytes_in_units(size) for size in graph.sizes]
    freed_after: list[list[int]] = [[] for _ in graph.ops]
    for pair, (_, op) in enumerate(model.pairs):
        freed_after[op].append(pair)
    written = [model.bytes_in_units(sum(graph.sizes[value] for value in op.outputs)) for op in graph.ops]
    for stage in range(len(graph.ops)):
        before = [(model.S[stage, value], -size) for value, size in enumerate(sizes)]
        for op in range(stage + 1):
            model.add_row([(model.U[stage, op], 1), (model.R[stage, op], -written[op]), *before], 0, 0)
            freed = [(model.FREE[stage, pair], sizes[model.pairs[pair][0]]) for pair in freed_after[op]]
            before = [(model.U[stage, op], -1), *freed]


def _eq_7_freed_only_after_the_last_use(model: StageModel) -> None:
    """``FREE[t, v, k] <= R[t, k]``, and ``sum_{k < j} FREE[t, v, k] + R[t, j] <= 1`` for every reader j of v.

    The hazards of eq. 5 one by one, which is tighter than their sum in eq. 7c: an
    op frees only if it runs, and not what a later op of the stage reads. Eq. 7b,
    which forces the release, is left out: no optimum holds back memory.
    """
    for stage in range(len(model.graph.ops)):
        for pairs in model.pairs_of:
            earlier: list[tuple[int, float]] = []
            for pair in pairs:
                _, op = model.pairs[pair]
                if op > stage:
                    break
                model.add_row([(model.FREE[stage, pair], 1), (model.R[stage, op], -1)], -math.inf, 0)
                if earlier:
                    model.add_row([*earlier, (model.R[stage, op], 1)], -math.inf, 1)
                earlier.append((model.FREE[stage, pair], 1.0))


def _eq_9_budget(model: StageModel) -> None:
    """``U[t, k] <= budget``, less the workspace of op k if it runs."""
    whole = model.room_in_units(0)
    for stage in range(len(model.graph.ops)):
        for op in range(stage + 1):
            room = model.room_in_units(model.graph.ops[op].workspace_bytes)
            model.add_row([(model.U[stage, op], 1), (model.R[stage, op], whole - room)], -math.inf, whole)


def _recomputed_or_kept(model: StageModel) -> None:
    """``R[t, prod(v)] + S[t, v] <= 1``.

    Nothing reads v in a stage before its producer runs there, so a schedule that
    does both may as well drop v before the stage. Also for several outputs.
    """
    for stage in range(len(model.graph.ops)):
        for value, each in enumerate(model.graph.values):
            if each.producer < stage:
                model.add_row([(model.R[stage, each.producer], 1), (model.S[stage, value], 1)], -math.inf, 1)


def _recomputed_for_a_use(model: StageModel) -> None:
    """``R[t, i] <= sum_v (S[t+1, v] + sum_{readers j} R[t, j])`` over the outputs v of op i.

    The paper's ops have one output; with several, any one of them is reason enough.
    """
    for stage in range(len(model.graph.ops)):
        for op in range(stage):
            uses = [use for value in model.graph.ops[op].outputs for use in _uses(model, stage, value)]
            model.add_row([(model.R[stage, op], 1.0), *uses], -math.inf, 0)


def _kept_for_a_use(model: StageModel) -> None:
    """``S[t, v] <= S[t+1, v] + sum_{readers j} R[t, j]``."""
    for stage in range(len(model.graph.ops)):
        for value, each in enumerate(model.graph.values):
            if each.producer < stage:
                model.add_row([(model.S[stage, value], 1.0), *_uses(model, stage, value)], -math.inf, 0)


def _uses(model: StageModel, stage: int, value: int) -> list[tuple[int, float]]:
    readers = [(model.R[stage, op], -1.0) for op in model.graph.consumers[value]]
    return [(model.S[stage + 1, value], -1.0), *readers]


def _scale(largest: float) -> float:
    """A power of two that brings a number below `_LARGEST_COEFFICIENT`; 1 if it is."""
    return 2.0 ** max(0, math.ceil(math.log2(largest / _LARGEST_COEFFICIENT))) if largest > 0 else 1.0
