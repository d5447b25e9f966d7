"""The three kernels of the semi-Markov recursions, in plain torch.

Both directions are one recursion over columns. With i the label before an edge
and o the label after it, d the duration, and v the columns so far::

    out[t, o] = outside[t, o] + logsumexp_{d, i} v[t - d, i, o] + weights[i, o, d] + inside[t, i]
    v[t] = column(out[t], scores[t])

Times run backwards where the recursion does. Everything is float64. Blocks of
consecutive times are made at once: first what comes from columns before the
block (`earlier_sums`, nearly all of the work), then time by time what comes from
the block itself (`block_columns`), and in the backward direction the posterior
of every duration (`add_posteriors`).

Shapes: B sequences, C labels, K durations, n times of a block. A window is
(B, I, O, K + n): the columns before the block and the block's, where I is 1 if
no weight depends on the label before, and O is 1 if no column depends on the
label after. Weights are (I, O, K), the longest duration first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEVER = float("-inf")
HOLDS_TERMS = True  # of a block's sums, in memory


@dataclass(frozen=True, slots=True)
class Recursion:
    """One direction of the recursion.

    Attributes
    ----------
    weights : Tensor
        (I, O, K), the longest duration first.
    transition : Tensor or None
        (C, C), from the label that ``out`` speaks of to the one that the column
        does; None if transitions depend on the duration and are in the weights.
    backward : bool
    """

    weights: Tensor
    transition: Tensor | None
    backward: bool

    @property
    def sign(self) -> int:
        """Of the scores at the time that a step reaches."""
        return -1 if self.backward else 1

    def outside(self, scores: Tensor) -> Tensor | None:
        """(B, C, n) added to the sums."""
        return None if self.transition is None and self.backward else self.sign * scores

    def inside(self, scores: Tensor) -> Tensor | None:
        """(B, I, 1, n) added to every term of the sums, where it depends on the label summed over."""
        return -scores[:, :, None] if self.transition is None and self.backward else None

    def column(self, out: Tensor, scores: Tensor) -> Tensor:
        """Columns (B, I, O or 1, n) of the window from sums and scores, both (B, C, n)."""
        if self.transition is not None:
            after = torch.logsumexp(out[:, :, None] + self.transition[None, :, :, None], dim=1)
            return (after - self.sign * scores)[:, None]
        return (out + scores)[:, :, None] if self.backward else out[:, :, None] - scores[:, None]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the next kept column is relative to.

    Attributes
    ----------
    value : Tensor
        (B,) float64, of the next column; moved on in place.
    growth : Tensor
        (B,) float64: how much columns are expected to grow from one to the next.
    """

    value: Tensor
    growth: Tensor


def reference_steps(kept: Tensor) -> Tensor:
    """How far columns (B, C, n), as kept, lie above their references: their maxima, (B, n) float64.

    Whole multiples of 2^-16, so that references add up without rounding, in any
    order.
    """
    return torch.floor(kept.amax(dim=1).double() * 2**16 + 0.5) / 2**16


def edge_terms(window: Tensor, recursion: Recursion, scores: Tensor) -> Tensor:
    """Every term of the sums of a block.

    Parameters
    ----------
    window : Tensor
        (B, I, O, K + n).
    recursion : Recursion
    scores : Tensor
        (B, C, n) of the block's times.

    Returns
    -------
    Tensor
        (B, I, O, n, K), the longest duration first.
    """
    ring, times = recursion.weights.shape[-1], scores.shape[-1]
    terms = window[..., : ring + times - 1].unfold(-1, ring, 1) + recursion.weights[:, :, None]
    inside = recursion.inside(scores)
    return terms if inside is None else terms + inside[..., None]


def earlier_sums(window: Tensor, recursion: Recursion, scores: Tensor) -> Tensor:
    """The logarithm of the sum of all terms from columns before the block.

    Parameters
    ----------
    window, recursion, scores
        As in `edge_terms`; the block's own columns of the window are not read.

    Returns
    -------
    Tensor
        (B, C, n); minus infinity where there are none.
    """
    before = window.clone()
    before[..., recursion.weights.shape[-1] :] = NEVER
    return torch.logsumexp(edge_terms(before, recursion, scores), dim=(1, 4))


def block_columns(
    sums: Tensor,
    window: Tensor,
    recursion: Recursion,
    scores: Tensor,
    first: int,
    last: int,
    dtype: torch.dtype,
    reference: Reference | None,
) -> Tensor:
    """Make the block's columns first .. last - 1, one after the other.

    Parameters
    ----------
    sums : Tensor
        (B, C, n) from `earlier_sums`.
    window, recursion, scores
        As in `edge_terms`. Columns of the block before ``first`` are read; those
        from it on are written.
    first, last : int
        Times of the block, counted from 0.
    dtype : torch.dtype
        Of what is kept.
    reference : Reference or None
        Of time ``first``. Sums are kept relative to it, and columns made from what
        was kept; it moves on by `reference_steps` and the growth. If None, sums
        are kept as they are.

    Returns
    -------
    Tensor
        (B, C, last - first) in the dtype: the sums, as kept.
    """
    ring = recursion.weights.shape[-1]
    outside, inside = recursion.outside(scores), recursion.inside(scores)
    made = []
    for time in range(first, last):
        out = sums[..., time]
        oldest = max(ring, time)
        if oldest < ring + time:
            terms = window[..., oldest : ring + time] + recursion.weights[..., oldest - time :]
            if inside is not None:
                terms = terms + inside[..., time, None]
            out = torch.logaddexp(out, torch.logsumexp(terms, dim=(1, 3)))
        if outside is not None:
            out = out + outside[..., time]
        kept = (out if reference is None else out - reference.value[:, None]).to(dtype)[..., None]
        made.append(kept)
        out = kept.double()
        if reference is not None:
            out = out + reference.value[:, None, None]
            reference.value.add_(reference_steps(kept)[:, 0] + reference.growth)
        window[..., ring + time] = recursion.column(out, scores[..., time : time + 1])[..., 0]
    return torch.cat(made, dim=-1)


def restore_columns(out: Tensor, recursion: Recursion, scores: Tensor, window: Tensor) -> None:
    """Make columns from sums that were kept of them: one after the other, so that they are those of `block_columns`.

    Parameters
    ----------
    out, scores : Tensor
        (B, C, n).
    recursion : Recursion
    window : Tensor
        (B, I, O, n), written to.
    """
    for time in range(out.shape[-1]):
        one = slice(time, time + 1)
        window[..., one] = recursion.column(out[..., one].contiguous(), scores[..., one])


def add_posteriors(
    window: Tensor, recursion: Recursion, scores: Tensor, lead: Tensor, total: Tensor
) -> tuple[Tensor, Tensor]:
    """Add the posterior probabilities of all edges that leave the block's times.

    Parameters
    ----------
    window, recursion, scores
        As in `edge_terms`, of the backward direction, the block's columns made.
    lead : Tensor
        (B, C, n): what a term lacks to be an edge's logarithmic probability.
    total : Tensor
        (B, I, O, K), added to in place: the probability of each weight.

    Returns
    -------
    Tensor, Tensor
        (B, I, n) and (B, O, n): the probability that a segment starts at a time,
        by either label.
    """
    probabilities = (edge_terms(window, recursion, scores) + lead[:, None, :, :, None]).exp_()
    total += probabilities.sum(dim=3)
    ended = probabilities.sum(dim=4)
    return ended.sum(dim=2), ended.sum(dim=1)
