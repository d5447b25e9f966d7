"""Forward columns of a semi-Markov chain: made from a ring, kept in few bytes, restored as they were used.

alpha[t, c] is the logarithm of the sum over all segmentations of times 1 .. t
whose last segment has label c. It grows with t, so that single precision alone
would lose the small differences that posteriors are made of. What is kept is
alpha[t] less a reference, about the largest alpha[t - 1], which follows from what
is kept of time t - 1 and the reference before, plus the growth per time seen up
to time 128; one reference is kept for each position that a run stopped at. The
next columns are made from what was kept, so that a column that is made again is
the same wherever the run starts: bit for bit by the reference, by Triton's kernels up
to their float32 exponentials.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hcb_opt.runtime.kernels.semicrf_reference import NEVER, Reference, reference_steps
from hcb_opt.runtime.semicrf.chain import Chain

LEARNING_TIMES = 128  # a multiple of every block


class ForwardScan:
    """Runs forward steps of a chain.

    Parameters
    ----------
    chain : Chain

    Attributes
    ----------
    steps_run : int
        Steps run so far, repeated ones counted each time.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.steps_run = 0
        self._recursion = chain.recursion(backward=False)
        self._growth = torch.zeros(chain.batch, dtype=torch.float64, device=chain.scores.device)
        # By the position t that a run stopped at: the reference of time t + 1.
        self._references = {0: torch.zeros_like(self._growth)}
        self._restored = (0, self._references[0])

    def advance(self, start: int, stop: int, ring: Tensor | None, kept: Tensor) -> None:
        """Run steps start + 1 .. stop.

        Parameters
        ----------
        start, stop : int
            A run stopped at ``start`` before, unless it is 0.
        ring : Tensor or None
            (B, C, K) columns start - K + 1 .. start as kept; None at 0. Columns
            before the first are not read.
        kept : Tensor
            (B, C, any length): gets the columns before and at ``stop``, as many as
            it is long; those up to ``start`` from the ring. May overlap the ring.
        """
        chain, size = self.chain, self.chain.block
        oldest = stop - kept.shape[-1] + 1
        window = self._restored_window(start, ring)
        reference = self._references[start].clone()
        if ring is not None and oldest <= start:
            kept[..., : start - oldest + 1] = ring[..., ring.shape[-1] - (start - oldest + 1) :].clone()
        # Blocks begin at the same times in every run; the first may be made in part.
        for begin in range(start - start % size, stop, size):
            scores = chain.scores_at(slice(begin + 1, min(begin + size, chain.steps) + 1))
            block = window[..., : chain.ring + scores.shape[-1]]
            if begin == LEARNING_TIMES >= start:
                self._growth = torch.floor(reference / LEARNING_TIMES * 2**16 + 0.5) / 2**16
            growth = self._growth if begin >= LEARNING_TIMES else torch.zeros_like(self._growth)
            sums = chain.kernels.earlier_sums(block, self._recursion, scores)
            if begin < chain.ring:
                sums = self._with_first_segments(sums, begin)
            first, until = max(start - begin, 0), min(stop - begin, scores.shape[-1])
            kept_relative = Reference(reference, growth)
            made = chain.kernels.block_columns(
                sums, block, self._recursion, scores, first, until, chain.scores.dtype, kept_relative
            )
            self.steps_run += until - first
            place = begin + until - oldest + 1
            wanted = min(until - first, place)
            if wanted > 0:
                kept[..., place - wanted : place] = made[..., made.shape[-1] - wanted :]
            window[..., : chain.ring] = window[..., size : size + chain.ring].clone()
        self._references[stop] = reference

    def restore(self, kept: Tensor, last: int) -> Tensor:
        """alpha of consecutive times from what was kept of them.

        Parameters
        ----------
        kept : Tensor
            (B, C, n).
        last : int
            The last of the times: a run stopped there, or the call before was for
            the times after it.

        Returns
        -------
        Tensor
            (B, C, n) float64.
        """
        first = last - kept.shape[-1] + 1
        position, after = self._restored
        if position != last:
            after = self._references[last]
        later = torch.arange(first, last + 1, device=kept.device) > LEARNING_TIMES
        steps = reference_steps(kept) + later * self._growth[:, None]
        references = after[:, None] - steps.flip(-1).cumsum(dim=-1).flip(-1)
        self._restored = (first - 1, references[:, 0])
        return kept.double() + references[:, None]

    def _restored_window(self, start: int, ring: Tensor | None) -> Tensor:
        """The window of the block that holds the step after ``start``."""
        window = self.chain.empty_window(backward=False)
        if ring is not None:
            count = min(start, ring.shape[-1])
            alpha = self.restore(ring[..., ring.shape[-1] - count :], start)
            scores = self.chain.scores_at(slice(start - count + 1, start + 1))
            place = self.chain.ring + start % self.chain.block - count
            restored = window[..., place : place + count]
            self.chain.kernels.restore_columns(alpha, self._recursion, scores, restored)
        return window

    def _with_first_segments(self, sums: Tensor, begin: int) -> Tensor:
        """Sums of a block to which the segments that start at 0 are added."""
        count = min(sums.shape[-1], self.chain.ring - begin)
        durations = self.chain.first.flip(-1)[:, begin : begin + count]
        first = torch.full_like(sums, NEVER)
        first[..., :count] = durations - self.chain.scores_at(slice(0, 1))
        return torch.logaddexp(sums, first)
