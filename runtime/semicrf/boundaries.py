"""Where the posterior probabilities of segment boundaries go: apart for marginals, joined for gradients.

They are as long as the sequences, and a gradient needs their difference only:
S[t, c] is in the score of a segmentation once for each segment of label c that ends
at t, less once for each that starts after t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Boundaries(Protocol):
    """Takes the posteriors of all times of a batch of sequences, each time once."""

    def put(self, times: slice, starts: Tensor, ends: Tensor) -> None:
        """Take those of consecutive times.

        Parameters
        ----------
        times : slice
            n of 0 .. T.
        starts, ends : Tensor
            (B, n, C), in the dtype of the scores: a segment of label c starts after
            time t, or ends at it.
        """


@dataclass(frozen=True, slots=True)
class StartsAndEnds:
    """Kept apart.

    Attributes
    ----------
    starts, ends : Tensor
        (all sequences, at least T + 1, C), written at ``members``.
    members : slice or list of int
        The sequences of the batch.
    """

    starts: Tensor
    ends: Tensor
    members: slice | list[int]

    def put(self, times: slice, starts: Tensor, ends: Tensor) -> None:
        """As `Boundaries.put`."""
        self.starts[self.members, times] = starts
        self.ends[self.members, times] = ends


@dataclass(frozen=True, slots=True)
class ScoreGradient:
    """Joined to a gradient in the prefix sums: ends less starts, in their dtype, times a factor.

    Attributes
    ----------
    gradient : Tensor
        (all sequences, at least T + 1, C), written at ``members``.
    members : slice or list of int
        The sequences of the batch.
    factor : Tensor
        (B,) float64, of each sequence.
    """

    gradient: Tensor
    members: slice | list[int]
    factor: Tensor

    def put(self, times: slice, starts: Tensor, ends: Tensor) -> None:
        """As `Boundaries.put`."""
        self.gradient[self.members, times] = ((ends - starts) * self.factor[:, None, None]).to(self.gradient.dtype)
