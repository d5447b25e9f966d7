"""Run a chain of blocks forward, then backward, from the frontier cuts that were kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from statistics import median_low

from hcb_opt.binomial import best_split, repetitions_needed
from hcb_opt.blocks import Blocks
from hcb_opt.progress import Problem, Progress
from hcb_opt.realise import GrowingSequence
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes

MOST_REPETITIONS = 6

Placement = Callable[[int, int, int], int | None]
"""Where to keep the next frontier cut: ``(first, end, kept) -> boundary or None``.

The cut at boundary ``first`` is kept, blocks ``first .. end - 1`` are still to be
reversed, and ``kept`` cuts are kept in all, the empty one at boundary 0
included. The answer lies strictly between ``first`` and ``end``."""


def keep_every_cut(first: int, end: int, kept: int) -> int | None:
    """Keep the cut before every block, so that each block is recomputed once."""
    return first + 1 if end - first > 1 else None


def spread_counts(most: int) -> list[int]:
    """Numbers worth trying of blocks or cuts: 1, 2, 3, 4, 6, 8, 12, ... and the most there can be."""
    counts = [1, 2, 3]
    while counts[-1] < most:
        counts.append(2 * counts[-2])
    return [count for count in counts if count < most] + [most]


def binomial_placement(snapshots: int) -> Placement:
    """Keep cuts where Revolve takes its snapshots.

    Parameters
    ----------
    snapshots : int
        Cuts kept at once, the empty one before the first op included.
    """

    def place(first: int, end: int, kept: int) -> int | None:
        # The cut at `first` is one of those that this stretch may hold.
        free = snapshots - kept + 1
        return first + best_split(end - first, free) if end - first > 1 and free > 1 else None

    return place


def binomial_reversals(chain: Blocks) -> Iterator[list[int]]:
    """The computes of Revolve's plans of these blocks, for many numbers of snapshots, most first.

    Those that would repeat a step more than `MOST_REPETITIONS` times are left out.
    """
    for snapshots in reversed(spread_counts(chain.block_count)):
        if repetitions_needed(chain.block_count, snapshots) <= MOST_REPETITIONS:
            yield reversal_computes(chain, binomial_placement(snapshots))


def reversal_computes(chain: Blocks, place: Placement) -> list[int]:
    """The computes of a training step that keeps only some frontier cuts of the forward.

    The forward runs once, leaving behind the cuts that ``place`` chooses, its
    last block and the graph's outputs. When the backward first reads a lost value
    of block i, cuts beyond i are forgotten, the forward is run again from the
    nearest kept cut (keeping the cuts that ``place`` chooses on the way), and
    all that the backward still reads of block i is recomputed.

    A read that comes while the backward is mostly busy with later blocks
    recomputes that value alone and leaves the kept cuts as they are.

    Parameters
    ----------
    chain : Blocks
        Such as a `hcb_opt.blocks.Chain`.
    place : Placement

    Returns
    -------
    list of int
        Positions of ops, recomputes included, first computes in the fixed order.
    """
    return _Reversal(chain, place).run()


class _Reversal:
    def __init__(self, chain: Blocks, place: Placement) -> None:
        self.chain, self.graph, self.place = chain, chain.graph, place
        self.sequence = GrowingSequence(chain.graph)
        self.kept = [0]
        self.ops_of: list[list[int]] = [[] for _ in range(chain.block_count)]
        for op, block in enumerate(chain.block_of):
            self.ops_of[block].append(op)
        self.backward_reads = [readers[bisect_left(readers, chain.turn) :] for readers in chain.graph.consumers]

    def run(self) -> list[int]:
        self._forward()
        levels = self._levels()
        for position in range(self.chain.turn, len(self.graph.ops)):
            inputs = self.graph.ops[position].inputs
            while missing := [value for value in inputs if not self.sequence.available[value]]:
                block = max(self._block(value) for value in missing)
                if block >= levels[position - self.chain.turn]:
                    self._restore(block, position)
                self._recompute([value for value in missing if self._block(value) == block])
            self.sequence.compute(position)
        return self.sequence.order

    def _forward(self) -> None:
        """Run every op once; kept cuts, the last cut and the last block stay."""
        self._keep_cuts(self.chain.block_count, advance=False)
        for position in range(self.chain.turn):
            self.sequence.compute(position)
        last = self.chain.block_count - 1
        lasting = {value for block in (*self.kept, last) for value in self.chain.cuts[block]}
        for ops in self.ops_of[:last]:
            for op in ops:
                self.sequence.forget(value for value in self.graph.ops[op].outputs if value not in lasting)

    def _levels(self) -> list[int]:
        """For each position from the turn on, the block the backward is busy with.

        A block counts as done once half of the backward's reads of it are:
        single early or late reads of a far block do not matter.
        """
        reads: list[list[int]] = [[] for _ in range(self.chain.block_count)]
        for value, readers in enumerate(self.backward_reads):
            if readers and self.graph.values[value].producer < self.chain.turn:
                reads[self._block(value)].extend(readers)
        levels = [-1] * (len(self.graph.ops) - self.chain.turn)
        for block, positions in enumerate(reads):
            if positions:
                middle = median_low(positions) - self.chain.turn
                levels[middle] = max(levels[middle], block)
        for step in range(len(levels) - 2, -1, -1):
            levels[step] = max(levels[step], levels[step + 1])
        return levels

    def _restore(self, block: int, position: int) -> None:
        """Bring back all that ops from this position on read of a block."""
        forgotten: set[int] = set()
        while self.kept[-1] > block:
            forgotten.update(self.chain.cuts[self.kept.pop()])
        # What crosses the last kept cut stays with it; values of the block itself are wanted right now.
        self.sequence.forget(value for value in forgotten if self.kept[-1] <= self._block(value) < block)
        self._keep_cuts(block + 1, advance=True)
        self._recompute(
            value
            for op in self.ops_of[block]
            for value in self.graph.ops[op].outputs
            if self.backward_reads[value] and self.backward_reads[value][-1] >= position
        )

    def _keep_cuts(self, end: int, *, advance: bool) -> None:
        while (boundary := self.place(self.kept[-1], end, len(self.kept))) is not None:
            if advance:
                self._recompute(self.chain.cuts[boundary])
            self.kept.append(boundary)

    def _recompute(self, values: Iterable[int]) -> None:
        """Recompute values; what was needed on the way is forgotten again."""
        wanted = set(values)
        self.sequence.forget(value for value in self.sequence.provide(wanted) if value not in wanted)

    def _block(self, value: int) -> int:
        return self.chain.block_of[self.graph.values[value].producer]


def offer_cheapest(problem: Problem, progress: Progress, candidates: Iterable[list[int]], family: str) -> None:
    """Offer every schedule of a family until the wanted gap or the time limit is reached.

    Parameters
    ----------
    problem : Problem
    progress : Progress
        Keeps the cheapest that fits; if none does, it is told the smallest peak.
    candidates : iterable of list of int
        Computes of each schedule.
    family : str
        What was tried, for that message.
    """
    smallest_bytes: int | None = None
    for computes in candidates:
        schedule = schedule_from_computes(problem.graph, computes)
        if not progress.offer(schedule) and progress.schedule is None:
            peak_bytes = replay(problem.graph, schedule).peak_bytes
            smallest_bytes = peak_bytes if smallest_bytes is None else min(smallest_bytes, peak_bytes)
        if progress.done:
            break
    if progress.schedule is None:
        progress.give_up(f"{family} need at least {smallest_bytes} bytes; the budget is {problem.budget_bytes}")
