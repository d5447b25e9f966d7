"""The judge of schedules with transfers: legality, bytes on device and host, and what copies hide or cost.

Computes and copies run side by side, see `hcb_opt.transfers.clocks`. The bytes held
are those of the actions' order, whatever the copies' speed; only the cost depends on
the link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.replay import IllegalSchedule, Replay
from hcb_opt.schedule import Action, Compress, Compute, Decompress, Drop, Offload, Prefetch, Schedule
from hcb_opt.transfers.clocks import Clocks
from hcb_opt.transfers.link import Link
from hcb_opt.transfers.schemes import ERROR_BOUNDS, compressed_bytes


@dataclass(frozen=True, slots=True)
class TransferReplay(Replay):
    """What happened when a schedule with transfers was replayed.

    The ``cost`` is when the last compute has ended and every output is there:
    computes, and the waits between them.

    Attributes
    ----------
    host_peak_bytes : int
        Bytes of all host copies; they are kept to the end.
    waits : tuple of int
        Cost units that the computes waited at each action; last, at the end.
    deviating : tuple of int
        Values that at some time were not bit by bit what their ops compute: read
        back from a lossy copy, or computed from such a value. Ascending.
    """

    host_peak_bytes: int
    waits: tuple[int, ...]
    deviating: tuple[int, ...]

    @property
    def waited(self) -> int:
        """Cost units that the computes waited in all."""
        return sum(self.waits)


def replay_transfers(graph: Graph, schedule: Schedule, link: Link) -> TransferReplay:
    """Play a schedule that may have transfers on a graph.

    Computes and drops follow the rules of `hcb_opt.replay`. An offload needs its
    value resident, and no host copy of it yet; the value stays resident. A
    prefetch needs a host copy and its value not resident; it makes the value
    resident, and holds its bytes at once.

    A compress needs its value resident, and no compressed copy of it yet; a
    decompress needs that copy, and its value not resident. Both bytes are held
    until one is released: the value by its drop, the copy by a discard. Schemes
    that lose something are for schedules only that say so (`Schedule.lossy`).

    Parameters
    ----------
    graph : Graph
    schedule : Schedule
    link : Link

    Returns
    -------
    TransferReplay
        Of a schedule without transfers, what `hcb_opt.replay` finds.

    Raises
    ------
    IllegalSchedule
        At the first step that breaks a rule, saying which.
    InvalidInput
        If it compresses, and the link does not say what that costs.
    """
    game = _Game(graph, link)
    for game.step, action in enumerate(schedule.actions):
        game.play(action, lossy_allowed=schedule.lossy)
    return game.finish()


class _Game:
    """What is where, by the rules, and what that makes of the clocks."""

    def __init__(self, graph: Graph, link: Link) -> None:
        self.graph, self.clocks = graph, Clocks(link)
        self.step = 0
        self.resident = [False] * len(graph.values)
        self.counts = [0] * len(graph.ops)
        self.held = self.held_on_host = 0
        self.on_host: set[int] = set()
        # Bytes of each compressed copy, and whether it is lossy.
        self.compressed: dict[int, tuple[int, bool]] = {}
        # Whether the resident instance deviates, and the host copy; and what ever did.
        self.wrong = [False] * len(graph.values)
        self.wrong_on_host: set[int] = set()
        self.deviating: set[int] = set()
        self.fixed_order = True
        self.first_computes = 0
        self.timeline: list[int] = []

    def play(self, action: Action, *, lossy_allowed: bool) -> None:
        if isinstance(action, Compute):
            self.compute(action.op)
            return
        if not 0 <= action.value < len(self.graph.values):
            self._refuse(f"there is no value {action.value}")
        if isinstance(action, Drop):
            self.drop(action.value)
        elif isinstance(action, Offload):
            self.offload(action.value)
        elif isinstance(action, Prefetch):
            self.prefetch(action.value)
        elif isinstance(action, Compress):
            self.compress(action.value, action.scheme, lossy_allowed)
        elif isinstance(action, Decompress):
            self.decompress(action.value)
        else:
            self.discard(action.value)
        self.timeline.append(self.held)

    def compute(self, position: int) -> None:
        if not 0 <= position < len(self.graph.ops):
            raise IllegalSchedule(self.step, f"there is no op {position}")
        op = self.graph.ops[position]
        for value in op.inputs:
            if not self.resident[value]:
                self._refuse(f"op '{op.name}' reads value '{self._name(value)}', which is not resident")
        replaced = [value for value in op.outputs if self.resident[value]]
        self.clocks.wait(present=op.inputs, free=replaced)
        wrong = any(self.wrong[value] for value in op.inputs)
        for value in op.outputs:
            self._release(value)
            self._hold(value, wrong)
        if not self.counts[position]:
            self.fixed_order = self.fixed_order and position == self.first_computes
            self.first_computes += 1
        self.counts[position] += 1
        self.clocks.compute(op.cost)
        self.timeline.append(self.held + op.workspace_bytes)

    def drop(self, value: int) -> None:
        if not self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is dropped but not resident")
        self.clocks.wait(free=[value])
        self._release(value)

    def offload(self, value: int) -> None:
        if not self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is offloaded but not resident")
        if value in self.on_host:
            self._refuse(f"value '{self._name(value)}' is offloaded twice")
        self.clocks.wait()
        self.clocks.offload(value, self.graph.sizes[value])
        self.on_host.add(value)
        if self.wrong[value]:
            self.wrong_on_host.add(value)
        self.held_on_host += self.graph.sizes[value]

    def prefetch(self, value: int) -> None:
        if value not in self.on_host:
            self._refuse(f"value '{self._name(value)}' is prefetched but was not offloaded")
        if self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is prefetched but still resident")
        self.clocks.wait()
        self.clocks.prefetch(value, self.graph.sizes[value])
        self._hold(value, value in self.wrong_on_host)

    def compress(self, value: int, scheme: str, lossy_allowed: bool) -> None:
        if not self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is compressed but not resident")
        if value in self.compressed:
            self._refuse(f"value '{self._name(value)}' is compressed twice")
        try:
            size_bytes = compressed_bytes(self.graph, value, scheme)
        except InvalidInput as error:
            self._refuse(str(error))
        lossy = scheme in ERROR_BOUNDS
        if lossy and not lossy_allowed:
            self._refuse(f"scheme '{scheme}' loses something, and the schedule does not say that it may")
        self.clocks.wait(present=[value])
        self.clocks.compress(self.graph.sizes[value], size_bytes)
        self.compressed[value] = (size_bytes, lossy or self.wrong[value])
        self.held += size_bytes

    def decompress(self, value: int) -> None:
        if value not in self.compressed:
            self._refuse(f"value '{self._name(value)}' is decompressed but has no compressed copy")
        if self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is decompressed but still resident")
        size_bytes, wrong = self.compressed[value]
        self.clocks.wait()
        self.clocks.compress(self.graph.sizes[value], size_bytes)
        self._hold(value, wrong)

    def discard(self, value: int) -> None:
        if value not in self.compressed:
            self._refuse(f"value '{self._name(value)}' has no compressed copy to discard")
        self.clocks.wait()
        self.held -= self.compressed.pop(value)[0]

    def finish(self) -> TransferReplay:
        """Judge the end, and put the figures together."""
        self.step = len(self.timeline)
        for position, count in enumerate(self.counts):
            if not count:
                self._refuse(f"op '{self.graph.ops[position].name}' is never computed")
        for value in self.graph.outputs:
            if not self.resident[value]:
                self._refuse(f"output '{self._name(value)}' is not resident at the end")
        self.clocks.wait(present=self.graph.outputs)
        peak_bytes = max(self.timeline, default=0)
        return TransferReplay(
            peak_bytes,
            self.timeline.index(peak_bytes) if peak_bytes else 0,
            self.clocks.now,
            tuple(self.timeline),
            tuple(self.counts),
            self.fixed_order,
            self.held_on_host,
            tuple(self.clocks.waits),
            tuple(sorted(self.deviating)),
        )

    def _hold(self, value: int, wrong: bool) -> None:
        """Begin a device instance of a value."""
        self.resident[value] = True
        self.held += self.graph.sizes[value]
        self.wrong[value] = wrong
        if wrong:
            self.deviating.add(value)

    def _release(self, value: int) -> None:
        """End the device instance of a value, if there is one."""
        if self.resident[value]:
            self.resident[value] = False
            self.held -= self.graph.sizes[value]
        self.clocks.release(value)

    def _refuse(self, reason: str) -> NoReturn:
        raise IllegalSchedule(self.step, reason)

    def _name(self, value: int) -> str:
        return self.graph.values[value].name
