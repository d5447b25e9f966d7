"""Compressed activations: bytes as promised, errors within the stated bounds, strides kept."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hcb_opt.errors import InvalidInput
from hcb_opt.runtime.kernels.compression import SCHEMES, check, compress, compressed_bytes, decompress, error_bound
from hcb_opt.runtime.kernels.packing_reference import PIECE, ROW

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool]
SHAPES = [(0,), (), (1,), (3, 5), (ROW,), (ROW + 1,), (2, 3, 4, 5), (PIECE + 1,)]


def served(dtype: torch.dtype, scheme: str) -> bool:
    try:
        check(dtype, scheme)
    except InvalidInput:
        return False
    return True


PAIRS = [(dtype, scheme) for dtype in DTYPES for scheme in SCHEMES if served(dtype, scheme)]


def there_and_back(tensor: torch.Tensor, scheme: str) -> torch.Tensor:
    parts = compress(tensor, scheme)
    assert sum(part.untyped_storage().nbytes() for part in parts) == compressed_bytes(tensor.numel(), scheme)
    back = decompress(parts, scheme, torch.empty_like(tensor, device="meta"))
    assert (back.dtype, back.shape, back.stride()) == (tensor.dtype, tensor.shape, tensor.stride())
    return back


def require_within_bound(tensor: torch.Tensor, back: torch.Tensor, scheme: str) -> None:
    bound = error_bound(tensor.dtype, scheme)
    assert bound is not None
    exact = tensor.double().flatten()
    padded = torch.nn.functional.pad(exact.abs(), (0, -exact.numel() % ROW)).view(-1, ROW)
    of_row = padded.amax(dim=1).repeat_interleave(ROW)[: exact.numel()]
    allowed = bound.relative * exact.abs() + bound.of_row * of_row + bound.absolute
    assert ((back.double().flatten() - exact).abs() <= allowed).all()


@pytest.mark.parametrize(("dtype", "scheme"), PAIRS, ids=str)
def test_errors_are_within_the_bound(dtype: torch.dtype, scheme: str) -> None:
    random = torch.Generator().manual_seed(0)
    for shape in SHAPES:
        spread = torch.exp(5 * torch.randn(shape, generator=random))
        drawn = (torch.randn(shape, generator=random) * spread).clamp(-60_000, 60_000)
        tensor = drawn > 0 if dtype is torch.bool else drawn.to(dtype)
        back = there_and_back(tensor, scheme)
        if error_bound(dtype, scheme) is None:
            assert torch.equal(back, (tensor > 0).to(dtype))
        else:
            require_within_bound(tensor, back, scheme)


@settings(deadline=None, max_examples=60)
@given(arrays.arrays("float32", st.integers(1, 2 * ROW), elements=st.floats(-(2.0**120), 2.0**120, width=32)))
def test_any_float32_is_within_the_bound(numbers: object) -> None:
    """Subnormal numbers, zeros and the largest ones too."""
    tensor = torch.from_numpy(numbers)
    for scheme in ("bf16", "int8"):
        require_within_bound(tensor, there_and_back(tensor, scheme), scheme)


def test_bounds_are_nearly_reached() -> None:
    """They are no wider than they need be: half a step of 254, and half of bfloat16's last digit."""
    row = torch.linspace(-1, 1, ROW)
    worst = float((there_and_back(row, "int8") - row).abs().max())
    bound = error_bound(torch.float32, "int8")
    assert bound is not None and 0.95 * bound.of_row < worst
    halfway = torch.tensor([1 + 2.0**-8])
    assert float((there_and_back(halfway, "bf16") - halfway).abs()) == 2.0**-8


def test_strides_and_offsets_are_kept() -> None:
    drawn = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert torch.equal(there_and_back(drawn, "bf16"), drawn.bfloat16().float())
    part = torch.randn(9, 4)[3:7].t()
    assert torch.equal(there_and_back(part, "bits"), (part > 0).float())


def test_what_is_not_finite_marks_its_row_alone() -> None:
    tensor = torch.ones(3 * ROW)
    tensor[1], tensor[ROW + 1] = torch.nan, torch.inf
    back = there_and_back(tensor, "int8")
    assert back[: 2 * ROW].isnan().all() and torch.equal(back[2 * ROW :], tensor[2 * ROW :])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: compress(torch.ones(2), "int4"), "scheme 'int4': unknown; did you mean 'int8'"),
        (lambda: compress(torch.ones(2, dtype=torch.int64), "int8"), "not for int64; keep it as it is"),
        (lambda: compress(torch.ones(2).half(), "bf16"), "not for float16; use one of int8, bits"),
        (lambda: compress(torch.ones(4, 4)[:, ::2], "int8"), "overlap or leave gaps"),
        (lambda: compress(torch.ones(4, 1).expand(4, 4), "int8"), "overlap or leave gaps"),
        (lambda: compressed_bytes(3, "zip"), "scheme 'zip': unknown"),
    ],
)
def test_what_cannot_be_compressed_is_refused(act: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace("(", r"\(")):
        act()  # type: ignore[operator]
