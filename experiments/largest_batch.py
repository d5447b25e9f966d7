"""The largest batch that fits a memory and costs at most one more forward, by one method on one network."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hcb_opt.bounds import mandatory_memory
from hcb_opt.experiments.sweep import Record
from hcb_opt.graph import Graph, Phase
from hcb_opt.registry import get_method
from hcb_opt.result import Result, Status, relative_gap
from hcb_opt.solve import solve_schedule


@dataclass(frozen=True, slots=True)
class BatchRow:
    """The largest batch found.

    Attributes
    ----------
    network, method : str
    ops : int
    memory_bytes : int
        That schedules must fit; without the weights.
    base_cost, cost_limit : int
        Of one example: every op once; that, and the forward again.
    store_all_batch : int
        The largest batch that fits with every op computed once.
    batch : int or None
        The largest found; None if none was.
    cost, peak_bytes : int or None
        Of its schedule, for one example.
    impossible_batch : int or None
        The smallest batch that is proven to have no such schedule in the fixed
        order; None if none is.
    solves : int
    seconds : float
    reason : str
        Why there is none, where the method takes no such graph.
    """

    network: str
    method: str
    ops: int
    memory_bytes: int
    base_cost: int
    cost_limit: int
    store_all_batch: int
    batch: int | None
    cost: int | None
    peak_bytes: int | None
    impossible_batch: int | None
    solves: int
    seconds: float
    reason: str

    def record(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> BatchRow:
        """The row that `record` was made of."""
        return cls(**{each.name: record[each.name] for each in fields(cls)})


def cost_limit(graph: Graph) -> int:
    """The cost of every op once and of the forward once more."""
    return graph.base_cost + sum(op.cost for op in graph.ops if op.phase is Phase.FORWARD)


def largest_batch(
    network: str, graph: Graph, method: str, memory_bytes: int, time_limit: float, workers: int
) -> Record:
    """Bisect for the largest batch; the record of a `BatchRow`.

    Sizes and costs are proportional to the batch, so that a batch of b fits
    where one example fits a b-th of the memory.

    Parameters
    ----------
    network : str
    graph : Graph
        Of one example.
    method : str
    memory_bytes : int
    time_limit, workers
        As in `solve_schedule`, for each batch that is tried.
    """
    started = time.perf_counter()
    search = _Search(graph, method, cost_limit(graph), time_limit, workers)
    reason = get_method(method).declines(graph, memory_bytes)
    fitting = 0
    # At this batch and above not even one op's values fit, or the search found nothing.
    refused = impossible = memory_bytes // max(1, mandatory_memory(graph).size_bytes) + 1
    found: Result | None = None
    store_all_batch = memory_bytes // graph.store_all_peak_bytes
    tried = min(store_all_batch, refused - 1)
    while not reason and refused - fitting > 1:
        result = search.solve(memory_bytes // tried) if tried else None
        if result is not None and search.cheap(result):
            assert result.peak_bytes is not None
            found, fitting = result, min(memory_bytes // result.peak_bytes, refused - 1)
        else:
            refused = tried
            if result is not None and search.impossible(result):
                impossible = min(impossible, tried)
        tried = (fitting + refused) // 2
    return BatchRow(
        network=network,
        method=method,
        ops=len(graph.ops),
        memory_bytes=memory_bytes,
        base_cost=graph.base_cost,
        cost_limit=search.cost_limit,
        store_all_batch=store_all_batch,
        batch=fitting or None,
        cost=None if found is None else found.cost,
        peak_bytes=None if found is None else found.peak_bytes,
        impossible_batch=impossible,
        solves=search.solves,
        seconds=round(time.perf_counter() - started, 3),
        reason=reason,
    ).record()


class _Search:
    """Solves of one graph by one method, told apart by whether their schedules are cheap enough."""

    def __init__(self, graph: Graph, method: str, cost_limit: int, time_limit: float, workers: int) -> None:
        self.cost_limit = cost_limit
        self.solves = 0
        self._graph, self._method, self._time_limit, self._workers = graph, method, time_limit, workers

    def solve(self, budget_bytes: int) -> Result:
        # What is this near to the least bound is cheap enough; where the bound has risen, all of the time is taken.
        result = self._solve(budget_bytes, relative_gap(self.cost_limit, self._graph.base_cost))
        if self.cheap(result) or self.impossible(result) or result.status is Status.NO_SCHEDULE:
            return result
        return self._solve(budget_bytes, 0.0)

    def cheap(self, result: Result) -> bool:
        return result.cost is not None and result.cost <= self.cost_limit

    def impossible(self, result: Result) -> bool:
        """Whether no fixed-order schedule within the budget is cheap enough."""
        if result.claim != "fixed-order":
            return False
        too_dear = result.lower_bound is not None and result.lower_bound > self.cost_limit
        return result.status is Status.INFEASIBLE or too_dear

    def _solve(self, budget_bytes: int, gap: float) -> Result:
        self.solves += 1
        result = solve_schedule(
            self._graph, budget_bytes, self._method, time_limit=self._time_limit, gap=gap, workers=self._workers
        )
        if result.reason == "interrupted":
            raise KeyboardInterrupt
        return result
