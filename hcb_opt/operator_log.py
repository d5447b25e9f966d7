"""Operator logs of dynamic tensor rematerialization: JSON lines, one instruction each.

The logs of Kirisame et al. (ICLR 2021) record a training step as a framework ran
it. The instructions:

``CONSTANT`` and ``MEMORY``
    A tensor that is there from the start, such as a parameter, and its bytes.
``CALL``, then ``MEMORY`` and ``ALIAS`` of each result
    An operator, its arguments, results and nanoseconds. ``ALIAS`` is the argument
    whose storage the result is a view of, -1 for a storage of its own.
``MUTATE``
    An operator that writes to some of its arguments in place.
``COPY``, ``COPY_FROM``, ``RELEASE``
    The program's references: another one to a tensor, one that moves to another
    tensor, one that ends.
``ANNOTATE``
    ``START``: what comes before is left out. ``BACKWARD``: the backward begins.

As a graph, a storage is one value and every operator one op. Constants are
persistent. A view writes no value: what reads it reads its storage, and its own
nanoseconds are those of an op without outputs, which runs once. A mutation reads the
old storage and writes a new one, as Kirisame et al. do, since rematerialization
needs the old one to repeat it. What the program still refers to at the end is
required; when it released the rest does not matter, since a schedule may drop a
value after its last use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.build import OpSpec
from hcb_opt.errors import InvalidInput
from hcb_opt.fields import Fields, shown
from hcb_opt.graph import Phase

_LONGEST_FIRST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class OperatorLog:
    """A log, ready for `hcb_opt.build_graph`.

    Attributes
    ----------
    specs : tuple of OpSpec
        In the order in which they ran; costs in nanoseconds. Only a log that
        annotates its backward has phases: operators' names do not tell.
    outputs : tuple of str
        Values that the program still refers to at the end.
    persistent_bytes : int
        Of all constants.
    """

    specs: tuple[OpSpec, ...]
    outputs: tuple[str, ...]
    persistent_bytes: int


def is_operator_log(path: str | Path) -> bool:
    """Whether a file's first line is an instruction; False too if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            first = json.loads(file.readline(_LONGEST_FIRST_LINE))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "INSTRUCTION" in first


def read_operator_log(lines: Iterable[str]) -> OperatorLog:
    """Read a log.

    Parameters
    ----------
    lines : iterable of str
        Empty ones are passed over.

    Returns
    -------
    OperatorLog

    Raises
    ------
    InvalidInput
        If a line is no instruction, misses a field or names an unknown tensor, or
        the log ends within an operator; the message names the line.
    """
    instructions = [_instruction(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    starts = [place for place, each in enumerate(instructions) if _annotation(each) == "START"]
    return _Reader(instructions[starts[0] if starts else 0 :]).read()


@dataclass(slots=True)
class _Storage:
    """A storage, and how many references the program has to its tensors."""

    name: str
    size_bytes: int
    constant: bool
    references: int = 1


class _Reader:
    """One pass over the instructions; several tensors may share a storage."""

    def __init__(self, instructions: list[Fields]) -> None:
        self.rest: Iterator[Fields] = iter(instructions)
        self.last = instructions[-1] if instructions else Fields({}, "line 1")
        self.storages: dict[str, _Storage] = {}
        self.tensors: dict[str, _Storage] = {}
        self.specs: list[OpSpec] = []
        self.phase = Phase.FORWARD

    def read(self) -> OperatorLog:
        actions: dict[str, Callable[[Fields], None]] = {
            "CONSTANT": self._constant,
            "CALL": self._call,
            "MUTATE": self._mutate,
            "COPY": self._copy,
            "COPY_FROM": self._copy_from,
            "RELEASE": self._release,
            "ANNOTATE": self._annotate,
        }
        for instruction in self.rest:
            kind = instruction.text("INSTRUCTION")
            if kind not in actions:
                raise InvalidInput(
                    instruction.place("INSTRUCTION"), f"{shown(kind)} is not expected here", f"use {', '.join(actions)}"
                )
            actions[kind](instruction)
        storages = self.storages.values()
        outputs = tuple(each.name for each in storages if each.references > 0 and not each.constant)
        persistent = sum(each.size_bytes for each in storages if each.constant)
        return OperatorLog(tuple(self.specs), outputs, persistent)

    def _constant(self, instruction: Fields) -> None:
        name = instruction.text("NAME")
        self._bind(instruction, name, self._store(name, self._about(name, "MEMORY"), constant=True))

    def _call(self, instruction: Fields) -> None:
        arguments = self._arguments(instruction)
        written = []
        for name in instruction.texts("RESULT"):
            size_bytes = self._about(name, "MEMORY")
            alias = self._about(name, "ALIAS", least=-1)
            if alias >= len(arguments):
                raise InvalidInput(
                    instruction.where, f"'{name}' aliases argument {alias} of {len(arguments)}", "count from 0"
                )
            if alias >= 0:
                arguments[alias].references += 1
                self._bind(instruction, name, arguments[alias])
            else:
                written.append(self._store(name, size_bytes))
                self._bind(instruction, name, written[-1])
        self._add_op(instruction, arguments, written)

    def _mutate(self, instruction: Fields) -> None:
        arguments = self._arguments(instruction)
        names = instruction.texts("ARGS")
        written = []
        for place in instruction.listing("MUTATE"):
            if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(arguments):
                raise InvalidInput(instruction.place("MUTATE"), f"{shown(place)} is no argument", "count from 0")
            old = arguments[place]
            old.references -= 1
            written.append(self._store(f"{old.name}$", old.size_bytes))
            self.tensors[names[place]] = written[-1]
        self._add_op(instruction, arguments, written)

    def _copy(self, instruction: Fields) -> None:
        storage = self._tensor(instruction, "SRC")
        storage.references += 1
        self._bind(instruction, instruction.text("DST"), storage)

    def _copy_from(self, instruction: Fields) -> None:
        self._tensor(instruction, "DST").references -= 1
        storage = self._tensor(instruction, "SRC")
        storage.references += 1
        self.tensors[instruction.text("DST")] = storage

    def _release(self, instruction: Fields) -> None:
        # The program may release what it had before the log starts.
        name = instruction.text("NAME")
        if name in self.tensors:
            self.tensors[name].references -= 1

    def _annotate(self, instruction: Fields) -> None:
        if _annotation(instruction) == "BACKWARD":
            self.phase = Phase.BACKWARD

    def _about(self, name: str, kind: str, least: int = 0) -> int:
        """The number in the next instruction, which must be of this kind and about this tensor."""
        instruction = next(self.rest, None)
        if instruction is None:
            raise InvalidInput(
                self.last.where, f"the log ends before {kind} of '{name}'", "the file may be truncated; write it again"
            )
        found = instruction.text("INSTRUCTION"), instruction.required("NAME")
        if found != (kind, name):
            raise InvalidInput(
                instruction.where, f"is not {kind} of '{name}'", "write each operator's results after it"
            )
        return _whole(instruction, kind, least)

    def _store(self, name: str, size_bytes: int, constant: bool = False) -> _Storage:
        while name in self.storages:
            name += "$"
        return self.storages.setdefault(name, _Storage(name, size_bytes, constant))

    def _bind(self, instruction: Fields, name: str, storage: _Storage) -> None:
        if name in self.tensors:
            raise InvalidInput(instruction.where, f"tensor '{name}' is there already", "give every tensor its own name")
        self.tensors[name] = storage

    def _tensor(self, instruction: Fields, field: str) -> _Storage:
        return self._known(instruction.text(field), instruction.place(field))

    def _arguments(self, instruction: Fields) -> list[_Storage]:
        return [self._known(name, instruction.place("ARGS")) for name in instruction.texts("ARGS")]

    def _known(self, name: str, where: str) -> _Storage:
        if name not in self.tensors:
            raise InvalidInput(where, f"there is no tensor '{name}'", "name one that an earlier line makes")
        return self.tensors[name]

    def _add_op(self, instruction: Fields, arguments: Iterable[_Storage], written: Iterable[_Storage]) -> None:
        reads = dict.fromkeys(each.name for each in arguments if not each.constant)
        self.specs.append(
            OpSpec(
                f"{instruction.text('NAME')}/{len(self.specs)}",
                _whole(instruction, "TIME", 0),
                tuple(reads),
                tuple((each.name, each.size_bytes) for each in written),
                phase=self.phase,
            )
        )


def _instruction(line: str, number: int) -> Fields:
    where = f"line {number}"
    try:
        return Fields(json.loads(line), where)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(where, "not JSON", "the file may be truncated; write it again") from None


def _annotation(instruction: Fields) -> str:
    if instruction.document.get("INSTRUCTION") != "ANNOTATE":
        return ""
    return instruction.text("ANNOTATION")


def _whole(instruction: Fields, name: str, least: int) -> int:
    """A whole number, which logs write as a string."""
    found = instruction.required(name)
    try:
        number = int(found) if isinstance(found, str) else found
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InvalidInput(
            instruction.place(name), f"{shown(found)} is not a whole number >= {least}", "write an integer"
        )
    return number
