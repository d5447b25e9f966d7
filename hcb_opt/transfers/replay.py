"""The judge of schedules with transfers: legality, bytes on device and host, and what copies hide or cost.

Three things go on at once, each with a clock: computes, one after the other;
copies to the host, one after the other; copies from the host likewise. Actions
are issued in the schedule's order by the stream of computes, which waits only
where something is not there yet or not free yet:

- a copy begins when it is issued and the copies before it in its direction have
  ended;
- a compute waits for the prefetches of what it reads;
- what releases a value's bytes, its drop or a compute that replaces it, waits for
  the copies from and to them. So a prefetch, whose value has been released, never
  comes before the end of its offload.

Values are compressed and decompressed between the computes. The bytes held are thus
those of the actions' order, whatever the copies' speed; only the cost depends on the
link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.replay import IllegalSchedule, Replay
from hcb_opt.schedule import Compress, Compute, Decompress, Drop, Offload, Prefetch, Schedule
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
    for step, action in enumerate(schedule.actions):
        game.step = step
        if isinstance(action, Compute):
            game.compute(action.op)
        elif isinstance(action, Drop):
            game.drop(action.value)
        elif isinstance(action, Offload):
            game.offload(action.value)
        elif isinstance(action, Prefetch):
            game.prefetch(action.value)
        elif isinstance(action, Compress):
            game.compress(action.value, action.scheme, schedule.lossy)
        elif isinstance(action, Decompress):
            game.decompress(action.value)
        else:
            game.discard(action.value)
    return game.finish()


class _Game:
    """What is where, and the clocks."""

    def __init__(self, graph: Graph, link: Link) -> None:
        self.graph, self.link = graph, link
        self.step = 0
        self.resident = [False] * len(graph.values)
        self.counts = [0] * len(graph.ops)
        self.held = self.held_on_host = 0
        self.clock = self.offloads_end = self.prefetches_end = 0
        self.on_host: set[int] = set()
        # When the last copy from or to the resident instance of a value ends, and when a prefetched one is there.
        self.busy_until: dict[int, int] = {}
        self.arrives: dict[int, int] = {}
        # Bytes of each compressed copy, and whether it is lossy.
        self.compressed: dict[int, tuple[int, bool]] = {}
        # Whether the resident instance deviates, and the host copy; and what ever did.
        self.wrong = [False] * len(graph.values)
        self.wrong_on_host: set[int] = set()
        self.deviating: set[int] = set()
        self.fixed_order = True
        self.first_computes = 0
        self.timeline: list[int] = []
        self.waits: list[int] = []

    def compute(self, position: int) -> None:
        if not 0 <= position < len(self.graph.ops):
            raise IllegalSchedule(self.step, f"there is no op {position}")
        op = self.graph.ops[position]
        for value in op.inputs:
            if not self.resident[value]:
                self._refuse(f"op '{op.name}' reads value '{self._name(value)}', which is not resident")
        replaced = [value for value in op.outputs if self.resident[value]]
        self._wait([*self._of(self.arrives, op.inputs), *self._of(self.busy_until, replaced)])
        wrong = any(self.wrong[value] for value in op.inputs)
        for value in op.outputs:
            self._release(value)
            self._hold(value, wrong)
        if not self.counts[position]:
            self.fixed_order = self.fixed_order and position == self.first_computes
            self.first_computes += 1
        self.counts[position] += 1
        self.clock += op.cost
        self.timeline.append(self.held + op.workspace_bytes)

    def drop(self, value: int) -> None:
        self._check_value(value)
        if not self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is dropped but not resident")
        self._wait(self._of(self.busy_until, [value]))
        self._release(value)
        self.timeline.append(self.held)

    def offload(self, value: int) -> None:
        self._check_value(value)
        if not self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is offloaded but not resident")
        if value in self.on_host:
            self._refuse(f"value '{self._name(value)}' is offloaded twice")
        size_bytes = self.graph.sizes[value]
        starts = max(self.clock, self.offloads_end)
        self.offloads_end = starts + self.link.offload_cost(size_bytes)
        self.on_host.add(value)
        self.busy_until[value] = self.offloads_end
        if self.wrong[value]:
            self.wrong_on_host.add(value)
        self.held_on_host += size_bytes
        self._wait(())
        self.timeline.append(self.held)

    def prefetch(self, value: int) -> None:
        self._check_value(value)
        if value not in self.on_host:
            self._refuse(f"value '{self._name(value)}' is prefetched but was not offloaded")
        if self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is prefetched but still resident")
        size_bytes = self.graph.sizes[value]
        starts = max(self.clock, self.prefetches_end)
        self.prefetches_end = starts + self.link.prefetch_cost(size_bytes)
        self.arrives[value] = self.busy_until[value] = self.prefetches_end
        self._hold(value, value in self.wrong_on_host)
        self._wait(())
        self.timeline.append(self.held)

    def compress(self, value: int, scheme: str, lossy_allowed: bool) -> None:
        self._check_value(value)
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
        self._wait(self._of(self.arrives, [value]))
        self.clock += self._compress_cost(value, size_bytes)
        self.compressed[value] = (size_bytes, lossy or self.wrong[value])
        self.held += size_bytes
        self.timeline.append(self.held)

    def decompress(self, value: int) -> None:
        self._check_value(value)
        if value not in self.compressed:
            self._refuse(f"value '{self._name(value)}' is decompressed but has no compressed copy")
        if self.resident[value]:
            self._refuse(f"value '{self._name(value)}' is decompressed but still resident")
        size_bytes, wrong = self.compressed[value]
        self._wait(())
        self.clock += self._compress_cost(value, size_bytes)
        self._hold(value, wrong)
        self.timeline.append(self.held)

    def discard(self, value: int) -> None:
        self._check_value(value)
        if value not in self.compressed:
            self._refuse(f"value '{self._name(value)}' has no compressed copy to discard")
        self._wait(())
        self.held -= self.compressed.pop(value)[0]
        self.timeline.append(self.held)

    def finish(self) -> TransferReplay:
        """Judge the end, and put the figures together."""
        self.step = len(self.timeline)
        for position, count in enumerate(self.counts):
            if not count:
                self._refuse(f"op '{self.graph.ops[position].name}' is never computed")
        for value in self.graph.outputs:
            if not self.resident[value]:
                self._refuse(f"output '{self._name(value)}' is not resident at the end")
        self._wait(self._of(self.arrives, self.graph.outputs))
        peak_bytes = max(self.timeline, default=0)
        return TransferReplay(
            peak_bytes,
            self.timeline.index(peak_bytes) if peak_bytes else 0,
            self.clock,
            tuple(self.timeline),
            tuple(self.counts),
            self.fixed_order,
            self.held_on_host,
            tuple(self.waits),
            tuple(sorted(self.deviating)),
        )

    def _wait(self, times: Iterable[int]) -> None:
        """Let the computes wait until all these copies have ended."""
        until = max(times, default=0)
        self.waits.append(max(0, until - self.clock))
        self.clock += self.waits[-1]

    def _compress_cost(self, value: int, size_bytes: int) -> int:
        if not self.link.device_bytes_per_second:
            raise InvalidInput("link.device_bytes_per_second", "not given", "say at what rate values are compressed")
        return self.link.compress_cost(self.graph.sizes[value], size_bytes)

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
        self.arrives.pop(value, None)
        self.busy_until.pop(value, None)

    def _of(self, times: dict[int, int], values: Iterable[int]) -> list[int]:
        return [times[value] for value in values if value in times]

    def _check_value(self, value: int) -> None:
        if not 0 <= value < len(self.graph.values):
            self._refuse(f"there is no value {value}")

    def _refuse(self, reason: str) -> NoReturn:
        raise IllegalSchedule(self.step, reason)

    def _name(self, value: int) -> str:
        return self.graph.values[value].name
