"""The best segmentation of each sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hcb_opt.runtime.kernels.semicrf_reference import NEVER
from hcb_opt.runtime.semicrf.chain import Chain
from hcb_opt.runtime.semicrf.model import build_model


class Segment(NamedTuple):
    """Times start + 1 .. stop have one label."""

    start: int
    stop: int
    label: int


@torch.no_grad()
def viterbi(
    cum_scores: Tensor,
    transition: Tensor,
    duration_bias: Tensor,
    lengths: Tensor | None = None,
    *,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> tuple[Tensor, list[list[Segment]]]:
    """Segmentations of the highest score, by backpointers.

    The recurrence of `log_partition` with maxima in place of sums; without
    ``start``, the label before the first segment is still summed over. Holds O(T C)
    columns and backpointers of the sequences of one length.

    Parameters
    ----------
    cum_scores, transition, duration_bias, lengths, start, end
        As in `log_partition`.

    Returns
    -------
    scores : Tensor
        (B,), in the dtype of ``cum_scores``.
    segments : list of list of Segment
        One list per sequence, in the order of time.

    Raises
    ------
    InvalidInput
        As `log_partition`.
    """
    model = build_model(cum_scores, transition, duration_bias, lengths, start, end)
    scores = cum_scores.new_empty(len(model.lengths))
    segments: list[list[Segment]] = [[] for _ in model.lengths]
    for members, (index, chain) in zip(model.groups().values(), model.chains(), strict=True):
        best, found = _best(chain)
        scores[index] = best.to(scores.dtype)
        for member, listed in zip(members, found, strict=True):
            segments[member] = listed
    return scores, segments


def _best(chain: Chain) -> tuple[Tensor, list[list[Segment]]]:
    """Scores (B,) float64 and segments of a chain's sequences."""
    ring, steps, labels = chain.ring, chain.steps, chain.labels
    scores = chain.scores_at(slice(None))
    shape = (chain.batch, labels, steps + 1)
    # Column t at place ring + t; no segment starts before time 0.
    columns = torch.full((chain.batch, labels, ring + steps + 1), NEVER, dtype=torch.float64, device=scores.device)
    durations, previous = (torch.zeros(shape, dtype=torch.int32, device=scores.device) for _ in range(2))
    first = chain.first.flip(-1) - scores[..., :1]
    for time in range(1, steps + 1):
        window = columns[:, :, time : time + ring]
        if chain.transition is None:
            since = torch.arange(time - ring, time, device=scores.device).clamp(min=0)
            terms = window[:, :, None] - scores[:, None, :, since] + chain.weights
        else:
            terms = window[:, None] + chain.weights
        best, place = terms.transpose(1, 2).flatten(2).max(dim=2)
        durations[..., time] = ring - place % ring
        if time <= ring:
            whole = first[..., time - 1]
            durations[..., time].masked_fill_(whole > best, time)
            best = torch.maximum(best, whole)
        alpha = best + scores[..., time]
        if chain.transition is None:
            previous[..., time] = place // ring
            columns[..., ring + time] = alpha
        else:
            after, label = (alpha[:, :, None] + chain.transition).max(dim=1)
            previous[..., time] = label
            columns[..., ring + time] = after - scores[..., time]
    total, last = (alpha + chain.end).max(dim=1)
    found = []
    for sequence in range(chain.batch):
        stop, of_stop, listed = steps, int(last[sequence]), []
        while stop:
            begin = stop - int(durations[sequence, of_stop, stop])
            listed.append(Segment(begin, stop, of_stop))
            # The label before is known where the segment starts, or with its duration.
            of_stop = int(previous[sequence, of_stop, stop if chain.transition is None else begin])
            stop = begin
        found.append(listed[::-1])
    return total, found
