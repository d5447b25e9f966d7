"""How much one traced op computes and moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.fx

from hcb_opt.capture import torch_shim
from hcb_opt.capture.costs import Work
from hcb_opt.capture.scratch import node_scratch
from hcb_opt.capture.storages import operator_of

aten = torch.ops.aten

# torch counts the CUDA kernel's operations but not its CPU twin's; their tensors agree.
_FLOP_STAND_INS = {
    aten._scaled_dot_product_flash_attention_for_cpu: aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: aten._scaled_dot_product_flash_attention_backward,
}

# Ops that look rows up: of their first argument they read as much as they return.
_LOOKUPS = {
    aten.embedding,
    aten.gather,
    aten.index,
    aten.index_select,
    aten.nll_loss_forward,
    aten.nll_loss2d_forward,
    aten.nll_loss_backward,
    aten.nll_loss2d_backward,
    aten._unsafe_index,
}


def flop_counter_flops(node: torch.fx.Node) -> int:
    """Operations of the node as torch's FlopCounterMode counts them; 0 without a formula."""
    return _registered_flops(node, operator_of(node)._overloadpacket)


def node_work(node: torch.fx.Node) -> Work:
    """What one execution of the node does.

    Parameters
    ----------
    node : torch.fx.Node
        A call of an ATen op whose arguments and result carry fake tensors.
    """
    packet = operator_of(node)._overloadpacket
    outputs = _tensors(node.meta["val"])
    arguments = {each.name: _tensors(each.meta["val"]) for each in node.all_input_nodes}
    inputs = [tensor for tensors in arguments.values() for tensor in tensors]
    written_bytes = sum(_size_bytes(each) for each in outputs)
    reads = {name: sum(_size_bytes(each) for each in tensors) for name, tensors in arguments.items()}
    if packet in _LOOKUPS:
        table = next(each for each in node.args if isinstance(each, torch.fx.Node))
        reads[table.name] = min(reads[table.name], written_bytes)
    return Work(
        flops=_registered_flops(node, _FLOP_STAND_INS.get(packet, packet)),
        elements=sum(each.numel() for each in outputs),
        read_bytes=sum(reads.values()),
        written_bytes=written_bytes,
        dtype=_dtype([*inputs, *outputs]),
        scratch_bytes=node_scratch(node).moved_bytes,
    )


def _registered_flops(node: torch.fx.Node, packet: torch._ops.OpOverloadPacket) -> int:
    formula = torch_shim.flop_registry.get(packet)
    if formula is None:
        return 0
    arguments, keywords = torch.fx.node.map_arg((node.args, dict(node.kwargs)), lambda each: each.meta["val"])
    return int(formula(*arguments, **keywords, out_val=node.meta["val"]))


def _tensors(value: Any) -> list[torch.Tensor]:
    return [each for each in torch_shim.tree_leaves(value) if isinstance(each, torch.Tensor)]


def _size_bytes(tensor: torch.Tensor) -> int:
    # An expanded tensor is read from a storage smaller than itself.
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _dtype(tensors: Iterable[torch.Tensor]) -> str:
    floating = [each.dtype for each in tensors if each.dtype.is_floating_point]
    return str(floating[0] if floating else torch.float32).removeprefix("torch.")
