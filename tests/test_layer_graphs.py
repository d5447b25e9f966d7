"""Layer graphs: the published instances' shape, sizes and figures, from tables of our own."""

from __future__ import annotations

import pytest

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Phase
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph, layer_training_graph
from hcb_opt.layer_tables import Layer
from hcb_opt.result import Status
from hcb_opt.solve import solve_schedule


# Ops and store-all peaks of Checkmate's instances, as far as they are published: VGG16, and Bartan et al. (ICML 2023)
# on FCN-8 (CM1) and ResNet-50 (CM2).
@pytest.mark.parametrize(
    ("name", "ops", "peak_bytes"),
    [("fcn8", 73, 13_484_795_520), ("resnet50", 353, 38_059_356_160), ("vgg16", 45, 15_825_108_992)],
)
def test_sizes_are_those_of_the_published_instances(name: str, ops: int, peak_bytes: int) -> None:
    graph = layer_graph(name)
    assert len(graph.ops) == len(graph.values) == ops
    assert graph.store_all_peak_bytes == peak_bytes


@pytest.mark.parametrize(("name", "layers"), [("vgg19", 25), ("unet", 37), ("segnet", 88), ("mobilenet", 92)])
def test_layers_of_the_other_networks(name: str, layers: int) -> None:
    graph = layer_graph(name)
    assert len(graph.ops) == 2 * layers + 1
    assert sum(op.phase is Phase.FORWARD for op in graph.ops) == layers
    assert not graph.outputs and not any(op.workspace_bytes for op in graph.ops)


# Multiply-adds of one forward, in units of 1e9: 15.5 and 19.6 for VGG (Simonyan and Zisserman 2015), 0.57 for MobileNet
# (Howard et al. 2017), 3.8 to 3.9 for ResNet-50 (He et al. 2016); normalisation and activation come on top.
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("vgg16", 15.4, 15.6), ("vgg19", 19.5, 19.7), ("mobilenet", 0.56, 0.6), ("resnet50", 3.8, 3.95)],
)
def test_multiply_adds_are_the_published_ones(name: str, least: float, most: float) -> None:
    forward = sum(op.cost for op in layer_graph(name, batch=1).ops if op.phase is Phase.FORWARD)
    assert least <= forward / 1e9 <= most


def test_backward_reads_the_layer_and_its_readers() -> None:
    first, second, third = (
        Layer("a", (), (2, 2, 3), 5), Layer("b", ("a",), (1, 1, 4), 7), Layer("c", ("a", "b"), (1, 1, 2), 0)
    )  # fmt: skip
    graph = layer_training_graph([first, second, third], batch=2, name="three")
    names = [value.name for value in graph.values]
    reads = {op.name: {names[value] for value in op.inputs} for op in graph.ops}
    assert reads == {
        "a": set(), "b": {"a"}, "c": {"a", "b"}, "loss": {"c"}, "c_backward": {"c", "loss"},
        "b_backward": {"b", "c", "c_backward"}, "a_backward": {"a", "b", "b_backward", "c", "c_backward"},
    }  # fmt: skip
    assert [op.name for op in graph.ops] == ["a", "b", "c", "loss", "c_backward", "b_backward", "a_backward"]
    assert graph.sizes == (96, 32, 16, 8, 16, 32, 96)
    assert [op.cost for op in graph.ops] == [10, 14, 0, 0, 0, 28, 20]


def test_batch_scales_sizes_and_costs() -> None:
    one, three = layer_graph("unet", 1), layer_graph("unet", 3)
    assert three.base_cost == 3 * one.base_cost
    assert three.store_all_peak_bytes == 3 * one.store_all_peak_bytes
    with pytest.raises(InvalidInput, match="batch 0: not above zero"):
        layer_graph("unet", 0)
    with pytest.raises(InvalidInput, match="did you mean 'segnet'"):
        layer_graph("segnte")


# The published overheads of FCN-8 at 90, 80 and 70 % are 0.029, 0.136 and 0.891 %; its file counts fewer multiply-adds
# for transposed convolutions.
@pytest.mark.parametrize(("share", "least", "most"), [(0.9, 0.02, 0.15), (0.8, 0.1, 0.2), (0.7, 0.7, 1.2)])
def test_overheads_are_in_the_published_range(share: float, least: float, most: float) -> None:
    result = solve_schedule(layer_graph("fcn8"), share, "frontier_cuts", time_limit=20)
    assert result.status is Status.OPTIMAL
    assert result.overhead is not None
    assert least <= 100 * result.overhead <= most


@pytest.mark.parametrize("name", LAYER_NETWORKS)
def test_values_are_positive_and_read(name: str) -> None:
    graph = layer_graph(name)
    assert min(graph.sizes) > 0
    unread = [value.name for value, readers in zip(graph.values, graph.consumers, strict=True) if not readers]
    assert unread == [f"{graph.ops[0].name}_backward"]


def test_weights_are_those_of_the_papers() -> None:
    """Simonyan and Zisserman 2015, table 2: 138 and 144 million; exact counts as published with the models."""
    assert LAYER_NETWORKS["vgg16"].weight_bytes == 4 * 138_357_544
    assert LAYER_NETWORKS["vgg19"].weight_bytes == 4 * 143_667_240
    # Normalisations, which are not counted, learn two numbers per channel.
    assert LAYER_NETWORKS["resnet50"].weight_bytes == pytest.approx(4 * 25_557_032, rel=0.01)
    assert LAYER_NETWORKS["mobilenet"].weight_bytes == pytest.approx(4 * 4_231_976, rel=0.01)
