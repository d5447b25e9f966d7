"""A sequence of computes that can be edited, and what it holds at every step."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hcb_opt.graph import Graph

_SPACING = 1 << 50


class EditableSequence:
    """A sequence of computes in which recomputes are inserted and removed, one edit undone after the other.

    A copy of a value is held from its compute to its last read before the value
    is computed again: the optimal drops of `hcb_opt.schedule_from_computes`. An
    edit costs time in proportion to what the edited ops touch, beside a copy of
    the profile, instead of to the whole sequence.

    Steps are told apart by labels, whole numbers that rise along the sequence
    and do not change when steps are inserted before them.

    Parameters
    ----------
    graph : Graph
    order : sequence of int
        Positions of ops, recomputes included; inputs are computed before.

    Attributes
    ----------
    labels : list of int
        Of all steps, ascending; a last one stands for the end, which reads the
        graph's outputs.
    ops : list of int
        The op that each step computes; the number of ops at the end.
    producers, readers : list of list of int
        For each value, the labels of the steps that compute and that read it.
    profile_bytes : ndarray of int64, one per label
        Resident bytes while the step runs, workspace included.
    cost : int
        Of all computes.
    """

    def __init__(self, graph: Graph, order: Sequence[int]) -> None:
        self.graph = graph
        self.ops = [*order, len(graph.ops)]
        self.labels = [(step + 1) * _SPACING for step in range(len(self.ops))]
        self.cost = sum(graph.ops[op].cost for op in order)
        self.producers: list[list[int]] = [[] for _ in graph.values]
        self.readers: list[list[int]] = [[] for _ in graph.values]
        for label, op in zip(self.labels, order, strict=False):
            for value in graph.ops[op].inputs:
                self.readers[value].append(label)
            for value in graph.ops[op].outputs:
                self.producers[value].append(label)
        for value in graph.outputs:
            self.readers[value].append(self.labels[-1])
        self._workspaces = [*(op.workspace_bytes for op in graph.ops), 0]
        self._edits: list[tuple[bool, list[tuple[int, int]]]] = []
        self.profile_bytes: NDArray[np.int64] = np.array([self._workspaces[op] for op in self.ops], dtype=np.int64)
        for value in range(len(graph.values)):
            self._weigh(value, 1)

    @property
    def order(self) -> list[int]:
        """Positions of the ops, recomputes included."""
        return self.ops[:-1]

    @property
    def repeats(self) -> list[int]:
        """Labels of the steps whose op ran before."""
        seen: set[int] = set()
        found = []
        for label, op in zip(self.labels, self.order, strict=False):
            if op in seen:
                found.append(label)
            seen.add(op)
        return found

    def position(self, label: int) -> int:
        """The step of this label; for a label that is not there, the step after it."""
        return bisect_left(self.labels, label)

    def excess_bytes(self, budget_bytes: int) -> NDArray[np.int64]:
        """By how much each step exceeds the budget; 0 where it fits."""
        return np.maximum(self.profile_bytes - budget_bytes, 0)

    def copies(self, value: int) -> Iterator[tuple[int, int]]:
        """For each copy of a value, the labels of its compute and of its last read."""
        producers, readers = self.producers[value], self.readers[value]
        done = 0
        for start, following in zip(producers, [*producers[1:], self.labels[-1] + 1], strict=True):
            read = bisect_left(readers, following, done)
            yield start, readers[read - 1] if read > done else start
            done = read

    def last_use(self, value: int, label: int) -> int | None:
        """The last compute or read of a value before a step; None before its first compute."""
        producers, readers = self.producers[value], self.readers[value]
        computed = bisect_left(producers, label)
        if not computed:
            return None
        read = bisect_left(readers, label)
        return max(producers[computed - 1], readers[read - 1]) if read else producers[computed - 1]

    def next_read(self, value: int, label: int) -> int | None:
        """The next read of a value at a step or after it, unless it is computed again before."""
        producers, readers = self.producers[value], self.readers[value]
        read = bisect_left(readers, label)
        if read == len(readers):
            return None
        computed = bisect_left(producers, label)
        return readers[read] if computed == len(producers) or readers[read] <= producers[computed] else None

    def held(self, value: int, label: int) -> bool:
        """Whether a copy of the value is held when a step begins."""
        return self.producers[value][0] < label and self.next_read(value, label) is not None

    def insert(self, before: int, ops: Sequence[int]) -> list[int]:
        """Run ops, in this order, right before a step.

        Parameters
        ----------
        before : int
            The step's label.
        ops : sequence of int

        Returns
        -------
        list of int
            The labels of the new steps; empty if no numbers are left between
            the step and the one before it: see `spread`.
        """
        step = self.position(before)
        least = self.labels[step - 1] if step else 0
        apart = (before - least) // (len(ops) + 1)
        if not apart:
            return []
        labels = [least + apart * (place + 1) for place in range(len(ops))]
        steps = list(zip(labels, ops, strict=True))
        self._put(steps)
        self._edits.append((True, steps))
        return labels

    def remove(self, labels: Collection[int]) -> None:
        """Leave out recomputes."""
        steps = [(label, self.ops[self.position(label)]) for label in sorted(labels)]
        self._take(steps)
        self._edits.append((False, steps))

    def mark(self) -> int:
        """A point to go back to with `undo`."""
        return len(self._edits)

    def undo(self, mark: int) -> None:
        """Undo all edits since a point."""
        while len(self._edits) > mark:
            inserted, steps = self._edits.pop()
            if inserted:
                self._take(steps)
            else:
                for step in steps:
                    self._put([step])

    def keep(self) -> None:
        """Forget how to undo."""
        self._edits.clear()

    def spread(self) -> None:
        """Give all steps new labels, evenly spaced."""
        # Steps that were removed count as well, so that the edits can still be undone.
        known = {label for _, steps in self._edits for label, _ in steps}.union(self.labels)
        renamed = {label: (place + 1) * _SPACING for place, label in enumerate(sorted(known))}
        self.labels = [renamed[label] for label in self.labels]
        self.producers = [[renamed[label] for label in labels] for labels in self.producers]
        self.readers = [[renamed[label] for label in labels] for labels in self.readers]
        self._edits = [(inserted, [(renamed[label], op) for label, op in steps]) for inserted, steps in self._edits]

    def _put(self, steps: Sequence[tuple[int, int]]) -> None:
        """Insert steps that follow each other."""
        graph = self.graph
        touched = self._touched(steps)
        for value in touched:
            self._weigh(value, -1)
        at = self.position(steps[0][0])
        after = self.ops[at]
        # What is held between two steps: all that the next one holds but its workspace and what it writes.
        between = int(self.profile_bytes[at]) - self._workspaces[after]
        if after < len(graph.ops):
            between -= sum(graph.sizes[value] for value in graph.ops[after].outputs if value not in touched)
        self.labels[at:at] = [label for label, _ in steps]
        self.ops[at:at] = [op for _, op in steps]
        held = [between + self._workspaces[op] for _, op in steps]
        self.profile_bytes = np.concatenate((self.profile_bytes[:at], held, self.profile_bytes[at:]), dtype=np.int64)
        for label, position in steps:
            op = graph.ops[position]
            self.cost += op.cost
            for value in op.inputs:
                insort(self.readers[value], label)
            for value in op.outputs:
                insort(self.producers[value], label)
        for value in touched:
            self._weigh(value, 1)

    def _take(self, steps: Sequence[tuple[int, int]]) -> None:
        touched = self._touched(steps)
        for value in touched:
            self._weigh(value, -1)
        places = []
        for label, position in reversed(steps):
            op = self.graph.ops[position]
            self.cost -= op.cost
            for value in op.inputs:
                _discard(self.readers[value], label)
            for value in op.outputs:
                _discard(self.producers[value], label)
            places.append(self.position(label))
            del self.labels[places[-1]], self.ops[places[-1]]
        # Taken out from the back, so that the places are those of before.
        self.profile_bytes = np.delete(self.profile_bytes, places)
        for value in touched:
            self._weigh(value, 1)

    def _touched(self, steps: Sequence[tuple[int, int]]) -> set[int]:
        ops = self.graph.ops
        return {value for _, op in steps for value in (*ops[op].inputs, *ops[op].outputs)}

    def _weigh(self, value: int, sign: int) -> None:
        """Add a value's copies to the profile, or take them off it."""
        size_bytes = sign * self.graph.sizes[value]
        if size_bytes:
            for start, end in self.copies(value):
                self.profile_bytes[self.position(start) : self.position(end) + 1] += size_bytes


def _discard(labels: list[int], label: int) -> None:
    del labels[bisect_left(labels, label)]
