"""Runs a captured step under a schedule, one instruction at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from hcb_opt.capture.program import Program, TensorLayout
from hcb_opt.capture.program_json import check_program
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.runtime.errors import ExecutionError, NondeterministicOp, OutOfBudget, StepMismatch
from hcb_opt.runtime.generators import Draws, KeptDraws, generator_of, restored_on_error
from hcb_opt.runtime.instructions import Free, Plan, Register, Run, Seed
from hcb_opt.runtime.ledger import Ledger
from hcb_opt.runtime.plan import make_plan
from hcb_opt.runtime.transfers import Copies
from hcb_opt.schedule import Schedule

Registers = list[Any]
Watch = Callable[[Run], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Executed:
    """What a step computed; nothing of the model has changed yet.

    Attributes
    ----------
    loss : torch.Tensor
    gradients : list of torch.Tensor or None
        One for each parameter. They may share storage with each other.
    updates : list of (int, torch.Tensor)
        Arguments that the step writes to, and what they shall hold.
    """

    loss: torch.Tensor
    gradients: list[torch.Tensor | None]
    updates: list[tuple[int, torch.Tensor]]


class Executor:
    """A captured step that runs under one schedule.

    Needs torch and no solver. It runs every op by the kernel that eager runs, so
    that loss and gradients are bit-equal to eager's; an op that draws random
    numbers draws the same again when it is recomputed.

    Parameters
    ----------
    graph : Graph
    program : Program
        Of this graph: from `hcb_opt.capture.record.record_program` or
        `hcb_opt.capture.program_json.load_program`.
    schedule : Schedule
        Any legal one in which the ops that draw random numbers come in the
        graph's order.
    budget_bytes : int or None
        What values may hold at once. The first run counts the bytes of real
        storages and ends where they exceed it.
    strict : bool
        Refuse ops without a deterministic kernel, and use deterministic kernels
        where torch has others.

    Raises
    ------
    IllegalSchedule
        If `hcb_opt.replay` refuses the schedule.
    StepMismatch
        If program, graph and schedule do not belong together.

    Attributes
    ----------
    reuses_memory : bool
        Whether a run's results are overwritten by the next.
    """

    reuses_memory = False

    def __init__(
        self,
        graph: Graph,
        program: Program,
        schedule: Schedule,
        *,
        budget_bytes: int | None = None,
        strict: bool = False,
    ) -> None:
        try:
            check_program(program, graph)
        except InvalidInput as error:
            raise StepMismatch(str(error)) from None
        self.graph, self.program, self.schedule = graph, program, schedule
        self.budget_bytes, self.strict = budget_bytes, strict
        self.plan: Plan = make_plan(program, graph, schedule)
        self._counted = False
        self._devices = {torch.device(each.device) for each in program.layouts}

    def run(self, arguments: Sequence[torch.Tensor], watch: Watch | None = None) -> Executed:
        """Execute the step.

        Parameters
        ----------
        arguments : sequence of torch.Tensor
            Parameters, buffers and the batch's tensors, as ``program.layouts``
            lists them. They are read only.
        watch : callable or None
            Called with each `Run`; the context that it gives is open while that runs.

        Returns
        -------
        Executed

        Raises
        ------
        StepMismatch
            If an argument has another layout than the captured one.
        OutOfBudget
            If the values' storages exceed the budget, or the device is full.
        NondeterministicOp
            Under strict mode.
        ExecutionError
            If an op fails otherwise. After any error the generators are as they
            were before.
        """
        check_arguments(self.program, arguments)
        ledger = None
        if self.budget_bytes is not None and not self._counted:
            ledger = Ledger(self.graph, self.plan, self.budget_bytes)
        with restored_on_error(self._devices):
            executed = self.run_drawing(arguments, KeptDraws(), watch, ledger)
        self._counted = True
        return executed

    def run_drawing(
        self,
        arguments: Sequence[torch.Tensor],
        draws: Draws,
        watch: Watch | None = None,
        ledger: Ledger | None = None,
    ) -> Executed:
        """As `run`, with random numbers as `draws` says; after an error, generators are left where they are."""
        registers: Registers = [*arguments, *self.program.constants]
        registers += [None] * (self.plan.registers - len(registers))
        copies = Copies(self.graph)
        with _plain_execution(self._devices, self.strict):
            try:
                self._run_all(registers, draws, copies, ledger, watch)
            except BaseException:
                copies.settle()
                registers.clear()  # or the error's traceback would hold on to the tensors
                raise
        plan = self.plan
        return Executed(
            registers[plan.loss].detach(),
            [None if each is None else registers[each].detach() for each in plan.gradients],
            [(position, registers[each]) for position, each in plan.updates],
        )

    def _run_all(
        self, registers: Registers, draws: Draws, copies: Copies, ledger: Ledger | None, watch: Watch | None
    ) -> None:
        for instruction in self.plan.instructions:
            if isinstance(instruction, Free):
                for register in instruction.registers:
                    registers[register] = None
                if ledger is not None:
                    ledger.freed(instruction.registers)
                continue
            if not isinstance(instruction, Run):
                copies.perform(instruction, registers)
                if ledger is not None:
                    ledger.copied(instruction, registers, copies.compressed_bytes)
                continue
            try:
                if watch is None:
                    _run(instruction, registers, draws)
                else:
                    with watch(instruction):
                        _run(instruction, registers, draws)
            except Exception as error:
                raise _named(error, instruction) from error
            if ledger is not None and instruction.op is not None:
                ledger.computed(instruction.op, registers)


def check_arguments(program: Program, arguments: Sequence[torch.Tensor]) -> None:
    """Refuse tensors that the program was not captured for.

    Raises
    ------
    StepMismatch
        Naming the first one, and what differs.
    """
    if len(arguments) != len(program.layouts):
        raise StepMismatch(f"arguments: {len(arguments)} tensors given; the captured step takes {len(program.layouts)}")
    for layout, given in zip(program.layouts, arguments, strict=True):
        for what, expected, found in _facts(layout, given):
            if found != expected:
                raise StepMismatch(
                    f"{layout.name}: {what} is {found}, but the step was captured with {expected}; capture it again"
                )


def _facts(layout: TensorLayout, given: torch.Tensor) -> Iterator[tuple[str, object, object]]:
    yield "shape", layout.shape, tuple(given.shape)
    yield "dtype", layout.dtype, str(given.dtype).removeprefix("torch.")
    yield "device", layout.device, str(given.device)
    if given.numel():
        yield "strides", layout.strides, given.stride()
    if layout.offset is not None:
        yield "storage offset", layout.offset, given.storage_offset()


def _run(instruction: Run, registers: Registers, draws: Draws) -> None:
    """One call. No local name may outlive it: a tensor held here would not be freed at its drop."""
    arguments = list(instruction.arguments)
    for index, register in instruction.filled:
        arguments[index] = registers[register]
    for index, nest in instruction.nested:
        arguments[index] = _filled(nest, registers)
    keywords = {name: _filled(each, registers) for name, each in instruction.keywords} if instruction.keywords else {}
    if instruction.seed is None:
        result = instruction.function(*arguments, **keywords)
    else:
        result = _draw(instruction, arguments, keywords, draws)
    if instruction.single:
        result = (result,)
    for element, register in instruction.stored:
        registers[register] = result[element]


def _draw(instruction: Run, arguments: list[Any], keywords: dict[str, Any], draws: Draws) -> Any:
    generator = generator_of(_device(arguments, keywords))
    around = draws.first if instruction.seed is Seed.KEEP else draws.again
    with around(generator, instruction.position):
        return instruction.function(*arguments, **keywords)


def _device(arguments: list[Any], keywords: dict[str, Any]) -> torch.device:
    """Where a call draws: on the device that it makes a tensor on, or on its tensors'."""
    told = keywords.get("device")
    if isinstance(told, torch.device):
        return told
    first = next((each for each in arguments if isinstance(each, torch.Tensor)), None)
    return torch.device("cpu") if first is None else first.device


def _filled(nest: Any, registers: Registers) -> Any:
    if isinstance(nest, Register):
        return registers[nest.index]
    return [_filled(each, registers) for each in nest] if isinstance(nest, tuple) else nest


def _named(error: Exception, instruction: Run) -> ExecutionError:
    """The error with the op's name, as one of ours."""
    where = f"op '{instruction.name}' ({instruction.function})"
    message = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in message:
        return OutOfBudget(f"{where}: the device is full ({message}); take a smaller budget or batch")
    if "deterministic" in message:
        return NondeterministicOp(f"{where}: {message}; write the step without it, or leave strict mode")
    return ExecutionError(f"{where}: {type(error).__name__}: {message}")


@contextmanager
def _plain_execution(devices: set[torch.device], strict: bool) -> Iterator[None]:
    """Inside, ops run as they are written: no recording of gradients, no casts on top of the recorded ones."""
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for kind in {"cpu", *(each.type for each in devices)}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        for each in devices:
            if each.type == "cuda":
                # Triton launches on the present device, and events are recorded on its stream.
                stack.enter_context(torch.cuda.device(each))
        if strict:
            stack.enter_context(_deterministic())
        yield


@contextmanager
def _deterministic() -> Iterator[None]:
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
