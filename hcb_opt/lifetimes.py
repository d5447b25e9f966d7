"""The copies of values that a sequence of computes holds, and what they weigh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcb_opt.graph import Graph


@dataclass(frozen=True)
class Lifetimes:
    """Every copy of a value, held from its compute to its last use.

    Attributes
    ----------
    values : ndarray of int64, one per copy
        Which value the copy is of.
    steps : list of list of int, one per copy
        The step that computes it, then the steps that read it, ascending; the
        number of steps stands for the end, where outputs are needed.
    starts, ends : ndarray of int64, one per copy
        First and last entry of its ``steps``.
    profile_bytes : ndarray of int64, one per step
        Resident bytes while the step runs, workspace included.
    """

    values: NDArray[np.int64]
    steps: list[list[int]]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    profile_bytes: NDArray[np.int64]

    @property
    def peak_bytes(self) -> int:
        """The most that any step holds."""
        return int(self.profile_bytes.max())

    def resident(self, step: int, value_count: int) -> list[bool]:
        """For each value, whether a copy is held when the step begins."""
        held = np.zeros(value_count, dtype=bool)
        held[self.values[(self.starts < step) & (self.ends >= step)]] = True
        flags: list[bool] = held.tolist()
        return flags

    def excess_bytes(self, budget_bytes: int) -> NDArray[np.int64]:
        """By how much each step exceeds the budget; 0 where it fits."""
        return np.maximum(self.profile_bytes - budget_bytes, 0)


def lifetimes(graph: Graph, order: Sequence[int]) -> Lifetimes:
    """Hold every copy from its compute to its last use, and add up the bytes.

    Parameters
    ----------
    graph : Graph
    order : sequence of int
        Positions of ops, recomputes included; inputs are computed before.

    Returns
    -------
    Lifetimes
        Its profile is what `replay` finds for ``schedule_from_computes``.
    """
    current: dict[int, list[int]] = {}
    values: list[int] = []
    steps: list[list[int]] = []
    ops = graph.ops
    for step, position in enumerate(order):
        op = ops[position]
        for value in op.inputs:
            current[value].append(step)
        for value in op.outputs:
            current[value] = copy = [step]
            values.append(value)
            steps.append(copy)
    for value in graph.outputs:
        current[value].append(len(order))
    starts = np.array([copy[0] for copy in steps], dtype=np.int64)
    ends = np.array([copy[-1] for copy in steps], dtype=np.int64)
    of = np.array(values, dtype=np.int64)
    sizes = np.array(graph.sizes, dtype=np.int64)[of]
    change = np.zeros(len(order) + 2, dtype=np.int64)
    np.add.at(change, starts, sizes)
    np.add.at(change, ends + 1, -sizes)
    workspaces = np.array([op.workspace_bytes for op in ops], dtype=np.int64)
    profile = np.cumsum(change)[: len(order)] + workspaces[np.asarray(order, dtype=np.int64)]
    return Lifetimes(of, steps, starts, ends, profile)
