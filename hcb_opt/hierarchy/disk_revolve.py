"""Disk-Revolve: the cheapest reversal with a few slots of memory and a disk without limit.

Aupy, Herrmann, Hovland and Robert (2016), "Optimal multistage algorithm for
adjoint computation", SIAM Journal on Scientific Computing 38(3). Memory costs
nothing, a state on disk w_d to write and r_d to read. By the number of steps n::

    R(n) = n u_b + t(n, c) u_f
    D(n) = min(R(n), min_j j u_f + R(n - j) + r_d + D(j)),                1 <= j < n
    C(n) = min(R(n), min_j w_d + j u_f + C(n - j) + r_d + D(j)),          1 <= j < n

Revolve's R uses the c slots of memory alone; in D the first state is on disk, and
nothing else gets there; C is the cost of the whole. (The paper writes Opt_0,
Opt_1 and Opt_inf, of the n - 1 steps that run forward.) That the disk is written
in the first run only, and never in D, is a lemma of the paper, and here a test
against `HRevolve`, which may.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hcb_opt.errors import InvalidInput
from hcb_opt.hierarchy.actions import Action, Forward, Read, Write, with_discards
from hcb_opt.hierarchy.h_revolve import HRevolve, Row
from hcb_opt.hierarchy.platform import Level, Platform, require_steps

DISK = 1


class DiskRevolve:
    """Tables of R, D and C for chains of up to so many steps, in time quadratic in these.

    Parameters
    ----------
    most_steps : int
        At least 1.
    platform : Platform
        Memory that costs nothing and has a slot, and a disk without limit, as
        `hcb_opt.hierarchy.platform.memory_and_disk` makes it.

    Attributes
    ----------
    memory_costs, again_costs, costs : ndarray of int
        R, D and C by the number of steps; entry 0 is of no chain.

    Raises
    ------
    InvalidInput
        If the platform is another, or there is less than one step.
    """

    def __init__(self, most_steps: int, platform: Platform) -> None:
        require_steps(most_steps)
        memory, *others = platform.levels
        if memory.slots == 0 or memory != Level(memory.slots) or len(others) != 1 or others[0].slots is not None:
            raise InvalidInput(
                "platform",
                "is not free memory and a disk without limit",
                "make it by memory_and_disk, or take HRevolve",
            )
        self.most_steps, self.platform = most_steps, platform
        self._disk = others[0]
        self._memory = HRevolve(most_steps, Platform((memory,), platform.forward_cost, platform.backward_cost))
        self.memory_costs: Row = self._memory.costs
        self.again_costs: Row = self.memory_costs.copy()
        self.costs: Row = self.memory_costs.copy()
        self._runs = np.arange(most_steps + 1) * platform.forward_cost
        for steps in range(2, most_steps + 1):
            self.again_costs[steps] = min(self.again_costs[steps], self._splits(self.memory_costs, steps).min())
            written = self._disk.write_cost + self._splits(self.costs, steps).min()
            self.costs[steps] = min(self.costs[steps], written)

    def actions(self, steps: int) -> list[Action]:
        """A cheapest reversal, to be played by `hcb_opt.hierarchy.play`."""
        lengths = []
        left = steps
        while self.costs[left] < self.memory_costs[left]:
            lengths.append(1 + int(self._splits(self.costs, left).argmin()))
            left -= lengths[-1]
        return self.actions_from(lengths, steps)

    def actions_from(self, lengths: Iterable[int], steps: int) -> list[Action]:
        """The cheapest reversal that writes given states to disk in the first run, and nothing else.

        Parameters
        ----------
        lengths : iterable of int
            Steps from each state on disk, x_0 the first, to the next one; after
            the last, to where memory serves alone. Their sum is below ``steps``.
        steps : int
        """
        moves: list[Action] = []
        stretches: list[tuple[int, int]] = []
        base = 0
        for length in lengths:
            moves += [Write(DISK, base), Forward(base, base + length)]
            stretches.append((base, length))
            base += length
        moves += self._memory.moves(steps - base, base)
        for first, length in reversed(stretches):
            moves.append(Read(DISK, first))
            left = length
            while self.again_costs[left] < self.memory_costs[left]:
                advance = 1 + int(self._splits(self.memory_costs, left).argmin())
                moves.append(Forward(first, first + advance))
                moves += self._memory.moves(left - advance, first + advance)
                moves.append(Read(DISK, first))
                left = advance
            moves += self._memory.moves(left, first)
        return with_discards(moves)

    def _splits(self, rest: Row, steps: int) -> Row:
        """Costs, by j from 1 on, of running j steps, the rest, a read, and the j steps again."""
        costs: Row = self._runs[1:steps] + rest[steps - 1 : 0 : -1] + self.again_costs[1:steps]
        costs += self._disk.read_cost
        return costs
