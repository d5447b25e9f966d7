"""Leave a repeated run out: an earlier run of its op serves its readers."""

from __future__ import annotations

import numpy as np

from hcb_opt.annealing.runs import RunSequence


class Merge:
    """The last run of the same op before serves the readers of a run that is left out.

    The earlier copies are held, or held longer, for those readers; the inputs
    of the run that is left out may be let go earlier.

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
        step_of, op = sequence.step_of, sequence.op_of[run]
        at = step_of[run]
        self._sequence, self._run = sequence, run
        self._into = max((each for each in sequence.runs_of[op] if step_of[each] < at), key=step_of.__getitem__)
        changes: list[tuple[int, int, int]] = []  # held after these steps, first included, last excluded: bytes
        for slot, size in enumerate(sequence.output_sizes[op]):
            if sequence.readers[run][slot]:
                served, serves = sequence.last_use(run, slot), sequence.last_use(self._into, slot)
                if serves < at:
                    changes.append((serves, at, size))
                else:
                    changes.append((at, min(serves, served), -size))
        for producer, (_, slot, size) in zip(sequence.reads[run], sequence.inputs[op], strict=True):
            use = sequence.last_use(producer, slot, run)
            if use < at:
                changes.append((use, at, -size))
        begin = min((each[0] for each in changes), default=at)
        end = max((each[1] for each in changes), default=at)
        end = max(end, at) + 1
        self._begin = begin
        held = np.zeros(end - begin, dtype=np.int64)  # after each step from begin on
        for first, last, size in changes:
            held[first - begin : last - begin] += size
        self._held = held
        # While a step runs, what is held after the step before is, and what is let go after it.
        self._during = sequence.during_bytes[begin:end].copy()
        self._during[1:] += held[:-1]
        before = np.maximum(sequence.during_bytes[begin:end] - budget_bytes, 0)
        now = np.maximum(self._during - budget_bytes, 0)
        now[at - begin] = 0
        self.added_bytes = int(now.sum()) - int(before.sum())

    def apply(self) -> None:
        """Leave the run out."""
        sequence, run, begin = self._sequence, self._run, self._begin
        stop = begin + len(self._during)
        sequence.during_bytes[begin:stop] = self._during
        sequence.after_bytes[begin:stop] += self._held
        for slot, readers in enumerate(sequence.readers[run]):
            if readers:
                sequence.hand_over(slot, list(readers), run, self._into)
        sequence.remove(run)
