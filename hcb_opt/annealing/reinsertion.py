"""Move one run to any legal place: the excess over budget at all of them in one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcb_opt.annealing.runs import RunSequence

WIDEST = 1500
"""Steps to either side that are looked at."""


class Reinsertion:
    """The places between the last run that a run reads and the first that reads it.

    In the fixed order there are fewer, see `RunSequence.window`. Let the others
    keep their order. While one of them runs, what is resident depends on the
    run's place only in whether it has run yet: if not, its inputs are held for
    it; if so, its outputs. With the excess over budget of both cases added up
    from the left and from the right, the total at every place is one addition.

    Windows and gaps are those of `hcb_opt.annealing.runs`, with the run taken out:
    steps are those of the others, which close up, and a place is a gap.

    Parameters
    ----------
    sequence : RunSequence
    run : int
    budget_bytes : int

    Attributes
    ----------
    excess_bytes : ndarray of int64
        By place: summed over the steps of the window.
    here : int
        The place where it is now. It counts as the only one, as place 0, if
        there is no other, or if no place in the window can exceed the budget.
    """

    def __init__(self, sequence: RunSequence, run: int, budget_bytes: int) -> None:
        self._sequence, self._run = sequence, run
        self._at = at = sequence.step_of[run]
        first, last = sequence.window(run)
        self._begin, self._end = max(first, at - WIDEST), min(last, at + WIDEST) + 1
        self.here = at - self._begin
        self.excess_bytes = np.zeros(1, dtype=np.int64)
        if self._end - self._begin == 1 or self._without_effect(budget_bytes):
            self.here = 0
            return
        self._later = self._held_if_later()
        self._measure()
        self.excess_bytes = self._rate(budget_bytes)

    def _without_effect(self, budget_bytes: int) -> bool:
        """Whether every place in the window leaves so much room that none can exceed the budget."""
        sequence = self._sequence
        highest = int(sequence.during_bytes[self._begin : self._end].max())
        return highest + sequence.most_added_bytes[sequence.op_of[self._run]] <= budget_bytes

    def _held_if_later(self) -> NDArray[np.int64]:
        """By gap: bytes held more if the run is yet to come there than if it has been."""
        sequence, run, begin = self._sequence, self._run, self._begin
        op, gaps = sequence.op_of[run], self._end - begin
        later = np.zeros(gaps, dtype=np.int64)
        for size, readers in zip(sequence.output_sizes[op], sequence.readers[run], strict=True):
            if readers:
                later -= size
        for producer, (_, slot, size) in zip(sequence.reads[run], sequence.inputs[op], strict=True):
            gap = sequence.last_use(producer, slot, run) + 1
            gap -= gap > self._at + 1  # the run itself is taken out
            if gap - begin < gaps:
                later[max(0, gap - begin) :] += size
        return later

    def _measure(self) -> None:
        """What is resident while the others run and in the gaps, for either side of the run's place."""
        sequence, here, begin, end, later = self._sequence, self.here, self._begin, self._end, self._later
        during, held = sequence.during_bytes[begin:end], sequence.held_in_gaps(begin, end)
        # As it is now, the run is yet to come for the others before `here`, and has been for those behind.
        self._before = np.concatenate((during[:here], during[here + 1 :]))  # while it is yet to come
        self._behind = self._before.copy()  # when it has been
        self._before[here:] += later[here:-1]
        self._behind[:here] -= later[:here]
        self._held = np.concatenate((held[: here + 1], held[here + 2 :]))  # in the gap where it comes next
        self._held[here + 1 :] += later[here + 1 :]
        self._running = self._held + sequence.run_bytes[sequence.op_of[self._run]]

    def _rate(self, budget_bytes: int) -> NDArray[np.int64]:
        """The run's own excess at each place, that of the others before it and that of the others behind."""
        excess: NDArray[np.int64] = np.maximum(self._running - budget_bytes, 0)
        excess[1:] += np.cumsum(np.maximum(self._before - budget_bytes, 0))
        excess[:-1] += np.cumsum(np.maximum(self._behind - budget_bytes, 0)[::-1])[::-1]
        return excess

    def apply(self, place: int) -> None:
        """Move the run to this place."""
        sequence, begin, end, at = self._sequence, self._begin, self._end, self._at
        sequence.during_bytes[begin:end] = np.concatenate(
            (self._before[:place], self._running[place : place + 1], self._behind[place:])
        )
        # The step after which the run's inputs are let go is its own; from there on its outputs are held.
        sequence.after_bytes[begin:end] = np.concatenate(
            (self._held[1 : place + 1], (self._held - self._later)[place:])
        )
        to = begin + place
        del sequence.order[at]
        sequence.order.insert(to, self._run)
        sequence.renumber(min(at, to), max(at, to))
