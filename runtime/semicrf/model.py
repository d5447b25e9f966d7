"""What a caller gives of a semi-Markov model, checked, and split into chains of equal length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from hcb_opt.errors import InvalidInput
from hcb_opt.runtime.kernels import semicrf_reference
from hcb_opt.runtime.semicrf.chain import Chain


@dataclass(frozen=True, slots=True)
class Model:
    """Scores of a batch of sequences; see `log_partition` for their meaning.

    Attributes
    ----------
    cum_scores : Tensor
        (B, T + 1, C).
    weights : Tensor
        (K, I, C): of a segment, I = C if transitions depend on the duration.
    transition : Tensor or None
        (C, C), None if I = C.
    first : Tensor
        (K, C): of the first segment.
    end : Tensor
        (C,): of the last segment's label.
    lengths : tuple of int
        Of the B sequences.
    """

    cum_scores: Tensor
    weights: Tensor
    transition: Tensor | None
    first: Tensor
    end: Tensor
    lengths: tuple[int, ...]

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """What there are gradients of."""
        return self.cum_scores, self.weights, self.transition, self.first, self.end

    def groups(self) -> dict[int, list[int]]:
        """Sequences by length, the longest first."""
        found: dict[int, list[int]] = {}
        for number in sorted(range(len(self.lengths)), key=lambda each: -self.lengths[each]):
            found.setdefault(self.lengths[number], []).append(number)
        return found

    def chains(self, kernels: ModuleType = semicrf_reference) -> Iterator[tuple[slice | list[int], Chain]]:
        """The sequences of each length, as an index, and their chain.

        Of sequences that follow each other, the chain's scores are a view.
        """
        for steps, members in self.groups().items():
            index = _as_index(members)
            weights, first = self.weights[:steps], self.first[:steps]
            yield (
                index,
                Chain(
                    self.cum_scores.detach()[index, : steps + 1],
                    weights.detach().double().permute(1, 2, 0).flip(-1).contiguous(),
                    None if self.transition is None else self.transition.detach().double(),
                    first.detach().double().T.flip(-1).contiguous(),
                    self.end.detach().double(),
                    kernels,
                ),
            )


def build_model(
    cum_scores: Tensor,
    transition: Tensor,
    duration_bias: Tensor,
    lengths: Tensor | None,
    start: Tensor | None,
    end: Tensor | None,
) -> Model:
    """Check the shapes and scores, and fill in what is optional.

    Raises
    ------
    InvalidInput
        If a shape, dtype or length cannot be, or a score is not finite.
    """
    if cum_scores.dim() != 3 or cum_scores.shape[0] < 1 or cum_scores.shape[1] < 2 or cum_scores.shape[2] < 1:
        raise _wrong("cum_scores", cum_scores, "(batch, time + 1, labels)")
    if cum_scores.dtype not in (torch.float32, torch.float64):
        what = f"dtype {cum_scores.dtype}"
        raise InvalidInput("cum_scores", what, "give torch.float32 or torch.float64; 16 bits do not hold prefix sums")
    labels = cum_scores.shape[2]
    if duration_bias.dim() != 2 or duration_bias.shape[0] < 1 or duration_bias.shape[1] != labels:
        raise _wrong("duration_bias", duration_bias, f"(longest duration, {labels})")
    durations = duration_bias.shape[0]
    if tuple(transition.shape) not in ((labels, labels), (durations, labels, labels)):
        raise _wrong("transition", transition, f"({labels}, {labels}) or ({durations}, {labels}, {labels})")
    for name, given in {"start": start, "end": end}.items():
        if given is not None and tuple(given.shape) != (labels,):
            raise _wrong(name, given, f"({labels},)")
    named = {"cum_scores": cum_scores, "transition": transition, "duration_bias": duration_bias}
    named |= {name: given for name, given in {"start": start, "end": end}.items() if given is not None}
    for name, given in named.items():
        # The extremes are not finite if a score is not. A mask would be as long as the sequences.
        if not torch.isfinite(torch.stack(torch.aminmax(given.detach()))).all():
            raise InvalidInput(name, "not all scores are finite", "forbid by a large negative score such as -1e9")
    any_label = torch.logsumexp(transition.double(), dim=-2) if start is None else start.double()
    by_duration = transition.dim() == 3
    return Model(
        cum_scores,
        duration_bias.double()[:, None] + transition if by_duration else duration_bias[:, None],
        None if by_duration else transition,
        duration_bias.double() + any_label,
        cum_scores.new_zeros(labels) if end is None else end,
        _checked_lengths(lengths, cum_scores),
    )


def _as_index(members: list[int]) -> slice | list[int]:
    """Sequences in ascending order as an index: a slice where they follow each other."""
    first, last = members[0], members[-1]
    return slice(first, last + 1) if last - first + 1 == len(members) else members


def _checked_lengths(lengths: Tensor | None, cum_scores: Tensor) -> tuple[int, ...]:
    batch, longest = cum_scores.shape[0], cum_scores.shape[1] - 1
    if lengths is None:
        return (longest,) * batch
    if tuple(lengths.shape) != (batch,) or lengths.is_floating_point():
        raise _wrong("lengths", lengths, f"({batch},), whole numbers")
    listed = tuple(int(each) for each in lengths.tolist())
    if not all(1 <= each <= longest for each in listed):
        raise InvalidInput("lengths", f"{min(listed)} .. {max(listed)}", f"give 1 .. {longest}")
    return listed


def _wrong(name: str, given: Tensor, wanted: str) -> InvalidInput:
    return InvalidInput(name, f"shape {tuple(given.shape)}, dtype {given.dtype}", f"give shape {wanted}")
