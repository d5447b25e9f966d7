"""Which kernels serve a tensor: a family's Triton kernels on CUDA, its plain-torch reference elsewhere."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor


def kernels_for(tensor: Tensor, family: str) -> ModuleType:
    """The module of a family that computes with a tensor.

    Parameters
    ----------
    tensor : Tensor
    family : str
        Name of a Triton module of this folder; its reference has the same
        functions and ``_reference`` after the name.

    Returns
    -------
    module
        The Triton kernels for CUDA tensors, where Triton is installed; the
        reference for all others, and for float64, which the kernels do not compute in.
    """
    return _module(family, tensor.device.type == "cuda" and tensor.dtype != torch.float64)


@cache
def _module(family: str, on_cuda: bool) -> ModuleType:
    triton = on_cuda and find_spec("triton") is not None
    return import_module(f"hcb_opt.runtime.kernels.{family}{'' if triton else '_reference'}")
