"""The chain dynamic programme: where to keep a frontier, and what to keep of a block for its backward.

For example four equal steps and a loss, ``chain(4)`` of `hcb_opt.generators`, each a
block by itself: every op writes one byte, every backward step reads what its forward
step read. In 3, 4 and 5 bytes the programme's least extra costs are 3, 1 and 0. The
plan for 4 bytes is f1 f2 f3 f4 loss b4 f2 b3 b2 b1, by these choices:

=======  ======  =========  =====  ======================================================
blocks   memory  state      extra  choice
=======  ======  =========  =====  ======================================================
0 .. 4   4       held       1      save block 0, and hold what it hands on (1 byte)
1 .. 4   3       held       1      split at 3: run on to block 3, which is handed 1 byte
3 .. 4   2       transient  0      save block 3, then block 4: their forward goes on
1 .. 2   3       held       1      save block 1: run it once more (1), then block 2
=======  ======  =========  =====  ======================================================

What crosses from block to block is looked up in `hcb_opt.chains.byte_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hcb_opt.chains.byte_tables import HELD, TRANSIENT, Table
from hcb_opt.chains.choices import Choice, Release, Save, Split
from hcb_opt.chains.holdings import BlockOptions, block_options
from hcb_opt.chains.likeness import block_fronts
from hcb_opt.chains.partition import Partition

Levels = NDArray[np.int64]
_Choices = tuple[Table, Callable[[int], Choice]]


class Programme:
    """Least extra cost of every run of consecutive blocks, in every amount of memory.

    The recursion of Rotor (Beaumont et al., "Optimal checkpointing for
    heterogeneous chains: how to train deep neural networks with limited
    memory", arXiv:1911.13214) with more ways to keep a block. ``C(state, i, j,
    m)`` is the least cost to run blocks i .. j forward and backward in m bytes,
    beside what is held of the blocks before: all that crosses into block i
    (held), or only what backwards read of it (transient). It is the least of

    - *save*, for every option of block i: what running it costs, what its
      backward computes again, and ``C(state', i + 1, j, m - newly held)``;
    - *split*, if held, at every k: a run of blocks i .. k - 1, then
      ``C(state', k, j, m - newly held)`` and ``C(held, i, k - 1, m + freed)``;
    - *release*, if held: ``C(transient, i, j, m + freed)``.

    Running a block costs nothing extra while j is the last block: that is the
    step's own forward. Memory comes in levels, and bytes are rounded to the
    nearest; the schedule's real peak is found by replay.

    Parameters
    ----------
    partition : Partition
    ceiling_bytes : int
        The most memory that matters.
    levels : int
        Into which it is divided.

    Attributes
    ----------
    unit_bytes : float
        Bytes of a level.
    """

    def __init__(self, partition: Partition, ceiling_bytes: int, levels: int) -> None:
        self.partition, self.levels = partition, levels
        self.unit_bytes = max(1.0, ceiling_bytes / levels)
        fronts = block_fronts(partition)
        self._options: list[tuple[BlockOptions, BlockOptions]] = block_options(partition, fronts)
        self._count = partition.count
        self._bytes = partition.byte_tables
        self._base = np.array([partition.between_bytes(block) for block in range(self._count)], dtype=float)
        self._pass_cost = np.concatenate(([0.0], np.cumsum([front.pass_cost for front in fronts])))
        self._pass_bytes = np.array([front.pass_bytes for front in fronts], dtype=float)
        self._dying_bytes = np.array([front.dying_bytes for front in fronts], dtype=float)
        # Beside the levels, as many infinite entries below and repeated ones above: no charge leaves the row.
        self._pad = levels + 1
        self._table = np.full((2, self._count, self._count, 3 * self._pad), np.inf)
        self._flat = self._table.reshape(-1)
        self._solve()

    @property
    def costs(self) -> Table:
        """Least extra cost of the whole step, by level; infinite where there is no plan."""
        costs: Table = self._table[HELD, 0, self._count - 1, self._pad : 2 * self._pad]
        return costs

    def choice(self, state: int, first: int, end: int, level: int) -> Choice:
        """The cheapest choice for blocks ``first .. end`` in so many levels of memory.

        Parameters
        ----------
        state, first, end, level : int
            One with a finite cost.
        """
        best: tuple[float, Choice] | None = None
        for costs, describe in self._choices(state, first, end, np.array([level])):
            number = int(costs[:, 0].argmin())
            if best is None or costs[number, 0] < best[0]:
                best = float(costs[number, 0]), describe(number)
        assert best is not None
        return best[1]

    def _solve(self) -> None:
        every = np.arange(self._pad)
        for length in range(self._count):
            for first in range(self._count - length):
                for state in (TRANSIENT, HELD):
                    row = self._table[state, first, first + length]
                    found = row[self._pad : 2 * self._pad]
                    for costs, _ in self._choices(state, first, first + length, every):
                        np.minimum(found, costs.min(axis=0), out=found)
                    row[2 * self._pad :] = found[-1]

    def _choices(self, state: int, first: int, end: int, levels: Levels) -> Iterator[_Choices]:
        """Every family of choices: costs ``[choice, level]``, and what each choice is."""
        if self._options[first][state].options:
            if first == end:
                yield from self._last_choices(state, first, levels)
            else:
                yield from self._save_choices(state, first, end, levels)
        if state == HELD:
            freed = self._levels_of(self._bytes.passing[first, end : end + 1])
            rest = self._look_up(TRANSIENT, first, end, levels, freed)
            yield rest, lambda number: Release(min(int(levels[0] + freed[0]), self.levels))
        if state == HELD and first < end:
            yield from self._split_choices(first, end, levels)

    def _last_choices(self, state: int, block: int, levels: Levels) -> Iterator[_Choices]:
        """A single block: its backward follows its forward, or computes what it needs by itself."""
        known = self._options[block][state]
        begun = block == self._count - 1
        need = np.maximum(self._forward_bytes(state, block, block), known.backward_bytes)
        costs = known.recompute_cost if begun else known.recompute_cost + known.rerun_cost
        yield (
            self._where_it_fits(costs[:, None], need, levels),
            lambda number: Save(known.options[number], False, TRANSIENT, 0),
        )
        if not begun:
            costs = np.where([bool(option.kept) for option in known.options], np.inf, known.recompute_cost)
            yield (
                self._where_it_fits(costs[:, None], known.backward_bytes, levels),
                lambda number: Save(known.options[number], True, TRANSIENT, 0),
            )

    def _save_choices(self, state: int, first: int, end: int, levels: Levels) -> Iterator[_Choices]:
        """Each option of the first block, with what crosses into the rest transient or held."""
        known = self._options[first][state]
        costs = known.recompute_cost if end == self._count - 1 else known.recompute_cost + known.rerun_cost
        need = np.maximum(self._forward_bytes(state, first, end), known.backward_bytes)
        for after in (TRANSIENT, HELD):
            charge = self._levels_of(known.charge_bytes[after, :, end])

            def describe(number: int, after: int = after, charge: Levels = charge) -> Save:
                return Save(known.options[number], False, after, int(levels[0] - charge[number]))

            rest = self._look_up(after, first + 1, end, levels, -charge)
            yield self._where_it_fits(rest + costs[:, None], need, levels), describe

    def _split_choices(self, first: int, end: int, levels: Levels) -> Iterator[_Choices]:
        """At every boundary: the forward up to it, the second part's reversal, then the first part's."""
        boundaries = np.arange(first + 1, end + 1)
        freed = self._levels_of(self._bytes.released(first, boundaries, end))
        before = self._look_up(HELD, first, boundaries - 1, levels, freed)
        if end < self._count - 1:
            before += (self._pass_cost[boundaries] - self._pass_cost[first])[:, None]
        before = self._where_it_fits(before, self._pass_peaks(first, end), levels)
        for after in (TRANSIENT, HELD):
            charge = self._levels_of(self._bytes.crossing[after][first, boundaries, end])

            def describe(number: int, after: int = after, charge: Levels = charge) -> Split:
                level = int(levels[0])
                level_before = min(level + int(freed[number]), self.levels)
                return Split(first + 1 + number, after, level - int(charge[number]), level_before)

            rest = self._look_up(after, boundaries, end, levels, -charge)
            yield before + rest, describe

    def _look_up(self, state: int, first: int | Levels, end: int | Levels, levels: Levels, more: Levels) -> Table:
        """Table entries ``[choice, level]``, each choice with so many levels more."""
        start = ((state * self._count + first) * self._count + end) * (3 * self._pad) + self._pad
        offset = start + np.clip(more, -self._pad, self._pad)
        found: Table = self._flat.take(offset[:, None] + levels)
        return found

    def _where_it_fits(self, costs: Table, need_bytes: Table, levels: Levels) -> Table:
        # Half a level, because what is held was rounded to the nearest.
        least = need_bytes / self.unit_bytes - 0.5
        fitting: Table = np.where(levels >= least[:, None], costs, np.inf)
        return fitting

    def _levels_of(self, size_bytes: Table) -> Levels:
        return np.rint(size_bytes / self.unit_bytes).astype(np.int64)

    def _forward_bytes(self, state: int, first: int, end: int) -> Table:
        """Peak of each option while the block's forward runs, what is held of the blocks before left out."""
        forward: Table = self._options[first][state].forward_bytes + self._base[end]
        if state == TRANSIENT:
            crossing = self._bytes.crossing
            forward = forward + crossing[HELD][0, first, end] - crossing[TRANSIENT][0, first, end]
        return forward

    def _pass_peaks(self, first: int, end: int) -> Table:
        """Peak while blocks from ``first`` up to each boundary run forward, leaving what later ones up to ``end`` read.

        What is held of the blocks before is left out.
        """
        running = self._bytes.crossing[HELD][first, first:end, end] + self._dying_bytes[first:end]
        running[0] = self._pass_bytes[first]  # what crosses into the first block stays held
        peaks: Table = self._base[end] + np.maximum.accumulate(running)
        return peaks
