"""Leave a repeated run out: an earlier run of its op serves its readers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hcb_opt.annealing.runs import RunSequence


class Merge:
    """The last run of the same op before serves the readers of a run that is left out.

    The earlier copies are held, or held longer, for those readers; the inputs
    of the run that is left out may be let go earlier. Windows and gaps are those
    of `hcb_opt.annealing.runs`.

    Parameters
    ----------
    sequence : RunSequence
    run : int
        To be left out; another run of its op comes before.
    budget_bytes : int

    Attributes
    ----------
    added_bytes : int
        Change of the excess, summed over all steps.
    """

    def __init__(self, sequence: RunSequence, run: int, budget_bytes: int) -> None:
        step_of = sequence.step_of
        self._sequence, self._run, self._at = sequence, run, step_of[run]
        earlier = (each for each in sequence.runs_of[sequence.op_of[run]] if step_of[each] < self._at)
        self._into = max(earlier, key=step_of.__getitem__)
        changes = [*self._outputs_held(), *self._inputs_let_go()]
        # The window: all that changes, and the step that is left out.
        self._begin = begin = min([self._at, *(first for first, _, _ in changes)])
        end = max([self._at + 1, *(stop for _, stop, _ in changes)])
        self._more = np.zeros(end - begin + 1, dtype=np.int64)  # bytes held more, by gap
        for first, stop, size in changes:
            self._more[first - begin : stop - begin] += size
        self.added_bytes = self._rate(end, budget_bytes)

    def _outputs_held(self) -> Iterator[tuple[int, int, int]]:
        """Gaps, from one to before another, in which the earlier copies are held more or less: how many bytes."""
        sequence, at = self._sequence, self._at
        for slot, size in enumerate(sequence.output_sizes[sequence.op_of[self._run]]):
            if sequence.readers[self._run][slot]:
                served, serves = sequence.last_use(self._run, slot), sequence.last_use(self._into, slot)
                if serves < at:
                    yield serves + 1, at + 1, size
                else:  # Both copies are held at once: now for one of them.
                    yield at + 1, min(serves, served) + 1, -size

    def _inputs_let_go(self) -> Iterator[tuple[int, int, int]]:
        """Gaps, from one to before another, in which inputs are held for no other run: minus how many bytes."""
        sequence, run = self._sequence, self._run
        for producer, (_, slot, size) in zip(sequence.reads[run], sequence.inputs[sequence.op_of[run]], strict=True):
            use = sequence.last_use(producer, slot, run)
            if use < self._at:
                yield use + 1, self._at + 1, -size

    def _rate(self, end: int, budget_bytes: int) -> int:
        during = self._sequence.during_bytes[self._begin : end]
        before = np.maximum(during - budget_bytes, 0)
        now = np.maximum(during + self._more[:-1] - budget_bytes, 0)
        now[self._at - self._begin] = 0
        return int(now.sum()) - int(before.sum())

    def apply(self) -> None:
        """Leave the run out."""
        sequence, run = self._sequence, self._run
        sequence.hold_more(self._begin, self._more)
        for slot, readers in enumerate(sequence.readers[run]):
            if readers:
                sequence.hand_over(slot, list(readers), run, self._into)
        sequence.remove(run)
