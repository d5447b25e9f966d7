"""The process that searches for proofs of bounds; started by `hcb_opt.proof_search`, never imported by it.

Branch and bound with linear relaxations by highspy's HiGHS. Each leaf keeps its
dual solution; in the end these become whole numbers, and exact arithmetic says
what they prove.
"""

from __future__ import annotations

import heapq
import math
import os
import pickle
import sys
import time
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from hcb_opt.proof_search import Node, ProofFound, ProofQuestion

_Vector = NDArray[np.float64]

_WHOLE = 1e-6
_CANDIDATES = 8
_TRIAL_ITERATIONS = 60
_SCALE_BITS = (0, 8, 16, 24, 32, 48, 64, 96)


class _Leaf:
    """A part of the tree: how columns and sums are limited so far, and what its linear relaxation says.

    ``limits`` are the branches on sums above it, the nearest first: (group, whether
    the sum is more, most).
    """

    def __init__(self, bounds: dict[int, tuple[int, int]], limits: tuple[tuple[int, bool, int], ...]) -> None:
        self.bounds, self.limits = bounds, limits
        self.bound = -np.inf  # in cost units
        self.duals: _Vector = np.zeros(0)
        self.infeasible = False
        self.solution: _Vector | None = None
        self.basis: Any = None
        self.branch: tuple[Node, _Leaf, _Leaf] | None = None


class _Search:
    """The programme with one more column for the sum of each group, and the tree that grows over it."""

    def __init__(self, question: ProofQuestion) -> None:
        self.question = question
        self.deadline = time.perf_counter() + question.seconds
        self.columns = len(question.costs)
        self.rows = [*question.rows]
        self.costs = np.array([*map(float, question.costs), *(0.0 for _ in question.groups)])
        self.upper = np.array([*(1 for _ in question.costs), *map(len, question.groups)], dtype=float)
        for position, group in enumerate(question.groups):
            self.rows.append(((*group, self.columns + position), (*(1 for _ in group), -1), 0))
        self.cost_scale = max(1.0, float(self.costs.max(initial=1.0)) / 1e3)
        self.row_scales = np.array([max(1, *map(abs, row[1])) for row in self.rows], dtype=float)
        self.solver = self._solver()
        self.bounds_now: dict[int, tuple[int, int]] = {}

    def _solver(self) -> Any:
        rows, asked = self.rows, len(self.question.rows)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.costs), len(rows)
        lp.col_cost_ = self.costs / self.cost_scale
        lp.col_lower_, lp.col_upper_ = np.zeros(len(self.costs)), self.upper
        lp.row_lower_ = np.array([row[2] for row in rows], dtype=float) / self.row_scales
        lp.row_upper_ = np.array([*(np.inf for _ in range(asked)), *(0.0 for _ in rows[asked:])])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(row[0]) for row in rows)]).astype(np.int32)
        lp.a_matrix_.index_ = np.array([column for row in rows for column in row[0]], dtype=np.int32)
        lp.a_matrix_.value_ = np.concatenate(
            [np.array(row[1], dtype=float) / scale for row, scale in zip(rows, self.row_scales, strict=True)]
        )
        solver = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 1), ("presolve", "off"), ("solver", "simplex")):
            solver.setOptionValue(option, value)
        solver.setOptionValue("small_matrix_value", 1e-12)
        solver.passModel(lp)
        return solver

    def run(self) -> ProofFound:
        """Branch where the bound is lowest, until every leaf reaches the target or time is up."""
        root = _Leaf({}, ())
        self._relax(root)
        count = 0
        waiting: list[tuple[float, int, _Leaf]] = [(root.bound, 0, root)]
        enough = self.question.target - self.question.unit + self._slack()
        while waiting[0][0] <= enough and time.perf_counter() < self.deadline:
            leaf = waiting[0][2]
            node = self._choose(leaf)
            if node is None:
                break  # the relaxation's solution is whole: no proof goes beyond its cost
            heapq.heappop(waiting)
            children = self._children(leaf, node)
            for child in children:
                self._relax(child)
                child.bound = max(child.bound, leaf.bound)
                count += 1
                heapq.heappush(waiting, (child.bound, count, child))
            leaf.branch = (node, *children)
            leaf.basis = leaf.solution = None
        return self._found(root, waiting[0][0])

    def _children(self, leaf: _Leaf, node: Node) -> tuple[_Leaf, _Leaf]:
        assert node.column is not None
        low, high = leaf.bounds.get(node.column, (0, int(self.upper[node.column])))
        parts = ((low, node.most), (node.most + 1, high))
        children = []
        for more, part in zip((False, True), parts, strict=True):
            group = node.column - self.columns
            limits = leaf.limits if group < 0 else ((group, more, node.most), *leaf.limits)
            child = _Leaf({**leaf.bounds, node.column: part}, limits)
            child.basis = leaf.basis
            children.append(child)
        return children[0], children[1]

    def _slack(self) -> float:
        """How far beyond a bound must be to prove the next whole unit: floating point is not exact."""
        return 1e-7 * max(1.0, float(self.question.target))

    def _set_bounds(self, bounds: dict[int, tuple[int, int]]) -> None:
        for column in self.bounds_now.keys() - bounds.keys():
            self.solver.changeColBounds(column, 0.0, self.upper[column])
        for column, (low, high) in bounds.items():
            if self.bounds_now.get(column) != (low, high):
                self.solver.changeColBounds(column, float(low), float(high))
        self.bounds_now = dict(bounds)

    def _relax(self, leaf: _Leaf) -> None:
        self._set_bounds(leaf.bounds)
        if leaf.basis is not None:
            self.solver.setBasis(leaf.basis)
        self.solver.run()
        leaf.duals = np.zeros(len(self.rows))
        status = self.solver.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            solution = self.solver.getSolution()
            leaf.bound = self.solver.getInfo().objective_function_value * self.cost_scale
            leaf.duals = np.array(solution.row_dual) * self.cost_scale / self.row_scales
            leaf.solution = np.array(solution.col_value)
            leaf.basis = self.solver.getBasis()
        elif status == highspy.HighsModelStatus.kInfeasible:
            _, has_ray, ray = self.solver.getDualRay()
            if has_ray:
                leaf.infeasible, leaf.bound, leaf.duals = True, np.inf, np.array(ray) / self.row_scales

    def _choose(self, leaf: _Leaf) -> Node | None:
        """The branch that lifts the bound most, of a few that look likely: on fractional columns, and sums."""
        if leaf.solution is None:
            return None
        away = np.abs(leaf.solution - np.round(leaf.solution))
        fractional = np.flatnonzero(away > _WHOLE).tolist()
        if not any(column < self.columns for column in fractional):
            return None
        fractional.sort(key=lambda column: -away[column] * (1.0 + self.costs[column] / self.cost_scale))
        columns = [column for column in fractional if column < self.columns][:_CANDIDATES]
        sums = [column for column in fractional if column >= self.columns][:_CANDIDATES]
        best: tuple[float, Node | None] = (-1.0, None)
        self.solver.setOptionValue("simplex_iteration_limit", _TRIAL_ITERATIONS)
        for column in (*sums, *columns):
            node = Node(column, math.floor(leaf.solution[column]))
            gains = [max(1e-9, min(1e15, self._try(child) - leaf.bound)) for child in self._children(leaf, node)]
            if gains[0] * gains[1] > best[0]:
                best = (gains[0] * gains[1], node)
        self.solver.setOptionValue("simplex_iteration_limit", 2**31 - 1)
        return best[1]

    def _try(self, leaf: _Leaf) -> float:
        self._set_bounds(leaf.bounds)
        self.solver.setBasis(leaf.basis)
        self.solver.run()
        if self.solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
            return float("inf")
        return float(self.solver.getInfo().objective_function_value) * self.cost_scale

    def _found(self, root: _Leaf, lowest: float) -> ProofFound:
        """The tree in whole numbers, for the highest target that all leaves prove."""
        unit, target = self.question.unit, self.question.target
        if lowest < target:
            target = min(target, math.ceil((lowest - self._slack()) / unit) * unit)
        nodes: list[Node] = []
        stack = [root]
        while stack:
            leaf = stack.pop()
            if leaf.branch is None:
                node, proved = self._exact(leaf, target)
                nodes.append(node)
                target = target if proved is None else min(target, proved)
            else:
                nodes.append(leaf.branch[0])
                stack += [leaf.branch[2], leaf.branch[1]]
        return ProofFound(target, tuple(nodes)) if target > 0 else ProofFound(0, (Node(),))

    def _exact(self, leaf: _Leaf, target: int) -> tuple[Node, int | None]:
        """Whole multipliers for a leaf, and the target they prove; None if they prove any."""
        unit = self.question.unit
        best = (Node(), 0)
        for sign in (1.0, -1.0) if leaf.infeasible else (1.0,):
            duals = sign * leaf.duals
            weights = np.abs(duals) * self.row_scales
            largest = float(weights.max(initial=1e-300))
            used = np.flatnonzero(weights > 1e-13 * largest).tolist()
            for bits in _SCALE_BITS:
                scale = 0 if leaf.infeasible else 2**bits
                factor = 2.0 ** (bits + 20) / largest if leaf.infeasible else float(scale)
                rows, limits = self._whole(leaf, {row: round(float(duals[row]) * factor) for row in used})
                total = self._add_up(leaf, scale, rows, limits)
                node = Node(scale=scale, rows=rows, limits=limits)
                if leaf.infeasible:
                    if total > 0:
                        return node, None
                    continue
                proved = (-(-total // scale) - 1) // unit * unit + unit
                if proved > best[1]:
                    best = (node, proved)
                if proved >= target:
                    return best
        return best

    def _whole(
        self, leaf: _Leaf, multipliers: dict[int, int]
    ) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """Multipliers of rows; and of the limits of sums, from those of the rows that define the sums."""
        asked = len(self.question.rows)
        rows = tuple((multiplier, row) for row, multiplier in multipliers.items() if row < asked and multiplier > 0)
        limits = []
        for row, multiplier in multipliers.items():
            if row >= asked and multiplier:
                nearest = (
                    place
                    for place, (group, more, _) in enumerate(leaf.limits)
                    if group == row - asked and more == (multiplier > 0)
                )
                place = next(nearest, None)
                if place is not None:
                    limits.append((abs(multiplier), place))
        return rows, tuple(limits)

    def _add_up(
        self, leaf: _Leaf, scale: int, rows: tuple[tuple[int, int], ...], limits: tuple[tuple[int, int], ...]
    ) -> int:
        """What a leaf proves, as `hcb_opt.bound_proof` will find."""
        reduced = {column: scale * cost for column, cost in enumerate(self.question.costs) if cost}
        total = 0
        for multiplier, row in rows:
            columns, coefficients, bound = self.question.rows[row]
            total += multiplier * bound
            for column, coefficient in zip(columns, coefficients, strict=True):
                reduced[column] = reduced.get(column, 0) - multiplier * coefficient
        for multiplier, place in limits:
            group, more, most = leaf.limits[place]
            total += multiplier * (most + 1 if more else -most)
            for column in self.question.groups[group]:
                reduced[column] = reduced.get(column, 0) - (multiplier if more else -multiplier)
        return total + sum(
            coefficient * leaf.bounds[column][0] if column in leaf.bounds else min(0, coefficient)
            for column, coefficient in reduced.items()
        )


def _main() -> None:
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        question: ProofQuestion = pickle.load(sys.stdin.buffer)
        pickle.dump(_Search(question).run(), answers, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    _main()
