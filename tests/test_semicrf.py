"""The semi-Markov recursion: enumeration, gradients, plans, precision, extreme scores, best segmentations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from hcb_opt.errors import InvalidInput  # noqa: E402
from hcb_opt.ring_chains import ring_plan, square_root_interval, uniform_plan  # noqa: E402
from hcb_opt.ring_reach import fewest_slots  # noqa: E402
from hcb_opt.runtime.semicrf import Segment, log_partition, marginals, viterbi  # noqa: E402
from hcb_opt.runtime.semicrf import chain as chains  # noqa: E402
from hcb_opt.runtime.semicrf.boundaries import StartsAndEnds  # noqa: E402
from hcb_opt.runtime.semicrf.model import build_model  # noqa: E402
from hcb_opt.runtime.semicrf.plans import buffer_bytes, choose_plans  # noqa: E402
from hcb_opt.runtime.semicrf.reversal import Reversal  # noqa: E402

EVERY_WAY: list[dict[str, Any]] = [
    {}, {"extra_forwards": 1}, {"extra_forwards": 3}, {"rule": "sqrt(TK)"}, {"rule": "sqrt(T)"},
]  # fmt: skip


class Scores(NamedTuple):
    """Leaves that need gradients."""

    cum_scores: Tensor
    transition: Tensor
    duration_bias: Tensor

    def double(self) -> Scores:
        return Scores(*(each.detach().double().requires_grad_() for each in self))


def scores(
    batch: int, time: int, durations: int, labels: int, dtype: Any = torch.float64, *, scale: float = 1.0,
    by_duration: bool = False, seed: int = 0,
) -> Scores:  # fmt: skip
    random = torch.Generator().manual_seed(seed)
    steps = torch.randn(batch, time, labels, dtype=torch.float64, generator=random) * scale
    cum_scores = torch.cat([torch.zeros(batch, 1, labels), steps.cumsum(dim=1)], dim=1)
    shape = (durations, labels, labels) if by_duration else (labels, labels)
    transition = torch.randn(shape, dtype=torch.float64, generator=random) * scale
    bias = torch.randn(durations, labels, dtype=torch.float64, generator=random) * scale
    return Scores(*(each.to(dtype).requires_grad_() for each in (cum_scores, transition, bias)))


def segmentations(time: int, durations: int, labels: int) -> Iterator[list[Segment]]:
    if not time:
        yield []
    for duration, label in product(range(1, min(durations, time) + 1), range(labels)):
        for before in segmentations(time - duration, durations, labels):
            yield [*before, Segment(time - duration, time, label)]


def score_of(segments: list[Segment], given: Scores, sequence: int, start: Tensor | None, end: Tensor | None) -> Tensor:
    total: Tensor = torch.zeros((), dtype=torch.float64)
    label_before = None
    for begin, stop, label in segments:
        edges = given.transition if given.transition.dim() == 2 else given.transition[stop - begin - 1]
        if label_before is not None:
            total = total + edges[label_before, label]
        else:
            total = total + (torch.logsumexp(edges[:, label], 0) if start is None else start[label])
        cum_scores = given.cum_scores[sequence, :, label]
        total = total + cum_scores[stop] - cum_scores[begin] + given.duration_bias[stop - begin - 1, label]
        label_before = label
    return total if end is None else total + end[label_before]


TINY = [
    (*sizes, by_duration)
    for sizes in ((1, 1, 1), (1, 3, 2), (2, 1, 2), (3, 2, 2), (4, 4, 2), (5, 3, 2), (6, 2, 2), (4, 2, 3), (3, 9, 3))
    for by_duration in (False, True)
]


@pytest.mark.parametrize(("time", "durations", "labels", "by_duration"), TINY)
def test_equals_enumeration(
    time: int, durations: int, labels: int, by_duration: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = scores(2, time, durations, labels, by_duration=by_duration)
    lengths = (time, max(1, time - 1))
    ends = {
        name: torch.linspace(-1, last, labels).double().requires_grad_() for name, last in (("start", 1), ("end", 3))
    }
    for options, block in (({}, 64), (ends, 2)):
        monkeypatch.setattr(chains, "LONGEST_BLOCK", block)
        every = [list(segmentations(length, durations, labels)) for length in lengths]
        totals = [
            torch.stack([score_of(each, given, sequence, options.get("start"), options.get("end")) for each in listed])
            for sequence, listed in enumerate(every)
        ]
        expected = torch.stack([torch.logsumexp(total, 0) for total in totals])
        found = log_partition(*given, torch.tensor(lengths), extra_forwards=1, **options)
        torch.testing.assert_close(found.detach(), expected.detach(), rtol=1e-12, atol=1e-12)
        leaves = [*given, *options.values()]
        factor = torch.tensor([1.0, -2.0], dtype=torch.float64)
        gradients = torch.autograd.grad((found * factor).sum(), leaves)
        wanted = torch.autograd.grad((expected * factor).sum(), leaves, materialize_grads=True)
        for gradient, right in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(gradient, right, rtol=1e-10, atol=1e-12)

        totals = [total.detach() for total in totals]
        best, chosen = viterbi(*given, torch.tensor(lengths), **options)
        with torch.no_grad():
            shown = marginals(*given, torch.tensor(lengths), **options)
        for sequence, (listed, total) in enumerate(zip(every, totals, strict=True)):
            torch.testing.assert_close(best[sequence], total.max(), check_dtype=False)
            assert chosen[sequence] == listed[int(total.argmax())]
            weights = torch.softmax(total, 0)
            labelled = torch.zeros(time, labels, dtype=torch.float64)
            starts = torch.zeros(time + 1, labels, dtype=torch.float64)
            for segments, weight in zip(listed, weights, strict=True):
                for begin, stop, label in segments:
                    labelled[begin:stop, label] += weight
                    starts[begin, label] += weight
            torch.testing.assert_close(shown.labels[sequence], labelled)
            torch.testing.assert_close(shown.starts[sequence], starts)


@pytest.mark.parametrize("by_duration", [False, True])
def test_gradcheck(by_duration: bool) -> None:
    given = scores(2, 5, 3, 2, by_duration=by_duration)
    lengths = torch.tensor([5, 3])
    assert torch.autograd.gradcheck(lambda *each: log_partition(*each, lengths, extra_forwards=1), tuple(given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("time", "durations", "labels", "by_duration"), [(150, 7, 3, False), (100, 40, 8, False), (40, 9, 3, True)]
)
def test_every_plan_gives_the_same_bits(
    time: int, durations: int, labels: int, by_duration: bool, dtype: torch.dtype
) -> None:
    given = scores(2, time, durations, labels, dtype, by_duration=by_duration)
    lengths = torch.tensor([time, time - 15])
    seen = []
    for way in EVERY_WAY:
        log_z = log_partition(*given, lengths, **way)
        seen.append((log_z, *torch.autograd.grad(log_z.sum(), given, retain_graph=True)))
        # The columns are gone by now: they are made again.
        seen.append((log_z, *torch.autograd.grad(log_z.sum(), given)))
    for each in seen[1:]:
        assert all(torch.equal(one, other) for one, other in zip(each, seen[0], strict=True))


@pytest.mark.parametrize(("time", "durations"), [(200, 10), (130, 60), (40, 90)])
def test_executed_counts_are_the_planned_ones(time: int, durations: int) -> None:
    given = scores(2, time, durations, 3, torch.float32)
    ((_, chain),) = build_model(*given, None, None, None).chains()
    ring = min(durations, time)
    plans = [ring_plan(time, ring, fewest_slots(time, ring, runs)) for runs in (1, 2, 3, 4)]
    plans += [uniform_plan(time, ring, square_root_interval(time, ring)), uniform_plan(time, ring, 7)]
    for plan in plans:
        reversal = Reversal(chain, plan)
        log_z = reversal.forward()
        assert reversal.column_bytes == plan.slots * 2 * 3 * 4
        unused = torch.empty_like(chain.scores)
        reversal.backward(log_z, StartsAndEnds(unused, unused, slice(None)))
        assert (reversal.steps_run, reversal.steps_reversed) == (plan.forward_steps, time)
        assert reversal.column_bytes == 0


def test_scores_of_sequences_that_follow_each_other_are_not_copied() -> None:
    given = scores(4, 6, 3, 2)
    for lengths, views in (([6, 6, 6, 6], [True]), ([4, 6, 6, 4], [True, False]), ([6, 2, 2, 5], [True] * 3)):
        model = build_model(*given, torch.tensor(lengths), None, None)
        found = [(members, chain) for members, (_, chain) in zip(model.groups().values(), model.chains(), strict=True)]
        shared = given.cum_scores.untyped_storage().data_ptr()
        assert [chain.scores.untyped_storage().data_ptr() == shared for _, chain in found] == views
        for members, chain in found:
            assert torch.equal(chain.scores, given.cum_scores[members, : lengths[members[0]] + 1])


def test_sequences_do_not_touch_each_other() -> None:
    given = scores(4, 60, 5, 3, torch.float32)
    lengths = [60, 17, 60, 3]
    together = log_partition(*given, torch.tensor(lengths), extra_forwards=2)
    (gradient,) = torch.autograd.grad(together.sum(), given.cum_scores)
    for sequence, length in enumerate(lengths):
        alone = given.cum_scores[sequence : sequence + 1, : length + 1].detach().requires_grad_()
        log_z = log_partition(alone, given.transition, given.duration_bias)
        torch.testing.assert_close(log_z[0].detach(), together[sequence].detach())
        torch.testing.assert_close(torch.autograd.grad(log_z, alone)[0][0], gradient[sequence, : length + 1])
        assert not gradient[sequence, length + 1 :].any()


@settings(max_examples=30, deadline=None)
@drawn(st.data(), st.sampled_from([torch.float32, torch.float64]), st.booleans(), st.booleans())
def test_gradients_are_ends_less_starts(data: st.DataObject, dtype: Any, by_duration: bool, with_end: bool) -> None:
    """What gradients join and marginals keep apart is the same, bit for bit: rounded first, then subtracted."""
    lengths = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=4), label="lengths")
    durations, labels = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 4)), label="durations, labels")
    given = scores(len(lengths), max(lengths) + 1, durations, labels, dtype, by_duration=by_duration)
    options = {"end": torch.linspace(-1, 3, labels, dtype=dtype)} if with_end else {}
    factor = torch.linspace(-1.7, 2.3, len(lengths), dtype=dtype)
    way = data.draw(st.sampled_from(EVERY_WAY), label="way")
    log_z = log_partition(*given, torch.tensor(lengths), **options, **way)
    (gradient,) = torch.autograd.grad((log_z * factor).sum(), given.cum_scores)
    shown = marginals(*(each.detach() for each in given), torch.tensor(lengths), **options)
    assert torch.equal(gradient, ((shown.ends - shown.starts) * factor[:, None, None].double()).to(dtype))


def test_float32_is_close_to_float64_at_ten_thousand_steps() -> None:
    given = scores(1, 10_000, 6, 3, torch.float32)
    exact = given.double()
    log_z, right = log_partition(*given), log_partition(*exact)
    torch.testing.assert_close(log_z.detach().double(), right.detach(), rtol=1e-6, atol=0)
    gradients = torch.autograd.grad(log_z, given)
    for gradient, wanted in zip(gradients, torch.autograd.grad(right, exact), strict=True):
        assert float((gradient - wanted).norm() / wanted.norm()) < 1e-5
        assert float((gradient - wanted).abs().max() / wanted.abs().max()) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores_stay_finite(dtype: Any) -> None:
    given = scores(2, 150, 9, 4, dtype, scale=1e4)
    log_z = log_partition(*given, extra_forwards=1)
    right = log_partition(*given.double())
    torch.testing.assert_close(log_z.detach().double(), right.detach(), rtol=1e-6, atol=0)
    for gradient in torch.autograd.grad(log_z.sum(), given):
        assert torch.isfinite(gradient).all()
    shown = marginals(*(each.detach() for each in given))
    torch.testing.assert_close(shown.labels.sum(dim=2), torch.ones(2, 150, dtype=dtype), rtol=0, atol=1e-1)


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that an operation wrote."""

    elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not result._is_view():
            self.elements = max(self.elements, result.numel())
        return result


def test_edges_are_never_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "BLOCK_TERMS", 2**10)
    time, durations, labels = 300, 40, 4
    given = scores(1, time, durations, labels, torch.float32)
    with LargestTensor() as largest:
        torch.autograd.grad(log_partition(*given, extra_forwards=1).sum(), given)
    assert largest.elements <= max(2**10, (time + 1) * labels, durations * labels**2)


def test_budgets_choose_plans() -> None:
    column = 4 * 3
    plans = choose_plans([900, 400], [2, 1], 20, column, budget=20_000)
    assert buffer_bytes(plans, [2, 1], column) <= 20_000
    assert max(plan.most_runs for plan in plans) > 1
    assert {plan.most_runs for plan in choose_plans([900, 400], [2, 1], 20, column, budget="1MB")} == {1}
    # One length uses what is left of the budget.
    (plan,) = choose_plans([900], [1], 20, column, budget=column * 400)
    (least,) = choose_plans([900], [1], 20, column, extra_forwards=1)
    assert plan.most_runs == least.most_runs == 2 and plan.forward_steps < least.forward_steps
    with pytest.raises(InvalidInput, match="smallest plan takes 480 bytes"):
        choose_plans([900], [1], 20, column, budget=479)
    assert choose_plans([900], [1], 20, column, budget=480)[0].slots == 20
    with pytest.raises(InvalidInput, match="more than one"):
        choose_plans([900], [1], 20, column, budget=480, rule="sqrt(T)")
    with pytest.raises(InvalidInput, match="did you mean"):
        choose_plans([900], [1], 20, column, rule="sqrt(KT)")


def test_what_cannot_be_is_refused() -> None:
    cum_scores, transition, bias = (each.detach() for each in scores(2, 6, 3, 2))
    wrong: list[tuple[str, tuple[Any, ...]]] = [
        ("cum_scores", (cum_scores[0], transition, bias)),
        ("cum_scores: dtype", (cum_scores.half(), transition, bias)),
        ("transition", (cum_scores, transition[:1], bias)),
        ("duration_bias", (cum_scores, transition, bias[:, :1])),
        ("lengths", (cum_scores, transition, bias, torch.tensor([6, 7]))),
        ("lengths", (cum_scores, transition, bias, torch.tensor([6, 0]))),
        ("not all scores are finite", (cum_scores, transition.log(), bias)),
    ]
    for match, given in wrong:
        with pytest.raises(InvalidInput, match=match):
            log_partition(*given)
