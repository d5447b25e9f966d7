"""Softmax cross-entropy of a linear layer, some columns of its scores at a time, in plain torch.

Hidden rows h (N, D), a weight (V, D), targets t (N,), of which those equal to
``ignore_index`` do not count; s = h weight^T is never held whole::

    z[n] = logsumexp over v of s[n, v]
    loss = mean over targets that count of z[n] - s[n, t[n]]
    ds[n, v] = (exp(s[n, v] - z[n]) - [v = t[n]]) dloss / how many count, 0 for rows that do not

A chunk of columns at a time comes from a matrix product; the logarithm of the sum goes
on from chunk to chunk (Milakov and Gimelshein, "Online normalizer calculation for
softmax", 2018), and the backward makes each chunk again. The functions below take one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Running:
    """What is known of each row after some chunks; changed in place.

    Attributes
    ----------
    maxima, sums : Tensor
        (N,): the largest score, and the sum of ``exp(score - maximum)``.
    scores : Tensor
        (N,): the target's score; NaN until it is met, and so for targets outside of the vocabulary.
    """

    maxima: Tensor
    sums: Tensor
    scores: Tensor


def take_chunk(chunk: Tensor, first: int, targets: Tensor, running: Running) -> None:
    """Go on by one chunk.

    Parameters
    ----------
    chunk : Tensor
        (N, columns), contiguous: scores from column ``first`` on. What is left in it has no meaning.
    first : int
    targets : Tensor of int64
        (N,).
    running : Running
    """
    own, column = _own_column(chunk, first, targets)
    running.scores.copy_(torch.where(own, chunk.gather(1, column)[:, 0].to(running.scores.dtype), running.scores))
    numbers = chunk.to(running.sums.dtype)
    larger = torch.maximum(running.maxima, numbers.amax(dim=1))
    numbers.sub_(larger[:, None]).exp_()
    running.sums.mul_(torch.exp(running.maxima - larger)).add_(numbers.sum(dim=1))
    running.maxima.copy_(larger)


def make_gradient(chunk: Tensor, first: int, targets: Tensor, logsumexp: Tensor, scales: Tensor) -> None:
    """Turn scores into their gradients, in place.

    Parameters
    ----------
    chunk, first, targets
        As in `take_chunk`.
    logsumexp : Tensor
        (N,): z.
    scales : Tensor
        (N,): dloss over how many targets count, 0 for rows that do not.
    """
    numbers = chunk.to(logsumexp.dtype)
    numbers.sub_(logsumexp[:, None]).exp_()
    own, column = _own_column(chunk, first, targets)
    numbers.scatter_add_(1, column, -own.to(numbers.dtype)[:, None])
    chunk.copy_(numbers.mul_(scales[:, None]))


def _own_column(chunk: Tensor, first: int, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a row's target is in the chunk, and in which column (any, if it is not), (N,) and (N, 1)."""
    column = targets - first
    own = (column >= 0) & (column < chunk.shape[1])
    return own, torch.where(own, column, 0)[:, None]
