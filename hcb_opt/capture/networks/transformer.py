"""Transformers: GPT-2 (decoder only) and BERT (encoder only)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def token_batch(batch: int, sequence: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Tokens and target tokens, both of shape (batch, sequence)."""
    return torch.randint(0, vocabulary, (batch, sequence)), torch.randint(0, vocabulary, (batch, sequence))


class SelfAttention(nn.Module):
    """Multi-head self-attention with one joint projection to queries, keys and values.

    Parameters
    ----------
    width, heads : int
        ``width`` is a multiple of ``heads``.
    dropout : float
        Of the attention weights and of the result.
    causal : bool
        Whether a token sees only itself and those before it.
    """

    def __init__(self, width: int, heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal, self.dropout = heads, causal, dropout
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """From (batch, sequence, width) to the same shape."""
        batch, sequence, width = hidden.shape
        split = self.project_in(hidden).view(batch, sequence, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind()
        dropout = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=self.causal)
        result: Tensor = self.drop(self.project_out(mixed.transpose(1, 2).reshape(batch, sequence, width)))
        return result


class FeedForward(nn.Sequential):
    """Two linear layers, four times as wide in between."""

    def __init__(self, width: int, dropout: float, gelu: str) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(gelu), nn.Linear(4 * width, width), nn.Dropout(dropout))


class Gpt2Block(nn.Module):
    """A block that normalises before attention and feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout, causal=True)
        self.feed = FeedForward(width, dropout, "tanh")

    def forward(self, hidden: Tensor) -> Tensor:
        """From (batch, sequence, width) to the same shape."""
        hidden = hidden + self.attention(self.attention_norm(hidden))
        result: Tensor = hidden + self.feed(self.feed_norm(hidden))
        return result


class Gpt2(nn.Module):
    """GPT-2 with a language-model head tied to the token embedding (Radford et al. 2019)."""

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int, sequence: int, dropout: float) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(sequence, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Gpt2Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def hidden(self, tokens: Tensor) -> Tensor:
        """From tokens (batch, sequence) to what the head reads, (batch, sequence, width)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        embedded = self.drop(self.tokens(tokens) + self.positions(positions))
        normed: Tensor = self.norm(self.blocks(embedded))
        return normed

    def forward(self, tokens: Tensor) -> Tensor:
        """From tokens (batch, sequence) to scores (batch, sequence, vocabulary)."""
        scores: Tensor = self.head(self.hidden(tokens))
        return scores


class BertBlock(nn.Module):
    """A block that normalises after attention and feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout, causal=False)
        self.feed = FeedForward(width, dropout, "none")

    def forward(self, hidden: Tensor) -> Tensor:
        """From (batch, sequence, width) to the same shape."""
        hidden = self.attention_norm(hidden + self.attention(hidden))
        normed: Tensor = self.feed_norm(hidden + self.feed(hidden))
        return normed


class Bert(nn.Module):
    """BERT with its masked-language-model head, tied to the token embedding (Devlin et al. 2019).

    All tokens belong to segment 0 and none is padding.
    """

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int, sequence: int, dropout: float) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(sequence, width)
        self.segments = nn.Embedding(2, width)
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(BertBlock(width, heads, dropout) for _ in range(layers)))
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.head = nn.Linear(width, vocabulary)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """From tokens (batch, sequence) to scores (batch, sequence, vocabulary)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.tokens(tokens) + self.positions(positions) + self.segments(torch.zeros_like(tokens))
        scores: Tensor = self.head(self.transform(self.blocks(self.drop(self.norm(hidden)))))
        return scores
