"""What running and storing costs: the steps of a chain and the levels of its storage."""

from __future__ import annotations

from dataclasses import dataclass

from hcb_opt.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Level:
    """A kind of storage for states.

    Attributes
    ----------
    slots : int or None
        States that it holds at once; None for as many as one likes.
    write_cost, read_cost : int
        Of one state, in the unit of the platform's costs. The forward or backward
        does not go on meanwhile.
    """

    slots: int | None
    write_cost: int = 0
    read_cost: int = 0

    def __post_init__(self) -> None:
        _not_negative("write_cost", self.write_cost)
        _not_negative("read_cost", self.read_cost)
        if self.slots is not None:
            _not_negative("slots", self.slots)


@dataclass(frozen=True, slots=True)
class Platform:
    """Costs of a step, and the levels of storage, the nearest first.

    Attributes
    ----------
    levels : tuple of Level
        At least one; level 0 is the nearest, say memory.
    forward_cost : int
        Of running one step forward (u_f).
    backward_cost : int
        Of reversing one step from the state before it, with all that takes (u_b).
    """

    levels: tuple[Level, ...]
    forward_cost: int = 1
    backward_cost: int = 1

    def __post_init__(self) -> None:
        if not self.levels:
            raise InvalidInput("levels", "there are none", "give at least one level of storage")
        _not_negative("forward_cost", self.forward_cost)
        _not_negative("backward_cost", self.backward_cost)


def memory_and_disk(
    memory_slots: int, write_cost: int, read_cost: int, *, forward_cost: int = 1, backward_cost: int = 1
) -> Platform:
    """A few slots of memory that cost nothing, and a disk without limit.

    Parameters
    ----------
    memory_slots : int
    write_cost, read_cost : int
        Of a state on disk.
    forward_cost, backward_cost : int
        As in `Platform`.
    """
    return Platform((Level(memory_slots), Level(None, write_cost, read_cost)), forward_cost, backward_cost)


def require_steps(steps: int) -> None:
    """Refuse a chain without steps.

    Raises
    ------
    InvalidInput
        If there is less than one step.
    """
    if steps < 1:
        raise InvalidInput(f"steps {steps!r}", "a chain has at least one step", "give at least 1")


def _not_negative(where: str, number: int) -> None:
    if number < 0:
        raise InvalidInput(where, f"{number} is negative", "give 0 or more")
