"""Convolutional networks: ResNet-50 and U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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


class ResNet50(nn.Sequential):
    """ResNet-50: stages of 3, 4, 6 and 3 bottlenecks (He et al. 2016)."""

    def __init__(self, classes: int) -> None:
        stem = [*_convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)]
        blocks: list[nn.Module] = []
        channels = 64
        for stage, count in enumerate((3, 4, 6, 3)):
            inner = 64 * 2**stage
            for position in range(count):
                blocks.append(Bottleneck(channels, inner, 2 if stage and not position else 1))
                channels = 4 * inner
        super().__init__(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


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


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution that keeps the image's size (at stride 1), and its batch norm."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False), nn.BatchNorm2d(outputs)


def _double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    first, second = _convolution(inputs, outputs, 3), _convolution(outputs, outputs, 3)
    return nn.Sequential(*first, nn.ReLU(inplace=True), *second, nn.ReLU(inplace=True))
