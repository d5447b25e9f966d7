"""Compares the Triton kernels of the semi-Markov recursion with their reference, by Triton's interpreter.

Run in a process of its own with TRITON_INTERPRET=1, which must be set before Triton is imported. Prints the largest
difference of each shape as JSON.
"""

from __future__ import annotations

import json

import torch

from hcb_opt.runtime.kernels import semicrf, semicrf_reference
from hcb_opt.runtime.kernels.semicrf_reference import NEVER, Recursion, Reference
from hcb_opt.runtime.semicrf import log_partition

# Sequences, labels, durations, times of a block, first and last of them that are made.
SHAPES = [(1, 1, 1, 1, 0, 1), (2, 3, 5, 7, 2, 6), (1, 5, 70, 3, 0, 3), (3, 2, 600, 2, 1, 2), (1, 17, 3, 5, 0, 5)]


def compared(shape: tuple[int, ...], backward: bool) -> list[float]:
    """Largest differences of the three kernels: sums, kept columns, columns, references, totals, starts."""
    batch, labels, ring, times, first, last = shape
    random = torch.Generator().manual_seed(sum(shape))
    options = {"dtype": torch.float64, "generator": random}
    # The window is the first part of a longer one, as in the last block of a sequence.
    window = (torch.randn(batch, 1, labels, ring + times + 3, **options) * 3)[..., : ring + times]
    window[..., 0] = NEVER if ring > 1 else 0.0
    transition = torch.randn(labels, labels, **options)
    recursion = Recursion(torch.randn(1, labels, ring, **options), transition, backward)
    scores = torch.randn(batch, labels, times, **options)
    seen = []
    for kernels in (semicrf_reference, semicrf):
        held = torch.empty(batch, 1, labels, ring + times + 3, dtype=torch.float64)[..., : ring + times]
        held.copy_(window)
        reference = (
            None if backward else Reference(torch.full((batch,), 5.0).double(), torch.full((batch,), 0.25).double())
        )
        sums = kernels.earlier_sums(held, recursion, scores)
        dtype = torch.float64 if backward else torch.float32
        kept = kernels.block_columns(sums, held, recursion, scores, first, last, dtype, reference)
        total = torch.ones(batch, 1, labels, ring, dtype=torch.float64)
        lead = scores - 20
        starts = kernels.add_posteriors(held, recursion, scores, lead, total)
        value = torch.zeros(batch) if reference is None else reference.value
        seen.append([sums, kept, held, value, total, *starts])
    return [float((one.double() - other.double()).nan_to_num().abs().max()) for one, other in zip(*seen, strict=True)]


def whole() -> list[float]:
    """Largest differences of log Z and its gradients."""
    random = torch.Generator().manual_seed(0)
    cum_scores = torch.randn(2, 12, 3, generator=random).cumsum(dim=1).requires_grad_()
    transition = torch.randn(3, 3, generator=random).requires_grad_()
    bias = torch.randn(4, 3, generator=random).requires_grad_()
    seen = []
    for kernels in (semicrf_reference, semicrf):
        log_z = log_partition(cum_scores, transition, bias, torch.tensor([11, 6]), extra_forwards=1, kernels=kernels)
        seen.append([log_z, *torch.autograd.grad(log_z.sum(), (cum_scores, transition, bias))])
    return [float((one - other).abs().max()) for one, other in zip(*seen, strict=True)]


if __name__ == "__main__":
    found = {f"{shape} {backward}": compared(shape, backward) for shape in SHAPES for backward in (False, True)}
    print(json.dumps(found | {"whole": whole()}))
