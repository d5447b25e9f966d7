"""Memory at single instants as rows that a linear relaxation sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hcb_opt.bounds import straddling_at
from hcb_opt.formulations.retention_intervals.trace import END

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import IntVar

    from hcb_opt.formulations.retention_intervals.programme import Parts


def memory_at_cut(parts: Parts, position: int) -> None:
    """Implied rows: what is held over one first compute, and what is computed again after it.

    ``held`` and ``after`` are the S and R of a relaxation with this one cut. The
    linear relaxation of the programme, which sees little of a cumulative, sees
    these.

    Parameters
    ----------
    parts : Parts
    position : int
        Of the op.
    """
    model, graph, scope = parts.model, parts.graph, parts.scope
    time = scope.first_times[position]
    provided: dict[int, list[IntVar]] = {}
    for op in range(position):
        if scope.latest[op] > position:
            for turn in range(1, scope.copies[op]):
                after = parts.after[(op, turn), position] = model.new_bool_var("after")
                present, start = parts.present[op, turn], parts.starts[op, turn]
                model.add_implication(after, present)
                model.add(start >= time).only_enforce_if(after)
                model.add(start < time).only_enforce_if(present, ~after)
    used: Any = 0  # then a linear expression
    straddling = straddling_at(graph, position)
    for value in straddling:
        producer = graph.values[value].producer
        copies = [(producer, turn) for turn in range(scope.copies[producer])]
        provided[value] = [parts.after[each, position] for each in copies if (each, position) in parts.after]
        for each in copies:
            if scope.stands_for_more(*each):
                provided[value].append(parts.present[each])
                continue
            held = parts.held[(value, each[1]), position] = model.new_bool_var("held")
            model.add_implication(held, parts.present[each])
            model.add(parts.starts[each] < time).only_enforce_if(held)
            end = parts.ends[value, each[1]]
            model.add(end > time).only_enforce_if(held)
            late = parts.after.get((each, position))
            earlier = [parts.present[each], ~held] if late is None else [parts.present[each], ~held, ~late]
            model.add(end <= time).only_enforce_if(earlier)
            provided[value].append(held)
            used += graph.sizes[value] // parts.programme.byte_unit * held
    room = parts.programme.budget_bytes - graph.workset_bytes[position]
    model.add(used <= room // parts.programme.byte_unit)
    for reader, value in parts.reads:
        if value in provided and ((reader[0] > position and not reader[1]) or reader[0] == END):
            model.add_bool_or(provided[value])
        elif value in provided and (reader, position) in parts.after:
            model.add_bool_or(provided[value]).only_enforce_if(parts.after[reader, position])
