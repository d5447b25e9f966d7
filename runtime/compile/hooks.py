"""All that partitioning uses of torch's private interfaces, for torch 2.11 to 2.13."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.fx
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.backends.debugging import boxed_nop
from torch._functorch.partitioners import _extract_fwd_bwd_modules, default_partition
from torch._inductor.custom_graph_pass import CustomPartitionerFn
from torch._prims.rng_prims import run_and_save_rng_state, run_with_rng_state
from torch._subclasses.fake_tensor import FakeTensor

__all__ = [
    "CustomPartitionerFn",
    "default_partition",
    "eager_backend",
    "is_seeds",
    "run_and_save_rng_state",
    "run_with_rng_state",
    "split",
    "state_like",
]


def split(
    joint: torch.fx.GraphModule, saved: list[torch.fx.Node], forward_outputs: int
) -> tuple[torch.fx.GraphModule, torch.fx.GraphModule]:
    """Forward and backward of a joint graph, in its order, with these nodes saved between them.

    Parameters
    ----------
    joint : torch.fx.GraphModule
    saved : list of torch.fx.Node
        Every forward node that a backward one reads.
    forward_outputs : int
        How many of the outputs are the forward's; they come first.
    """
    parts: tuple[torch.fx.GraphModule, torch.fx.GraphModule]
    parts = _extract_fwd_bwd_modules(joint, list(saved), [], num_fwd_outputs=forward_outputs)
    return parts


def eager_backend(partition: Callable[..., Any]) -> Callable[..., Any]:
    """A backend for ``torch.compile`` that runs partitioned graphs op by op, as ``aot_eager`` does."""
    backend: Callable[..., Any] = aot_autograd(
        fw_compiler=boxed_nop,
        bw_compiler=boxed_nop,
        partition_fn=partition,
        keep_inference_input_mutations=True,
    )
    return backend


def is_seeds(node: torch.fx.Node) -> bool:
    """Whether the node draws the seeds that all random numbers of an Inductor graph are made from."""
    return node.target is torch.ops.prims.inductor_seeds.default


def state_like(drawn: torch.Tensor) -> torch.Tensor:
    """A fake tensor like the state of the generator that this fake tensor is drawn from."""
    assert isinstance(drawn, FakeTensor)
    state = torch.cuda.get_rng_state(drawn.device) if drawn.device.type == "cuda" else torch.get_rng_state()
    fake: torch.Tensor = drawn.fake_mode.from_tensor(state)
    return fake
