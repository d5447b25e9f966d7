"""Convolutional networks with batch norm: ResNets, MobileNet and U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hcb_opt.layer_tables import MOBILENET_PAIRS


class Bottleneck(nn.Module):
    """Residual block of a 1x1, a 3x3 and a 1x1 convolution; the stride is in the 3x3 one.

    Parameters
    ----------
    inputs, inner : int
        Channels of the input and of the 3x3 convolution; the output has 4 x ``inner``.
    stride : int
    """

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.body = nn.Sequential(
            *_convolution(inputs, inner, 1),
            nn.ReLU(inplace=True),
            *_convolution(inner, inner, 3, stride),
            nn.ReLU(inplace=True),
            *_convolution(inner, outputs, 1),
        )
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(*_convolution(inputs, outputs, 1, stride)) if changes else nn.Identity()
        self.activation = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """From (batch, inputs, height, width) to (batch, 4 inner, height / stride, width / stride)."""
        activated: Tensor = self.activation(self.body(images) + self.shortcut(images))
        return activated


class ResNet(nn.Sequential):
    """ResNet of bottlenecks (He et al. 2016).

    Parameters
    ----------
    counts : sequence of int
        Bottlenecks of each stage; ResNet-50 has 3, 4, 6 and 3, ResNet-152 has 3, 8, 36 and 3.
    classes : int
    """

    def __init__(self, counts: Sequence[int], classes: int) -> None:
        stem = [*_convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)]
        blocks: list[nn.Module] = []
        channels = 64
        for stage, count in enumerate(counts):
            inner = 64 * 2**stage
            for position in range(count):
                blocks.append(Bottleneck(channels, inner, 2 if stage and not position else 1))
                channels = 4 * inner
        super().__init__(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class MobileNet(nn.Sequential):
    """MobileNet, version 1: depthwise and pointwise convolutions in turn (Howard et al. 2017).

    Parameters
    ----------
    classes : int
    """

    def __init__(self, classes: int) -> None:
        layers: list[nn.Module] = [*_convolution(3, 32, 3, 2), nn.ReLU(inplace=True)]
        channels = 32
        for outputs, stride in MOBILENET_PAIRS:
            layers += [*_convolution(channels, channels, 3, stride, groups=channels), nn.ReLU(inplace=True)]
            layers += [*_convolution(channels, outputs, 1), nn.ReLU(inplace=True)]
            channels = outputs
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class UNet(nn.Module):
    """U-Net with batch norm and padded convolutions (after Ronneberger et al. 2015).

    Parameters
    ----------
    levels : int
        Times the image is halved; each level doubles the channels.
    width : int
        Channels of the first level.
    channels, classes : int
        Of the image and of the scores per pixel.
    """

    def __init__(self, levels: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        pairs = zip([channels, *widths], widths[:-1], strict=False)
        self.down = nn.ModuleList(_double_convolution(*pair) for pair in pairs)
        self.pool = nn.MaxPool2d(2)
        self.bottom = _double_convolution(widths[-2], widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * each, each, 2, stride=2) for each in reversed(widths[:-1]))
        self.merge = nn.ModuleList(_double_convolution(2 * each, each) for each in reversed(widths[:-1]))
        self.score = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """From (batch, channels, size, size) to scores (batch, classes, size, size)."""
        skipped: list[Tensor] = []
        hidden = images
        for block in self.down:
            skipped.append(block(hidden))
            hidden = self.pool(skipped[-1])
        hidden = self.bottom(hidden)
        for enlarge, block in zip(self.up, self.merge, strict=True):
            hidden = block(torch.cat([skipped.pop(), enlarge(hidden)], dim=1))
        scores: Tensor = self.score(hidden)
        return scores


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution that keeps the image's size (at stride 1), and its batch norm."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(outputs)


def _double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    first, second = _convolution(inputs, outputs, 3), _convolution(outputs, outputs, 3)
    return nn.Sequential(*first, nn.ReLU(inplace=True), *second, nn.ReLU(inplace=True))
