"""An LSTM language model, unrolled cell by cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Lstm(nn.Module):
    """Stacked LSTM cells (Hochreiter and Schmidhuber 1997) over a token sequence.

    Parameters
    ----------
    layers, width, vocabulary : int
    dropout : float
        Between layers.
    """

    def __init__(self, layers: int, width: int, vocabulary: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.tokens = nn.Embedding(vocabulary, width)
        self.cells = nn.ModuleList(nn.LSTMCell(width, width) for _ in range(layers))
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """From tokens (batch, steps) to scores (batch, steps, vocabulary)."""
        embedded = self.tokens(tokens)
        start = embedded.new_zeros(tokens.shape[0], self.width)
        states = [(start, start) for _ in self.cells]
        tops: list[Tensor] = []
        for hidden in embedded.unbind(dim=1):
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(self.drop(hidden) if layer else hidden, states[layer])
                hidden = states[layer][0]
            tops.append(hidden)
        scores: Tensor = self.head(torch.stack(tops, dim=1))
        return scores
