"""What a capture for CUDA records, as far as a machine without a device can tell: by tensors without data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from hcb_opt.capture import capture_step, torch_shim  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.models import zoo  # noqa: E402
from hcb_opt.runtime.validate import eager_reference, validate  # noqa: E402
from hcb_opt.schedule import schedule_from_computes  # noqa: E402

Step = tuple[nn.Module, Any, Any]

aten = torch.ops.aten


def fake_cuda(mode: torch._subclasses.FakeTensorMode, *shape: int) -> Tensor:
    with mode:
        return torch.empty(shape, device="cuda")


def traced(function: Callable[[Sequence[Tensor]], list[Tensor | None]], count: int) -> torch.fx.GraphModule:
    """The graph of a function of images and four tensors of statistics and weights."""
    mode = torch_shim.fake_tensors()
    arguments = [fake_cuda(mode, 2, 3, 4, 4), *(fake_cuda(mode, 3) for _ in range(count))]
    return torch_shim.trace_functional(function, arguments, mode)


def targets(module: torch.fx.GraphModule) -> list[object]:
    return [node.target for node in module.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]


@pytest.mark.parametrize("layers", [1, 2])
def test_cudnns_batch_norm_returns_its_running_statistics(layers: int) -> None:
    """Applied twice, the second time goes on from what the first has left."""

    def normed(given: Sequence[Tensor]) -> list[Tensor | None]:
        images, weight, bias, mean, variance = given
        for _ in range(layers):
            images = torch.cudnn_batch_norm(images, weight, bias, mean, variance, True, 0.1, 1e-5)[0]
        return [images, *given]

    module = traced(normed, 4)
    assert targets(module) == layers * [aten._batch_norm_with_update_functional.default]
    nodes = list(module.graph.find_nodes(op="call_function", target=aten._batch_norm_with_update_functional.default))
    loss, images, weight, bias, mean, variance = module.graph.output_node().args[0]
    assert [each.op for each in (images, weight, bias)] == 3 * ["placeholder"]
    assert (loss.args, mean.args, variance.args) == ((nodes[-1], 0), (nodes[-1], 4), (nodes[-1], 5))
    assert not any(map(torch_shim.writes_to_arguments, nodes))
    if layers == 2:
        assert [each.args for each in nodes[1].args[3:5]] == [(nodes[0], 4), (nodes[0], 5)]


@pytest.mark.parametrize("training", [False, True])
def test_cudnns_batch_norm_that_writes_nothing_is_left_as_it_is(training: bool) -> None:
    def normed(given: Sequence[Tensor]) -> list[Tensor | None]:
        images, weight, bias, *statistics = given
        mean, variance = (None, None) if training else statistics
        return [torch.cudnn_batch_norm(images, weight, bias, mean, variance, training, 0.1, 1e-5)[0], *given]

    module = traced(normed, 4)
    assert targets(module) == [aten.cudnn_batch_norm.default]
    (node,) = module.graph.find_nodes(op="call_function", target=aten.cudnn_batch_norm.default)
    assert not torch_shim.writes_to_arguments(node)


@pytest.mark.parametrize(("probability", "drawn"), [(0.0, []), (0.1, ["_scaled_dot_product_efficient_attention"])])
def test_attention_draws_in_the_forward_only(probability: float, drawn: list[str]) -> None:
    mode = torch_shim.fake_tensors()
    heads = [fake_cuda(mode, 2, 2, 8, 16) for _ in range(3)]

    def attended(given: Sequence[Tensor]) -> list[Tensor | None]:
        found, *saved = aten._scaled_dot_product_efficient_attention(*given, None, True, probability)
        wanted = [True, True, True, False]
        gradients = aten._scaled_dot_product_efficient_attention_backward(
            found, *given, None, found, *saved, probability, wanted
        )
        return [found, *gradients[:3]]

    module = torch_shim.trace_functional(attended, heads, mode)
    assert len(targets(module)) == 2
    assert [node.target._schema.name for node in module.graph.nodes if torch_shim.is_seeded(node)] == [
        f"aten::{name}" for name in drawn
    ]


def normed() -> Step:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    batch = (torch.randn(4, 3, 8, 8), torch.randint(5, (4,)))
    return model, lambda model, batch: functional.cross_entropy(model(batch[0]), batch[1]), batch


def language() -> Step:
    sizes = {"layers": 1, "width": 64, "heads": 2, "vocabulary": 100, "sequence": 64, "batch": 2, "dropout": 0.1}
    return zoo()["gpt2"].make(**sizes)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [normed, language])
def test_what_is_captured_is_what_eager_runs(
    make: Callable[[], Step], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    model, loss_fn, batch = make()
    model = model.cuda().to(dtype)
    batch = tuple(each.to("cuda", dtype if each.is_floating_point() else each.dtype) for each in batch)
    captured = capture_step(model, loss_fn, batch)
    program, graph = record_program(captured), captured.graph
    arguments = [*dict(model.named_parameters()).values(), *dict(model.named_buffers()).values(), *batch]
    reference = eager_reference(model, loss_fn, batch, program)
    stored = schedule_from_computes(graph, range(len(graph.ops)))
    found = validate(graph, program, stored, arguments, reference, repeats=1)
    assert found["bit_equal"], found
