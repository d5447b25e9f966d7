"""Rows for the memory a stage needs while it recomputes, whatever the order inside.

The instant meant by (k, o) is the last time op o runs in stage k. For another
recomputed op q, Y[k,o,q] = 1 says that q last runs after it. A value that is
needed later and whose producer does not run later is resident at that instant.
Every schedule defines such Y, so the rows keep the relaxation one.
"""

from __future__ import annotations

from collections.abc import Collection

from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation


class OrderRows:
    """Rows for the recomputes of one stage of a relaxation.

    Parameters
    ----------
    relaxation : Relaxation
        Extended in place.
    stage : int
    ops : collection of int
        The recomputed ops at whose last runs the memory is counted.

    Attributes
    ----------
    later : dict of (int, int) to int
        (o, q) -> column of Y[stage, o, q].
    held : dict of (int, int) to int
        (o, v) -> column of H[stage, o, v]: v is resident when o last runs.
    needed : dict of int to int or None
        Values resident at the stage's end: their S column, None if always.
    """

    def __init__(self, relaxation: Relaxation, stage: int, ops: Collection[int]) -> None:
        self.relaxation = relaxation
        self.stage = stage
        self.ops = sorted(op for op in ops if op in relaxation.recompute[stage])
        self.later: dict[tuple[int, int], int] = {}
        self.held: dict[tuple[int, int], int] = {}
        self.needed = self._needed_at_end()
        for op in self.ops:
            self._memory(op)
        for op in self.ops:
            for other in self.ops:
                if other < op:
                    self._one_before_other(op, other)

    def _needed_at_end(self) -> dict[int, int | None]:
        """Values resident when the stage ends, with the first compute of its cut."""
        relaxation, graph = self.relaxation, self.relaxation.graph
        if self.stage == len(relaxation.cuts):
            return dict.fromkeys(graph.outputs)
        cut = relaxation.cuts[self.stage]
        return {**relaxation.carry[self.stage + 1], **dict.fromkeys(graph.ops[cut].inputs)}

    def _later(self, op: int, other: int) -> int:
        """Column of Y[k,o,q]; q runs after o only if it runs: Y[k,o,q] <= R[k,q]."""
        key = (op, other)
        if key not in self.later:
            column = self.later[key] = self.relaxation.variable(0)
            self.relaxation.rows.at_least(0, [(self.relaxation.recompute[self.stage][other], 1.0), (column, -1.0)])
        return self.later[key]

    def _memory(self, op: int) -> None:
        """sum bytes(v) H[k,o,v] + workset(o) R[k,o] <= budget over v not touching o.

        H[k,o,v] >= S[k+1,v] - Y[k,o,prod(v)] for what the stage must end with,
        and H[k,o,v] >= Y[k,o,q] - Y[k,o,prod(v)] for every input v of another
        recomputed op q.
        """
        relaxation, graph = self.relaxation, self.relaxation.graph
        recomputed = relaxation.recompute[self.stage]
        touched = {*graph.ops[op].inputs, *graph.ops[op].outputs}

        def hold(value: int) -> tuple[int, int] | None:
            producer = graph.values[value].producer
            if value in touched or producer not in recomputed or not graph.sizes[value]:
                return None
            if (op, value) not in self.held:
                self.held[op, value] = relaxation.variable(0)
            return self.held[op, value], self._later(op, producer)

        for value, column in self.needed.items():
            columns = hold(value)
            if columns and column is None:
                relaxation.rows.at_least(1, [(each, 1.0) for each in columns])
            elif columns and column is not None:
                relaxation.rows.at_least(0, [*((each, 1.0) for each in columns), (column, -1.0)])
        for other in self.ops:
            for value in graph.ops[other].inputs if other != op else ():
                columns = hold(value)
                if columns:
                    relaxation.rows.at_least(0, [*((each, 1.0) for each in columns), (self._later(op, other), -1.0)])
        terms = [(column, graph.sizes[value]) for (holder, value), column in self.held.items() if holder == op]
        relaxation.memory_row(relaxation.budget_bytes, [*terms, (recomputed[op], graph.workset_bytes[op])])

    def _one_before_other(self, op: int, other: int) -> None:
        """Y[k,o,q] + Y[k,q,o] <= 1, and = 1 if both run."""
        recomputed = self.relaxation.recompute[self.stage]
        one, two = self._later(op, other), self._later(other, op)
        self.relaxation.rows.at_least(-1, [(one, -1.0), (two, -1.0)])
        self.relaxation.rows.at_least(-1, [(one, 1.0), (two, 1.0), (recomputed[op], -1.0), (recomputed[other], -1.0)])
