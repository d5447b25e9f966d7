"""Counts the bytes of real storages while a schedule runs, against the budget."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from hcb_opt.graph import Graph
from hcb_opt.runtime.errors import OutOfBudget
from hcb_opt.runtime.instructions import Await, FromHost, Plan, Transfer, Unpack


class Ledger:
    """Bytes that values hold, as their storages really are.

    They differ from the graph's where a kernel lays its result out otherwise
    than when it was captured.

    Parameters
    ----------
    graph : Graph
    plan : Plan
    budget_bytes : int

    Attributes
    ----------
    held_bytes, peak_bytes : int
        Now, and at most so far; the graph's workspaces count while their op runs.
    """

    def __init__(self, graph: Graph, plan: Plan, budget_bytes: int) -> None:
        self.graph, self.plan, self.budget_bytes = graph, plan, budget_bytes
        self.held_bytes = self.peak_bytes = 0
        self._owner = {register: value for value, register in enumerate(plan.value_registers)}
        self._bytes = [0] * len(graph.values)
        self._compressed_bytes = 0

    def computed(self, op: int, registers: list[Any]) -> None:
        """Count what an op has just written.

        Raises
        ------
        OutOfBudget
            If more is held than the budget, naming the op and the value that is
            larger than planned, if one is.
        """
        for value in self.graph.ops[op].outputs:
            self._hold(value, registers)
        self._check(f"op '{self.graph.ops[op].name}'", self.graph.ops[op].workspace_bytes)

    def copied(self, instruction: Transfer, registers: list[Any], compressed_bytes: int) -> None:
        """Count what a copy has brought: a value that is back, or all compressed copies there are now.

        Raises
        ------
        OutOfBudget
            As `computed`.
        """
        if isinstance(instruction, FromHost | Unpack):
            self._hold(instruction.value, registers)
        self.held_bytes += compressed_bytes - self._compressed_bytes
        self._compressed_bytes = compressed_bytes
        if not isinstance(instruction, Await):
            self._check(f"copy of '{self.graph.values[instruction.value].name}'", 0)

    def freed(self, registers: Iterable[int]) -> None:
        """Take off what is let go of."""
        for register in registers:
            if register in self._owner:
                value = self._owner[register]
                self.held_bytes -= self._bytes[value]
                self._bytes[value] = 0

    def _hold(self, value: int, registers: list[Any]) -> None:
        self._bytes[value] = _storage_bytes(registers[self.plan.value_registers[value]])
        self.held_bytes += self._bytes[value]

    def _check(self, where: str, workspace_bytes: int) -> None:
        during = self.held_bytes + workspace_bytes
        self.peak_bytes = max(self.peak_bytes, during)
        if during > self.budget_bytes:
            raise OutOfBudget(
                f"{where}: {during} bytes are held, the budget is {self.budget_bytes}"
                f"{self._largest_excess()}; solve again for a smaller budget"
            )

    def _largest_excess(self) -> str:
        excess, value = max(
            (
                (found - planned, value)
                for value, (found, planned) in enumerate(zip(self._bytes, self.graph.sizes, strict=True))
            ),
        )
        if excess <= 0:
            return ""
        return f" (value '{self.graph.values[value].name}' holds {excess} bytes more than planned)"


def _storage_bytes(result: object) -> int:
    return result.untyped_storage().nbytes() if isinstance(result, torch.Tensor) else 0
