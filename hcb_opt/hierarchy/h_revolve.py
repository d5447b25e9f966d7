"""H-Revolve: the cheapest reversal of a chain with a hierarchy of storage.

Herrmann and Pallez (2020), "H-Revolve: a framework for adjoint computation on
synchronous hierarchical platforms", ACM Transactions on Mathematical Software
46(2). By the number n of steps to reverse, the levels 0 .. k that may be used,
and the free slots m of level k (all those of the nearer ones are free), let

- B(n, k, m) be the least cost if the buffer holds the first state x, and nothing
  else does;
- H(n, k, m) if, beside that, x is held at level k.

Then B(1) = H(1) = u_b; B(n, -1) is infinite for n > 1; and ::

    B(n, k, m) = min(B(n, k - 1, c_{k-1}), w_k + H(n, k, m - 1))
    H(n, k, m) = min(B(n, k - 1, c_{k-1}), min_j j u_f + B(n - j, k, m) + r_k + H(j, k, m)),  1 <= j < n

with c_k slots, write cost w_k and read cost r_k of level k. (The paper counts the
steps that run forward, n - 1, and in m the slot of x too.) A level without
limit has one row, in which m does not matter.

The cheapest reversal is meant among those that the recurrence describes: below a
state that is kept at level k, only levels up to k are used. `tests` compare it
with a search of all reversals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcb_opt.errors import InvalidInput
from hcb_opt.hierarchy.actions import Action, Backward, Forward, Read, Write, with_discards
from hcb_opt.hierarchy.platform import Platform, require_steps

Row = NDArray[np.int64]

INFINITE = int(np.iinfo(np.int64).max // 8)
"""Cost of what cannot be done; the sum of a few of these is still a number."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """B and H by the number of steps, for one level and its free slots."""

    bare: Row
    held: Row


class HRevolve:
    """The recurrence's tables for chains of up to so many steps.

    Takes time quadratic in the steps for each slot; a level with more slots than
    steps counts as one without limit.

    Parameters
    ----------
    most_steps : int
        At least 1.
    platform : Platform

    Raises
    ------
    InvalidInput
        If there is less than one step, or costs are so large that their sum
        would not be exact.
    """

    def __init__(self, most_steps: int, platform: Platform) -> None:
        require_steps(most_steps)
        dearest = max(max(level.write_cost, level.read_cost) for level in platform.levels)
        if (dearest + platform.forward_cost * most_steps + platform.backward_cost) * most_steps >= INFINITE:
            raise InvalidInput("platform", "costs are too large for 64-bit sums", "give them in a larger unit")
        self.most_steps, self.platform = most_steps, platform
        nothing = np.full(most_steps + 1, INFINITE)
        nothing[1] = platform.backward_cost
        self._nothing = nothing
        self._rows: list[list[_Rows]] = []
        for number in range(len(platform.levels)):
            self._rows.append(self._level_rows(number))

    def cost(self, steps: int) -> int | None:
        """B(n) with all levels and slots: least cost of a reversal; None if there is none."""
        cost = int(self._bare(len(self.platform.levels) - 1)[self._known(steps)])
        return None if cost >= INFINITE else cost

    @cached_property
    def costs(self) -> Row:
        """`cost` by the number of steps; entry 0 is of no chain, and entries from `INFINITE` on stand for None."""
        return self._bare(len(self.platform.levels) - 1)

    def actions(self, steps: int) -> list[Action]:
        """A cheapest reversal, to be played by `hcb_opt.hierarchy.play`.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        if self.cost(steps) is None:
            raise InvalidInput("platform", f"{steps} steps cannot be reversed without a slot", "give one to a level")
        return with_discards(self.moves(steps))

    def moves(self, steps: int, base: int = 0) -> list[Action]:
        """A cheapest reversal of steps that begin at state ``base``, without its discards.

        Parameters
        ----------
        steps : int
            As many as can be reversed.
        base : int
        """
        moves: list[Action] = []
        top = len(self.platform.levels) - 1
        # What is left, the next at the end: a state to read, or a stretch by its first state, the number of
        # steps, the level, the row of its free slots, and whether the first state is held there.
        pending: list[Read | tuple[int, int, int, int, bool]] = [(base, steps, top, len(self._rows[top]) - 1, False)]
        while pending:
            stretch = pending.pop()
            if isinstance(stretch, Read):
                moves.append(stretch)
                continue
            first, length, level, row, held = stretch
            if length == 1:
                moves.append(Backward(first))
                continue
            rows = self._rows[level][row]
            if (rows.held if held else rows.bare)[length] == self._bare(level - 1)[length]:
                pending.append((first, length, level - 1, len(self._rows[level - 1]) - 1, False))
                continue
            if not held:
                moves.append(Write(level, first))
                row = max(0, row - 1)
            advance = 1 + int(self._splits(level, self._rows[level][row], length).argmin())
            moves.append(Forward(first, first + advance))
            pending.append((first, advance, level, row, True))
            pending.append(Read(level, first))
            pending.append((first + advance, length - advance, level, row, False))
        return moves

    def _level_rows(self, level: int) -> list[_Rows]:
        """Rows by the free slots of a level, from none on; a level without limit has one."""
        slots, write_cost = self.platform.levels[level].slots, self.platform.levels[level].write_cost
        below = self._bare(level - 1)
        found: list[_Rows] = []
        if slots is None or slots >= self.most_steps:
            rows = _Rows(below.copy(), below.copy())
            for steps in range(2, self.most_steps + 1):
                self._hold(level, rows, steps)
                rows.bare[steps] = min(rows.bare[steps], write_cost + rows.held[steps])
            return [rows]
        for free in range(slots + 1):
            rows = _Rows(below.copy(), below.copy())
            if free:
                np.minimum(below[2:], write_cost + found[-1].held[2:], out=rows.bare[2:])
            if free < slots:
                for steps in range(2, self.most_steps + 1):
                    self._hold(level, rows, steps)
            found.append(rows)
        return found

    def _hold(self, level: int, rows: _Rows, steps: int) -> None:
        rows.held[steps] = min(rows.held[steps], self._splits(level, rows, steps).min())

    def _splits(self, level: int, rows: _Rows, steps: int) -> Row:
        """What H's minimum is over, by j from 1 on."""
        costs: Row = self._runs[1:steps] + rows.bare[steps - 1 : 0 : -1] + rows.held[1:steps]
        costs += self.platform.levels[level].read_cost
        return costs

    @cached_property
    def _runs(self) -> Row:
        return np.arange(self.most_steps + 1) * self.platform.forward_cost

    def _bare(self, level: int) -> Row:
        return self._rows[level][-1].bare if level >= 0 else self._nothing

    def _known(self, steps: int) -> int:
        if not 1 <= steps <= self.most_steps:
            raise InvalidInput(f"steps {steps!r}", f"the table has 1 to {self.most_steps}", "make a larger table")
        return steps
