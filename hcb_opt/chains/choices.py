"""What a plan of blocks decides at each of its steps, for a run of blocks and an amount of memory."""

from __future__ import annotations

from dataclasses import dataclass

from hcb_opt.chains.fronts import Option


@dataclass(frozen=True, slots=True)
class Save:
    """Run the first block's forward and keep an option's values; its backward comes after the rest's.

    Attributes
    ----------
    option : Option
    lazy : bool
        The forward is not run at all: the backward computes what it needs.
    state, level : int
        Of the rest: whether what crosses into it is held, and its memory.
    """

    option: Option
    lazy: bool
    state: int
    level: int


@dataclass(frozen=True, slots=True)
class Split:
    """Run on to a boundary, reverse the blocks from there on, then come back to those before.

    Attributes
    ----------
    boundary : int
        The first block of the second part.
    state, level : int
        Of the second part: whether what crosses into it is held, and its memory.
    level_before : int
        Memory of the first part, once the second is done.
    """

    boundary: int
    state: int
    level: int
    level_before: int


@dataclass(frozen=True, slots=True)
class Release:
    """Hold what crosses into the first block no longer than its forward needs it.

    Attributes
    ----------
    level : int
        Memory of the same blocks while that is transient.
    """

    level: int


Choice = Save | Split | Release
