"""The compiled kernels of fused layers and of compression on a CUDA device: equal to their references, repeatable."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton", reason="Triton kernels need triton: pip install 'hcb-opt[triton]'")

import torch
from fused_net import loss_fn, step
from kernel_comparisons import compare_entropy, compare_gelu, compare_norms, compared
from walks import random_walk

from hcb_opt.capture import capture_step
from hcb_opt.capture.record import record_program
from hcb_opt.runtime import fused
from hcb_opt.runtime.kernels.benchmark_cases import Sizes, benchmark_cases
from hcb_opt.runtime.kernels.choice import kernels_for
from hcb_opt.runtime.validate import eager_reference, validate
from hcb_opt.schedule import schedule_from_computes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CUDA = torch.device("cuda")


def test_kernels_equal_their_references() -> None:
    for what, shares in compared(CUDA, halves=True).items():
        assert max(shares) <= 1, (what, shares)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_larger_shapes(dtype: torch.dtype) -> None:
    """Several rows per part, rows that are read again, rows wider than the kernels take."""
    for rows, width in ((1000, 770), (2050, 64), (300, 4097), (40, 8192), (12, 8193)):
        assert max(compare_norms(CUDA, dtype, rows, width)) <= 1, (rows, width)
        assert max(compare_gelu(CUDA, dtype, rows, width)) <= 1, (rows, width)
    assert max(compare_entropy(CUDA, dtype, 70, 50257, 2048)) <= 1


def test_gradients_are_the_same_every_time() -> None:
    torch.manual_seed(0)
    leaves = [
        torch.randn(*shape, device=CUDA, requires_grad=True) for shape in ((4096, 768), (768,), (768,), (9000, 768))
    ]
    hidden, weight, bias, head = leaves
    targets = torch.randint(9000, (4096,), device=CUDA)

    def gradients() -> tuple[torch.Tensor, ...]:
        made = fused.bias_gelu(fused.layer_norm(hidden, weight, bias), bias, "tanh")
        return torch.autograd.grad(fused.linear_cross_entropy(made, head, targets), leaves)

    first = gradients()
    for _ in range(3):
        assert all(torch.equal(one, other) for one, other in zip(first, gradients(), strict=True))


def test_the_same_elements_are_dropped_as_on_a_cpu() -> None:
    numbers, seed = torch.randn(100_003), torch.tensor(2**62 + 9)
    made = fused.dropout(numbers.to(CUDA), seed.to(CUDA), 0.3, offset=2**33)
    assert torch.equal(made.cpu(), fused.dropout(numbers, seed, 0.3, offset=2**33))


@pytest.mark.parametrize("seed", range(3))
def test_any_schedule_is_bit_equal_to_eager(seed: int) -> None:
    model, (examples, targets) = step()
    model, batch = model.to(CUDA), (examples.to(CUDA), targets.to(CUDA))
    captured = capture_step(model, loss_fn, batch)
    graph, program = captured.graph, record_program(captured)
    schedule = schedule_from_computes(graph, random_walk(graph, seed))
    arguments = [*dict(model.named_parameters()).values(), *batch]
    compared_bits = validate(
        graph, program, schedule, arguments, eager_reference(model, loss_fn, batch, program), repeats=1
    )
    assert compared_bits["bit_equal"], compared_bits


def test_scores_are_never_held_whole() -> None:
    hidden = torch.randn(4096, 256, device=CUDA, requires_grad=True)
    weight = torch.randn(50257, 256, device=CUDA, requires_grad=True)
    targets = torch.randint(50257, (4096,), device=CUDA)
    fused.linear_cross_entropy(hidden, weight, targets).backward()  # cuBLAS takes its workspace
    hidden.grad = weight.grad = None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    fused.linear_cross_entropy(hidden, weight, targets).backward()
    held = torch.cuda.max_memory_allocated() - before
    assert held < weight.nbytes + hidden.nbytes + 1.2 * 4 * 2**23


def test_benchmark_cases_run_on_triton() -> None:
    assert kernels_for(torch.ones(1, device=CUDA), "norms").__name__.endswith(".norms")
    for case in benchmark_cases(CUDA, sizes=Sizes(64, 128, 300)):
        case.kernels(), case.eager()
    torch.cuda.synchronize()
