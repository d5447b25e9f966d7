"""Mixed checkpointing: what it costs to reverse a chain where a slot may hold a state or a tape.

Maddison (2024), "Step-based checkpointing with high-level algorithmic
differentiation", Journal of Computational Science 82. A forward step writes the
next state and the tape that its reversal reads; either may be kept in a slot. A
state lets all later steps run again, a tape saves one step from running again.

Let m(n, s) be the fewest forward steps that reverse n steps from a state that is
lost once the first of them has run, unless a slot keeps it, with s free slots::

    m(1, s) = 1
    m(n, s) = min(1 + m(n - 1, s - 1), min_k k + m(n - k, s - 1) + m(k, s)),  1 <= k < n

(keep the first step's tape, or the state, advancing to where something is kept
next), and m(n, 0) infinite for n > 1. From a persistent initial state, which no
slot has to keep::

    M(1, s) = 1
    M(n, s) = min(m(n, s), min_k k + m(n - k, s) + M(k, s)),  1 <= k < n

No schedule takes fewer steps if at most s states and tapes are resident beside
the step's own tape at each instant that a step is first reversed. For every
schedule can be brought, at no more cost, to a form that the recursion covers:

- a tape that is dropped unread need not be kept at all;
- nothing is computed between two such instants if the next tape is held already,
  since it can be computed later, when there is no less room;
- if step k + 1 runs again while its tape is held, hold the state after it instead,
  and take the tape from that run;
- if the state before step k + 1 is dropped and that step run again later, hold the
  state after it instead: the run that makes it grows by a step at most, and every run
  from it, at least one, shrinks by a step;
- nothing before the first kept value is computed again before all that comes after
  that value is reversed, since it can be computed later.

Then the first kept value splits the chain into two that do not share a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hcb_opt.errors import InvalidInput

_NONE = np.iinfo(np.int64).max // 4
Row = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Rows:
    """For one number of slots, by the number of steps: m and M, and where each minimum is attained.

    An advance is the k of the minimum; 0 stands for keeping the first tape, and
    for not using that the initial state is persistent.
    """

    lost: Row
    lost_advance: Row
    kept: Row
    kept_advance: Row


class MixedTable:
    """m and M for chains of up to so many steps, with rows for each number of slots made as needed.

    Parameters
    ----------
    most_steps : int
        At least 1.
    """

    def __init__(self, most_steps: int) -> None:
        self.most_steps = most_steps
        self._rows: list[_Rows] = []

    @property
    def slots_covered(self) -> int:
        """The most slots for which there are rows; -1 at first."""
        return len(self._rows) - 1

    def extend(self) -> None:
        """Make the rows for one more slot, in time quadratic in the steps."""
        lost, kept = np.full((2, self.most_steps + 1), _NONE)
        lost_advance, kept_advance = np.zeros((2, self.most_steps + 1), np.int64)
        # With a slot for every tape but the last, which is read at once, no step runs twice.
        alone = min(len(self._rows) + 1, self.most_steps)
        lost[1 : alone + 1] = kept[1 : alone + 1] = np.arange(1, alone + 1)
        fewer = self._rows[-1].lost if self._rows else lost.copy()
        for steps in range(alone + 1, self.most_steps + 1):
            advances = np.arange(1, steps)
            if self._rows:
                costs = advances + fewer[steps - 1 : 0 : -1] + lost[1:steps]
                lost[steps], lost_advance[steps] = _cheapest(1 + fewer[steps - 1], costs)
            costs = advances + lost[steps - 1 : 0 : -1] + kept[1:steps]
            kept[steps], kept_advance[steps] = _cheapest(lost[steps], costs)
        self._rows.append(_Rows(lost, lost_advance, kept, kept_advance))

    def fewest(self, steps: int, slots: int) -> int:
        """M(n, s): fewest forward steps that reverse a chain from a persistent initial state."""
        return int(self._at(slots).kept[steps])

    def reversal(self, steps: int, slots: int, ahead: int = 0) -> Iterator[int]:
        """The steps of a cheapest reversal.

        Parameters
        ----------
        steps, slots : int
            n and s.
        ahead : int
            The last so many steps keep their tapes in the first forward run,
            beside the slots: M(n - ahead, s) + ahead forward steps in all.

        Yields
        ------
        int
            i for the forward of step i, -i for its backward.
        """
        # What is left, the next at the end: a backward step whose tape is held, or a stretch to
        # reverse by the first state, the number of steps, whether that state is persistent, and the free slots.
        pending: list[int | tuple[int, int, bool, int]] = [(0, steps - ahead, True, slots)]
        while pending:
            stretch = pending.pop()
            if isinstance(stretch, int):
                yield stretch
                continue
            base, length, persistent, free = stretch
            rows = self._at(free)
            advance = int((rows.kept_advance if persistent else rows.lost_advance)[length])
            if length == 1:
                last = steps if base + 1 == steps - ahead else base + 1
                yield from range(base + 1, last + 1)
                yield from range(-last, -base)
            elif advance:
                yield from range(base + 1, base + advance + 1)
                pending.append((base, advance, persistent, free))
                pending.append((base + advance, length - advance, False, free - (not persistent)))
            elif persistent:
                pending.append((base, length, False, free))
            else:
                yield base + 1
                pending.append(-(base + 1))
                pending.append((base + 1, length - 1, False, free - 1))

    def _at(self, slots: int) -> _Rows:
        while self.slots_covered < slots:
            self.extend()
        return self._rows[slots]


def _cheapest(first: int, others: Row) -> tuple[int, int]:
    """The least cost and its place, 0 for the first."""
    place = int(others.argmin())
    return min((int(first), 0), (int(others[place]), place + 1), (_NONE, 0))


@cache
def _shared(most_steps: int) -> MixedTable:
    return MixedTable(most_steps)


def mixed_table(steps: int) -> MixedTable:
    """A table for chains of this length, shared between calls.

    Raises
    ------
    InvalidInput
        If there is less than one step.
    """
    if steps < 1:
        raise InvalidInput(f"steps {steps!r}", "a chain has at least one step", "give at least 1")
    return _shared(1 << (steps - 1).bit_length())
