"""Fused layers: right gradients, one op each in captured graphs, executed bit for bit, scratch memory as declared."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import partial

import pytest
from conftest import ROOT
from walks import random_walk

pytest.importorskip("torch")

import torch
from fused_net import loss_fn, step
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional

from hcb_opt.bounds import mandatory_memory
from hcb_opt.capture import capture_step
from hcb_opt.capture.record import record_program
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph, Phase
from hcb_opt.models import zoo
from hcb_opt.runtime import fused
from hcb_opt.runtime.executor import Executor
from hcb_opt.runtime.fused import cross_entropy
from hcb_opt.runtime.kernels import dropout_reference
from hcb_opt.runtime.measure import with_measured_workspaces
from hcb_opt.runtime.validate import eager_reference, validate
from hcb_opt.schedule import schedule_from_computes

CPU = torch.device("cpu")


def drawn(*shape: int) -> Tensor:
    return torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))
    ).requires_grad_()


SMALL = (drawn(2, 3, 5), drawn(5), drawn(1, 5)[0].detach().requires_grad_())


@pytest.mark.parametrize(
    ("ours", "eager", "count"),
    [
        (fused.bias_gelu, lambda hidden, bias: functional.gelu(hidden + bias), 2),
        (
            partial(fused.bias_gelu, approximate="tanh"),
            lambda hidden, bias: functional.gelu(hidden + bias, approximate="tanh"),
            2,
        ),
        (fused.layer_norm, lambda hidden, *owned: functional.layer_norm(hidden, (5,), *owned), 3),
        (
            partial(fused.rms_norm, epsilon=1e-6),
            lambda hidden, weight: functional.rms_norm(hidden, (5,), weight, 1e-6),
            2,
        ),
    ],
)
def test_layers_equal_eager_and_their_gradients_are_right(ours: object, eager: object, count: int) -> None:
    arguments = SMALL[:count]
    torch.testing.assert_close(ours(*arguments), eager(*arguments))  # type: ignore[operator]
    assert gradcheck(ours, arguments)


def test_cross_entropy_equals_eager_and_its_gradients_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK", 1)
    monkeypatch.setattr(cross_entropy, "LEAST_COLUMNS", 4)
    hidden, weight = drawn(4, 2), drawn(9, 2)
    targets = torch.tensor([8, -100, 0, 4])
    assert cross_entropy.chunk_columns(4, 9) == 4  # three chunks
    eager = functional.cross_entropy(hidden @ weight.t(), targets)
    torch.testing.assert_close(fused.linear_cross_entropy(hidden, weight, targets), eager)
    assert gradcheck(partial(fused.linear_cross_entropy, targets=targets), (hidden, weight))


def test_cross_entropy_of_targets_that_are_not_there_is_no_number() -> None:
    hidden, weight = torch.ones(2, 3), torch.ones(4, 3)
    assert fused.linear_cross_entropy(hidden, weight, torch.tensor([4, 0])).isnan()
    assert fused.linear_cross_entropy(hidden, weight, torch.tensor([-100, -100])).isnan()


def test_cross_entropy_in_half_precision_and_autocast() -> None:
    hidden, weight = drawn(6, 4).detach().float(), drawn(9, 4).detach().float().requires_grad_()
    targets = torch.tensor([0, 1, 2, 3, 4, 8])
    with torch.autocast("cpu", torch.bfloat16):
        loss = fused.linear_cross_entropy(hidden, weight, targets)
    loss.backward()
    assert loss.dtype == weight.grad.dtype == torch.float32
    torch.testing.assert_close(loss, functional.cross_entropy(hidden @ weight.t(), targets), rtol=0.02, atol=0.02)


def test_philox_is_the_published_one() -> None:
    """Known answers of Random123 for Philox 4x32-10: all zeros, all ones, digits of pi."""
    for counter, key, words in (
        ("00000000 00000000 00000000 00000000", "0000000000000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffffffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "299f31d0a4093822", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ):
        seed = int(key, 16)
        signed = torch.tensor(seed - 2**64 if seed >= 2**63 else seed)
        drawn_words = dropout_reference.philox(signed, [torch.tensor([int(each, 16)]) for each in counter.split()])
        assert [int(each) for each in drawn_words] == [int(each, 16) for each in words.split()]


def test_dropout_is_a_function_of_its_seed() -> None:
    seed, ones = torch.tensor(2**62 + 1), torch.ones(100_003, requires_grad=True)
    once = fused.dropout(ones, seed, 0.3)
    (gradient,) = torch.autograd.grad(once.sum(), ones)
    assert torch.equal(gradient, once)  # the same elements, times the same factor
    assert torch.equal(fused.dropout(ones, seed, 0.3), once)
    assert abs(float((once == 0).float().mean()) - 0.3) < 5 * math.sqrt(0.21 / 100_003)
    others = [fused.dropout(ones, torch.tensor(1), 0.3), fused.dropout(ones, seed, 0.3, offset=1)]
    for other in others:  # independent: both drop 9 %
        assert abs(float(((once == 0) & (other == 0)).float().mean()) - 0.09) < 0.01
    assert gradcheck(lambda numbers: fused.dropout(numbers, seed, 0.4), (drawn(3, 4),))


def test_dropout_draws_a_seed_and_rests_in_evaluation() -> None:
    layer, ones = fused.Dropout(0.5), torch.ones(64)
    torch.manual_seed(0)
    first, second = layer(ones), layer(ones)
    torch.manual_seed(0)
    assert torch.equal(layer(ones), first) and not torch.equal(first, second)
    assert layer.eval()(ones) is ones
    with pytest.raises(InvalidInput, match=r"probability: 1.0 is not in \[0, 1\)"):
        fused.Dropout(1.0)


def named(graph: Graph, start: str) -> list[str]:
    return [op.name for op in graph.ops if op.name.rstrip("_0123456789") == start]


def test_each_layer_is_one_op_forward_and_one_backward() -> None:
    model, batch = step()
    graph = capture_step(model, loss_fn, batch, cost="flops").graph
    for layer in ("bias_gelu", "layer_norm", "rms_norm", "linear_cross_entropy"):
        assert len(named(graph, layer)) == len(named(graph, f"{layer}_backward")) == 1
    assert len(named(graph, "dropout")) == 2 and len(named(graph, "randint")) == 1
    ops = {op.name: op for op in graph.ops}
    rows, width, classes = 24, 8, 300
    assert [graph.sizes[value] for value in ops["linear_cross_entropy"].outputs] == [4, 4 * rows]
    backward = ops["linear_cross_entropy_backward"]
    assert [graph.sizes[value] for value in backward.outputs] == [4 * rows * width, 4 * classes * width]
    product = 2 * rows * width * classes
    assert (ops["linear_cross_entropy"].cost, backward.cost) == (product, 3 * product)
    assert backward.phase is Phase.BACKWARD
    assert max(graph.sizes) < 4 * rows * classes  # no scores
    bytes_moved = capture_step(model, loss_fn, batch, cost="bytes").graph
    forward = next(op for op in bytes_moved.ops if op.name == "linear_cross_entropy")
    read = 4 * rows * width + 4 * classes * width + 8 * rows
    assert forward.cost == read + 4 + 4 * rows + 2 * 4 * rows * classes


@pytest.mark.parametrize("seed", range(3))
def test_any_schedule_is_bit_equal_to_eager(seed: int) -> None:
    model, batch = step()
    captured = capture_step(model, loss_fn, batch)
    graph, program = captured.graph, record_program(captured)
    schedule = schedule_from_computes(graph, random_walk(graph, seed))
    arguments = [*dict(model.named_parameters()).values(), *batch]
    compared = validate(graph, program, schedule, arguments, eager_reference(model, loss_fn, batch, program), repeats=1)
    assert compared["bit_equal"], compared


def test_scratch_memory_is_no_more_than_declared() -> None:
    """Nor is it much less."""
    model, batch = step(6000)
    captured = capture_step(model, loss_fn, batch)
    graph = captured.graph
    executor = Executor(graph, record_program(captured), schedule_from_computes(graph, range(len(graph.ops))))
    arguments = [*dict(model.named_parameters()).values(), *batch]
    measured = with_measured_workspaces(executor, arguments, CPU)
    fused_ops = ("bias_gelu", "dropout", "layer_norm", "rms_norm", "linear_cross")
    for declared, found in zip(graph.ops, measured.ops, strict=True):
        if declared.name.startswith(fused_ops):
            assert found.workspace_bytes <= declared.workspace_bytes, declared.name
            assert 0.4 * declared.workspace_bytes <= found.workspace_bytes, declared.name


def test_fuse_keeps_parameters_and_results() -> None:
    torch.manual_seed(0)
    layers = (nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.2), nn.LayerNorm(16), nn.Linear(16, 8), nn.RMSNorm(8))
    plain = nn.Sequential(*layers).eval()
    examples, before = torch.randn(3, 8), dict(plain.named_parameters())
    expected = plain(examples)
    made = fused.fuse(plain)
    assert made is plain and dict(made.named_parameters()) == before
    assert not any(module.training for module in made.modules())
    torch.testing.assert_close(made(examples), expected)
    kinds = [type(layer) for layer in made]
    assert kinds == [fused.LinearGELU, nn.Identity, fused.Dropout, fused.LayerNorm, nn.Linear, fused.RMSNorm]


def test_fused_gpt2_needs_less_memory() -> None:
    """Scores and their gradients are what GPT-2 cannot do without; fused, they are gone."""
    sizes = {"layers": 2, "width": 128, "heads": 2, "vocabulary": 50257, "sequence": 128, "batch": 8, "dropout": 0.1}
    plain, made = (zoo()[name].capture(**sizes) for name in ("gpt2", "gpt2_fused"))
    scores = 4 * 8 * 128 * 50257
    assert mandatory_memory(plain).size_bytes >= 2 * scores
    assert mandatory_memory(made).size_bytes < 0.7 * scores
    assert made.store_all_peak_bytes < plain.store_all_peak_bytes - 1.5 * scores
    assert made.facts["flop_counter_flops"] > plain.facts["flop_counter_flops"]  # the scores are made twice


def test_files_of_fused_steps_run_in_a_new_process() -> None:
    """What a program calls by name is registered where it is looked up."""
    line = "from hcb_opt.runtime.operators import find_operator as find; print(find('hcb_opt::rms_norm_backward', ''))"
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "hcb_opt.rms_norm_backward.default\n", done.stderr
