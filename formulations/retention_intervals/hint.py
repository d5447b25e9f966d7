"""A known schedule as the solution to start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hcb_opt.formulations.retention_intervals.trace import trace

if TYPE_CHECKING:
    from hcb_opt.formulations.retention_intervals.programme import Parts


def add_hint(parts: Parts, order: Sequence[int]) -> None:
    """Hint at a known schedule: every variable as it has it.

    Parameters
    ----------
    parts : Parts
    order : sequence of int
        The computes; the scope covers them.
    """
    model, scope = parts.model, parts.scope
    traced = trace(scope, order)
    times = traced.times
    for each in parts.programme.repeats:
        model.add_hint(parts.present[each], each in times)
        if each in times:
            model.add_hint(parts.starts[each], times[each])
    for copy, end in traced.ends.items():
        model.add_hint(parts.ends[copy], end)
    for (reader, value, turn), serves in parts.serves.items():
        if scope.copies[parts.graph.values[value].producer] > 1:
            model.add_hint(serves, traced.served.get((reader, value)) == turn)
    for (each, position), after in parts.after.items():
        model.add_hint(after, times.get(each, -1) >= scope.first_times[position])
    for ((value, turn), position), held in parts.held.items():
        each, time = (parts.graph.values[value].producer, turn), scope.first_times[position]
        model.add_hint(held, each in times and times[each] < time < traced.ends[value, turn])
