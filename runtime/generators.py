"""States of random-number generators: kept, replayed, restored.

A state is kept as bytes, outside torch's allocators: 5 kB for the CPU's
generator, 16 B for CUDA's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch


def generator_of(device: torch.device) -> torch.Generator:
    """The default generator that operators on this device draw from."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    return torch.default_generator


def state_of(generator: torch.Generator) -> bytes:
    """The generator's present state."""
    return generator.get_state().numpy().tobytes()


def states_of(devices: Iterable[torch.device]) -> list[bytes]:
    """The present states of the generators of these devices and of the CPU."""
    return [state for _, state in _states(devices)]


def set_state(generator: torch.Generator, state: bytes) -> None:
    """Let the generator go on from a state."""
    generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


@contextmanager
def replaying(generator: torch.Generator, state: bytes) -> Iterator[None]:
    """Inside, the generator draws what it drew from this state on; then it goes on where it was."""
    present = state_of(generator)
    set_state(generator, state)
    try:
        yield
    finally:
        set_state(generator, present)


class Draws(Protocol):
    """Lets calls that draw random numbers draw the same again."""

    def first(self, generator: torch.Generator, position: int) -> AbstractContextManager[None]:
        """Around the first run of the call at a position of the program."""

    def again(self, generator: torch.Generator, position: int) -> AbstractContextManager[None]:
        """Around a later run: inside, the generator draws what it drew in the first."""


class KeptDraws:
    """Draws of one run, from states that are read when a call first runs."""

    def __init__(self) -> None:
        self._states: dict[int, bytes] = {}

    @contextmanager
    def first(self, generator: torch.Generator, position: int) -> Iterator[None]:
        """Keep the state that the call draws from."""
        self._states[position] = state_of(generator)
        yield

    def again(self, generator: torch.Generator, position: int) -> AbstractContextManager[None]:
        """Draw from the state that was kept."""
        return replaying(generator, self._states[position])


@contextmanager
def restored(devices: Iterable[torch.device]) -> Iterator[None]:
    """Afterwards, the generators of these devices and of the CPU are as they were before."""
    before = _states(devices)
    try:
        yield
    finally:
        for generator, state in before:
            set_state(generator, state)


@contextmanager
def restored_on_error(devices: Iterable[torch.device]) -> Iterator[None]:
    """If what runs inside fails, the generators of these devices and of the CPU are as they were before."""
    before = _states(devices)
    try:
        yield
    except BaseException:
        for generator, state in before:
            set_state(generator, state)
        raise


def _states(devices: Iterable[torch.device]) -> list[tuple[torch.Generator, bytes]]:
    generators = {id(each): each for each in map(generator_of, (torch.device("cpu"), *devices))}.values()
    return [(each, state_of(each)) for each in generators]
