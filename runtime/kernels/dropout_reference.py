"""Dropout without a mask: random words of a counter, the same whenever they are asked for, in plain torch.

Element i, in the order of memory, is kept if word i mod 4 of Philox 4x32-10 (Salmon et
al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) is at least round(p 2^32)::

    word = philox(counter = (i div 4, offset), key = seed),    both 64 bits, low word first
    y[i] = x[i] / (1 - p) if kept, else 0

The backward is the same function of the gradient. Words are whole numbers: every device
keeps the same elements. The product is of float64 for float64, else of float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hcb_opt.runtime.kernels.pieces import PIECE

ROUNDS = 10
FACTORS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF


def dropout(flat: Tensor, seed: Tensor, offset: int, probability: float) -> Tensor:
    """What is left of some numbers.

    Parameters
    ----------
    flat : Tensor
        (n,), contiguous.
    seed : Tensor of int64
        One number.
    offset : int
        From 0 to 2^63 - 1; another one gives other words of the same seed.
    probability : float
        Of a number to be dropped, in [0, 1).
    """
    least, scale = threshold(probability), 1 / (1 - probability)
    dtype = torch.promote_types(flat.dtype, torch.float32)
    made = torch.empty_like(flat)
    for first in range(0, flat.numel(), PIECE):
        numbers = flat[first : first + PIECE].to(dtype)
        kept = random_words(seed, offset, first, numbers.numel()) >= least
        made[first : first + PIECE] = torch.where(kept, numbers * scale, 0.0)
    return made


def threshold(probability: float) -> int:
    """The least word that is kept."""
    return min(WORD, round(probability * 2**32))


def random_words(seed: Tensor, offset: int, first: int, count: int) -> Tensor:
    """Words of elements first .. first + count - 1, as int64.

    Parameters
    ----------
    seed : Tensor of int64
    offset : int
    first : int
        A multiple of 4.
    count : int
    """
    counter = torch.arange(first // 4, -(-(first + count) // 4), device=seed.device)
    offsets = [torch.full_like(counter, each) for each in (offset & WORD, offset >> 32)]
    words = philox(seed, [counter & WORD, counter >> 32, *offsets])
    return torch.stack(words, dim=1).flatten()[:count]


def philox(key: Tensor, counter: list[Tensor]) -> list[Tensor]:
    """Four random words of each counter.

    Parameters
    ----------
    key : Tensor of int64
        64 bits of one number.
    counter : list of Tensor of int64
        Four words.
    """
    keys = [key & WORD, (key >> 32) & WORD]
    one, two, three, four = counter
    for _ in range(ROUNDS):
        # Products are taken modulo 2^64, as if they were unsigned.
        left, right = one * FACTORS[0], three * FACTORS[1]
        one, two = ((right >> 32) & WORD) ^ two ^ keys[0], right & WORD
        three, four = ((left >> 32) & WORD) ^ four ^ keys[1], left & WORD
        keys = [(each + step) & WORD for each, step in zip(keys, KEY_STEPS, strict=True)]
    return [one, two, three, four]
