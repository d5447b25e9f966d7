"""Backward columns of a semi-Markov chain, and the posterior probabilities that they give with the forward ones.

beta[t, c] is the logarithm of the sum over all segmentations of times t + 1 .. T
after a segment of label c. The posterior of an edge is the exponential of
alpha + its scores + beta - log Z, never above 1: extreme scores give zeros and
ones, not overflows. Times are taken in blocks from the end on, the same for every
plan, and all sums run in a fixed order: results are the same bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hcb_opt.runtime.semicrf.boundaries import Boundaries
from hcb_opt.runtime.semicrf.chain import Chain


@dataclass(frozen=True, slots=True)
class Counts:
    """Expected counts in a batch of sequences, over all times; float64 but for the last labels.

    Attributes
    ----------
    last : Tensor
        (B, C), in the dtype of the scores: the last segment has label c.
    weights : Tensor
        (B, I, C, K), the longest duration first: expected number of segments, as
        `Chain.weights`; first segments are not among them.
    transition : Tensor or None
        (B, C, C): expected number of transitions, None if they are in the
        weights.
    first : Tensor
        (B, C, K), the longest duration first: of the first segment.
    """

    last: Tensor
    weights: Tensor
    transition: Tensor | None
    first: Tensor


class BackwardScan:
    """Takes forward columns from the last to the first and adds up posteriors.

    Parameters
    ----------
    chain : Chain
    log_z : Tensor
        (B,) float64.
    boundaries : Boundaries
        Gets the posteriors of starts and ends.

    Attributes
    ----------
    steps_reversed : int
        Columns taken so far.
    """

    def __init__(self, chain: Chain, log_z: Tensor, boundaries: Boundaries) -> None:
        self.chain = chain
        self._boundaries = boundaries
        self.steps_reversed = 0
        self._log_z = log_z
        self._forward, self._recursion = chain.recursion(backward=False), chain.recursion(backward=True)
        self._window = chain.empty_window(backward=True)
        options: dict[str, Any] = {"dtype": torch.float64, "device": chain.scores.device}
        self._weights = torch.zeros(chain.batch, *self._recursion.weights.shape, **options)
        self._transition = torch.zeros(chain.batch, chain.labels, chain.labels, **options)
        # Forward columns of the block that is not complete yet, the latest time first.
        self._waiting = torch.empty(chain.batch, chain.labels, chain.block, **options)
        self._count = 0

    def take(self, alpha: Tensor) -> None:
        """Take alpha of the latest times that were not taken yet.

        Parameters
        ----------
        alpha : Tensor
            (B, C, n) float64, in the order of time.
        """
        alpha = alpha.flip(-1)
        if not self.steps_reversed:
            self._take_last(alpha[..., 0])
            alpha = alpha[..., 1:]
        while alpha.shape[-1]:
            count = min(alpha.shape[-1], self.chain.block - self._count)
            self._waiting[..., self._count : self._count + count] = alpha[..., :count]
            alpha = alpha[..., count:]
            self._count += count
            self.steps_reversed += count
            if self._count == self.chain.block or self.steps_reversed == self.chain.steps:
                self._complete_block(self.chain.steps - self.steps_reversed + 1, self._count)

    def finish(self) -> Counts:
        """Add the first segments, once all columns are taken."""
        chain, static = self.chain, self.chain.transition is not None
        later = self._window[..., : chain.ring].flip(-1)
        later = later[:, 0] if static else later[:, :, 0]
        scores = chain.scores_at(slice(0, 1))
        # The newest backward column is the one at time 1, where the shortest first segment ends.
        first = (chain.first.flip(-1) + later - scores - self._log_z[:, None, None]).exp()
        starts = first.sum(dim=-1).to(chain.scores.dtype)[:, None]
        self._boundaries.put(slice(0, 1), starts, torch.zeros_like(starts))
        weights = self._weights if static else self._weights.transpose(1, 2)
        return Counts(self._last, weights, self._transition if static else None, first.flip(-1))

    def _take_last(self, alpha: Tensor) -> None:
        chain = self.chain
        ends = chain.end + chain.scores_at(slice(chain.steps, None))[..., 0]
        window = self._window[:, 0] if chain.transition is not None else self._window[:, :, 0]
        window[..., chain.ring - 1] = ends
        self._last = (alpha + chain.end - self._log_z[:, None]).exp().to(chain.scores.dtype)
        last = self._last[:, None]
        self._boundaries.put(slice(chain.steps, chain.steps + 1), torch.zeros_like(last), last)
        self.steps_reversed = 1

    def _complete_block(self, first_time: int, count: int) -> None:
        """Make the backward columns of the times whose forward columns wait, and add their posteriors."""
        chain, kernels, self._count = self.chain, self.chain.kernels, 0
        if not count:
            return
        times = slice(first_time, first_time + count)
        scores, alpha = chain.scores_at(times).flip(-1), self._waiting[..., :count]
        window = self._window[..., : chain.ring + count]
        sums = kernels.earlier_sums(window, self._recursion, scores)
        out = kernels.block_columns(sums, window, self._recursion, scores, 0, count, torch.float64, None)
        log_z = self._log_z[:, None, None]
        beta, lead = out, alpha - log_z
        if chain.transition is not None:
            made = window[:, 0, :, chain.ring :]
            beta, lead = made - scores, self._forward.column(alpha, scores)[:, 0] - log_z
            edges = alpha[:, :, None] + chain.transition[None, :, :, None] + out[:, None] - log_z[..., None]
            self._transition += edges.exp_().sum(dim=-1)
        by_before, by_after = kernels.add_posteriors(window, self._recursion, scores, lead, self._weights)
        starts, ends = by_after if chain.transition is not None else by_before, (alpha + beta - log_z).exp()
        in_order = [each.flip(-1).transpose(1, 2).to(chain.scores.dtype) for each in (starts, ends)]
        self._boundaries.put(times, *in_order)
        self._window[..., : chain.ring] = self._window[..., count : count + chain.ring].clone()
