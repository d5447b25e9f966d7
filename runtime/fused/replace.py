"""A model's layers exchanged for fused ones."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from hcb_opt.runtime.fused.dropout import Dropout
from hcb_opt.runtime.fused.gelu import LinearGELU
from hcb_opt.runtime.fused.norms import LayerNorm, RMSNorm


def fuse(model: nn.Module) -> nn.Module:
    """Exchange layers of a model for fused ones, in place; parameters stay the same objects under the same names.

    Exchanged are ``nn.LayerNorm`` and ``nn.RMSNorm`` over the last dimension that
    have all their parameters, ``nn.Dropout``, and in an ``nn.Sequential`` an
    ``nn.Linear`` with a bias that an ``nn.GELU`` follows. Modules of other
    classes, subclasses of these included, stay. The loss is the caller's to
    exchange: `linear_cross_entropy`.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    torch.nn.Module
        The model.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential):
            for (name, layer), (next_name, unit) in pairwise(list(module.named_children())):
                if type(layer) is nn.Linear and layer.bias is not None and type(unit) is nn.GELU:
                    setattr(module, name, LinearGELU(layer, unit.approximate).train(layer.training))
                    setattr(module, next_name, nn.Identity().train(unit.training))
        for name, child in list(module.named_children()):
            setattr(module, name, _fused(child))
    return model


def _fused(module: nn.Module) -> nn.Module:
    made: nn.Module
    if type(module) is nn.Dropout and module.p < 1 and not module.inplace:
        made = Dropout(module.p)
    elif type(module) is nn.LayerNorm and len(module.normalized_shape) == 1 and module.bias is not None:
        made = LayerNorm(1, module.eps)
        made.weight, made.bias = module.weight, module.bias
    elif type(module) is nn.RMSNorm and len(module.normalized_shape) == 1 and module.weight is not None:
        made = RMSNorm(1, torch.finfo(module.weight.dtype).eps if module.eps is None else module.eps)
        made.weight = module.weight
    else:
        return module
    return made.train(module.training)
