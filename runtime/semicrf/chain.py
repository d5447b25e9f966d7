"""A batch of equally long sequences of a semi-Markov model, in the form that the scans take."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from hcb_opt.runtime.kernels import semicrf_reference
from hcb_opt.runtime.kernels.semicrf_reference import Recursion

# Terms of a block's sums held at once, at most: 16 MiB of float64, by kernels that hold them. A block has at least
# one time.
BLOCK_TERMS = 2**21
# Numbers of a block's columns, by kernels that hold these in registers instead.
BLOCK_NUMBERS = 2**11
LONGEST_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Chain:
    """Scores of a batch of equally long sequences.

    Attributes
    ----------
    scores : Tensor
        (B, T + 1, C): prefix sums of the label scores, in the dtype that columns
        are kept in.
    weights : Tensor
        (I, C, K) float64, the longest duration first, at most T of them: of a
        segment by the label before it (I = C if transitions depend on the
        duration, else 1), its label and its duration.
    transition : Tensor or None
        (C, C) float64 from label to label, None if I = C.
    first : Tensor
        (C, K) float64: of a sequence's first segment, the longest first.
    end : Tensor
        (C,) float64: of the last segment's label.
    kernels : module
        `hcb_opt.runtime.kernels.semicrf_reference`, or one with the same
        functions.
    """

    scores: Tensor
    weights: Tensor
    transition: Tensor | None
    first: Tensor
    end: Tensor
    kernels: ModuleType = semicrf_reference

    @property
    def batch(self) -> int:
        """Number of sequences."""
        return self.scores.shape[0]

    @property
    def steps(self) -> int:
        """T."""
        return self.scores.shape[1] - 1

    @property
    def labels(self) -> int:
        """C."""
        return self.scores.shape[2]

    @property
    def ring(self) -> int:
        """K: columns that a step reads."""
        return self.first.shape[-1]

    @property
    def block(self) -> int:
        """Times made at once, a power of two: the same for every plan, so that results are too."""
        if self.kernels.HOLDS_TERMS:
            fitting = max(1, BLOCK_TERMS // (self.batch * self.weights.numel()))
        else:
            fitting = max(1, BLOCK_NUMBERS // self.labels)
        return min(LONGEST_BLOCK, 1 << (fitting.bit_length() - 1))

    def recursion(self, backward: bool) -> Recursion:
        """One direction of the recursion."""
        if self.transition is None:
            return Recursion(self.weights.transpose(0, 1) if backward else self.weights, None, backward)
        return Recursion(self.weights, self.transition.T if backward else self.transition, backward)

    def scores_at(self, times: slice) -> Tensor:
        """(B, C, n) float64."""
        return self.scores[:, times].transpose(1, 2).double()

    def empty_window(self, backward: bool) -> Tensor:
        """A window without columns, (B, I, O or 1, K + block)."""
        before, after = (self.labels, 1) if backward else (self.labels, self.labels)
        if self.transition is not None:
            before, after = 1, self.labels
        shape = (self.batch, before, after, self.ring + self.block)
        return torch.full(shape, semicrf_reference.NEVER, dtype=torch.float64, device=self.scores.device)
