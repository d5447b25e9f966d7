"""Which values to drop and compute again, where a sequence exceeds the budget."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hcb_opt.sequence import EditableSequence

_MOST = 16
_ENOUGH = 8
_PASSES = 6
_LOOKED_INTO = 100
_MOST_OPS = 100
_OPS_SHARE = 20
_FIRST_REACH = 4.0
_FURTHER = 8.0
_PRICES = (math.inf, 4.0, 0.25)


@dataclass(frozen=True, slots=True, order=True)
class Eviction:
    """Drop a value after one use, and compute it again right before the next.

    Attributes
    ----------
    rate : float
        Added cost per byte of excess removed, summed over steps.
    value : int
    before : int
        Label of the next use.
    price : float
        What a byte of excess may cost where an input is kept instead of computed again.
    """

    rate: float
    value: int
    before: int
    price: float


@dataclass(frozen=True, slots=True)
class Recomputes:
    """The ops to run so that a value is computed again.

    Attributes
    ----------
    ops : tuple of int
        Positions, ascending.
    cost : int
        Of these ops.
    excess_bytes : int
        What the inputs that are kept for them add to the excess, summed over steps.
    """

    ops: tuple[int, ...]
    cost: int
    excess_bytes: int


class Pressure:
    """Where a sequence exceeds the budget, and what relieves it; holds until the sequence is edited.

    Parameters
    ----------
    sequence : EditableSequence
    budget_bytes : int
    """

    def __init__(self, sequence: EditableSequence, budget_bytes: int) -> None:
        self._sequence = sequence
        self._budget_bytes = budget_bytes
        excess = sequence.excess_bytes(budget_bytes)
        self.total_bytes = int(excess.sum())
        self.worst = int(excess.argmax())
        self._excess = excess
        self._most_ops = max(_MOST_OPS, len(sequence.graph.ops) // _OPS_SHARE)
        self._added: dict[tuple[int, int], int | None] = {}

    @cached_property
    def _counts(self) -> list[int]:
        """How many steps exceed the budget before each step."""
        counts: list[int] = np.concatenate(([0], np.cumsum(self._excess > 0))).tolist()
        return counts

    @cached_property
    def _sums(self) -> list[int]:
        """By how many bytes the steps before each step exceed the budget, in all."""
        sums: list[int] = np.concatenate(([0], np.cumsum(self._excess))).tolist()
        return sums

    def evictions(self) -> list[Eviction]:
        """Evictions that relieve the step furthest over budget, by rate.

        Returns
        -------
        list of Eviction
            The cheapest ones, about; those whose recomputes are dear are looked
            into only if there are few others.
        """
        options = sorted(self._options())
        if not options:
            return []
        reach = _FIRST_REACH * options[min(len(options), _MOST) - 1][0]
        middle = options[min(len(options), _MOST) // 2][0]
        found: list[Eviction] = []
        rates: list[float] = []
        for _ in range(_PASSES):
            dearer = []
            for looked_into, option in enumerate(options):
                if looked_into >= _LOOKED_INTO and len(found) >= _ENOUGH:
                    break
                most = rates[_MOST - 1] if len(rates) >= _MOST else reach
                eviction = self._cheapest(*option, middle, most) if option[0] <= most else None
                if eviction is None:
                    dearer.append(option)
                else:
                    insort(rates, eviction.rate)
                    found.append(eviction)
            if len(found) >= _ENOUGH:
                break
            options = dearer
            reach *= _FURTHER
        return sorted(found)

    def _options(self) -> Iterator[tuple[float, int, int, int]]:
        """Least rate, excess removed, value and next use of what the worst step holds but does not touch."""
        sequence, graph = self._sequence, self._sequence.graph
        labels, sizes = sequence.labels, graph.sizes
        here = labels[self.worst]
        op = sequence.ops[self.worst]
        touched = {*graph.ops[op].inputs, *graph.ops[op].outputs} if op < len(graph.ops) else set()
        for value, producers in enumerate(sequence.producers):
            readers = sequence.readers[value]
            if producers[0] >= here or not readers or readers[-1] <= here or not sizes[value] or value in touched:
                continue
            before, used = sequence.next_read(value, here), sequence.last_use(value, here)
            if before is None or used is None:
                continue
            first, end = bisect_left(labels, used) + 1, bisect_left(labels, before)
            steps = self._counts[end] - self._counts[first]
            gain = max(1, min(steps * sizes[value], self._sums[end] - self._sums[first]))
            yield (graph.ops[graph.values[value].producer].cost + 1) / gain, gain, value, before

    def _cheapest(
        self, least: float, gain: int, value: int, before: int, middle: float, most: float
    ) -> Eviction | None:
        """The best eviction of a value over the prices of keeping inputs; None if dearer than the most."""
        best: Eviction | None = None
        for factor in _PRICES:
            price = factor * middle
            again = self.recomputes(value, before, price, most * gain)
            if again is not None and again.excess_bytes < gain:
                rate = (again.cost + 1) / (gain - again.excess_bytes)
                if rate <= most and (best is None or rate < best.rate):
                    best = Eviction(rate, value, before, price)
                if len(again.ops) == 1 and not again.excess_bytes:
                    break
        return best

    def recomputes(self, value: int, before: int, price: float = math.inf, most: float = math.inf) -> Recomputes | None:
        """What to run right before a step so that a value is computed again.

        An input that is not held there is kept from its last use on if there is
        room for it all the way, or if the excess that this adds, at the price, is
        less than what it costs to compute it again.

        Parameters
        ----------
        value : int
        before : int
            The step's label.
        price : float
            Of a byte of excess.
        most : float
            Look no further once the ops, and the excess at its price, cost more.

        Returns
        -------
        Recomputes or None
            None if they cost more.
        """
        ops: list[int] = []
        spent = self._compute(self._sequence.graph.values[value].producer, before, price, most, ops)
        if spent is None:
            return None
        graph = self._sequence.graph
        return Recomputes(tuple(sorted(ops)), sum(graph.ops[op].cost for op in ops), spent[1])

    def _compute(self, op: int, before: int, price: float, most: float, ops: list[int]) -> tuple[float, int] | None:
        """Add an op and what it needs; what that costs and adds to the excess, None if more than the most."""
        sequence, graph = self._sequence, self._sequence.graph
        cost: float = graph.ops[op].cost
        excess_bytes = 0
        ops.append(op)
        for needed in graph.ops[op].inputs:
            if cost > most or len(ops) > self._most_ops:
                return None
            producer = graph.values[needed].producer
            if producer in ops or sequence.held(needed, before):
                continue
            added = self._added_by_keeping(needed, before)
            if added == 0:
                continue
            keeping = math.inf if added is None else price * added
            known = len(ops)
            spent = self._compute(producer, before, price, min(keeping, most - cost), ops)
            if spent is not None:
                cost, excess_bytes = cost + spent[0], excess_bytes + spent[1]
                continue
            del ops[known:]
            if added is None or keeping > most - cost:
                return None
            cost, excess_bytes = cost + keeping, excess_bytes + added
        return (cost, excess_bytes) if cost <= most else None

    def _added_by_keeping(self, value: int, before: int) -> int | None:
        """What it adds to the excess to keep a value from its last use until a step; None before its first compute."""
        key = value, before
        if key not in self._added:
            self._added[key] = self._keep(value, before)
        return self._added[key]

    def _keep(self, value: int, before: int) -> int | None:
        sequence = self._sequence
        used = sequence.last_use(value, before)
        if used is None:
            return None
        first, end = sequence.position(used) + 1, sequence.position(before)
        size_bytes = sequence.graph.sizes[value]
        over = self._counts[end] - self._counts[first] if first < end else 0
        if over:
            # Steps that this pushes over the budget come on top: few beside those that are over it already.
            return over * size_bytes
        short = int(sequence.profile_bytes[first:end].max(initial=0)) + size_bytes - self._budget_bytes
        return max(0, short)
