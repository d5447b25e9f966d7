"""Schedules within a budget from chain programmes: several partitions, and plans around the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from hcb_opt.blocks import balanced_chain, turn_position
from hcb_opt.chains.partition import Partition
from hcb_opt.chains.programme import Programme
from hcb_opt.chains.realisation import chain_computes
from hcb_opt.chains.volatile import volatile_sets
from hcb_opt.graph import Graph
from hcb_opt.lifetimes import lifetimes
from hcb_opt.repair import make_fit, remove_needless

_COUNTS = (16, 32, 64, 8)
_MOST_BLOCK_OPS = 32
_MOST_SETS = 3
_LEVELS = 256
_CEILING = 1.12
_STEP_SHARE = 0.7
_SHARES = (1.0, 0.92, 0.84)
_LESS_SHARES = (0.96, 0.88, 0.8, 0.72, 0.64)
_MORE_SHARES = (1.0, 1.03, 1.07)
_REFINED = 4
_KICKS = 6
_MOST_MOVES = 150

Stop = Callable[[], bool]


@dataclass
class _Model:
    """A programme, its largest level whose plan fits, and the least cost of a schedule it led to."""

    programme: Programme
    level: int
    cost: float

    def rank(self) -> tuple[float, int]:
        """By cost; where no schedule fits yet, by the least memory of a plan."""
        infinite = np.isinf(self.programme.costs)
        return self.cost, int(infinite.sum())


def block_schedules(graph: Graph, budget_bytes: int, stop: Stop) -> Iterator[list[int] | None]:
    """Sequences of computes that fit the budget, from plans of blocks of the forward.

    The forward is cut into blocks at narrow frontiers, more or fewer of them,
    with more or fewer values that no block hands on (`volatile_sets`). For each
    such partition one programme gives the cheapest plan for every amount of
    memory. The largest plan that fits is taken, and some smaller and larger
    ones; recomputes that turn out needless are left out, and what does not fit
    is repaired.

    Parameters
    ----------
    graph : Graph
    budget_bytes : int
    stop : callable
        Asked between steps; True ends the search.

    Yields
    ------
    list of int or None
        Positions of ops, recomputes included, first computes in the fixed
        order; the peak is within the budget. Costs are in no order. None after
        a programme whose plans led to nothing, for the caller to do other work.
    """
    search = _Search(graph, budget_bytes, stop)
    first, *others = block_counts(search.turn)
    for volatile in volatile_sets(graph, search.turn):
        yield from search.explore(first, volatile)
    best_sets = [model.programme.partition.volatile for model in search.best[:_MOST_SETS]]
    for blocks in others:
        for volatile in best_sets:
            yield from search.explore(blocks, volatile)
    best = list(search.best)
    for share in _LESS_SHARES:
        for model in best:
            yield from search.schedules(model, [share])
    for share in _MORE_SHARES:
        for model in best:
            yield from search.schedules(model, [share], repair=True)


def block_counts(turn: int) -> list[int]:
    """Numbers of blocks worth trying for so many forward ops: large blocks take long to rate, and say little."""
    return [blocks for blocks in _COUNTS if turn <= blocks * _MOST_BLOCK_OPS] or [max(_COUNTS)]


class _Search:
    def __init__(self, graph: Graph, budget_bytes: int, stop: Stop) -> None:
        self._graph, self._budget_bytes, self._stop = graph, budget_bytes, stop
        self.turn = turn_position(graph)
        self._weights = [op.cost for op in graph.ops[: self.turn]]
        self.best: list[_Model] = []
        self._planned: set[bytes] = set()
        self._tried: set[tuple[int, ...]] = set()
        self._known: set[tuple[tuple[int, ...], frozenset[int]]] = set()

    def explore(self, blocks: int, volatile: frozenset[int]) -> Iterator[list[int] | None]:
        """Solve one programme and try its plans around the budget."""
        chain = balanced_chain(self._graph, self._weights, min(blocks, self.turn))
        if self._stop() or (chain.boundaries, volatile) in self._known:
            return
        self._known.add((chain.boundaries, volatile))
        programme = Programme(Partition(chain, volatile), round(_CEILING * self._budget_bytes), _LEVELS)
        if programme.costs.tobytes() in self._planned:
            yield None
            return
        self._planned.add(programme.costs.tobytes())
        model = _Model(programme, self._largest_fitting(programme), np.inf)
        yield from self.schedules(model, _SHARES)
        if np.isinf(model.cost):
            yield None
        # Tables are large: only those that are used again are kept.
        self.best = sorted([*self.best, model], key=_Model.rank)[:_REFINED]

    def schedules(self, model: _Model, shares: Sequence[float], *, repair: bool = False) -> Iterator[list[int]]:
        """Schedules from plans of these shares of the model's level; repair takes long where much does not fit."""
        for share in shares:
            level = round(share * model.level)
            if self._stop() or level > _LEVELS or not np.isfinite(model.programme.costs[level]):
                continue
            order = chain_computes(model.programme, level)
            if not repair and lifetimes(self._graph, order).peak_bytes > self._budget_bytes:
                continue
            if tuple(order) in self._tried:
                continue
            self._tried.add(tuple(order))
            fitted = make_fit(self._graph, order, self._budget_bytes, self._stop_after_moves(), kicks=_KICKS)
            if fitted is not None:
                found = remove_needless(self._graph, fitted, self._budget_bytes, self._stop)
                model.cost = min(model.cost, sum(self._graph.ops[op].cost for op in found))
                yield found

    def _stop_after_moves(self) -> Stop:
        moves = count()
        return lambda: next(moves) >= _MOST_MOVES or self._stop()

    def _largest_fitting(self, programme: Programme) -> int:
        """The largest level whose plan's real peak is within the budget; the least that has a plan if none is."""
        finite = np.flatnonzero(np.isfinite(programme.costs))
        if not len(finite):
            return 0
        level = min(round(self._budget_bytes / programme.unit_bytes), _LEVELS)
        while level > finite[0] and not self._stop():
            order = chain_computes(programme, level)
            excess = lifetimes(self._graph, order).peak_bytes - self._budget_bytes
            if excess <= 0:
                return level
            cost = programme.costs[level]
            level -= max(1, round(_STEP_SHARE * excess / programme.unit_bytes))
            while level > finite[0] and programme.costs[level] == cost:
                level -= 1
        return int(finite[0])
