"""Rotor: the cheapest way to train a chain of unequal stages, where a stage leaves its input or its tape.

Beaumont, Eyraud-Dubois, Herrmann, Joly and Shilova (2019), "Optimal checkpointing
for heterogeneous chains: how to train deep neural networks with limited memory",
INRIA research report 9302, arXiv:1911.13214. Stage l turns a_{l-1} into a_l, of
w_l bytes. Its forward may leave nothing but that; or its tape, of W_l bytes with
a_l, which its backward reads. Let C(s, t, m) be the least cost to run stages
s .. t forward and backward in m bytes, beside a_{s-1}, which is held throughout::

    C(s, s, m) = g_s + b_s                                                   if m >= all(s, s)
    C(s, t, m) = min(f_s + C(s + 1, t, m - W_s) + b_s                        if m >= all(s, t),
                     min_k f_s + .. + f_{k-1} + C(k, t, m - w_{k-1}) + C(s, k - 1, m)
                                                                             if m >= run(s, t)),  s < k <= t

with f and b the costs of forward and backward, and g_s that of computing the tape
alone again: f_s in the report, but nothing where a backward reads only the stage's
input, which makes the recursion Revolve's on such chains. ``all(s, t)`` is what is resident
while stage s runs and leaves its tape, beside what stage t's backward begins with,
or while s's backward runs; ``run(s, t)`` while stages s .. t - 1 run in a row.

That is the cheapest schedule among *memory persistent* ones, in which what is
saved stays until its backward has run, at the stage's own granularity. On chains
whose stages differ, one that drops a saved value earlier may be cheaper (section
4.1 of the report); on chains of equal stages the recursion is that of `mixed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from hcb_opt.errors import InvalidInput

Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a chain. Bytes are beside those of its input, a_{l-1}.

    Attributes
    ----------
    forward_cost, backward_cost : int
        f_l and b_l.
    output_bytes : int
        w_l: of a_l.
    tape_bytes : int
        W_l: of all that its backward reads of the stage, and of a_l.
    run_bytes : int
        Most that its forward holds at once, if only a_l is left.
    record_bytes : int
        The same, if its tape is left.
    again_cost, again_bytes : int
        g_l, and the most that is held at once, where its tape is computed right
        before its backward.
    gradient_bytes : int
        What is resident, whatever was saved, right before its backward begins:
        the gradient of a_l, and results such as parameter gradients.
    backward_bytes : int
        Most resident while its backward runs, its tape and these included.
    """

    forward_cost: int
    backward_cost: int
    output_bytes: int
    tape_bytes: int
    run_bytes: int
    record_bytes: int
    again_cost: int
    again_bytes: int
    gradient_bytes: int
    backward_bytes: int


def classical_stage(
    forward_cost: int,
    backward_cost: int,
    output_bytes: int,
    tape_bytes: int,
    *,
    overhead_bytes: tuple[int, int] = (0, 0),
) -> Stage:
    """A stage as the report describes it: gradients have the bytes of the activations.

    Parameters
    ----------
    forward_cost, backward_cost, output_bytes, tape_bytes : int
        u_f, u_b, w_a and w_abar of the stage.
    overhead_bytes : tuple of int
        o_f and o_b: of the forward and of the backward while they run.
    """
    forward_overhead, backward_overhead = overhead_bytes
    return Stage(
        forward_cost, backward_cost, output_bytes, tape_bytes, output_bytes + forward_overhead,
        tape_bytes + forward_overhead, forward_cost, tape_bytes + forward_overhead, output_bytes,
        output_bytes + tape_bytes + backward_overhead,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """Run a stage forward from a_{l-1}, or as much of it as what it leaves takes.

    Attributes
    ----------
    stage : int
    output, tape : bool
        Whether it leaves a_l, and whether it leaves what its backward reads.
    """

    stage: int
    output: bool
    tape: bool


@dataclass(frozen=True, slots=True)
class Release:
    """Hold a_l, of this stage, no longer."""

    stage: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """Run a stage's backward from its tape, which is then dropped, a_l with it."""

    stage: int


Move = Run | Release | Reverse


class Rotor:
    """The recursion's tables for every amount of memory up to a ceiling.

    Memory comes in slots of equal bytes, and every need is rounded up to whole
    slots, so that plans keep to their memory; with as many slots as bytes nothing
    is rounded. For L stages and S slots it takes time L^3 S / 6 and 8 L^2 S bytes:
    300 stages and 500 slots a few seconds and 360 MB.

    Parameters
    ----------
    stages : sequence of Stage
        At least one.
    ceiling_bytes : int
        The most memory that matters.
    slots : int
        S; fewer if there are not as many bytes.

    Attributes
    ----------
    slot_bytes : int
        Bytes of a slot.
    """

    def __init__(self, stages: Sequence[Stage], ceiling_bytes: int, slots: int = 500) -> None:
        if not stages or slots < 1 or ceiling_bytes < 1:
            raise InvalidInput("stages, ceiling_bytes, slots", "one is missing", "give at least one of each")
        self.stages = tuple(stages)
        self.slot_bytes = -(-ceiling_bytes // slots)
        self.slots = ceiling_bytes // self.slot_bytes
        count = len(stages)
        self._forward = [0.0, *accumulate(float(stage.forward_cost) for stage in stages)]
        self._held = [self._rounded(stage.output_bytes) for stage in stages]
        self._taped = [self._rounded(stage.tape_bytes) for stage in stages]
        # Entries [s][t - s, m]: C. Entries [t][s, m]: C in m bytes with a_{s-1}, and the cost of running up to s.
        self._costs = [np.full((count - first, self.slots + 1), np.inf) for first in range(count)]
        self._after = [np.full((last + 1, self.slots + 1), np.inf) for last in range(count)]
        self._sums = np.empty((count, self.slots + 1))
        for last in range(count):
            between_bytes = 0
            for first in range(last, -1, -1):
                if first + 1 < last:
                    passing_bytes = stages[first].output_bytes + stages[first + 1].run_bytes
                    between_bytes = max(between_bytes, passing_bytes)
                self._fill(first, last, between_bytes)

    @property
    def costs(self) -> Table:
        """Least cost of the whole chain by the slots of memory, 0 first; infinite where nothing fits."""
        costs: Table = self._costs[0][-1]
        return costs

    def least_cost(self, budget_bytes: int) -> int | None:
        """Least cost of the whole chain in so many bytes, at most the ceiling; None if nothing fits."""
        cost = self.costs[min(budget_bytes // self.slot_bytes, self.slots)]
        return int(cost) if np.isfinite(cost) else None

    def moves(self, slots: int) -> list[Move]:
        """A cheapest schedule of the whole chain.

        Parameters
        ----------
        slots : int
            Memory for which `costs` is finite.
        """
        moves: list[Move] = []
        # What is left, the next at the end: a move, or first and last stage and memory.
        pending: list[Move | tuple[int, int, int]] = [(0, len(self.stages) - 1, slots)]
        while pending:
            stretch = pending.pop()
            if not isinstance(stretch, tuple):
                moves.append(stretch)
                continue
            first, last, memory = stretch
            if self._recorded(first, last)[memory] <= self._costs[first][last - first][memory]:
                moves.append(Run(first, first < last, True))
                pending.append(Reverse(first))
                if first < last:
                    pending.append((first + 1, last, memory - self._taped[first]))
                continue
            split = first + 1 + int(self._split(first, last)[:, memory].argmin())
            moves.append(Run(first, True, False))
            for stage in range(first + 1, split):
                moves += [Run(stage, True, False), Release(stage - 1)]
            pending.append((first, split - 1, memory))
            pending.append(Release(split - 1))
            pending.append((split, last, memory - self._held[split - 1]))
        return moves

    def _fill(self, first: int, last: int, between_bytes: int) -> None:
        """C of stages ``first .. last``, of which those in between need so many bytes to run in a row."""
        row = self._costs[first][last - first]
        row[:] = self._recorded(first, last)
        if first < last:
            need = self.stages[last].gradient_bytes + max(self.stages[first].run_bytes, between_bytes)
            fitting = self._rounded(need)
            split = self._split(first, last).min(axis=0) - self._forward[first]
            np.minimum(row[fitting:], split[fitting:], out=row[fitting:])
        if first:
            held = self._held[first - 1]
            self._after[last][first, held:] = row[: max(0, self.slots + 1 - held)] + self._forward[first]

    def _recorded(self, first: int, last: int) -> Table:
        """Costs, by memory, if the first stage leaves its tape."""
        stage = self.stages[first]
        costs = np.full(self.slots + 1, np.inf)
        forward_bytes = stage.again_bytes if first == last else stage.record_bytes
        need = max(self.stages[last].gradient_bytes + forward_bytes, stage.backward_bytes)
        if first == last:
            costs[self._rounded(need) :] = stage.again_cost + stage.backward_cost
            return costs
        fitting = max(self._rounded(need), self._taped[first])
        rest = self._costs[first + 1][last - first - 1]
        costs[fitting:] = rest[fitting - self._taped[first] : max(0, self.slots + 1 - self._taped[first])]
        costs += stage.forward_cost + stage.backward_cost
        return costs

    def _split(self, first: int, last: int) -> Table:
        """Costs ``[k - first - 1, m]`` of every split, and of running from the first stage of all to this one."""
        sums: Table = self._sums[: last - first]
        np.add(self._after[last][first + 1 : last + 1], self._costs[first][: last - first], out=sums)
        return sums

    def _rounded(self, size_bytes: int) -> int:
        return -(-size_bytes // self.slot_bytes)
