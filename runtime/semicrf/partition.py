"""log Z of a semi-Markov conditional random field, with gradients within a memory budget."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hcb_opt.ring_chains import RingPlan
from hcb_opt.runtime.kernels import semicrf_reference
from hcb_opt.runtime.semicrf.boundaries import ScoreGradient, StartsAndEnds
from hcb_opt.runtime.semicrf.model import Model, build_model
from hcb_opt.runtime.semicrf.plans import choose_plans
from hcb_opt.runtime.semicrf.reversal import Reversal


def log_partition(
    cum_scores: Tensor,
    transition: Tensor,
    duration_bias: Tensor,
    lengths: Tensor | None = None,
    *,
    start: Tensor | None = None,
    end: Tensor | None = None,
    budget: int | str | None = None,
    extra_forwards: int | None = None,
    rule: str | None = None,
    kernels: ModuleType = semicrf_reference,
) -> Tensor:
    """Logarithm of the sum over all segmentations of the exponential of their scores.

    ::

        alpha[t, c] = logsumexp_{k <= K, c'} alpha[t - k, c'] + A[c', c] + S[t, c] - S[t - k, c] + B[k, c]
        log Z = logsumexp_c alpha[T, c],    alpha[0, c] = 0

    Differentiable once, in ``cum_scores``, ``transition``, ``duration_bias``,
    ``start`` and ``end``. Beside inputs and gradients it holds forward columns and
    a ring of backward columns, as its plan says, and work space that does not grow
    with T; also a copy of the scores of those sequences of one length that do not
    follow each other in the batch. Values and gradients are the same bit for bit
    every time, and for every plan by the reference; plans differ by Triton's kernels
    as far as these do from the reference.

    Parameters
    ----------
    cum_scores : Tensor
        S, (B, T + 1, C), float32 or float64: prefix sums of the label scores of
        times 1 .. T.
    transition : Tensor
        A, (C, C): from the label before (row) to the label of a segment, also
        between equal labels; or (K, C, C) where it depends on the segment's
        duration, which comes first.
    duration_bias : Tensor
        B, (K, C): row k - 1 of segments of duration k.
    lengths : Tensor, optional
        (B,) whole numbers in 1 .. T; T for all if not given.
    start : Tensor, optional
        (C,) of the first segment's label, in place of a transition. If not given, any
        label may stand before the first segment: logsumexp_c' A[c', c], as the
        recurrence says.
    end : Tensor, optional
        (C,) of the last segment's label.
    budget : int or str, optional
        Bytes, or a size such as "4MiB": forward columns of all sequences, and the
        ring of backward columns of those that are reversed together. Sequences of
        one length share a plan.
    extra_forwards : int, optional
        Instead of a budget: how often a step may be run again. 0, which stores
        every column, if neither is given.
    rule : {"sqrt(TK)", "sqrt(T)"}, optional
        Instead of both: keep a ring every so many steps.
    kernels : module
        What makes the columns: the plain-torch reference, or
        `hcb_opt.runtime.kernels.semicrf`, Triton kernels for CUDA devices.

    Returns
    -------
    Tensor
        (B,), in the dtype of ``cum_scores``.

    Raises
    ------
    InvalidInput
        If a shape, dtype or length cannot be, a score is not finite, more than one
        of budget, extra_forwards and rule is given, or nothing fits the budget.
    """
    model = build_model(cum_scores, transition, duration_bias, lengths, start, end)
    plans = _plans(model, budget, extra_forwards, rule)
    log_z: Tensor = _LogPartition.apply(*model.tensors, model.lengths, plans, kernels)  # type: ignore[no-untyped-call]
    return log_z


@dataclass(frozen=True, slots=True)
class Marginals:
    """Posterior probabilities, (B, T + 1, C) each but ``labels``; zero beyond a sequence's length.

    Attributes
    ----------
    labels : Tensor
        (B, T, C): the segment that covers time t + 1 has label c.
    starts, ends : Tensor
        A segment of label c starts after time t, or ends at it.
    log_z : Tensor
        (B,).
    """

    labels: Tensor
    starts: Tensor
    ends: Tensor
    log_z: Tensor


def marginals(
    cum_scores: Tensor,
    transition: Tensor,
    duration_bias: Tensor,
    lengths: Tensor | None = None,
    *,
    start: Tensor | None = None,
    end: Tensor | None = None,
    budget: int | str | None = None,
    extra_forwards: int | None = None,
    rule: str | None = None,
    kernels: ModuleType = semicrf_reference,
) -> Marginals:
    """Posterior probabilities of labels, segment starts and ends; takes and raises what `log_partition` does."""
    model = build_model(cum_scores, transition, duration_bias, lengths, start, end)
    plans = _plans(model, budget, extra_forwards, rule)
    starts, ends = torch.zeros_like(cum_scores), torch.zeros_like(cum_scores)
    labels, log_z = torch.zeros_like(cum_scores[:, 1:]), cum_scores.new_empty(cum_scores.shape[0])
    for (members, chain), plan in zip(model.chains(kernels), plans, strict=True):
        reversal = Reversal(chain, plan)
        total = reversal.forward()
        reversal.backward(total, StartsAndEnds(starts, ends, members))
        begun = starts[members, : chain.steps] - ends[members, : chain.steps]
        labels[members, : chain.steps] = begun.double().cumsum_(dim=1).clamp_(0, 1).to(labels.dtype)
        log_z[members] = total.to(log_z.dtype)
    return Marginals(labels, starts, ends, log_z)


def _plans(model: Model, budget: int | str | None, extra_forwards: int | None, rule: str | None) -> list[RingPlan]:
    groups = model.groups()
    return choose_plans(
        list(groups),
        [len(members) for members in groups.values()],
        model.first.shape[0],
        model.cum_scores.shape[2] * model.cum_scores.element_size(),
        budget=budget,
        extra_forwards=extra_forwards,
        rule=rule,
    )


class _LogPartition(torch.autograd.Function):
    """`log_partition` of a checked model."""

    @staticmethod
    def forward(
        ctx: Any,
        cum_scores: Tensor,
        weights: Tensor,
        transition: Tensor | None,
        first: Tensor,
        end: Tensor,
        lengths: tuple[int, ...],
        plans: list[RingPlan],
        kernels: ModuleType,
    ) -> Tensor:
        model = Model(cum_scores, weights, transition, first, end, lengths)
        ctx.save_for_backward(*model.tensors)
        ctx.lengths = lengths
        log_z = torch.empty(len(lengths), dtype=torch.float64, device=cum_scores.device)
        ctx.reversals = []
        for (members, chain), plan in zip(model.chains(kernels), plans, strict=True):
            reversal = Reversal(chain, plan)
            log_z[members] = reversal.forward()
            ctx.reversals.append((members, reversal))
        ctx.log_z = log_z
        return log_z.to(cum_scores.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved: tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor] = ctx.saved_tensors
        model = Model(*saved, ctx.lengths)
        options: dict[str, Any] = {"dtype": torch.float64, "device": grad.device}
        scores = torch.zeros_like(model.cum_scores)
        weights, first = torch.zeros(model.weights.shape, **options), torch.zeros(model.first.shape, **options)
        end = torch.zeros(model.end.shape, **options)
        transition = None if model.transition is None else torch.zeros(model.transition.shape, **options)
        for members, reversal in ctx.reversals:
            factor, ring = grad[members].double(), reversal.chain.ring
            found = reversal.backward(ctx.log_z[members], ScoreGradient(scores, members, factor))
            end += _weighted(found.last.double(), factor)
            weights[:ring] += _weighted(found.weights, factor).flip(-1).permute(2, 0, 1)
            first[:ring] += _weighted(found.first, factor).flip(-1).T
            if transition is not None and found.transition is not None:
                transition += _weighted(found.transition, factor)
        cast = [
            None if gradient is None or given is None else gradient.to(given.dtype)
            for gradient, given in zip((scores, weights, transition, first, end), model.tensors, strict=True)
        ]
        return (*cast, None, None, None)


def _weighted(counts: Tensor, factor: Tensor) -> Tensor:
    """The sum over sequences, each times its factor."""
    return (counts * factor.view(-1, *(1,) * (counts.dim() - 1))).sum(dim=0)
