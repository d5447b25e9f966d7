"""Compute an op once more: the excess over budget at every place for the second run."""

from __future__ import annotations

import numpy as np

from hcb_opt.annealing.runs import RunSequence


class Split:
    """A second run that serves some of the readers of a run: those from one of them on.

    The outputs concerned are let go after the last reader that stays with the
    first run; the inputs are held, or held longer, until the second.

    Parameters
    ----------
    sequence : RunSequence
    run : int
        Whose op is to run once more.
    reader : int
        The first of the readers to be served by the second run.
    budget_bytes : int

    Attributes
    ----------
    op : int
    added_bytes : ndarray of int64
        By place: change of the excess, summed over all steps. Empty if there
        is no place.
    """

    def __init__(self, sequence: RunSequence, run: int, reader: int, budget_bytes: int) -> None:
        self.op = op = sequence.op_of[run]
        step_of = sequence.step_of
        self._sequence, self._run = sequence, run
        self._until = until = step_of[reader]
        changes: list[tuple[int, int]] = []
        first = 0
        for size, readers in zip(sequence.output_sizes[op], sequence.readers[run], strict=True):
            used = [step_of[each] for each in readers]
            if any(step >= until for step in used):
                stays = max((step for step in used if step < until), default=step_of[run])
                changes.append((stays, -size))
                first = max(first, stays + 1)
        self.reads: list[int] = []
        for value, slot, size in sequence.inputs[op]:
            copy = max(
                (each for each in sequence.runs_of[sequence.graph.values[value].producer] if step_of[each] < until),
                key=step_of.__getitem__,
            )
            self.reads.append(copy)
            first = max(first, step_of[copy] + 1)
            changes.append((sequence.last_use(copy, slot), size))
        self._first = first
        self.added_bytes = np.zeros(0, dtype=np.int64)
        if first > until:
            return
        self._begin = begin = min(first, *(step + 1 for step, _ in changes))
        width = until - begin
        held = np.zeros(width + 1, dtype=np.int64)  # after the step before each of the window
        for step, size in changes:
            if step < until:
                held[max(0, step + 1 - begin) :] += size
        self._held = held
        during, after = sequence.during_bytes, sequence.after_bytes
        self._during = during[begin:until] + held[:width]
        left = np.empty(width + 1, dtype=np.int64)
        left[0] = after[begin - 1] if begin else 0
        left[1:] = after[begin:until]
        self._running = left + held + sequence.run_bytes[op]
        total = np.maximum(self._running - budget_bytes, 0)
        change = np.maximum(self._during - budget_bytes, 0) - np.maximum(during[begin:until] - budget_bytes, 0)
        total[1:] += np.cumsum(change)
        self.added_bytes = total[first - begin :]

    def apply(self, place: int) -> int:
        """Insert the second run, which is returned, at this place."""
        sequence, begin = self._sequence, self._begin
        to = self._first + place
        count = to - begin
        after_before = int(sequence.after_bytes[to - 1]) if to else 0
        sequence.during_bytes[begin:to] = self._during[:count]
        sequence.after_bytes[begin - 1 : to] += self._held[: count + 1]
        again = sequence.new_run(self.op, self.reads)
        step_of = sequence.step_of
        for slot, readers in enumerate(sequence.readers[self._run]):
            moved = [each for each in readers if step_of[each] >= self._until]
            if moved:
                sequence.hand_over(slot, moved, self._run, again)
        sequence.insert(again, to, int(self._running[count]), after_before)
        return again
