"""The built-in model zoo: training steps of well-known architectures, captured on demand.

Every model is built on fake tensors, so that its size costs no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hcb_opt.errors import InvalidInput
from hcb_opt.zoo_model import Model, Step, register, registered

if TYPE_CHECKING:
    import torch


def zoo() -> Mapping[str, Model]:
    """The models by name."""
    return registered()


def _require_multiple(where: str, number: int, divisor: int) -> None:
    if number % divisor:
        raise InvalidInput(where, f"{number} is not a multiple of {divisor}", "choose one that is")


def _labelled_images(batch: int, image: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Square colour images and a class of each."""
    import torch

    return torch.randn(batch, 3, image, image), torch.randint(0, classes, (batch,))


def _segmented_images(batch: int, image: int, classes: int, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Square images and a class of each pixel."""
    import torch

    return torch.randn(batch, channels, image, image), torch.randint(0, classes, (batch, image, image))


def _vgg(depth: int, image: int, classes: int, batch: int, dropout: float) -> Step:
    from hcb_opt.capture.networks.vgg import SHRINKS, Vgg

    _require_multiple(f"vgg{depth} flag 'image'", image, SHRINKS)
    return Vgg(depth, image, classes, dropout), _classification_loss, _labelled_images(batch, image, classes)


def _classification_loss(model: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy; the classes are the second dimension of the scores."""
    from torch.nn.functional import cross_entropy

    examples, targets = batch
    return cross_entropy(model(examples), targets)


def _token_loss(model: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy over all tokens; the classes are the last dimension."""
    from torch.nn.functional import cross_entropy

    tokens, targets = batch
    return cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


@register
def mlp(layers: int = 16, width: int = 512, classes: int = 10, batch: int = 4096) -> Step:
    """Multilayer perceptron with ReLU."""
    import torch
    from torch import nn

    hidden = [each for _ in range(layers - 1) for each in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(width, classes))
    return model, _classification_loss, (torch.randn(batch, width), torch.randint(0, classes, (batch,)))


@register
def gpt2(
    layers: int = 12,
    width: int = 768,
    heads: int = 12,
    vocabulary: int = 50257,
    sequence: int = 512,
    batch: int = 8,
    dropout: float = 0.0,
) -> Step:
    """GPT-2, decoder-only transformer with tied embeddings (Radford et al. 2019)."""
    from hcb_opt.capture.networks.transformer import Gpt2, token_batch

    _require_multiple("gpt2 flag 'width'", width, heads)
    model = Gpt2(layers, width, heads, vocabulary, sequence, dropout)
    return model, _token_loss, token_batch(batch, sequence, vocabulary)


@register
def gpt2_fused(
    layers: int = 12,
    width: int = 768,
    heads: int = 12,
    vocabulary: int = 50257,
    sequence: int = 512,
    batch: int = 8,
    dropout: float = 0.0,
) -> Step:
    """GPT-2 of fused layers, whose loss never holds the scores whole and whose dropout keeps no masks."""
    model, _, tokens = gpt2(layers, width, heads, vocabulary, sequence, batch, dropout)
    fused = import_module("hcb_opt.runtime.fused")

    def loss_fn(model: Any, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        tokens, targets = batch
        loss: torch.Tensor = fused.linear_cross_entropy(
            model.hidden(tokens).flatten(0, 1), model.head.weight, targets.flatten()
        )
        return loss

    return fused.fuse(model), loss_fn, tokens


@register
def bert(
    layers: int = 12,
    width: int = 768,
    heads: int = 12,
    vocabulary: int = 30522,
    sequence: int = 512,
    batch: int = 8,
    dropout: float = 0.0,
) -> Step:
    """BERT, encoder-only transformer with its masked-language-model head (Devlin et al. 2019)."""
    from hcb_opt.capture.networks.transformer import Bert, token_batch

    _require_multiple("bert flag 'width'", width, heads)
    model = Bert(layers, width, heads, vocabulary, sequence, dropout)
    return model, _token_loss, token_batch(batch, sequence, vocabulary)


@register
def resnet50(image: int = 224, classes: int = 1000, batch: int = 32) -> Step:
    """ResNet-50 with bottleneck blocks and batch norm (He et al. 2016)."""
    from hcb_opt.capture.networks.convolutional import ResNet

    return ResNet((3, 4, 6, 3), classes), _classification_loss, _labelled_images(batch, image, classes)


@register
def resnet152(image: int = 224, classes: int = 1000, batch: int = 32) -> Step:
    """ResNet-152 with bottleneck blocks and batch norm (He et al. 2016)."""
    from hcb_opt.capture.networks.convolutional import ResNet

    return ResNet((3, 8, 36, 3), classes), _classification_loss, _labelled_images(batch, image, classes)


@register
def mobilenet(image: int = 224, classes: int = 1000, batch: int = 64) -> Step:
    """MobileNet, version 1, with depthwise convolutions and batch norm (Howard et al. 2017)."""
    from hcb_opt.capture.networks.convolutional import MobileNet

    return MobileNet(classes), _classification_loss, _labelled_images(batch, image, classes)


@register
def vgg16(image: int = 224, classes: int = 1000, batch: int = 32, dropout: float = 0.0) -> Step:
    """VGG-16, plain convolutions and dense layers (Simonyan and Zisserman 2015)."""
    return _vgg(16, image, classes, batch, dropout)


@register
def vgg19(image: int = 224, classes: int = 1000, batch: int = 32, dropout: float = 0.0) -> Step:
    """VGG-19, plain convolutions and dense layers (Simonyan and Zisserman 2015)."""
    return _vgg(19, image, classes, batch, dropout)


@register
def fcn8(image: int = 384, classes: int = 21, batch: int = 8, dropout: float = 0.0) -> Step:
    """FCN-8 on VGG-16, for segmentation (after Long et al. 2015)."""
    from hcb_opt.capture.networks.vgg import SHRINKS, Fcn8

    _require_multiple("fcn8 flag 'image'", image, SHRINKS)
    return Fcn8(classes, dropout), _classification_loss, _segmented_images(batch, image, classes)


@register
def segnet(image: int = 384, classes: int = 12, batch: int = 8) -> Step:
    """SegNet: VGG-16's convolutions with batch norm and their mirror image (Badrinarayanan et al. 2017)."""
    from hcb_opt.capture.networks.vgg import SHRINKS, SegNet

    _require_multiple("segnet flag 'image'", image, SHRINKS)
    return SegNet(classes), _classification_loss, _segmented_images(batch, image, classes)


@register
def unet(
    levels: int = 4,
    width: int = 64,
    image: int = 256,
    channels: int = 3,
    classes: int = 2,
    batch: int = 8,
) -> Step:
    """U-Net with padded convolutions and batch norm (after Ronneberger et al. 2015)."""
    from hcb_opt.capture.networks.convolutional import UNet

    _require_multiple("unet flag 'image'", image, 2**levels)
    model = UNet(levels, width, channels, classes)
    return model, _classification_loss, _segmented_images(batch, image, classes, channels)


@register
def lstm(
    layers: int = 2,
    steps: int = 32,
    width: int = 512,
    vocabulary: int = 256,
    batch: int = 64,
    dropout: float = 0.0,
) -> Step:
    """Byte-level language model of stacked LSTM cells, unrolled in time (Hochreiter and Schmidhuber 1997)."""
    from hcb_opt.capture.networks.recurrent import Lstm
    from hcb_opt.capture.networks.transformer import token_batch

    return Lstm(layers, width, vocabulary, dropout), _token_loss, token_batch(batch, steps, vocabulary)
