"""Retention intervals as a constraint programme.

Bartan et al., Moccasin: Efficient Tensor Rematerialization for Neural Networks,
ICML 2023, with these differences: a value has its own interval, not an op; which
copy serves which compute is a literal, where the paper has reservoirs; computes
of one stage come in any order, where the paper has the topological one.

Times are whole numbers. The first compute of op k has a fixed one; between it and
the one before lies stage k, with room for every compute that may be repeated
there. Computes at the same time are counted as if they were one: to run them one
after the other takes no more memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hcb_opt.bounds import cost_divisor
from hcb_opt.formulations.retention_intervals.cut_rows import memory_at_cut
from hcb_opt.formulations.retention_intervals.hint import add_hint
from hcb_opt.formulations.retention_intervals.scope import Scope
from hcb_opt.formulations.retention_intervals.trace import END, Copy

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar


@dataclass(frozen=True)
class RetentionIntervals:
    """What a solver process needs to build the programme.

    Attributes
    ----------
    scope : Scope
    budget_bytes : int
    most_cost : int or None
        Only schedules that cost no more are sought.
    cuts : tuple of int
        Positions at whose first computes memory is counted by a row as well.
    hint : tuple of int or None
        The computes of a known schedule of the scope.
    """

    scope: Scope
    budget_bytes: int
    most_cost: int | None
    cuts: tuple[int, ...]
    hint: tuple[int, ...] | None

    @property
    def cost_unit(self) -> int:
        """Every cost is a multiple of it; the objective counts in it."""
        return cost_divisor(self.scope.graph)

    @property
    def byte_unit(self) -> int:
        """Every size is a multiple of it."""
        graph = self.scope.graph
        return math.gcd(*graph.sizes, *(op.workspace_bytes for op in graph.ops)) or 1

    @property
    def most_objective(self) -> int:
        """What all repeats would cost together, with every op once, in cost units."""
        ops = self.scope.graph.ops
        return (self.scope.graph.base_cost + sum(ops[op].cost for op, _ in self.repeats)) // self.cost_unit

    @property
    def repeats(self) -> list[Copy]:
        """The computes that may be added to the first ones."""
        return [(op, turn) for op, copies in enumerate(self.scope.copies) for turn in range(1, copies)]

    def build(self, model: CpModel) -> Sequence[IntVar]:
        """Fill an empty model; reports give, for each repeat, whether and when it runs."""
        parts = Parts(self, model)
        _copies_follow_each_other(parts)
        _reads_are_served(parts)
        _repeats_are_read(parts)
        _memory(parts)
        for position in self.cuts:
            memory_at_cut(parts, position)
        _cost(parts)
        if self.hint is not None:
            add_hint(parts, self.hint)
        return [variable for each in self.repeats for variable in (parts.present[each], parts.starts[each])]

    def computes(self, solution: Sequence[float]) -> list[int]:
        """The ops in the order in which a solution runs them; computes that stand for more, once."""
        times = [(time, op) for op, time in enumerate(self.scope.first_times[:-1])]
        for index, (op, _) in enumerate(self.repeats):
            if solution[2 * index] > 0.5:
                times.append((round(solution[2 * index + 1]), op))
        return [op for _, op in sorted(times)]

    def exceeded(self, solution: Sequence[float]) -> list[int]:
        """The ops of which a solution runs more computes than are told apart."""
        return [
            op
            for index, (op, turn) in enumerate(self.repeats)
            if solution[2 * index] > 0.5 and self.scope.stands_for_more(op, turn)
        ]


class Parts:
    """The variables.

    ``present``: whether a compute runs; ``starts``: when; ``ends``: until when
    each copy of a value is held; ``serves``: by reader, value and turn of the
    value's producer, whether that copy is the one read.
    """

    def __init__(self, programme: RetentionIntervals, model: CpModel) -> None:
        self.programme, self.model = programme, model
        self.scope = scope = programme.scope
        self.graph = graph = scope.graph
        self.present: dict[Copy, IntVar] = {}
        self.starts: dict[Copy, IntVar] = {}
        self.ends: dict[Copy, IntVar] = {}
        self.serves: dict[tuple[Copy, int, int], IntVar] = {}
        self.reads: list[tuple[Copy, int]] = [
            ((reader, turn), value)
            for reader, op in enumerate(graph.ops)
            for turn in range(scope.copies[reader])
            for value in op.inputs
        ]
        self.reads += [((END, 0), value) for value in graph.outputs]
        self.after: dict[tuple[Copy, int], IntVar] = {}
        self.held: dict[tuple[Copy, int], IntVar] = {}
        last = [scope.last_time(value.producer) + 1 for value in graph.values]
        for (reader, _), value in self.reads:
            last[value] = max(last[value], scope.end_time + 1 if reader == END else scope.last_time(reader) + 1)
        self.present[END, 0], self.starts[END, 0] = model.new_constant(1), model.new_constant(scope.end_time)
        for op, first in enumerate(scope.first_times[:-1]):
            for turn in range(scope.copies[op]):
                if turn:
                    self.present[op, turn] = model.new_bool_var("present")
                    self.starts[op, turn] = model.new_int_var(first + 1, scope.last_time(op), "start")
                else:
                    self.present[op, 0], self.starts[op, 0] = model.new_constant(1), model.new_constant(first)
                if not scope.stands_for_more(op, turn):
                    for value in graph.ops[op].outputs:
                        self.ends[value, turn] = model.new_int_var(first + turn + 1, last[value], "end")


def _copies_follow_each_other(parts: Parts) -> None:
    """An op's computes are counted in order, and each replaces the copies before."""
    for op, turn in parts.programme.repeats:
        parts.model.add_implication(parts.present[op, turn], parts.present[op, turn - 1])
        for value in parts.graph.ops[op].outputs:
            after = parts.model.add(parts.starts[op, turn] >= parts.ends[value, turn - 1])
            after.only_enforce_if(parts.present[op, turn])


def _reads_are_served(parts: Parts) -> None:
    """Every compute reads one copy of each input, which is there before and held until it is done.

    What stands for further computes may serve from its first one on.
    """
    model = parts.model
    for reader, value in parts.reads:
        producer = parts.graph.values[value].producer
        choices = []
        for turn in range(parts.scope.copies[producer]):
            alone = parts.scope.copies[producer] == 1
            serves = parts.present[reader] if alone else model.new_bool_var("serves")
            if turn:
                model.add_implication(serves, parts.present[producer, turn])
                model.add(parts.starts[producer, turn] < parts.starts[reader]).only_enforce_if(serves)
            if not parts.scope.stands_for_more(producer, turn):
                model.add(parts.ends[value, turn] > parts.starts[reader]).only_enforce_if(serves)
            parts.serves[reader, value, turn] = serves
            choices.append(serves)
        if len(choices) > 1:
            model.add_exactly_one([*choices, ~parts.present[reader]])


def _repeats_are_read(parts: Parts) -> None:
    """A compute is repeated only for a reader of one of its values."""
    readers: dict[Copy, list[IntVar]] = {each: [] for each in parts.programme.repeats}
    for (_, value, turn), serves in parts.serves.items():
        if turn:
            readers[parts.graph.values[value].producer, turn].append(serves)
    for each, choices in readers.items():
        parts.model.add_bool_or(choices).only_enforce_if(parts.present[each])


def _memory(parts: Parts) -> None:
    """All copies held at once, and workspaces while their ops run, fit the budget.

    What stands for further computes is held while it runs and while it is read.
    """
    model, graph, unit = parts.model, parts.graph, parts.programme.byte_unit
    intervals, demands = [], []
    for (op, turn), present in parts.present.items():
        if op == END:
            continue
        start = parts.starts[op, turn]
        for value in graph.ops[op].outputs:
            demands.append(graph.sizes[value] // unit)
            if parts.scope.stands_for_more(op, turn):
                intervals.append(model.new_optional_fixed_size_interval_var(start, 1, present, "held"))
                continue
            length = model.new_int_var(1, parts.scope.end_time + 1, "length")
            intervals.append(model.new_optional_interval_var(start, length, parts.ends[value, turn], present, "held"))
        if graph.ops[op].workspace_bytes:
            intervals.append(model.new_optional_fixed_size_interval_var(start, 1, present, "workspace"))
            demands.append(graph.ops[op].workspace_bytes // unit)
    for (reader, value, turn), serves in parts.serves.items():
        if parts.scope.stands_for_more(graph.values[value].producer, turn):
            intervals.append(model.new_optional_fixed_size_interval_var(parts.starts[reader], 1, serves, "read"))
            demands.append(graph.sizes[value] // unit)
    model.add_cumulative(intervals, demands, parts.programme.budget_bytes // unit)


def _cost(parts: Parts) -> None:
    """Every op once, and what is repeated."""
    programme, graph = parts.programme, parts.graph
    unit = programme.cost_unit
    cost: Any = graph.base_cost // unit
    for op, turn in programme.repeats:
        cost += graph.ops[op].cost // unit * parts.present[op, turn]
    if programme.most_cost is not None:
        parts.model.add(cost <= programme.most_cost // unit)
    parts.model.minimize(cost)
