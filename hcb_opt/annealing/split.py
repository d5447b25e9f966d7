"""Compute an op once more: the excess over budget at every place for the second run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hcb_opt.annealing.runs import RunSequence


class Split:
    """A second run that serves some of the readers of a run: those from one of them on.

    The outputs concerned are let go after the last reader that stays with the
    first run; the inputs are held, or held longer, until the second. Windows and
    gaps are those of `hcb_opt.annealing.runs`; a place is a gap.

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
    reads : list of int
        For each input, the run whose copy the second run reads.
    added_bytes : ndarray of int64
        By place: change of the excess, summed over all steps. Empty if there
        is no place.
    """

    def __init__(self, sequence: RunSequence, run: int, reader: int, budget_bytes: int) -> None:
        step_of = sequence.step_of
        self._sequence, self._run = sequence, run
        self.op = sequence.op_of[run]
        self._until = until = step_of[reader]
        self.reads = self._latest_copies()
        let_go = list(self._outputs_let_go())
        self._first = first = max([*(gap for gap, _ in let_go), *(step_of[copy] + 1 for copy in self.reads)])
        self.added_bytes = np.zeros(0, dtype=np.int64)
        if first > until:
            return
        changes = [*let_go, *self._inputs_held()]
        # The window: from what changes first, or the first place, to the reader.
        self._begin = begin = min(first, *(gap for gap, _ in changes))
        self._more = np.zeros(until - begin + 1, dtype=np.int64)  # bytes held more up to the second run, by gap
        for gap, size in changes:
            if gap <= until:
                self._more[gap - begin :] += size
        self._running = sequence.held_in_gaps(begin, until) + self._more + sequence.run_bytes[self.op]
        self.added_bytes = self._rate(budget_bytes)

    def _latest_copies(self) -> list[int]:
        """The last copy of each input before the reader."""
        sequence, step_of, until = self._sequence, self._sequence.step_of, self._until
        producers = (sequence.graph.values[value].producer for value, _, _ in sequence.inputs[self.op])
        return [
            max((each for each in sequence.runs_of[producer] if step_of[each] < until), key=step_of.__getitem__)
            for producer in producers
        ]

    def _outputs_let_go(self) -> Iterator[tuple[int, int]]:
        """Gaps from which on the first run's outputs need not be held, with minus their bytes."""
        sequence, run, until, step_of = self._sequence, self._run, self._until, self._sequence.step_of
        for size, readers in zip(sequence.output_sizes[self.op], sequence.readers[run], strict=True):
            used = [step_of[each] for each in readers]
            if any(step >= until for step in used):
                yield max((step for step in used if step < until), default=step_of[run]) + 1, -size

    def _inputs_held(self) -> Iterator[tuple[int, int]]:
        """Gaps from which on the inputs have to be held for the second run, with their bytes."""
        sequence = self._sequence
        for copy, (_, slot, size) in zip(self.reads, sequence.inputs[self.op], strict=True):
            yield sequence.last_use(copy, slot) + 1, size

    def _rate(self, budget_bytes: int) -> NDArray[np.int64]:
        """The second run's own excess at each place, and what it adds to that of the steps before it."""
        during = self._sequence.during_bytes[self._begin : self._until]
        added = np.maximum(self._running - budget_bytes, 0)
        more = np.maximum(during + self._more[:-1] - budget_bytes, 0) - np.maximum(during - budget_bytes, 0)
        added[1:] += np.cumsum(more)
        places: NDArray[np.int64] = added[self._first - self._begin :]
        return places

    def apply(self, place: int) -> int:
        """Insert the second run, which is returned, at this place."""
        sequence, step_of = self._sequence, self._sequence.step_of
        step = self._first + place
        count = step - self._begin
        held_bytes = int(sequence.after_bytes[step - 1]) if step else 0
        sequence.hold_more(self._begin, self._more[: count + 1])
        again = sequence.new_run(self.op, self.reads)
        for slot, readers in enumerate(sequence.readers[self._run]):
            moved = [each for each in readers if step_of[each] >= self._until]
            if moved:
                sequence.hand_over(slot, moved, self._run, again)
        # Behind the second run what is held is what was held in this gap before.
        sequence.insert(again, step, int(self._running[count]), held_bytes)
        return again
