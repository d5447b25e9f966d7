"""Networks as tables of layers: what each layer reads, the shape of its output, its multiply-adds.

A layer is what a network's description calls one: a convolution with its bias
and a plain activation is one, batch norm and the activation after it are two
more. Convolutions, dense layers and transposed convolutions count every
multiply-add; additions, normalisations and separate activations one per element
read; layers that only move or select data count none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, int, int]

#: Output channels of VGG's blocks, and the convolutions in each by depth (Simonyan and Zisserman 2015, table 1).
VGG_CHANNELS = (64, 128, 256, 512, 512)
VGG_CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
#: Output channels and stride of each depthwise and pointwise pair (Howard et al. 2017, table 1).
MOBILENET_PAIRS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(5 * ((512, 1),)), (1024, 2), (1024, 1),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes
    ----------
    name : str
    inputs : tuple of str
        The layers it reads; empty if it reads the batch.
    shape : tuple of int
        Height, width and channels of its output, for one example.
    multiply_adds : int
        Of its forward, for one example.
    weights : int
        Numbers that it learns, biases included; normalisations' few are not counted.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    multiply_adds: int
    weights: int = 0

    @property
    def elements(self) -> int:
        """Numbers in its output, for one example."""
        return math.prod(self.shape)


class _Table:
    """Layers in the making; each reads the one added last unless told otherwise."""

    def __init__(self, height: int, width: int) -> None:
        self.layers: list[Layer] = []
        self._batch = Layer("batch", (), (height, width, 3), 0)

    @property
    def last(self) -> Layer:
        return self.layers[-1] if self.layers else self._batch

    def add(self, name: str, shape: Shape, multiply_adds: int = 0, *sources: Layer, weights: int = 0) -> Layer:
        """Any layer; without multiply-adds one that moves or selects data."""
        inputs = tuple(each.name for each in sources or (self.last,) if each is not self._batch)
        self.layers.append(Layer(name, inputs, shape, multiply_adds, weights))
        return self.last

    def convolution(
        self, name: str, channels: int, size: int = 3, stride: int = 1, *, source: Layer | None = None, pad: bool = True
    ) -> Layer:
        """With ``pad`` only the stride shrinks the image."""
        given = source or self.last
        height, width = (each if pad else each - size + 1 for each in given.shape[:2])
        shape = (math.ceil(height / stride), math.ceil(width / stride), channels)
        filtered = size * size * given.shape[2]
        return self.add(name, shape, filtered * math.prod(shape), given, weights=(filtered + 1) * channels)

    def transposed(self, name: str, channels: int, size: int, stride: int) -> Layer:
        """The image grows to (side - 1) * stride + size."""
        height, width, _ = self.last.shape
        shape = ((height - 1) * stride + size, (width - 1) * stride + size, channels)
        weights = (size * size * self.last.shape[2] + 1) * channels
        return self.add(name, shape, size * size * self.last.elements * channels, weights=weights)

    def dense(self, name: str, channels: int) -> Layer:
        given = self.last.elements
        return self.add(name, (1, 1, channels), given * channels, weights=(given + 1) * channels)

    def pointwise(self, name: str) -> Layer:
        """An activation or a normalisation."""
        return self.add(name, self.last.shape, self.last.elements)

    def sum(self, name: str, first: Layer, second: Layer) -> Layer:
        return self.add(name, first.shape, first.elements + second.elements, first, second)

    def pool(self, name: str) -> Layer:
        height, width, channels = self.last.shape
        return self.add(name, (height // 2, width // 2, channels))

    def enlarged(self, name: str) -> Layer:
        height, width, channels = self.last.shape
        return self.add(name, (2 * height, 2 * width, channels))

    def padded(self, name: str, by: int) -> Layer:
        height, width, channels = self.last.shape
        return self.add(name, (height + by, width + by, channels))

    def unchanged(self, name: str) -> Layer:
        """Dropout, or another shape of the same numbers."""
        return self.add(name, self.last.shape)

    def average(self, name: str) -> Layer:
        return self.add(name, (1, 1, self.last.shape[2]), self.last.elements)

    def normalised(self, name: str, channels: int, size: int = 3, stride: int = 1, *, pad: bool = True) -> Layer:
        """A convolution, its batch norm and an activation."""
        self.convolution(name, channels, size, stride, pad=pad)
        self.pointwise(f"{name}_norm")
        return self.pointwise(f"{name}_activation")

    def pixel_classes(self) -> tuple[Layer, ...]:
        """Ends a segmentation network: a list of pixels, and their probabilities."""
        self.unchanged("pixels")
        self.pointwise("probabilities")
        return tuple(self.layers)


def vgg(image: int, depth: int) -> tuple[Layer, ...]:
    """VGG (Simonyan and Zisserman 2015) with 16 or 19 layers, for 1000 classes."""
    table = _Table(image, image)
    _vgg_blocks(table, depth)
    table.add("flatten", (1, 1, table.last.elements))
    for name, channels in (("dense1", 4096), ("dense2", 4096), ("scores", 1000)):
        table.dense(name, channels)
    return tuple(table.layers)


def fcn8(height: int, width: int, classes: int) -> tuple[Layer, ...]:
    """FCN-8 on VGG16 (Long et al. 2015), with dropout; enlarged scores are cropped to those they are added to."""
    table = _Table(height, width)
    pools = _vgg_blocks(table, 16)
    for number, size in ((6, 7), (7, 1)):
        table.convolution(f"dense{number}", 4096, size)
        table.unchanged(f"dropout{number}")
    table.convolution("scores", classes, 1)
    for fine in (pools[3], pools[2]):
        rows, columns, _ = fine.shape
        coarse = table.transposed(f"{fine.name}_enlarged", classes, 4, 2)
        table.add(f"{fine.name}_columns", (coarse.shape[0], columns, classes))
        coarse = table.add(f"{fine.name}_rows", (rows, columns, classes))
        table.sum(f"{fine.name}_sum", coarse, table.convolution(f"{fine.name}_scores", classes, 1, source=fine))
    table.transposed("enlarged", classes, 16, 8)
    return table.pixel_classes()


def unet(height: int, width: int, classes: int) -> tuple[Layer, ...]:
    """U-Net (Ronneberger et al. 2015) with padded convolutions, without batch norm."""
    table = _Table(height, width)
    skipped = []
    for level in range(4):
        table.convolution(f"down{level}_1", 64 << level)
        skipped.append(table.convolution(f"down{level}_2", 64 << level))
        table.pool(f"pool{level}")
    table.convolution("bottom_1", 1024)
    table.convolution("bottom_2", 1024)
    for level in (3, 2, 1, 0):
        table.enlarged(f"enlarged{level}")
        coarse, fine = table.convolution(f"up{level}_0", 64 << level, 2), skipped[level]
        table.add(f"joined{level}", (*fine.shape[:2], fine.shape[2] + coarse.shape[2]), 0, fine, coarse)
        table.convolution(f"up{level}_1", 64 << level)
        table.convolution(f"up{level}_2", 64 << level)
    table.convolution("scores", classes, 1)
    return table.pixel_classes()


def segnet(height: int, width: int, classes: int) -> tuple[Layer, ...]:
    """SegNet (Badrinarayanan et al. 2017): VGG16's convolutions with batch norm, and their mirror image."""
    table = _Table(height, width)
    blocks = list(enumerate(zip(VGG_CONVOLUTIONS[16], VGG_CHANNELS, strict=True), start=1))
    for block, (count, channels) in blocks:
        for number in range(1, count + 1):
            table.normalised(f"down{block}_{number}", channels)
        table.pool(f"pool{block}")
    for block, (count, channels) in reversed(blocks):
        table.enlarged(f"unpool{block}")
        for number in range(1, count):
            table.normalised(f"up{block}_{number}", channels)
        if block > 1:
            table.normalised(f"up{block}_{count}", VGG_CHANNELS[block - 2])
    table.convolution("scores", classes)
    return table.pixel_classes()


def mobilenet(image: int) -> tuple[Layer, ...]:
    """MobileNet, version 1 (Howard et al. 2017), for 1000 classes; strided convolutions are padded by a layer."""
    table = _Table(image, image)
    table.padded("padding0", 1)
    table.normalised("convolution0", 32, 3, 2, pad=False)
    for number, (channels, stride) in enumerate(MOBILENET_PAIRS, start=1):
        side, _, given = table.last.shape
        if stride > 1:
            table.padded(f"padding{number}", 1)
        shape = (side // stride, side // stride, given)
        table.add(f"depthwise{number}", shape, 9 * math.prod(shape), weights=10 * given)
        table.pointwise(f"depthwise{number}_norm")
        table.pointwise(f"depthwise{number}_activation")
        table.normalised(f"pointwise{number}", channels, 1)
    table.average("average")
    table.unchanged("reshaped")
    table.unchanged("dropout")
    table.convolution("scores", 1000, 1)
    table.unchanged("flatten")
    table.pointwise("probabilities")
    return tuple(table.layers)


def resnet50(image: int) -> tuple[Layer, ...]:
    """ResNet-50 (He et al. 2016) for 1000 classes; the stride is in a block's first convolution."""
    table = _Table(image, image)
    table.padded("padding0", 6)
    table.normalised("convolution0", 64, 7, 2, pad=False)
    table.padded("padding1", 2)
    side, _, channels = table.last.shape
    table.add("pool", (side // 2 - 1, side // 2 - 1, channels))
    for stage, count in enumerate((3, 4, 6, 3)):
        for block in range(count):
            _bottleneck(table, f"block{stage + 1}_{block + 1}", 64 << stage, 2 if stage and not block else 1, not block)
    table.average("average")
    table.dense("scores", 1000)
    return tuple(table.layers)


def _bottleneck(table: _Table, name: str, inner: int, stride: int, projects: bool) -> None:
    source = shortcut = table.last
    if projects:
        table.convolution(f"{name}_0", 4 * inner, 1, stride)
        shortcut = table.pointwise(f"{name}_0_norm")
    table.convolution(f"{name}_1", inner, 1, stride, source=source)
    table.pointwise(f"{name}_1_norm")
    table.pointwise(f"{name}_1_activation")
    table.normalised(f"{name}_2", inner)
    table.convolution(f"{name}_3", 4 * inner, 1)
    table.pointwise(f"{name}_3_norm")
    table.sum(f"{name}_sum", shortcut, table.last)
    table.pointwise(f"{name}_activation")


def _vgg_blocks(table: _Table, depth: int) -> list[Layer]:
    """VGG's convolutions; the poolings that end its blocks."""
    pools = []
    for block, (count, channels) in enumerate(zip(VGG_CONVOLUTIONS[depth], VGG_CHANNELS, strict=True), start=1):
        for number in range(1, count + 1):
            table.convolution(f"convolution{block}_{number}", channels)
        pools.append(table.pool(f"pool{block}"))
    return pools
