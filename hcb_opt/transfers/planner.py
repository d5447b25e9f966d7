"""Plans a training step that recomputes what is cheap to recompute, and offloads what is cheap to move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

from hcb_opt.bounds import mandatory_memory
from hcb_opt.budget import parse_budget
from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.graph import Graph
from hcb_opt.result import Event, Result, Status
from hcb_opt.schedule import Schedule, require_plain
from hcb_opt.solve import solve_schedule
from hcb_opt.transfers.link import Link, link_of
from hcb_opt.transfers.replay import replay_transfers
from hcb_opt.transfers.schemes import SCHEMES
from hcb_opt.transfers.search import Planned, Planner
from hcb_opt.version import __version__

CLAIM = "transfers"
METHOD = "plan_transfers"

_SHARES = (1.0, 0.5, 0.75, 0.25, 0.0)
_SOLVES_SHARE = 0.1


def plan_transfers(
    graph: Graph,
    budget: int | float | str,
    link: Link | None = None,
    method: str = "auto",
    time_limit: float = 60.0,
    seed: int = 0,
    workers: int = 1,
    initial: Schedule | None = None,
    on_event: Callable[[Event], None] | None = None,
    schemes: Sequence[str] = ("bits",),
    memory_limit: int | str | None = None,
) -> Result:
    """Find a cheap schedule that may move values to host memory and back.

    Schedules of recomputes alone are solved for several budgets between this one and
    the store-all peak. What each exceeds this budget by makes trips to the host
    (`Trips.choose`, `place_trips`). From the cheapest of these plans on, a local
    search trades trips for recomputes (`Planner.improve`). Every plan is judged by
    `replay_transfers`.

    Parameters
    ----------
    graph : Graph
    budget : int, float or str
        Bytes on the device, ``"8GiB"``, or a share of the store-all peak in (0, 1].
    link : Link or None
        None takes that of the device that the graph's costs are of.
    method : str
        Finds the schedules to start from.
    time_limit : float
        Seconds.
    seed, workers, memory_limit
        As in `hcb_opt.solve_schedule`, of the starts.
    initial : Schedule or None
        One more start, without transfers. If it fits the budget, the plan costs no more.
    on_event : callable or None
        Called with an `Event` whenever the cost improves.
    schemes : sequence of str
        By which values may be compressed on the device, where the graph tells their
        dtype and the link its cost. All but ``bits`` lose something.

    Returns
    -------
    Result
        Its claim is ``transfers``, its lower bound the cost of computing every op
        once; bounds of other claims do not hold for such schedules. Its provenance
        has the link. Ctrl-C ends the search like the time limit does.

    Raises
    ------
    InvalidInput
        If an argument is out of range, or the graph does not tell its link.
    """
    began = time.perf_counter()
    if not time_limit > 0:
        raise InvalidInput(f"time limit {time_limit!r}", "not above zero", "give seconds, such as 60")
    if initial is not None:
        require_plain(initial, "initial")
    link = link or link_of(graph)
    budget_bytes = parse_budget(budget, graph.store_all_peak_bytes)
    planner = Planner(graph, budget_bytes, link, _known(schemes) if link.device_bytes_per_second else ())
    search = _Search(planner, began, time_limit, on_event)
    solve = partial(
        solve_schedule,
        graph,
        method=method,
        time_limit=time_limit * _SOLVES_SHARE,
        seed=seed,
        workers=workers,
        memory_limit=memory_limit,
    )
    needed = mandatory_memory(graph)
    reason = f"{needed.reason}; the budget is {budget_bytes}" if needed.size_bytes > budget_bytes else ""
    status = Status.INFEASIBLE if reason else Status.NO_SCHEDULE
    if not reason:
        try:
            search.run(_starts(graph, budget_bytes, initial, solve))
        except KeyboardInterrupt:
            reason = "interrupted"
    if search.best is not None:
        status = Status.OPTIMAL if search.best.cost == graph.base_cost else Status.FEASIBLE
    elif not reason:
        reason = f"no choice of trips fits {budget_bytes} bytes"
    judged = None if search.best is None else replay_transfers(graph, search.best.schedule, link)
    return Result(
        status=status,
        method=METHOD,
        claim=CLAIM,
        budget_bytes=budget_bytes,
        store_all_peak_bytes=graph.store_all_peak_bytes,
        persistent_bytes=graph.persistent_bytes,
        base_cost=graph.base_cost,
        schedule=None if search.best is None else search.best.schedule,
        cost=None if judged is None else judged.cost,
        peak_bytes=None if judged is None else judged.peak_bytes,
        lower_bound=None if status is Status.INFEASIBLE else graph.base_cost,
        reason=reason,
        events=tuple(search.events),
        seconds=time.perf_counter() - began,
        provenance={
            "hcb_opt": __version__,
            "seed": seed,
            "workers": workers,
            "time_limit": time_limit,
            "start_method": method,
            "schemes": ",".join(planner.schemes),
            **{f"link_{name}": figure for name, figure in asdict(link).items()},
        },
    )


def _known(schemes: Sequence[str]) -> tuple[str, ...]:
    for scheme in schemes:
        if scheme not in SCHEMES:
            raise InvalidInput(f"scheme '{scheme}'", "unknown", did_you_mean(scheme, SCHEMES))
    return tuple(schemes)


def _starts(
    graph: Graph, budget_bytes: int, initial: Schedule | None, solve: Callable[[int], Result]
) -> Iterator[tuple[int, ...]]:
    """Sequences of computes that fit budgets between this one and the store-all peak."""
    if initial is not None:
        yield initial.computes
    excess = max(0, graph.store_all_peak_bytes - budget_bytes)
    for share in _SHARES:
        target = budget_bytes + int(share * excess)
        if target >= graph.store_all_peak_bytes:
            yield tuple(range(len(graph.ops)))
            continue
        found = solve(target)
        if found.reason == "interrupted":
            raise KeyboardInterrupt
        if found.schedule is not None:
            yield found.schedule.computes


class _Search:
    """The cheapest plan so far, and when it was found."""

    def __init__(
        self, planner: Planner, began: float, time_limit: float, on_event: Callable[[Event], None] | None
    ) -> None:
        self.planner, self.began, self.time_limit, self.on_event = planner, began, time_limit, on_event
        self.best: Planned | None = None
        self.events: list[Event] = []

    def run(self, starts: Iterator[tuple[int, ...]]) -> None:
        """Plan every start, then improve them, the cheapest first."""
        base_cost = self.planner.graph.base_cost
        plans: list[Planned] = []
        for order in starts:
            for found in self.planner.plans(order):
                plans.append(found)
                self._offer(found)
                if found.cost == base_cost:
                    return
            if self._late():
                break
        for planned in sorted(plans, key=lambda each: each.cost):
            for better in self.planner.improve(planned, self._late):
                self._offer(better)

    def _late(self) -> bool:
        return time.perf_counter() - self.began > self.time_limit

    def _offer(self, found: Planned) -> None:
        if self.best is not None and found.cost >= self.best.cost:
            return
        self.best = found
        event = Event(time.perf_counter() - self.began, found.cost, self.planner.graph.base_cost)
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)
