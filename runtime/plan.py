"""From a schedule to the flat list of instructions that the executor runs.

Tensors live in numbered registers. Every compute allocates its outputs anew; a
view is made from the resident instance of its base right before its first use,
and goes with it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from hcb_opt.capture.program import Argument, Call, Constant, Output, Program, Reference, call_references, references
from hcb_opt.graph import Graph
from hcb_opt.replay import replay
from hcb_opt.runtime.errors import StepMismatch
from hcb_opt.runtime.instructions import (
    Await,
    Discarded,
    Free,
    FromHost,
    Instruction,
    Pack,
    Plan,
    Register,
    Run,
    Seed,
    ToHost,
    Unpack,
)
from hcb_opt.runtime.operators import function_of
from hcb_opt.schedule import Compress, Compute, Decompress, Drop, Offload, Prefetch, Schedule
from hcb_opt.transfers.link import INSTANT
from hcb_opt.transfers.replay import replay_transfers


def make_plan(program: Program, graph: Graph, schedule: Schedule) -> Plan:
    """Instructions that execute a program under a schedule.

    Parameters
    ----------
    program : Program
        Of this graph; see `hcb_opt.capture.program_json.check_program`.
    graph : Graph
    schedule : Schedule

    Raises
    ------
    IllegalSchedule
        If replay refuses the schedule.
    StepMismatch
        If it would draw random numbers in another order than the step, or an
        operator is not there.
    """
    judged = replay_transfers(graph, schedule, INSTANT) if schedule.has_transfers else replay(graph, schedule)
    _check_draws(graph, schedule)
    planner = _Planner(program, graph, judged.compute_counts)
    for action in schedule.actions:
        if isinstance(action, Compute):
            planner.compute(action.op)
        elif isinstance(action, Drop):
            planner.drop(action.value)
        elif isinstance(action, Offload):
            planner.offload(action.value)
        elif isinstance(action, Prefetch):
            planner.prefetch(action.value)
        elif isinstance(action, Compress):
            planner.compress(action.value, action.scheme)
        elif isinstance(action, Decompress):
            planner.decompress(action.value)
        else:
            planner.discard(action.value)
    return planner.finish()


def _check_draws(graph: Graph, schedule: Schedule) -> None:
    """Generators are shared: only in the step's own order does every op draw what eager draws."""
    firsts = [op for op in dict.fromkeys(schedule.computes) if graph.ops[op].seeded]
    for before, after in pairwise(firsts):
        if after < before:
            raise StepMismatch(
                f"schedule: op '{graph.ops[before].name}' draws random numbers before op '{graph.ops[after].name}', "
                "which the step runs first; solve with order='fixed'"
            )


class _Planner:
    """Instructions so far, and which registers are filled."""

    def __init__(self, program: Program, graph: Graph, counts: tuple[int, ...]) -> None:
        self.program, self.graph, self.counts = program, graph, counts
        self.call_of = {call.op: position for position, call in enumerate(program.calls) if call.op is not None}
        self.instructions: list[Instruction] = []
        self.first_output: list[int] = []
        self.registers = len(program.layouts) + len(program.constants)
        for call in program.calls:
            self.first_output.append(self.registers)
            self.registers += len(call.values)
        self.templates = [self._template(position, call) for position, call in enumerate(program.calls)]
        # Registers filled for each resident value: its own and those of its views.
        self.filled: list[list[int]] = [[] for _ in graph.values]
        self.made: set[int] = set()
        self.started: set[int] = set()
        self.owners = self._value_registers()
        # Values whose storage is being copied from or to, and those of them that are not there yet.
        self.copying: set[int] = set()
        self.arriving: set[int] = set()

    def compute(self, op: int) -> None:
        """Run an op; instances of its outputs that are still there go first."""
        position = self.call_of[op]
        call = self.program.calls[position]
        replaced = self.copying & {*self.graph.ops[op].outputs}
        self._await(self.arriving & {*self.graph.ops[op].inputs} | replaced)
        self._free([value for value in call.values if value is not None])
        self._make_views(call)
        run = self.templates[position]
        if self.graph.ops[op].seeded and self.counts[op] > 1:
            run = replace(run, seed=Seed.REPLAY if op in self.started else Seed.KEEP)
        self.started.add(op)
        self.instructions.append(run)
        for element, register in run.stored:
            value = call.values[element]
            assert value is not None
            self.filled[value].append(register)

    def drop(self, value: int) -> None:
        """Let go of a value, when the copies from and to it have ended."""
        self._await(self.copying & {value})
        self._free([value])

    def offload(self, value: int) -> None:
        """Start to copy a value to the host."""
        self.instructions.append(ToHost(value, self.owners[value]))
        self.copying.add(value)

    def prefetch(self, value: int) -> None:
        """Start to copy a value back; its views are made anew when they are used."""
        self.instructions.append(FromHost(value, self.owners[value]))
        self.filled[value] = [self.owners[value]]
        self.copying.add(value)
        self.arriving.add(value)

    def compress(self, value: int, scheme: str) -> None:
        """Keep a compressed copy of a value."""
        self._await(self.arriving & {value})
        self.instructions.append(Pack(value, self.owners[value], scheme))

    def decompress(self, value: int) -> None:
        """Make a value anew from its compressed copy."""
        self.instructions.append(Unpack(value, self.owners[value]))
        self.filled[value] = [self.owners[value]]

    def discard(self, value: int) -> None:
        """Let go of a compressed copy."""
        self.instructions.append(Discarded(value))

    def finish(self) -> Plan:
        """Make the views among the results when all copies have ended, and say where the results are."""
        self._await(set(self.copying))
        for each in self.program.results:
            self._make_view(each)
        gradients = tuple(None if each is None else self._register(each) for each in self.program.gradients)
        updates = tuple((position, self._register(each)) for position, each in self.program.updates)
        return Plan(
            tuple(self.instructions),
            self.registers,
            self._register(self.program.loss),
            gradients,
            updates,
            self.owners,
        )

    def _await(self, values: set[int]) -> None:
        """Wait for the copies of these values, if there are any."""
        if values:
            self.instructions.append(Await(tuple(sorted(values))))
            self.copying -= values
            self.arriving -= values

    def _value_registers(self) -> tuple[int, ...]:
        owners = {
            value: self.first_output[position] + element
            for position in self.call_of.values()
            for element, value in enumerate(self.program.calls[position].values)
            if value is not None
        }
        return tuple(owners[value] for value in range(len(self.graph.values)))

    def _free(self, values: list[int]) -> None:
        registers = tuple(register for value in values for register in self.filled[value])
        for value in values:
            self.filled[value] = []
        self.made.difference_update(registers)
        if registers:
            self.instructions.append(Free(registers))

    def _make_views(self, call: Call) -> None:
        for each in call_references(call):
            self._make_view(each)

    def _make_view(self, reference: Reference) -> None:
        """Make a view and those it is made from, unless they are there."""
        if not isinstance(reference, Output) or self.program.calls[reference.call].op is not None:
            return
        if self._register(reference) in self.made:
            return
        call = self.program.calls[reference.call]
        self._make_views(call)
        run = self.templates[reference.call]
        self.instructions.append(run)
        for element, register in run.stored:
            value = call.values[element]
            self.made.add(register)
            if value is not None:
                self.filled[value].append(register)

    def _register(self, reference: Reference) -> int:
        if isinstance(reference, Argument):
            return reference.position
        if isinstance(reference, Constant):
            return len(self.program.layouts) + reference.position
        return self.first_output[reference.call] + reference.element

    def _template(self, position: int, call: Call) -> Run:
        filled, nested = [], []
        for index, each in enumerate(call.arguments):
            if isinstance(each, Reference):
                filled.append((index, self._register(each)))
            elif references(each):
                nested.append((index, self._with_registers(each)))
        plain = tuple(None if references(each) else each for each in call.arguments)
        stored = tuple(
            (element, self.first_output[position] + element)
            for element, value in enumerate(call.values)
            if call.op is None or value is not None
        )
        return Run(
            call.name,
            position,
            function_of(self.program, call),
            plain,
            tuple(filled),
            tuple(nested),
            tuple((name, self._with_registers(each)) for name, each in call.keywords),
            stored,
            call.single,
            call.op,
        )

    def _with_registers(self, argument: Any) -> Any:
        if isinstance(argument, tuple):
            return tuple(self._with_registers(each) for each in argument)
        return Register(self._register(argument)) if isinstance(argument, Reference) else argument
