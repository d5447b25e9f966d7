"""What is timed of each kernel family: the kernels, what eager torch does instead, and what both must move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from hcb_opt.runtime.kernels.choice import kernels_for
from hcb_opt.runtime.kernels.packing_reference import LARGEST_CODE, ROW


@dataclass(frozen=True, slots=True)
class BenchmarkCase:
    """One row of a benchmark.

    Attributes
    ----------
    name : str
        The family, a colon, and what it does.
    dtype : str
        Of the numbers, as in ``bfloat16``.
    kernels, eager : callable
        Each runs it once, by the family's kernels (on a CPU its reference) and by torch's own ops.
    moved_bytes : int
        Inputs and outputs, each once: what no implementation can do without.
    flops : int
        Of matrix products; 0 where memory alone counts.
    """

    name: str
    dtype: str
    kernels: Callable[[], object]
    eager: Callable[[], object]
    moved_bytes: int
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the cases are: rows, columns (together a multiple of 256), and columns of the scores."""

    rows: int = 8192
    width: int = 4096
    classes: int = 50257


Family = Callable[[torch.device, torch.dtype, Sizes], Iterator[BenchmarkCase]]

_FAMILIES: list[Family] = []


def _registered(family: Family) -> Family:
    _FAMILIES.append(family)
    return family


def benchmark_cases(
    device: torch.device,
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16),
    sizes: Sizes | None = None,
) -> Iterator[BenchmarkCase]:
    """The cases of all families, made one after the other: use one before asking for the next.

    Parameters
    ----------
    device : torch.device
    dtypes : tuple of torch.dtype
    sizes : Sizes, optional
        By default those of a large language model's layer.
    """
    for family in _FAMILIES:
        for dtype in dtypes:
            yield from family(device, dtype, sizes or Sizes())


@_registered
def _bias_gelu(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> Iterator[BenchmarkCase]:
    hidden, gradient = _drawn(device, dtype, sizes), _drawn(device, dtype, sizes)
    bias = torch.randn(sizes.width, device=device, dtype=dtype)
    kernels, size = kernels_for(hidden, "bias_gelu"), hidden.nbytes
    for tanh in (True, False):
        approximate = "tanh" if tanh else "none"
        eager = partial(_biased_gelu, approximate=approximate)
        name = "bias_gelu: {}, " + ("tanh" if tanh else "exact")
        yield from _both_ways(
            name,
            partial(kernels.forward, hidden, bias, tanh),
            partial(kernels.backward, gradient, hidden, bias, tanh),
            eager,
            (hidden, bias),
            gradient,
            (2 * size, 3 * size),
        )


def _biased_gelu(hidden: Tensor, bias: Tensor, approximate: str) -> Tensor:
    return functional.gelu(hidden + bias, approximate=approximate)


@_registered
def _norms(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> Iterator[BenchmarkCase]:
    hidden, gradient = _drawn(device, dtype, sizes), _drawn(device, dtype, sizes)
    weight, bias = torch.randn(2, sizes.width, device=device, dtype=dtype)
    kernels, size = kernels_for(hidden, "norms"), hidden.nbytes
    for centred in (True, False):
        owned = (hidden, weight, bias) if centred else (hidden, weight)
        yield from _both_ways(
            "norms: {}, " + ("layer" if centred else "root mean square"),
            partial(kernels.forward, hidden, weight, bias if centred else None, 1e-5, centred),
            partial(kernels.backward, gradient, hidden, weight, 1e-5, centred),
            _layer_norm if centred else _rms_norm,
            owned,
            gradient,
            (2 * size, 3 * size),
        )


def _layer_norm(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.layer_norm(hidden, weight.shape, weight, bias, 1e-5)


def _rms_norm(hidden: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(hidden, weight.shape, weight, 1e-5)


@_registered
def _dropout(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> Iterator[BenchmarkCase]:
    flat = _drawn(device, dtype, sizes).flatten()
    seed = torch.tensor(1, device=device)
    run = partial(kernels_for(flat, "dropout").dropout, flat, seed, 0, 0.1)
    yield BenchmarkCase(
        "dropout: forward or backward", _name(dtype), run, partial(functional.dropout, flat, 0.1), 2 * flat.nbytes
    )


@_registered
def _cross_entropy(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> Iterator[BenchmarkCase]:
    import hcb_opt.runtime.fused.cross_entropy  # registers the operators  # noqa: F401

    hidden = _drawn(device, dtype, sizes)
    weight = torch.randn(sizes.classes, sizes.width, device=device, dtype=dtype) / sizes.width**0.5
    targets = torch.randint(sizes.classes, (sizes.rows,), device=device)
    fused, ignored = torch.ops.hcb_opt, -100
    _, logsumexp = fused.linear_cross_entropy(hidden, weight, targets, ignored)
    gradient = torch.ones((), device=device, dtype=logsumexp.dtype)
    product = 2 * sizes.rows * sizes.width * sizes.classes
    read = hidden.nbytes + weight.nbytes + targets.nbytes
    name, owned = _name(dtype), (hidden, weight)
    run = partial(fused.linear_cross_entropy, hidden, weight, targets, ignored)
    eager = partial(_eager_loss, targets=targets)
    yield BenchmarkCase("cross_entropy: forward", name, run, partial(eager, *owned), read, product)
    back = partial(fused.linear_cross_entropy_backward, gradient, hidden, weight, targets, logsumexp, ignored)

    # Forward and backward, since eager keeps in the forward what this one makes again.
    def both() -> object:
        return run(), back()

    step = partial(_step, eager, owned)
    yield BenchmarkCase("cross_entropy: forward and backward", name, both, step, 2 * read, 3 * product)


def _eager_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(functional.linear(hidden, weight), targets)


def _step(function: Callable[..., Tensor], owned: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    leaves = [each.detach().requires_grad_() for each in owned]
    return torch.autograd.grad(function(*leaves), leaves)


@_registered
def _packing(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> Iterator[BenchmarkCase]:
    flat = _drawn(device, dtype, sizes).flatten()
    made, kernels, name = torch.empty_like(flat), kernels_for(flat, "packing"), _name(dtype)
    codes, scales = kernels.quantise(flat)
    moved = flat.nbytes + codes.nbytes + scales.nbytes
    run = partial(kernels.quantise, flat)
    yield BenchmarkCase("packing: quantise", name, run, partial(_eager_quantise, flat), moved)
    run = partial(kernels.dequantise, codes, scales, made)
    yield BenchmarkCase("packing: dequantise", name, run, partial(_eager_dequantise, codes, scales, dtype), moved)
    bits = kernels.pack_bits(flat)
    moved = flat.nbytes + bits.nbytes
    run = partial(kernels.pack_bits, flat)
    yield BenchmarkCase("packing: pack bits", name, run, partial(_eager_pack, flat), moved)
    run = partial(kernels.unpack_bits, bits, made)
    yield BenchmarkCase("packing: unpack bits", name, run, partial(_eager_unpack, bits, dtype), moved)


def _eager_quantise(flat: Tensor) -> tuple[Tensor, Tensor]:
    rows = flat.view(-1, ROW).float()
    scales = rows.abs().amax(dim=1, keepdim=True) / LARGEST_CODE
    return (rows / scales).round().to(torch.int8), scales


def _eager_dequantise(codes: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    return (codes.view(-1, ROW) * scales[:, None]).to(dtype)


def _eager_pack(flat: Tensor) -> Tensor:
    places = torch.arange(8, dtype=torch.uint8, device=flat.device)
    return ((flat.view(-1, 8) > 0) << places).sum(dim=1, dtype=torch.uint8)


def _eager_unpack(bits: Tensor, dtype: torch.dtype) -> Tensor:
    places = torch.arange(8, dtype=torch.uint8, device=bits.device)
    return ((bits[:, None] >> places) & 1).to(dtype)


def _both_ways(
    name: str,
    forward: Callable[[], object],
    backward: Callable[[], object],
    eager: Callable[..., Tensor],
    owned: tuple[Tensor, ...],
    gradient: Tensor,
    moved_bytes: tuple[int, int],
) -> Iterator[BenchmarkCase]:
    """A forward and a backward; eager's backward is that of a graph made beforehand."""
    dtype = _name(gradient.dtype)
    yield BenchmarkCase(name.format("forward"), dtype, forward, partial(eager, *owned), moved_bytes[0])
    leaves = [each.detach().requires_grad_() for each in owned]
    back = partial(torch.autograd.grad, eager(*leaves), leaves, gradient, retain_graph=True)
    yield BenchmarkCase(name.format("backward"), dtype, backward, back, moved_bytes[1])


def _drawn(device: torch.device, dtype: torch.dtype, sizes: Sizes) -> Tensor:
    return torch.randn(sizes.rows, sizes.width, device=device, dtype=dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
