"""Copies of values: to host memory and back, beside the computes, and into fewer bytes.

On CUDA each direction has a stream of its own and host memory is pinned. A copy begins
when the computes issued before it have ended, which may still use what it reads, or what
its memory was before. What it reads or writes is let go of only after the computes' stream
waits for it: its memory, which the allocator gives to the next compute at once, is then
free indeed. On a CPU, where host memory is just another allocation, copies are made at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.runtime.errors import OutOfBudget, StepMismatch
from hcb_opt.runtime.instructions import Await, FromHost, Pack, ToHost, Transfer, Unpack
from hcb_opt.runtime.kernels.compression import compress, decompress


@dataclass(frozen=True, slots=True)
class HostCopy:
    """A storage in host memory, and the tensor that it is to be again.

    Attributes
    ----------
    data : torch.Tensor
        Its bytes.
    like : torch.Tensor
        Without storage: dtype, shape and strides, on the meta device.
    offset : int
        Of the tensor's first element in its storage.
    device : torch.device
    """

    data: torch.Tensor
    like: torch.Tensor
    offset: int
    device: torch.device


class Copies:
    """The copies of one run.

    Parameters
    ----------
    graph : Graph
        Names the values in errors.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._on_host: dict[int, HostCopy] = {}
        # Parts, scheme, and a tensor without storage of the same layout.
        self._packed: dict[int, tuple[tuple[torch.Tensor, ...], str, torch.Tensor]] = {}
        # The end of the last copy from or to each value, and the device whose computes may have to wait for it.
        self._pending: dict[int, tuple[torch.device, torch.cuda.Event]] = {}

    def perform(self, instruction: Transfer, registers: list[Any]) -> None:
        """Start a copy, or wait for copies.

        Raises
        ------
        OutOfBudget
            If host or device memory is full.
        StepMismatch
            If a scheme is not for a tensor.
        """
        if isinstance(instruction, Await):
            self._wait(instruction.values)
            return
        value = instruction.value
        try:
            if isinstance(instruction, ToHost):
                self._to_host(value, registers[instruction.register])
            elif isinstance(instruction, FromHost):
                registers[instruction.register] = self._from_host(value)
            elif isinstance(instruction, Pack):
                self._packed[value] = _pack(registers[instruction.register], instruction.scheme)
            elif isinstance(instruction, Unpack):
                parts, scheme, like = self._packed[value]
                registers[instruction.register] = decompress(parts, scheme, like)
            else:
                del self._packed[value]
        except InvalidInput as error:
            raise StepMismatch(f"value '{self._graph.values[value].name}': {error}") from None
        except (RuntimeError, MemoryError) as error:
            where = "host" if isinstance(instruction, ToHost) else "device"
            message = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise OutOfBudget(
                f"value '{self._graph.values[value].name}': cannot be copied to the {where} ({message})"
            ) from error

    @property
    def compressed_bytes(self) -> int:
        """Bytes of all compressed copies there are now."""
        return sum(part.untyped_storage().nbytes() for parts, _, _ in self._packed.values() for part in parts)

    def settle(self) -> None:
        """Wait for all copies, so that everything may be let go of."""
        self._wait(tuple(self._pending))

    def _wait(self, values: tuple[int, ...]) -> None:
        for value in values:
            if value in self._pending:
                device, event = self._pending.pop(value)
                torch.cuda.current_stream(device).wait_event(event)

    def _to_host(self, value: int, tensor: torch.Tensor) -> None:
        bytes_there = _storage_as_bytes(tensor)
        device, like = tensor.device, _without_storage(tensor)
        if device.type == "cuda":
            data = torch.empty(bytes_there.numel(), dtype=torch.uint8, device="cpu", pin_memory=True)
            self._start(value, data, bytes_there, device, "to host")
        else:
            data = bytes_there.clone()
        self._on_host[value] = HostCopy(data, like, int(tensor.storage_offset()), device)

    def _from_host(self, value: int) -> torch.Tensor:
        kept = self._on_host[value]
        if kept.device.type == "cuda":
            data = torch.empty(kept.data.numel(), dtype=torch.uint8, device=kept.device)
            self._start(value, data, kept.data, kept.device, "from host")
        else:
            data = kept.data.clone()
        empty = torch.empty(0, dtype=kept.like.dtype, device=kept.device)
        return empty.set_(data.untyped_storage(), kept.offset, kept.like.shape, kept.like.stride())

    def _start(
        self, value: int, target: torch.Tensor, source: torch.Tensor, device: torch.device, direction: str
    ) -> None:
        """Copy on a direction's stream, after the computes issued so far."""
        stream = _stream(device, direction)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            target.copy_(source, non_blocking=True)
            self._pending[value] = (device, stream.record_event())


@cache
def _stream(device: torch.device, direction: str) -> torch.cuda.Stream:
    """The stream of a device's copies in a direction, ``to host`` or ``from host``."""
    return torch.cuda.Stream(device)


def _pack(tensor: torch.Tensor, scheme: str) -> tuple[tuple[torch.Tensor, ...], str, torch.Tensor]:
    return compress(tensor, scheme), scheme, _without_storage(tensor)


def _without_storage(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _storage_as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """All bytes of the storage behind a tensor."""
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
