"""Move one run to any legal place: the excess over budget at all of them in one pass."""

from __future__ import annotations

import numpy as np

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
        step_of, op = sequence.step_of, sequence.op_of[run]
        at = step_of[run]
        self._sequence, self._run, self._at = sequence, run, at
        first, last = sequence.window(run)
        first, last = max(first, at - WIDEST), min(last, at + WIDEST)
        self._first, self._last = first, last
        self.here = here = at - first
        width = last - first
        self.excess_bytes = np.zeros(1, dtype=np.int64)
        if not width or self._without_effect(op, budget_bytes):
            self.here = 0
            return
        # By step of the others: bytes held more if the run comes later than if it came before.
        later = np.zeros(width + 1, dtype=np.int64)
        for size, readers in zip(sequence.output_sizes[op], sequence.readers[run], strict=True):
            if readers:
                later -= size
        for producer, (_, slot, size) in zip(sequence.reads[run], sequence.inputs[op], strict=True):
            use = sequence.last_use(producer, slot, run)
            use -= use > at
            if use - first < width:
                later[max(0, use + 1 - first) :] += size
        during, after = sequence.during_bytes, sequence.after_bytes
        self._before = np.concatenate((during[first:at], during[at + 1 : last + 1]))
        self._behind = self._before.copy()
        self._before[here:] += later[here:width]
        self._behind[:here] -= later[:here]
        self._held = np.empty(width + 1, dtype=np.int64)
        self._held[0] = after[first - 1] if first else 0
        self._held[1 : here + 1] = after[first:at]
        self._held[here + 1 :] = after[at + 1 : last + 1]
        self._held[here + 1 :] += later[here + 1 :]
        self._later = later
        self._running = self._held + sequence.run_bytes[op]
        total = np.maximum(self._running - budget_bytes, 0)
        total[1:] += np.cumsum(np.maximum(self._before - budget_bytes, 0))
        total[:-1] += np.cumsum(np.maximum(self._behind - budget_bytes, 0)[::-1])[::-1]
        self.excess_bytes = total

    def _without_effect(self, op: int, budget_bytes: int) -> bool:
        """Whether every place in the window leaves so much room that none can exceed the budget."""
        highest = int(self._sequence.during_bytes[self._first : self._last + 1].max())
        return highest + self._sequence.most_added_bytes[op] <= budget_bytes

    def apply(self, place: int) -> None:
        """Move the run to this place."""
        sequence, first, last, at = self._sequence, self._first, self._last, self._at
        sequence.during_bytes[first : last + 1] = np.concatenate(
            (self._before[:place], self._running[place : place + 1], self._behind[place:])
        )
        # The step after which the run's inputs are let go is its own; from there on its outputs are held.
        sequence.after_bytes[first : last + 1] = np.concatenate(
            (self._held[1 : place + 1], (self._held - self._later)[place:])
        )
        to = first + place
        del sequence.order[at]
        sequence.order.insert(to, self._run)
        sequence.renumber(min(at, to), max(at, to))
