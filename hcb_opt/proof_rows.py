"""The rows of the frontier-cut programme by name, in whole numbers: ``FrontierCuts.row_of`` of ``proofs/``, in Python.

Variables and rows are tuples of a word and positions, such as ``("R", 1, 4)``
and ``("available", 1, 4, 2)``; `docs/frontier-cuts.md` says what each stands
for. Rows read ``sum coefficient * variable >= bound``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph

Name = tuple[str | int, ...]
Terms = list[tuple[int, Name]]

VARIABLES = {"R": 2, "S": 2, "Z": 2, "Y": 3, "H": 3}
ROWS = {
    "available": 3, "needed": 3, "carried": 2, "cut-memory": 1, "output-kept": 1,
    "later-runs": 3, "not-both-later": 3, "one-is-later": 3, "held-to-end": 3, "held-for-cut": 3,
    "held-for-output": 2, "held-for-run": 4, "run-memory": 2,
    "tail-splits": 2, "tail-has-now": 2, "tail-has-later": 2, "tail-available": 3, "tail-needed": 3, "tail-output": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """``sum coefficient * variable >= bound``."""

    terms: Terms
    bound: int


class Programme:
    """The rows that a graph, a budget and cuts have.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
    cuts : sequence of int
        Positions of ops, ascending.

    Raises
    ------
    InvalidInput
        If the cuts are not ascending positions of ops.
    """

    def __init__(self, graph: Graph, budget_bytes: int, cuts: Sequence[int]) -> None:
        if any(not 0 <= cut < len(graph.ops) for cut in cuts) or list(cuts) != sorted(set(cuts)):
            raise InvalidInput("cuts", "they are no ascending positions of ops", "give each once, in order")
        self.graph, self.budget_bytes, self.cuts = graph, budget_bytes, tuple(cuts)
        self.last = len(self.cuts)
        self.first_new = (0, *(cut + 1 for cut in self.cuts), len(graph.ops))

    def row(self, name: Name) -> Row:
        """The row of this name.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        kind, *numbers = name
        values = [number for number in numbers if isinstance(number, int)]
        if ROWS.get(str(kind)) == len(values) == len(numbers) and min(values) >= 0:
            found: Row | None = getattr(self, "_" + str(kind).replace("-", "_"))(*values)
            if found is not None:
                return found
        raise InvalidInput(f"row {' '.join(map(str, name))}", "the programme has no such row", "see proofs/README.md")

    def objective(self) -> Terms:
        """cost(o) R[k,o] for the old ops of every stage."""
        return [
            (self.graph.ops[op].cost, ("R", stage, op))
            for stage in range(self.last + 1)
            for op in range(self.first_new[stage])
        ]

    def _producer(self, value: int) -> int:
        # Of a value that there is not, the verified checker says 0, and does not care.
        return self.graph.values[value].producer if value < len(self.graph.values) else 0

    def _inputs(self, op: int) -> tuple[int, ...]:
        return self.graph.ops[op].inputs if op < len(self.graph.ops) else ()

    def _sources(self, word: str, stage: int, value: int) -> Terms:
        return [(1, (word, stage, self._producer(value))), (1, ("S", stage, value))]

    def _kept_or_written(self, stage: int, op: int, value: int) -> Terms:
        return [(1, ("H", stage, op, value)), (1, ("Y", stage, op, self._producer(value)))]

    def _memory(self, op: int, name: Iterable[str | int]) -> Terms:
        touched = {*self._inputs(op), *(self.graph.ops[op].outputs if op < len(self.graph.ops) else ())}
        name = tuple(name)
        return [(-size, (*name, value)) for value, size in enumerate(self.graph.sizes) if value not in touched]

    def _available(self, stage: int, op: int, value: int) -> Row | None:
        if stage > self.last or op >= self.first_new[stage] or value not in self._inputs(op):
            return None
        return Row([*self._sources("R", stage, value), (-1, ("R", stage, op))], 0)

    def _needed(self, stage: int, op: int, value: int) -> Row | None:
        new = stage <= self.last and self.first_new[stage] <= op < self.first_new[stage + 1]
        return Row(self._sources("R", stage, value), 1) if new and value in self._inputs(op) else None

    def _carried(self, stage: int, value: int) -> Row | None:
        if stage >= self.last:
            return None
        return Row([*self._sources("R", stage, value), (-1, ("S", stage + 1, value))], 0)

    def _cut_memory(self, stage: int) -> Row | None:
        if stage >= self.last:
            return None
        cut = self.cuts[stage]
        return Row(self._memory(cut, ("S", stage + 1)), self.graph.workset_bytes[cut] - self.budget_bytes)

    def _output_kept(self, value: int) -> Row | None:
        return Row(self._sources("R", self.last, value), 1) if value in self.graph.required else None

    def _later_runs(self, stage: int, op: int, other: int) -> Row | None:
        return None if stage > self.last else Row([(1, ("R", stage, other)), (-1, ("Y", stage, op, other))], 0)

    def _not_both_later(self, stage: int, op: int, other: int) -> Row | None:
        return None if stage > self.last else Row([(-1, ("Y", stage, op, other)), (-1, ("Y", stage, other, op))], -1)

    def _one_is_later(self, stage: int, op: int, other: int) -> Row | None:
        if stage > self.last or op == other:
            return None
        both: Terms = [(1, ("Y", stage, op, other)), (1, ("Y", stage, other, op))]
        return Row([*both, (-1, ("R", stage, op)), (-1, ("R", stage, other))], -1)

    def _held_to_end(self, stage: int, op: int, value: int) -> Row | None:
        if stage >= self.last:
            return None
        return Row([*self._kept_or_written(stage, op, value), (-1, ("S", stage + 1, value))], 0)

    def _held_for_cut(self, stage: int, op: int, value: int) -> Row | None:
        read = stage < self.last and value in self._inputs(self.cuts[stage])
        return Row(self._kept_or_written(stage, op, value), 1) if read else None

    def _held_for_output(self, op: int, value: int) -> Row | None:
        return Row(self._kept_or_written(self.last, op, value), 1) if value in self.graph.required else None

    def _held_for_run(self, stage: int, op: int, other: int, value: int) -> Row | None:
        if stage > self.last or value not in self._inputs(other):
            return None
        return Row([*self._kept_or_written(stage, op, value), (-1, ("Y", stage, op, other))], 0)

    def _run_memory(self, stage: int, op: int) -> Row | None:
        if stage > self.last:
            return None
        workset_bytes = self.graph.workset_bytes[op] if op < len(self.graph.ops) else 0
        return Row([*self._memory(op, ("H", stage, op)), (-workset_bytes, ("R", stage, op))], -self.budget_bytes)

    def _tail_splits(self, stage: int, op: int) -> Row | None:
        if stage > self.last:
            return None
        later: Terms = [(1, ("Z", stage + 1, op))] if stage < self.last else []
        return Row([*later, (1, ("R", stage, op)), (-1, ("Z", stage, op))], 0)

    def _tail_has_now(self, stage: int, op: int) -> Row | None:
        return None if stage > self.last else Row([(1, ("Z", stage, op)), (-1, ("R", stage, op))], 0)

    def _tail_has_later(self, stage: int, op: int) -> Row | None:
        return None if stage >= self.last else Row([(1, ("Z", stage, op)), (-1, ("Z", stage + 1, op))], 0)

    def _tail_available(self, stage: int, op: int, value: int) -> Row | None:
        if stage > self.last or value not in self._inputs(op):
            return None
        return Row([*self._sources("Z", stage, value), (-1, ("Z", stage, op))], 0)

    def _tail_needed(self, stage: int, op: int, value: int) -> Row | None:
        due = stage <= self.last and op >= self.first_new[stage]
        return Row(self._sources("Z", stage, value), 1) if due and value in self._inputs(op) else None

    def _tail_output(self, stage: int, value: int) -> Row | None:
        known = stage <= self.last and value in self.graph.required
        return Row(self._sources("Z", stage, value), 1) if known else None
