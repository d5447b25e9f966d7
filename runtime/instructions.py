"""What the executor runs: calls of operators, releases and transfers, on tensors in numbered registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Seed(StrEnum):
    """What becomes of the random-number generator at a call that draws from it."""

    KEEP = "keep"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Run:
    """Call an operator.

    Attributes
    ----------
    name : str
        Of the op or view.
    position : int
        Of the call in the program.
    function : callable
    arguments : tuple
        As passed, with None in the place of each tensor of ``filled``.
    filled : tuple of (int, int)
        Argument and the register it is taken from.
    nested : tuple of (int, tuple)
        Argument and the nest of registers and plain arguments it is made from.
    keywords : tuple of (str, argument)
        Registers in them stand as `Register`.
    stored : tuple of (int, int)
        Element of the result and the register it goes to.
    single : bool
        Whether the result is one tensor.
    op : int or None
        Position of the op; None for a view.
    seed : Seed or None
        None if it draws nothing, or runs only once.
    """

    name: str
    position: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    filled: tuple[tuple[int, int], ...]
    nested: tuple[tuple[int, Any], ...]
    keywords: tuple[tuple[str, Any], ...]
    stored: tuple[tuple[int, int], ...]
    single: bool
    op: int | None
    seed: Seed | None = None


@dataclass(frozen=True, slots=True)
class Free:
    """Let go of registers: a value and all its views, or an instance about to be replaced."""

    registers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ToHost:
    """Start to copy the storage behind a value's register to host memory."""

    value: int
    register: int


@dataclass(frozen=True, slots=True)
class FromHost:
    """Fill a value's register with a new tensor, and start to copy its storage back."""

    value: int
    register: int


@dataclass(frozen=True, slots=True)
class Pack:
    """Keep a compressed copy of the tensor in a value's register."""

    value: int
    register: int
    scheme: str


@dataclass(frozen=True, slots=True)
class Unpack:
    """Fill a value's register from its compressed copy."""

    value: int
    register: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """Let go of a value's compressed copy."""

    value: int


@dataclass(frozen=True, slots=True)
class Await:
    """Let the computes wait for the copies of these values."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """A register inside nested arguments."""

    index: int


Transfer = ToHost | FromHost | Await | Pack | Unpack | Discarded
Instruction = Run | Free | Transfer


@dataclass(frozen=True)
class Plan:
    """A schedule, ready to run.

    Attributes
    ----------
    instructions : tuple of Instruction
    registers : int
        How many there are; the first hold the arguments, the next the constants.
    loss : int
        Register of the loss.
    gradients : tuple of int or None
        Register of each parameter's gradient.
    updates : tuple of (int, int)
        Argument and the register of what it becomes.
    value_registers : tuple of int
        For each value, the register of the result that owns its storage.
    """

    instructions: tuple[Instruction, ...]
    registers: int
    loss: int
    gradients: tuple[int | None, ...]
    updates: tuple[tuple[int, int], ...]
    value_registers: tuple[int, ...]
