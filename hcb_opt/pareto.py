"""The Pareto front of cost and peak: solve the budgets that tell most of it."""

from __future__ import annotations

import math
from dataclasses import replace

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.minimum import minimum_budget
from hcb_opt.pareto_front import ParetoFront, ParetoPoint, tightened
from hcb_opt.pareto_search import OnPoint, ParetoSearch
from hcb_opt.registry import get_method
from hcb_opt.result import Result
from hcb_opt.schedule import Schedule, schedule_from_computes
from hcb_opt.solve import solve_schedule

_MINIMUM_SHARE = 0.2


def pareto(
    graph: Graph,
    count: int = 20,
    time_limit: float = 60.0,
    method: str = "auto",
    order: str = "fixed",
    seed: int = 0,
    workers: int = 1,
    on_point: OnPoint | None = None,
    memory_limit: int | str | None = None,
) -> ParetoFront:
    """Solve a graph at the budgets that tell most of its curve of cost against peak.

    First the two ends: the store-all peak, and the smallest peak that
    `minimum_budget` finds in a fifth of the time. Two neighbours with costs c1 >
    c2, peaks p1 < p2 and a bound b2 at the larger budget leave a box open, p1 to
    p2 wide and b2 to c1 high; the budget in the middle of the largest box comes
    next (Hamacher, Pedersen and Ruzika, Operations Research Letters 35, 2007).
    Heights are measured as figures show them, by the logarithm of the overhead
    above one percent. Between the smallest peak found and the largest budget
    proven infeasible lies a box too; it is left alone after three budgets in it
    without a schedule. Every solve starts from the cheapest schedule known to
    fit, and gets an equal part of the time; what is left goes to the open points
    again.

    Parameters
    ----------
    graph : Graph
    count : int
        Budgets at most, at least 2; fewer if the curve is fully known or time
        is up before.
    time_limit : float
        Seconds in all.
    method, order, seed, workers, memory_limit
        As in `solve_schedule`.
    on_point : callable, optional
        Called with a `ParetoPoint` for the store-all peak and after each solve,
        as known so far.

    Returns
    -------
    ParetoFront
        Ctrl-C ends the search like the time limit does.

    Raises
    ------
    InvalidInput
        If an argument is out of range or a method is unknown.
    """
    if isinstance(count, bool) or count < 2:
        raise InvalidInput(f"count {count!r}", "fewer than two budgets", "give at least 2, such as 20")
    if not 0 < time_limit < math.inf:
        raise InvalidInput(f"time limit {time_limit!r}", "not above zero", "give seconds in all, such as 60")
    if method != "auto":
        get_method(method)

    def solve(budget_bytes: int, seconds: float, chosen: str, initial: Schedule | None) -> Result:
        return solve_schedule(
            graph,
            budget_bytes,
            chosen,
            order=order,
            time_limit=seconds,
            seed=seed,
            workers=workers,
            initial=initial,
            memory_limit=memory_limit,
        )

    # Nothing is cheaper than to compute every op once, whatever the method and its claim.
    every_op_once = schedule_from_computes(graph, range(len(graph.ops)))
    store_all = solve(max(1, graph.store_all_peak_bytes), time_limit, "auto", every_op_once)
    if store_all.schedule is None:
        raise KeyboardInterrupt
    claim = store_all.claim if method == "auto" else get_method(method).claim
    search = ParetoSearch(graph, method, claim, time_limit, solve, on_point)
    interrupted = False
    try:
        search.tell(ParetoPoint.of_result(replace(store_all, claim=claim), claim, store_all.seconds))
        seconds = time_limit * _MINIMUM_SHARE
        least = minimum_budget(graph, seconds, seed, workers, None, memory_limit, method, order)
        search.start_from(least.schedule, least.lower_bound_bytes)
        if least.interrupted:
            raise KeyboardInterrupt
        search.place(count)
        search.close_gaps()
    except KeyboardInterrupt:
        interrupted = True
    return ParetoFront(
        points=tightened(search.points.values()),
        minimum_bytes=search.minimum_bytes,
        claim=claim,
        method=method,
        order=order,
        base_cost=graph.base_cost,
        store_all_peak_bytes=graph.store_all_peak_bytes,
        seconds=search.seconds,
        interrupted=interrupted,
    )
