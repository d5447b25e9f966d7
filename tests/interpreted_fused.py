"""Compares the Triton kernels of fused layers and of compression with their references, by Triton's interpreter.

Run in a process of its own with TRITON_INTERPRET=1, which must be set before Triton is imported. Prints as JSON all
differences as shares of the tolerances.
"""

from __future__ import annotations

import json
import warnings

import torch
from kernel_comparisons import compared

from hcb_opt.runtime.kernels import bias_gelu, norms

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # NumPy's, at numbers that are not finite
    norms.WIDEST_SUMMED = 128  # the longer rows of the table are read a second time
    norms.PARTS, bias_gelu.PARTS = 4, 2  # so that parts have several rows
    print(json.dumps(compared(torch.device("cpu"), halves=False)))
