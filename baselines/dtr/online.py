"""The online run: ops come one by one; what does not fit is evicted, what is missing is computed again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hcb_opt.baselines.dtr.residency import Residency
from hcb_opt.baselines.dtr.scores import Score
from hcb_opt.graph import Graph

MOST_RUNS_PER_OP = 20


class OnlineFailure(Exception):
    """An online run that cannot go on; its text says why."""


@dataclass(slots=True)
class _Request:
    """An op that is to run, and the inputs that it does not hold yet, last first."""

    op: int
    missing: list[int]


class OnlineRun:
    """Runs a graph's ops in order within a budget, as if each were seen only when it comes.

    Before an op runs, its inputs are locked, missing ones are computed again (and so
    on, for their inputs), and values are evicted, least score first, until its
    outputs and workspace fit. A value is freed when the last op that reads it has
    run for the first time; if it is computed again later, for the sake of others, it
    stays until it is evicted. Outputs of the graph are brought back at the end.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
    score : type of Score
        Decides what is evicted; of equal scores, the value that was used or computed
        least recently.
    seed : int
        Of the score's random choices.
    stop : callable
        Asked before each op; True ends the run.
    """

    def __init__(
        self, graph: Graph, budget_bytes: int, score: type[Score], seed: int, stop: Callable[[], bool]
    ) -> None:
        self.graph, self.budget_bytes, self.stop = graph, budget_bytes, stop
        self.state = Residency(graph)
        self.score = score(self.state, random.Random(seed))
        self.order: list[int] = []
        self.held_bytes = 0
        self.locks = [0] * len(graph.values)
        # Resident values without a lock; the one that was unlocked or computed last comes last.
        self.pool: dict[int, None] = {}

    def run(self) -> list[int]:
        """The computes, recomputes included, first ones in the fixed order.

        Raises
        ------
        OnlineFailure
            If an op does not fit beside what is locked, or recomputes get out of
            hand, or time is up.
        """
        dying: list[list[int]] = [[] for _ in range(len(self.graph.ops) + 1)]
        for value, position in enumerate(self.graph.last_needed):
            dying[position].append(value)
        for position in range(len(self.graph.ops)):
            self._provide(position)
            for value in dying[position]:
                if self.state.resident[value]:
                    self._evict(value)
        for value in self.graph.outputs:
            if not self.state.resident[value]:
                self._provide(self.graph.values[value].producer)
            self._lock(value)
        return self.order

    def _provide(self, op: int) -> None:
        """Run an op, and before it whatever it needs: depth first, without recursion."""
        requests = [self._request(op)]
        while requests:
            request = requests[-1]
            while request.missing and self.state.resident[request.missing[-1]]:
                self._lock(request.missing.pop())
            if request.missing:
                requests.append(self._request(self.graph.values[request.missing[-1]].producer))
            else:
                self._compute(request.op)
                requests.pop()

    def _request(self, op: int) -> _Request:
        """Ask for an op: its inputs are in use from now on, and those that are resident are locked."""
        inputs = self.graph.ops[op].inputs
        for value in inputs:
            self.state.last_access[value] = self.state.clock
        missing = []
        for value in inputs:
            if self.state.resident[value]:
                self._lock(value)
            else:
                missing.append(value)
        return _Request(op, missing[::-1])

    def _compute(self, position: int) -> None:
        op, state = self.graph.ops[position], self.state
        fresh = [value for value in op.outputs if not state.resident[value]]
        self._make_room(position, op.workspace_bytes + sum(self.graph.sizes[value] for value in fresh), op.outputs)
        if self.stop():
            raise OnlineFailure("time is up")
        if len(self.order) >= MOST_RUNS_PER_OP * len(self.graph.ops):
            raise OnlineFailure(f"evictions thrash: {len(self.order)} computes for {len(self.graph.ops)} ops")
        first = not state.computed[position]
        self.order.append(position)
        state.clock += op.cost
        state.computed[position] = True
        for value in fresh:
            state.resident[value] = True
            self.held_bytes += self.graph.sizes[value]
            self.pool[value] = None
            if first:
                state.last_access[value] = state.clock
            else:
                self.score.restored(value)
        for value in op.inputs:
            self._unlock(value)

    def _make_room(self, position: int, size_bytes: int, spared: Iterable[int]) -> None:
        """Evict until so many bytes fit; outputs of the op that are still resident stay."""
        while self.held_bytes + size_bytes > self.budget_bytes:
            candidates = [value for value in self.pool if value not in spared]
            if not candidates:
                raise OnlineFailure(
                    f"op '{self.graph.ops[position].name}' needs {size_bytes} bytes beside the "
                    f"{self.held_bytes} that are locked; the budget is {self.budget_bytes}"
                )
            self._evict(min(candidates, key=self.score.of))

    def _evict(self, value: int) -> None:
        self.pool.pop(value)
        self.state.resident[value] = False
        self.held_bytes -= self.graph.sizes[value]
        self.score.evicted(value)

    def _lock(self, value: int) -> None:
        self.locks[value] += 1
        self.pool.pop(value, None)

    def _unlock(self, value: int) -> None:
        self.locks[value] -= 1
        if not self.locks[value]:
            self.pool[value] = None
