"""Cost models against figures worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hcb_opt.capture import capture, cost_model, devices
from hcb_opt.capture.costs import Work
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph

MATRIX_PRODUCT = Work(
    flops=2 * 1024**3, elements=1024**2, read_bytes=2 * 4 * 1024**2, written_bytes=4 * 1024**2, dtype="float32"
)
ADDITION = Work(flops=0, elements=10**9, read_bytes=8 * 10**9, written_bytes=4 * 10**9, dtype="float32")
NOTHING = Work(flops=0, elements=0, read_bytes=0, written_bytes=0, dtype="float32")


@pytest.mark.parametrize(
    ("spec", "unit", "work", "cost"),
    [
        ("flops", "flop", MATRIX_PRODUCT, 2**31),
        ("flops", "flop", ADDITION, 10**9),
        ("flops", "flop", NOTHING, 1),
        ("bytes", "byte", MATRIX_PRODUCT, 12 * 2**20),
        ("bytes", "byte", ADDITION, 12 * 10**9),
        ("bytes", "byte", NOTHING, 1),
        # 2**31 flops at 67 Tflop/s; 12e9 bytes at 4.8 TB/s; each and 4 us.
        ("roofline:h200", "ns", MATRIX_PRODUCT, 32_052 + 4_000),
        ("roofline:h200", "ns", ADDITION, 2_500_000 + 4_000),
        ("roofline:h200", "ns", NOTHING, 1 + 4_000),
    ],
)
def test_costs(spec: str, unit: str, work: Work, cost: int) -> None:
    model = cost_model(spec)
    assert (model.name, model.unit) == (spec, unit)
    assert model.cost(work) == cost


def test_half_precision_is_faster_and_unlisted_dtypes_run_as_float32() -> None:
    def cost(dtype: str) -> int:
        return cost_model("roofline:a100").cost(Work(10**12, 1, 1, 1, dtype))

    assert cost("float32") == 51_282_052 + 4_000
    assert cost("bfloat16") == 3_205_129 + 4_000
    assert cost("int64") == cost("float32")


def test_every_device_says_where_its_figures_come_from() -> None:
    assert set(devices()) == {"a100", "h100", "h200", "cpu"}
    for device in devices().values():
        assert "datasheet" in device.source
        assert device.flops_per_second["float64"] <= device.flops_per_second["float32"]
        assert min(device.bytes_per_second, device.launch_ns, *device.flops_per_second.values()) > 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "watts",
            "cost 'watts': unknown; use flops, bytes, measured (`hcb-opt capture` only) or "
            "roofline:<device> with device one of a100, h100, h200, cpu",
        ),
        ("flops:h200", "cost 'flops:h200': unknown"),
        ("roofline", "names no device; use roofline:<device>"),
        ("roofline:", "names no device"),
        ("roofline:tpu", "unknown device 'tpu'; use roofline:<device> with device one of a100, h100, h200, cpu"),
    ],
)
def test_unknown_cost_models(spec: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cost_model(spec)
    assert message in str(caught.value)


torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402


def costs(graph: Graph) -> dict[str, int]:
    return {op.name: op.cost for op in graph.ops}


def captured(model: nn.Module, loss_fn: Callable[[Any, Any], Tensor], batch: Any, cost: str) -> dict[str, int]:
    return costs(capture(model, loss_fn, batch, cost=cost))


def total(model: nn.Module, batch: Any) -> Tensor:
    return model(batch).sum()


def test_flops_of_matrix_products_and_of_the_rest() -> None:
    flops = captured(nn.Sequential(nn.Linear(4, 3, bias=False), nn.Tanh()), total, torch.randn(5, 4), "flops")
    assert flops == {"mm": 2 * 5 * 4 * 3, "tanh": 15, "sum_1": 1, "ones_like": 1, "tanh_backward": 15, "mm_1": 120}


def test_bytes_count_each_tensor_once_and_expanded_ones_by_their_storage() -> None:
    moved = captured(
        nn.Linear(4, 3, bias=False), lambda model, batch: model(batch).square().sum(), torch.randn(5, 4), "bytes"
    )
    assert moved["mm"] == 4 * (5 * 4 + 4 * 3 + 5 * 3)
    assert moved["pow_1"] == 4 * (15 + 15)
    assert moved["sum_1"] == 4 * (15 + 1)
    expanded = captured(nn.Linear(4, 3, bias=False), total, torch.randn(5, 4), "bytes")
    assert expanded["mm_1"] == 4 * (1 + 5 * 4 + 4 * 3)


def test_a_lookup_reads_its_rows_and_not_the_table() -> None:
    moved = captured(nn.Embedding(1000, 4), total, torch.tensor([1, 2, 3]), "bytes")
    assert moved["embedding"] == 3 * 16 + 3 * 8 + 3 * 16


def test_attention_counts_its_products_on_the_cpu_too() -> None:
    def attend(model: nn.Module, batch: Tensor) -> Tensor:
        heads = model(batch).unflatten(2, (2, 8)).transpose(1, 2)
        return functional.scaled_dot_product_attention(heads, heads, heads).sum()

    graph = capture(nn.Linear(16, 16), attend, torch.randn(3, 32, 16), cost="flops")
    forward, backward = (op.cost for op in graph.ops if "scaled_dot_product" in op.name)
    product = 2 * 3 * 2 * 32 * 32 * 8
    assert (forward, backward) == (2 * product, 5 * product)
    assert graph.facts["flop_counter_flops"] == sum(graph.ops[each].cost for each in products(graph))


def products(graph: Graph) -> list[int]:
    return [position for position, op in enumerate(graph.ops) if op.name.startswith(("mm", "addmm", "bmm"))]


def test_no_op_is_free() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Dropout(0.5))
    for cost in ("flops", "bytes", "roofline:cpu"):
        assert min(captured(model, total, torch.tensor([1, 2]), cost).values()) >= 1
