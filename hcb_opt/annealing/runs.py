"""A sequence of runs of ops, each reading particular copies of values, and the memory it holds.

Steps and gaps, as the moves count them: gap g lies right before step g, one more
gap lies behind the last step. What is held in a gap is held while the step after it
runs; a run that is inserted in gap g becomes step g::

    step         0        1        2
    gap       0        1        2        3
    held      0      after[0] after[1] after[2]       after = `RunSequence.after_bytes`

For example, b reads x of a, and c reads y of b; x has 2 bytes, y has 3::

    step         a        b        c
    held      0        2        3        0
    during       2        5        3                  `RunSequence.during_bytes`

If c read x too, x would be held more in gap 2 only: `held` there and `during` of c
become 5, which is ``hold_more(2, [2, 0])``.

A *window* are the steps ``begin <= step < end`` and the gaps ``begin <= gap <= end``
around them. An array by step has an entry for each of its steps, an array by gap one
more; entry i is that of step, or gap, ``begin + i``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcb_opt.graph import Graph

END = 0
"""The run that stands for the end of the sequence: it reads the graph's outputs."""
_NOTHING = np.zeros(1, dtype=np.int64)


class RunSequence:
    """Runs of ops in an order, each with the runs whose outputs it reads.

    A run is one compute of an op. What it reads is part of the state, so that
    the runs form a graph of their own: any topological order of it is a legal
    schedule, whose peak is at most the one found here (two copies of a value
    that are held at once count twice here, and once in `hcb_opt.replay`).

    Parameters
    ----------
    graph : Graph
    computes : sequence of int
        Positions of ops, inputs always computed before.
    fixed_order : bool
        Whether first runs keep the graph's order, which those of `computes` then have.

    Attributes
    ----------
    graph : Graph
    fixed_order : bool
    order : list of int
        Runs, by step.
    step_of : list of int
        By run; that of `END` is the number of steps, that of a removed run -1.
    op_of : list of int
        By run; -1 for `END`.
    reads : list of list of int
        By run, for each input of its op: the run whose copy it reads.
    readers : list of list of list of int
        By run, for each output of its op: the runs that read this copy.
    runs_of : list of list of int
        By op. In the fixed order the one that comes first is the first of the list.
    inputs : list of list of tuple of int
        By op, for each input: the value, its place among its producer's outputs, its bytes.
    output_sizes : list of list of int
        By op, for each output: its bytes.
    run_bytes : list of int
        By op: its outputs and workspace.
    cost : int
        Of all runs.
    during_bytes, after_bytes : ndarray of int64, one per step
        Resident bytes while a step runs, workspace included, and after it.
    most_added_bytes : list of int
        By op: what a run of it can at most add to a step by coming earlier or later.
    """

    def __init__(self, graph: Graph, computes: Sequence[int], fixed_order: bool = False) -> None:
        self.graph = graph
        self.fixed_order = fixed_order
        slot_of = {value: slot for op in graph.ops for slot, value in enumerate(op.outputs)}
        self.inputs = [[(value, slot_of[value], graph.sizes[value]) for value in op.inputs] for op in graph.ops]
        self.output_sizes = [[graph.sizes[value] for value in op.outputs] for op in graph.ops]
        self.run_bytes = [
            op.workspace_bytes + sum(sizes) for op, sizes in zip(graph.ops, self.output_sizes, strict=True)
        ]
        self.most_added_bytes = [
            max(own, sum(size for _, _, size in inputs))
            for own, inputs in zip(self.run_bytes, self.inputs, strict=True)
        ]
        self.order: list[int] = []
        self.op_of = [-1]
        self.step_of = [len(computes)]
        self.reads: list[list[int]] = [[]]
        self.readers: list[list[list[int]]] = [[]]
        self.runs_of: list[list[int]] = [[] for _ in graph.ops]
        for op in computes:
            run = self.new_run(op, [self.runs_of[graph.values[value].producer][-1] for value in graph.ops[op].inputs])
            self.step_of[run] = len(self.order)
            self.order.append(run)
        for value in graph.outputs:
            self.readers[self.runs_of[graph.values[value].producer][-1]][slot_of[value]].append(END)
        self.cost = sum(graph.ops[op].cost for op in computes)
        self.during_bytes, self.after_bytes = self.profile()

    def new_run(self, op: int, reads: list[int]) -> int:
        """Make a run of this op that reads these runs' copies; it has no step yet."""
        run = len(self.op_of)
        self.op_of.append(op)
        self.step_of.append(-1)
        self.reads.append(reads)
        self.readers.append([[] for _ in self.output_sizes[op]])
        self.runs_of[op].append(run)
        for producer, (_, slot, _) in zip(reads, self.inputs[op], strict=True):
            self.readers[producer][slot].append(run)
        return run

    @property
    def computes(self) -> list[int]:
        """The ops in the order in which they run."""
        return [self.op_of[run] for run in self.order]

    @cached_property
    def _workspaces(self) -> list[int]:
        return [op.workspace_bytes for op in self.graph.ops]

    def profile(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Resident bytes during and after each step, added up anew."""
        steps = len(self.order)
        dying = [0] * (steps + 1)
        for step, run in enumerate(self.order):
            for size, readers in zip(self.output_sizes[self.op_of[run]], self.readers[run], strict=True):
                dying[max((self.step_of[each] for each in readers), default=step)] += size
        during, after, held = [], [], 0
        for step, run in enumerate(self.order):
            op = self.op_of[run]
            held += self.run_bytes[op]
            during.append(held)
            held -= self._workspaces[op] + dying[step]
            after.append(held)
        return np.array(during, dtype=np.int64), np.array(after, dtype=np.int64)

    def last_use(self, run: int, slot: int, besides: int = -1) -> int:
        """The last step that reads this copy, some run left out; its own step if none does."""
        step_of = self.step_of
        last = step_of[run]
        for reader in self.readers[run][slot]:
            if reader != besides and step_of[reader] > last:
                last = step_of[reader]
        return last

    def window(self, run: int) -> tuple[int, int]:
        """The first and last step to which a run can be moved while the others keep their order."""
        step_of = self.step_of
        first = max((step_of[each] for each in self.reads[run]), default=-1) + 1
        last = min((step_of[each] for slot in self.readers[run] for each in slot), default=len(self.order)) - 1
        if not self.fixed_order:
            return first, last
        runs_of, op = self.runs_of, self.op_of[run]
        if run != runs_of[op][0]:
            return max(first, step_of[runs_of[op][0]] + 1), last
        if op:
            first = max(first, step_of[runs_of[op - 1][0]] + 1)
        behind = runs_of[op][1:] + (runs_of[op + 1][:1] if op + 1 < len(runs_of) else [])
        return first, min([last, *(step_of[each] - 1 for each in behind)])

    def held_in_gaps(self, begin: int, end: int) -> NDArray[np.int64]:
        """Bytes held in the gaps of a window; not to be written to."""
        if begin:
            return self.after_bytes[begin - 1 : end]
        return np.concatenate((_NOTHING, self.after_bytes[:end]))

    def hold_more(self, begin: int, more_bytes: NDArray[np.int64]) -> None:
        """Hold so many bytes more, by gap, and while the steps between these gaps run; ``begin`` is at least 1."""
        end = begin + len(more_bytes) - 1
        self.after_bytes[begin - 1 : end] += more_bytes
        self.during_bytes[begin:end] += more_bytes[:-1]

    def renumber(self, first: int, last: int) -> None:
        """Set the steps of the runs between two steps, both included."""
        order, step_of = self.order, self.step_of
        for step in range(first, last + 1):
            step_of[order[step]] = step

    def hand_over(self, slot: int, readers: list[int], source: int, target: int) -> None:
        """Let these readers of an output of one run read another run's copy."""
        kept = self.readers[source][slot]
        self.readers[source][slot] = [each for each in kept if each not in readers]
        self.readers[target][slot] += readers
        for reader in readers:
            reads = self.reads[reader]
            for place, run in enumerate(reads):
                if run == source and self.inputs[self.op_of[reader]][place][1] == slot:
                    reads[place] = target

    def insert(self, run: int, step: int, during_bytes: int, after_bytes: int) -> None:
        """Give a new run its step; what is resident during and after it is known."""
        self.order.insert(step, run)
        self.during_bytes = np.insert(self.during_bytes, step, during_bytes)
        self.after_bytes = np.insert(self.after_bytes, step, after_bytes)
        self.step_of[END] = len(self.order)
        self.renumber(step, len(self.order) - 1)
        self.cost += self.graph.ops[self.op_of[run]].cost

    def remove(self, run: int) -> None:
        """Leave out a run that nothing reads."""
        op, step = self.op_of[run], self.step_of[run]
        for producer, (_, slot, _) in zip(self.reads[run], self.inputs[op], strict=True):
            self.readers[producer][slot].remove(run)
        self.runs_of[op].remove(run)
        del self.order[step]
        self.during_bytes = np.delete(self.during_bytes, step)
        self.after_bytes = np.delete(self.after_bytes, step)
        self.step_of[run], self.step_of[END] = -1, len(self.order)
        self.renumber(step, len(self.order) - 1)
        self.cost -= self.graph.ops[op].cost
