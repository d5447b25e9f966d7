"""What the fused ops share: tensors as rows, and the scratch memory of what runs them."""

from __future__ import annotations

import torch
from torch import Tensor

from hcb_opt.runtime.kernels.pieces import rows_at_once


def as_rows(tensor: Tensor) -> Tensor:
    """(N, D), contiguous, D the last dimension."""
    return tensor.contiguous().view(-1, tensor.shape[-1])


def copied_bytes(*tensors: Tensor) -> int:
    """Bytes of the copies of those that are not contiguous."""
    return sum(each.numel() * each.element_size() for each in tensors if not each.is_contiguous())


def piece_bytes(tensor: Tensor, held: int) -> int:
    """What a reference takes that goes through a tensor in pieces and holds so many at most; nothing on CUDA."""
    if tensor.device.type == "cuda":
        return 0
    width = tensor.shape[-1] if tensor.dim() else 1
    size = torch.promote_types(tensor.dtype, torch.float32).itemsize
    return held * size * (rows_at_once(tensor.numel() // max(1, width), width) + 1) * width
