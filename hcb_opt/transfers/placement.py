"""When each copy starts and each value leaves: early enough to hide the copy, late enough to fit the budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hcb_opt.schedule import Action, Compress, Compute, Decompress, Discard, Drop, Offload, Prefetch, Schedule
from hcb_opt.transfers.link import Link
from hcb_opt.transfers.schemes import ERROR_BOUNDS
from hcb_opt.transfers.trips import Trip, Trips


def place_trips(trips: Trips, chosen: Sequence[Trip], budget_bytes: int, link: Link) -> Schedule | None:
    """The schedule of a sequence of computes whose values make these trips.

    The computes are played in their order, with the clocks of
    `hcb_opt.replay_transfers`:

    - a value is offloaded as soon as it is computed;
    - it stays after its last use until its copy is complete, or its bytes are
      needed: then the computes wait for the copy that ends first;
    - it is fetched back, in the order of the next uses, as soon as it would fit at
      every step up to that use. If it has not left by then, it stays;
    - a value that is compressed leaves right after its last use, and comes back right
      before the next.

    Parameters
    ----------
    trips : Trips
        The sequence of computes.
    chosen : sequence of Trip
        Of ``trips.possible``.
    budget_bytes : int
    link : Link

    Returns
    -------
    Schedule or None
        With a peak within the budget; None if these trips leave some step over it,
        or the outputs are too large for the end.
    """
    output_bytes = sum(trips.graph.sizes[value] for value in trips.graph.outputs)
    if max(int(trips.profile_bytes(chosen).max(initial=0)), output_bytes) > budget_bytes:
        return None
    return _Placement(trips, chosen, budget_bytes, link).schedule()


class _Placement:
    """The computes up to a step, and where the values on trips are."""

    def __init__(self, trips: Trips, chosen: Sequence[Trip], budget_bytes: int, link: Link) -> None:
        self.graph, self.order, self.link, self.budget_bytes = trips.graph, trips.order, link, budget_bytes
        self.profile = trips.profile_bytes(chosen)
        self.clock = self.offloads_end = self.prefetches_end = 0
        self.actions: list[Action] = []
        self.packed_bytes = trips.kept_bytes
        self.schemes = trips.schemes
        self.travelling = {trip.value for trip in chosen if trip.value not in trips.schemes}
        self.offloaded_at: dict[int, int] = {}
        self.arrives: dict[int, int] = {}
        self.leaving: dict[int, list[Trip]] = {}
        for trip in chosen:
            self.leaving.setdefault(trip.left, []).append(trip)
        self.returning = deque(sorted(trip for trip in chosen if trip.value not in trips.schemes))
        self.unpacked: dict[int, list[int]] = {}
        for trip in chosen:
            if trip.value in trips.schemes:
                self.unpacked.setdefault(trip.back, []).append(trip.value)
        # Trips whose value has been used and is still there, by when they end; and those that have begun.
        self.lingering: list[Trip] = []
        self.lingering_bytes = 0
        self.begun: set[Trip] = set()
        self.ends: list[list[int]] = [[] for _ in range(len(self.order) + 1)]
        for value, end in zip(trips.lives.values.tolist(), trips.lives.ends.tolist(), strict=True):
            self.ends[end].append(value)

    def schedule(self) -> Schedule:
        for step, position in enumerate(self.order):
            self._make_room(step)
            self._fetch(step)
            self._unpack(step)
            self._compute(position)
            for value in sorted(self.ends[step]):
                self._drop(value)
            for trip in self.leaving.get(step, ()):
                if trip.value in self.schemes:
                    self._pack(trip.value)
                else:
                    self.lingering.append(trip)
                    self.lingering_bytes += self.graph.sizes[trip.value]
        self._make_room(len(self.order))
        self._fetch(len(self.order))
        self._unpack(len(self.order))
        lossy = any(isinstance(each, Compress) and each.scheme in ERROR_BOUNDS for each in self.actions)
        return Schedule(without_needless_offloads(self.actions), lossy)

    def _make_room(self, step: int) -> None:
        """Let values leave whose copies are complete, and as many others as the next compute needs to."""
        self.lingering.sort(key=lambda trip: self.offloaded_at[trip.value])
        needed = int(self.profile[step]) if step < len(self.profile) else 0
        while self.lingering and (
            self.offloaded_at[self.lingering[0].value] <= self.clock
            or needed + self.lingering_bytes > self.budget_bytes
        ):
            trip = self.lingering.pop(0)
            self.lingering_bytes -= self.graph.sizes[trip.value]
            self.begun.add(trip)
            self._drop(trip.value)

    def _fetch(self, step: int) -> None:
        """Begin the next prefetches, as many as fit."""
        while self.returning and self.returning[0].left < step:
            trip = self.returning[0]
            size_bytes = self.graph.sizes[trip.value]
            stays = trip not in self.begun
            others = self.lingering_bytes - (size_bytes if stays else 0)
            most = int(self.profile[step : trip.back].max(initial=0)) + size_bytes + others
            if trip.back > step and most > self.budget_bytes:
                return
            self.returning.popleft()
            self.profile[step : trip.back] += size_bytes
            if stays:
                self.lingering.remove(trip)
                self.lingering_bytes -= size_bytes
                continue
            self.prefetches_end = max(self.clock, self.prefetches_end) + self.link.prefetch_cost(size_bytes)
            self.arrives[trip.value] = self.prefetches_end
            self.actions.append(Prefetch(trip.value))

    def _pack(self, value: int) -> None:
        self.clock += self.link.compress_cost(self.graph.sizes[value], self.packed_bytes[value])
        self.actions += [Compress(value, self.schemes[value]), Drop(value)]

    def _unpack(self, step: int) -> None:
        for value in self.unpacked.get(step, ()):
            self.clock += self.link.compress_cost(self.graph.sizes[value], self.packed_bytes[value])
            self.actions += [Decompress(value), Discard(value)]

    def _compute(self, position: int) -> None:
        op = self.graph.ops[position]
        arrivals = [self.arrives[value] for value in op.inputs if value in self.arrives]
        self.clock = max(self.clock, *arrivals, 0) + op.cost
        self.actions.append(Compute(position))
        for value in op.outputs:
            if value in self.travelling and value not in self.offloaded_at:
                self.offloads_end = max(self.clock, self.offloads_end) + self.link.offload_cost(self.graph.sizes[value])
                self.offloaded_at[value] = self.offloads_end
                self.actions.append(Offload(value))

    def _drop(self, value: int) -> None:
        # A prefetched value may go only after it has come; one that was recomputed meanwhile came by itself.
        arrived = self.arrives.pop(value, 0)
        self.clock = max(self.clock, arrived)
        if value in self.offloaded_at:
            self.clock = max(self.clock, self.offloaded_at[value])
        self.actions.append(Drop(value))


def without_needless_offloads(actions: Sequence[Action]) -> tuple[Action, ...]:
    """Leave out offloads of values that are never fetched."""
    fetched = {action.value for action in actions if isinstance(action, Prefetch)}
    return tuple(each for each in actions if not isinstance(each, Offload) or each.value in fetched)
