"""A training step of every fused layer, for tests of what captures and executes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hcb_opt.runtime import fused


class Net(nn.Module):
    """Every fused layer once, and strides that are not contiguous."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Linear(8, 16), nn.GELU("tanh"), nn.Dropout(0.2), nn.LayerNorm(16), nn.Linear(16, 8), nn.RMSNorm(8))
        self.layers = nn.Sequential(*layers)
        self.loss = fused.LinearCrossEntropy(8, 300)
        fused.fuse(self)

    def forward(self, examples: Tensor) -> Tensor:
        hidden: Tensor = self.layers(examples)
        return hidden


def loss_fn(model: Net, batch: tuple[Tensor, Tensor]) -> Tensor:
    examples, targets = batch
    loss: Tensor = model.loss(model(examples.transpose(0, 1)).transpose(0, 1), targets)
    return loss


def step(rows: int = 6) -> tuple[Net, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    return Net(), (torch.randn(rows, 4, 8), torch.randint(300, (rows, 4)))
