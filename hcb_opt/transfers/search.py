"""Which values are recomputed and which make trips: a local search on the sequence of computes, judged by replay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from hcb_opt.graph import Graph
from hcb_opt.realise import missing_ancestors
from hcb_opt.schedule import Schedule
from hcb_opt.transfers.link import Link
from hcb_opt.transfers.placement import place_trips
from hcb_opt.transfers.replay import replay_transfers
from hcb_opt.transfers.schemes import compressed_bytes, fits
from hcb_opt.transfers.trips import Trip, Trips

_MOST_OPS = 20


@dataclass(frozen=True, slots=True)
class Planned:
    """A sequence of computes with the trips chosen for it.

    Attributes
    ----------
    trips : Trips
    chosen : tuple of Trip
    schedule : Schedule
    cost : int
        As `hcb_opt.replay_transfers` found it.
    """

    trips: Trips
    chosen: tuple[Trip, ...]
    schedule: Schedule
    cost: int


@dataclass(frozen=True)
class Planner:
    """Plans sequences of computes of one graph, for one budget and link.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
    link : Link
    schemes : tuple of str
        By which values may be compressed.
    """

    graph: Graph
    budget_bytes: int
    link: Link
    schemes: tuple[str, ...] = ()

    @cached_property
    def fitting(self) -> dict[int, list[str]]:
        """The schemes for each value that has any, the one of fewest bytes first."""
        found = {
            value: sorted(
                (scheme for scheme in self.schemes if fits(self.graph, value, scheme)),
                key=lambda scheme: compressed_bytes(self.graph, value, scheme),
            )
            for value in range(len(self.graph.values))
        }
        return {value: schemes for value, schemes in found.items() if schemes}

    def plan(self, order: Iterable[int], schemes: Mapping[int, str] | None = None) -> Planned | None:
        """Let a sequence fit the budget by trips alone; None if it cannot.

        Parameters
        ----------
        order : iterable of int
            Positions of ops, recomputes included; inputs are computed before.
        schemes : mapping of int to str, optional
            Values that are compressed on their trips, and how.
        """
        trips = Trips(self.graph, tuple(order), schemes or {})
        chosen = trips.choose(self.budget_bytes)
        schedule = None if chosen is None else place_trips(trips, chosen, self.budget_bytes, self.link)
        if chosen is None or schedule is None:
            return None
        return Planned(trips, tuple(chosen), schedule, replay_transfers(self.graph, schedule, self.link).cost)

    def plans(self, order: Iterable[int]) -> Iterator[Planned]:
        """Plans of a sequence with nothing compressed, and with all that may be."""
        order = tuple(order)
        all_of_them = {value: schemes[0] for value, schemes in self.fitting.items()}
        for schemes in ({}, all_of_them) if all_of_them else ({},):
            found = self.plan(order, schemes)
            if found is not None:
                yield found

    def improve(self, start: Planned, stop: Callable[[], bool]) -> Iterator[Planned]:
        """Go on to neighbours that cost less until there is none.

        Parameters
        ----------
        start : Planned
        stop : callable
            Asked between neighbours; True ends the search.

        Yields
        ------
        Planned
            Each cheaper than the one before.
        """
        best: Planned | None = start
        while best is not None:
            better = self._better_neighbour(best, stop)
            if better is not None:
                yield better
            best = better

    def _better_neighbour(self, planned: Planned, stop: Callable[[], bool]) -> Planned | None:
        schemes = planned.trips.schemes
        neighbours = chain(
            ((order, schemes) for order in _with_recomputes(planned)),
            ((planned.trips.order, other) for other in self._other_schemes(planned)),
            ((order, schemes) for order in _without_a_recompute(planned.trips)),
        )
        for order, chosen_schemes in neighbours:
            if stop() or planned.cost == self.graph.base_cost:
                return None
            found = self.plan(order, chosen_schemes)
            if found is not None and found.cost < planned.cost:
                return found
        return None

    def _other_schemes(self, planned: Planned) -> Iterator[dict[int, str]]:
        """Compress one value that makes a trip, by any scheme, or send one that is compressed to the host."""
        schemes = planned.trips.schemes
        for value in dict.fromkeys(trip.value for trip in planned.chosen):
            others = {each: scheme for each, scheme in schemes.items() if each != value}
            if value in schemes:
                yield others
            yield from (
                others | {value: scheme} for scheme in self.fitting.get(value, ()) if scheme != schemes.get(value)
            )


def _with_recomputes(planned: Planned) -> Iterator[tuple[int, ...]]:
    """For each trip, the sequence that computes its value again instead; the cheapest per byte first."""
    trips = planned.trips
    graph, order = trips.graph, trips.order
    options = []
    for trip in planned.chosen:
        resident = trips.lives.resident(trip.back, len(graph.values))
        for other in planned.chosen:
            # What is away cannot be read.
            if other.left < trip.back < other.back:
                resident[other.value] = False
        resident[trip.value] = False
        ops = missing_ancestors(graph, [trip.value], resident)
        if len(ops) <= _MOST_OPS:
            cost = sum(graph.ops[op].cost for op in ops)
            options.append((cost / graph.sizes[trip.value], trip, ops))
    for _, trip, ops in sorted(options):
        yield (*order[: trip.back], *ops, *order[trip.back :])


def _without_a_recompute(trips: Trips) -> Iterator[tuple[int, ...]]:
    """The sequence without one of its recomputes, the dearest first."""
    order = trips.order
    seen: set[int] = set()
    repeats = []
    for step, op in enumerate(order):
        if op in seen:
            repeats.append((-trips.graph.ops[op].cost, step))
        seen.add(op)
    for _, step in sorted(repeats):
        yield order[:step] + order[step + 1 :]
