"""What all stages after a cut do together: rows that keep fractions from spreading over them."""

from __future__ import annotations

from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation


def add_tail_rows(relaxation: Relaxation) -> None:
    """Count an op once in all stages after a cut, and ask for its inputs once.

    Z[k,o] says whether an op o of before the cut is recomputed in stage k or in any later
    one. All schedules satisfy the rows; of the linear relaxation they cut off
    solutions in which a part of a carried value serves parts of recomputes in many
    stages. With them its bound is no worse than that of any one of the cuts alone.

    Parameters
    ----------
    relaxation : Relaxation
        Gets the columns Z[k,o], `Relaxation.tail`, and their rows.
    """
    last = len(relaxation.cuts)
    relaxation.tail = [*({} for _ in range(last)), relaxation.recompute[last]]
    for stage in range(last - 1, 0, -1):
        _either(relaxation, stage)
        _available(relaxation, stage)


def _either(relaxation: Relaxation, stage: int) -> None:
    """Z[k,o] <= R[k,o] + Z[k+1,o]; that Z is no less than either one is true too, but proves no more."""
    rows, later = relaxation.rows, relaxation.tail[stage + 1]
    for op, now in relaxation.recompute[stage].items():
        if op not in later:
            relaxation.tail[stage][op] = now
            continue
        column = relaxation.tail[stage][op] = relaxation.variable(0)
        rows.at_least(0, [(now, 1.0), (later[op], 1.0), (column, -1.0)])


def _available(relaxation: Relaxation, stage: int) -> None:
    """Z[k,o] <= Z[k,prod(v)] + S[k,v] for every input v of o; 1 <= the same for inputs of all later ops and outputs."""
    graph, rows = relaxation.graph, relaxation.rows
    tail, carry = relaxation.tail[stage], relaxation.carry[stage]

    def sources(value: int) -> list[tuple[int, float]]:
        return [(tail[graph.values[value].producer], 1.0), (carry[value], 1.0)]

    for op, column in tail.items():
        for value in graph.ops[op].inputs:
            rows.at_least(0, [*sources(value), (column, -1.0)])
    first = relaxation.first_op(stage)
    for value, each in enumerate(graph.values):
        if each.producer < first <= graph.last_needed[value]:
            rows.at_least(1, sources(value))
