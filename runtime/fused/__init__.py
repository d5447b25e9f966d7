"""Layers whose forward and backward are one op each: cheap to run again, and with little to keep.

Importing this registers the operators ``hcb_opt::...``, what they cost and the scratch memory they take.
"""

from hcb_opt.runtime.fused.cross_entropy import LinearCrossEntropy, linear_cross_entropy
from hcb_opt.runtime.fused.dropout import Dropout, dropout
from hcb_opt.runtime.fused.gelu import LinearGELU, bias_gelu
from hcb_opt.runtime.fused.norms import LayerNorm, RMSNorm, layer_norm, rms_norm
from hcb_opt.runtime.fused.replace import fuse

__all__ = [
    "Dropout",
    "LayerNorm",
    "LinearCrossEntropy",
    "LinearGELU",
    "RMSNorm",
    "bias_gelu",
    "dropout",
    "fuse",
    "layer_norm",
    "linear_cross_entropy",
    "rms_norm",
]
