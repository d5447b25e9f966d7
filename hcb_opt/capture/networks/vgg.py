"""VGG, and the segmentation networks made of it: FCN-8 and SegNet."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from hcb_opt.layer_tables import VGG_CHANNELS, VGG_CONVOLUTIONS

SHRINKS = 2 ** len(VGG_CHANNELS)


class Vgg(nn.Sequential):
    """VGG with 16 or 19 layers, without batch norm (Simonyan and Zisserman 2015).

    Parameters
    ----------
    depth : int
        16 or 19.
    image : int
        Height and width of the images, a multiple of 32.
    classes : int
    dropout : float
        Between the dense layers.
    """

    def __init__(self, depth: int, image: int, classes: int, dropout: float) -> None:
        layers: list[nn.Module] = []
        for block in _blocks(depth):
            layers += [block, nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(VGG_CHANNELS[-1] * (image // SHRINKS) ** 2, 4096)]
        layers += [nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(4096, 4096)]
        layers += [nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(4096, classes)]
        super().__init__(*layers)


class Fcn8(nn.Module):
    """FCN-8 on VGG-16, its 7x7 convolution padded so that nothing is cropped (after Long et al. 2015).

    Parameters
    ----------
    classes : int
    dropout : float
        After each of the two convolutions that stand for VGG's dense layers.
    """

    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_blocks(16))
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Sequential(
            nn.Conv2d(VGG_CHANNELS[-1], 4096, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Conv2d(4096, 4096, 1), nn.ReLU(inplace=True), nn.Dropout(dropout),
        )  # fmt: skip
        self.scores = nn.ModuleList(
            nn.Conv2d(channels, classes, 1) for channels in (4096, VGG_CHANNELS[3], VGG_CHANNELS[2])
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(classes, classes, 2 * times, times, padding=times // 2) for times in (2, 2, 8)
        )

    def forward(self, images: Tensor) -> Tensor:
        """From (batch, 3, size, size) to scores (batch, classes, size, size)."""
        pooled: list[Tensor] = []
        hidden = images
        for block in self.blocks:
            hidden = self.pool(block(hidden))
            pooled.append(hidden)
        scores: Tensor = self.enlarge[0](self.scores[0](self.dense(hidden)))
        scores = self.enlarge[1](scores + self.scores[1](pooled[3]))
        scores = self.enlarge[2](scores + self.scores[2](pooled[2]))
        return scores


class SegNet(nn.Module):
    """SegNet: VGG-16's convolutions with batch norm, and their mirror image (Badrinarayanan et al. 2017).

    Parameters
    ----------
    classes : int
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(_blocks(16, normalised=True))
        widths = [*VGG_CHANNELS[:1], *VGG_CHANNELS]
        decoder = []
        for count, (outputs, inputs) in reversed(list(zip(VGG_CONVOLUTIONS[16], pairwise(widths), strict=True))):
            decoder.append(_block([*(count * [inputs]), outputs], normalised=True))
        # The last convolution gives the scores, without batch norm and activation.
        decoder[-1] = nn.Sequential(*list(decoder[-1])[:-3], nn.Conv2d(VGG_CHANNELS[0], classes, 3, padding=1))
        self.decoder = nn.ModuleList(decoder)
        self.unpool = nn.MaxUnpool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        """From (batch, 3, size, size) to scores (batch, classes, size, size)."""
        places: list[Tensor] = []
        hidden = images
        for block in self.encoder:
            hidden, place = max_pool2d(block(hidden), 2, return_indices=True)
            places.append(place)
        for block in self.decoder:
            hidden = block(self.unpool(hidden, places.pop()))
        return hidden


def _blocks(depth: int, *, normalised: bool = False) -> list[nn.Sequential]:
    """The convolutions between one pooling and the next."""
    channels = [3, *VGG_CHANNELS]
    return [
        _block([inputs, *(count * [outputs])], normalised=normalised)
        for count, (inputs, outputs) in zip(VGG_CONVOLUTIONS[depth], pairwise(channels), strict=True)
    ]


def _block(channels: list[int], *, normalised: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=not normalised))
        layers += [nn.BatchNorm2d(outputs)] if normalised else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
