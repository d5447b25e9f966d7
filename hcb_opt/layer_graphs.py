"""Training graphs at the granularity of layers: one op and one value per layer, and one for its backward.

The shape of Checkmate's instances (Jain et al., MLSys 2020): the backward of a
layer reads the layer's own output and, for each reader of it, the reader's
output and the reader's backward. `LAYER_NETWORKS` lists networks of that shape,
built from the tables of `hcb_opt.layer_tables`; they are shaped like the
published ones, but are not the published files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hcb_opt import layer_tables
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.graph import Graph, Phase
from hcb_opt.layer_tables import Layer

BYTES_PER_ELEMENT = 4
#: Multiply-adds of a backward, as a multiple of its forward's: gradients of input and of weights.
BACKWARD_FACTOR = 2


@dataclass(frozen=True, slots=True)
class LayerNetwork:
    """A network as a table of layers.

    Attributes
    ----------
    title : str
        With the size of its images.
    layers : tuple of Layer
        In topological order.
    batch : int
        Examples per step unless another number is asked for.
    """

    title: str
    layers: tuple[Layer, ...]
    batch: int

    @property
    def weight_bytes(self) -> int:
        """Of its weights in single precision; no part of the graph's values."""
        return BYTES_PER_ELEMENT * sum(layer.weights for layer in self.layers)


#: The seven networks by name.
LAYER_NETWORKS: Mapping[str, LayerNetwork] = {
    "fcn8": LayerNetwork("FCN-8, 416x608", layer_tables.fcn8(416, 608, 19), 32),
    "vgg16": LayerNetwork("VGG16, 224x224", layer_tables.vgg(224, 16), 256),
    "vgg19": LayerNetwork("VGG19, 224x224", layer_tables.vgg(224, 19), 256),
    "unet": LayerNetwork("U-Net, 416x608", layer_tables.unet(416, 608, 19), 32),
    "segnet": LayerNetwork("SegNet, 416x608", layer_tables.segnet(416, 608, 19), 32),
    "mobilenet": LayerNetwork("MobileNet, 224x224", layer_tables.mobilenet(224), 512),
    "resnet50": LayerNetwork("ResNet-50, 224x224", layer_tables.resnet50(224), 256),
}


def layer_graph(name: str, batch: int | None = None) -> Graph:
    """The training graph of one of `LAYER_NETWORKS`.

    Parameters
    ----------
    name : str
    batch : int, optional
        Examples per step; sizes and costs are proportional to it.

    Raises
    ------
    InvalidInput
        If there is no network of this name, or the batch is below 1.
    """
    network = LAYER_NETWORKS.get(name)
    if network is None:
        raise InvalidInput(f"network '{name}'", "unknown", did_you_mean(name, LAYER_NETWORKS))
    return layer_training_graph(network.layers, network.batch if batch is None else batch, name=f"{name}_layers")


def layer_training_graph(layers: Sequence[Layer], batch: int, *, name: str) -> Graph:
    """Forward layers, a loss on the last one, and a backward for each layer, in reverse.

    Costs are multiply-adds; sizes are bytes of each layer's output in single
    precision, and the same for its backward. No value is required at the end,
    and there is no workspace: as in the published instances.

    Parameters
    ----------
    layers : sequence of Layer
        In topological order.
    batch : int
        At least 1.
    name : str

    Returns
    -------
    Graph
        ``2 * len(layers) + 1`` ops, with as many values.
    """
    if batch < 1:
        raise InvalidInput(f"batch {batch!r}", "not above zero", "give at least 1")
    readers: dict[str, list[str]] = {layer.name: [] for layer in layers}
    for layer in layers:
        for source in layer.inputs:
            readers[source].append(layer.name)
    readers[layers[-1].name].append("loss")
    forward = [
        _op(layer.name, layer.inputs, layer, batch, layer.multiply_adds, phase=Phase.FORWARD) for layer in layers
    ]
    loss = OpSpec("loss", 0, (layers[-1].name,), (("loss", BYTES_PER_ELEMENT * batch),), phase=Phase.BACKWARD)
    backward = []
    for layer in reversed(layers):
        reads = [layer.name]
        for reader in readers[layer.name]:
            reads += [reader] if reader == "loss" else [reader, f"{reader}_backward"]
        cost = BACKWARD_FACTOR * layer.multiply_adds
        backward.append(_op(f"{layer.name}_backward", reads, layer, batch, cost, phase=Phase.BACKWARD))
    return build_graph([*forward, loss, *backward], cost_unit="multiply-add", name=name, facts={"batch": batch})


def _op(name: str, inputs: Sequence[str], layer: Layer, batch: int, cost: int, *, phase: Phase) -> OpSpec:
    written = ((name, BYTES_PER_ELEMENT * batch * layer.elements),)
    return OpSpec(name, batch * cost, tuple(inputs), written, phase=phase)
