"""The zoo: architectures of the published sizes, and flags that scale them."""

from __future__ import annotations

import time

import pytest

from hcb_opt.bounds import mandatory_memory
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Phase
from hcb_opt.models import zoo

SMALL: dict[str, dict[str, int | float]] = {
    "mlp": {"layers": 3, "width": 8, "batch": 4},
    "gpt2": {"layers": 2, "width": 16, "heads": 2, "vocabulary": 31, "sequence": 8, "batch": 2},
    "gpt2_fused": {"layers": 2, "width": 16, "heads": 2, "vocabulary": 31, "sequence": 8, "batch": 2},
    "bert": {"layers": 2, "width": 16, "heads": 2, "vocabulary": 31, "sequence": 8, "batch": 2},
    "resnet50": {"image": 32, "classes": 10, "batch": 2},
    "resnet152": {"image": 32, "classes": 10, "batch": 2},
    "mobilenet": {"image": 32, "classes": 10, "batch": 2},
    "vgg16": {"image": 32, "classes": 10, "batch": 2},
    "vgg19": {"image": 32, "classes": 10, "batch": 2},
    "fcn8": {"image": 32, "classes": 3, "batch": 2},
    "segnet": {"image": 32, "classes": 3, "batch": 2},
    "unet": {"levels": 2, "width": 4, "image": 16, "batch": 2},
    "lstm": {"layers": 2, "steps": 4, "width": 8, "vocabulary": 31, "batch": 2},
}


def test_the_small_sizes_cover_the_zoo() -> None:
    assert set(zoo()) == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_flags_and_summaries(name: str) -> None:
    model = zoo()[name]
    assert model.name == name
    assert model.summary.endswith(".")
    for flag_name, flag in model.flags.items():
        assert flag.name == flag_name
        assert flag.help
        assert type(flag.default) in (int, float)


@pytest.mark.parametrize(
    ("name", "flag", "value", "message"),
    [
        ("mlp", "depth", 3, "mlp flag 'depth': unknown; use one of layers, width, classes, batch"),
        ("mlp", "layers", 0, "mlp flag 'layers': 0 is no whole number >= 1; give a positive integer"),
        ("mlp", "layers", True, "True is no whole number"),
        ("mlp", "batch", 2.0, "2.0 is no whole number"),
        ("gpt2", "dropout", 1, "gpt2 flag 'dropout': 1 is no probability; give a number in [0, 1)"),
        ("gpt2", "width", 100, "gpt2 flag 'width': 100 is not a multiple of 12; choose one that is"),
        ("vgg16", "image", 100, "vgg16 flag 'image': 100 is not a multiple of 32; choose one that is"),
        ("segnet", "image", 48, "segnet flag 'image': 48 is not a multiple of 32; choose one that is"),
        ("unet", "image", 100, "unet flag 'image': 100 is not a multiple of 16; choose one that is"),
    ],
)
def test_unusable_flags(name: str, flag: str, value: int | float, message: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InvalidInput) as caught:
        zoo()[name].capture(**{flag: value})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "resnet152" else []) for name in SMALL]
)
def test_small_captures(name: str) -> None:
    pytest.importorskip("torch")
    graph = zoo()[name].capture(**SMALL[name], cost="flops")
    assert graph.name == name
    assert graph.facts["batch"] == SMALL[name]["batch"]
    assert graph.cost_unit == "flop"
    assert {op.phase for op in graph.ops} == set(Phase)
    assert not any(op.seeded for op in graph.ops)


@pytest.mark.parametrize("name", ["gpt2", "bert", "lstm", "vgg16", "fcn8"])
def test_dropout_draws_random_numbers(name: str) -> None:
    pytest.importorskip("torch")
    assert any(op.seeded for op in zoo()[name].capture(**SMALL[name], dropout=0.1).ops)


def test_ops_grow_by_the_same_number_per_layer() -> None:
    pytest.importorskip("torch")
    two, three, four = (len(zoo()["gpt2"].capture(**{**SMALL["gpt2"], "layers": each}).ops) for each in (2, 3, 4))
    assert four - three == three - two > 20


# Published parameter counts: GPT-2 small 124 M (at 1024 positions), BERT-base 110 M with its
# language-model head and without the pooler, ResNet-50 25.6 M, ResNet-152 60.2 M, MobileNet 4.2 M, VGG-16 138 M and
# VGG-19 144 M; U-Net 31.0 M with batch norm.
@pytest.mark.parametrize(
    ("name", "flags", "parameters"),
    [
        ("gpt2", {"sequence": 1024}, 124_439_808),
        ("bert", {}, 109_514_298),
        ("resnet50", {}, 25_557_032),
        ("resnet152", {}, 60_192_808),
        ("mobilenet", {}, 4_231_976),
        ("vgg16", {}, 138_357_544),
        ("vgg19", {}, 143_667_240),
        ("unet", {}, 31_037_698),
    ],
)
def test_default_sizes_are_the_published_ones(name: str, flags: dict[str, int], parameters: int) -> None:
    pytest.importorskip("torch")
    from hcb_opt.capture.torch_shim import fake_tensors

    with fake_tensors():
        model, _, _ = zoo()[name].build(**flags)
    assert sum(each.numel() for each in model.parameters()) == parameters


def test_resnet50_leaves_room_to_recompute() -> None:
    pytest.importorskip("torch")
    graph = zoo()["resnet50"].capture()
    assert 350 <= len(graph.ops) <= 420
    assert mandatory_memory(graph).size_bytes < 0.12 * graph.store_all_peak_bytes


@pytest.mark.parametrize("name", ["fcn8", "segnet", "unet"])
def test_segmentation_scores_every_pixel(name: str) -> None:
    pytest.importorskip("torch")
    from hcb_opt.capture.torch_shim import fake_tensors

    with fake_tensors():
        model, _, (images, targets) = zoo()[name].build(image=64, classes=5, batch=2)
        scores = model(images)
    assert scores.shape == (2, 5, 64, 64)
    assert targets.shape == (2, 64, 64)


# 18,414 ops for the LSTM: captures must not grow faster than the step.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags", "least_ops", "limit_seconds"),
    [
        ("gpt2", {"layers": 12}, 360, 15),
        ("gpt2", {"layers": 48}, 1400, 60),
        ("gpt2", {"layers": 192}, 5700, 100),
        ("lstm", {"layers": 4, "steps": 128}, 15_000, 150),
        ("mlp", {"layers": 64}, 380, 30),
        ("resnet152", {}, 1100, 60),
    ],
)
def test_large_steps_are_captured_in_time(
    name: str, flags: dict[str, int], least_ops: int, limit_seconds: float
) -> None:
    pytest.importorskip("torch")
    started = time.perf_counter()
    graph = zoo()[name].capture(**flags)
    assert time.perf_counter() - started < limit_seconds
    assert len(graph.ops) >= least_ops


@pytest.mark.gpu
@pytest.mark.parametrize("name", SMALL)
def test_every_model_is_captured_on_cuda(name: str) -> None:
    pytest.importorskip("torch")
    from hcb_opt.capture.record import record_program

    captured = zoo()[name].capture_step(device="cuda", **SMALL[name])
    assert captured.graph.facts["device"] == "cuda"
    assert record_program(captured).calls


def test_without_a_device_cuda_is_refused() -> None:
    if pytest.importorskip("torch").cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InvalidInput, match="device 'cuda': torch sees no CUDA device"):
        zoo()["mlp"].capture(device="cuda")
