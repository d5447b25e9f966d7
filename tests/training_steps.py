"""Small training steps for tests of what executes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hcb_opt.models import zoo

# Tensors this small gain nothing from a second thread, and lose much where cores are shared.
torch.set_num_threads(1)

Step = tuple[nn.Module, Callable[[Any, Any], Tensor], Any]


class Block(nn.Module):
    """ResNet-18's block: two convolutions with batch norm around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        plain = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if plain else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.body(images) + self.shortcut(images), inplace=True)


def class_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def mlp() -> Step:
    return zoo()["mlp"].build(layers=4, width=16, batch=8)


def gpt2() -> Step:
    sizes = {"layers": 2, "width": 16, "heads": 2, "vocabulary": 31, "sequence": 8, "batch": 2}
    return zoo()["gpt2"].build(**sizes, dropout=0.1)


def bert() -> Step:
    return zoo()["bert"].build(layers=2, width=16, heads=2, vocabulary=31, sequence=8, batch=2, dropout=0.1)


def resnet18() -> Step:
    stem = [nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    blocks = [Block(4, 4, 1), Block(4, 8, 2)]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return model, class_loss, (torch.randn(4, 3, 24, 24), torch.randint(0, 5, (4,)))


def unet() -> Step:
    return zoo()["unet"].build(levels=2, width=2, image=8, batch=2)


def lstm() -> Step:
    return zoo()["lstm"].build(layers=2, steps=3, width=8, vocabulary=11, batch=2, dropout=0.2)


class Tied(nn.Module):
    """Tied embeddings, and a linear layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.mix = nn.Embedding(13, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 13, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.mix(torch.tanh(self.mix(self.tokens(tokens))))).flatten(0, 1)


def tied() -> Step:
    tokens = torch.randint(0, 13, (3, 5))
    return Tied(), class_loss, (tokens, tokens.flatten())


def encoder() -> Step:
    """Dropout of tensors that are not contiguous."""
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
    return model, lambda model, batch: model(batch[0]).square().mean(), (torch.randn(2, 5, 8),)


def autocast() -> Step:
    model, loss_fn, batch = zoo()["gpt2"].build(layers=1, width=16, heads=2, vocabulary=31, sequence=8, batch=2)

    def mixed(model: nn.Module, batch: Any) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return loss_fn(model, batch)

    return model, mixed, batch


STEPS = (mlp, gpt2, bert, resnet18, unet, lstm, tied, encoder, autocast)
