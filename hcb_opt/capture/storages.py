"""Which nodes of a traced graph matter, and which storages they live in: views are no values of their own."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx

from hcb_opt.capture import torch_shim
from hcb_opt.errors import CaptureError


@dataclass(frozen=True, slots=True)
class Slot:
    """A storage written by one node: its k-th output, counted through nested tuples."""

    node: torch.fx.Node
    index: int


# One slot per output of a node, nested as the output is. None: persistent, or no tensor.
Slots = Any


def is_op(node: torch.fx.Node) -> bool:
    """Whether the node calls an ATen or custom op (and is no ``getitem`` or placeholder)."""
    return node.op == "call_function" and node.target is not operator.getitem


def operator_of(node: torch.fx.Node) -> torch._ops.OpOverload:
    """The operator that a node found to be usable calls."""
    assert isinstance(node.target, torch._ops.OpOverload), node.target
    return node.target


def live_nodes(graph: torch.fx.Graph) -> list[torch.fx.Node]:
    """The nodes that the outputs depend on, in order.

    Random draws stay even if nothing reads them, since later draws depend on
    the generator's state; so do writes to arguments, to be refused later.
    """
    waiting = [
        graph.output_node(),
        *(each for each in graph.nodes if torch_shim.is_seeded(each) or torch_shim.writes_to_arguments(each)),
    ]
    live: set[torch.fx.Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in live:
            live.add(node)
            waiting.extend(node.all_input_nodes)
    return [each for each in graph.nodes if each in live]


def find_slots(nodes: Iterable[torch.fx.Node]) -> dict[torch.fx.Node, Slots]:
    """The storages that every node's result lives in.

    A result is a view if its op's schema says so, if the op is one of the few
    that are views and do not say so, or if its fake tensor shares the storage of
    an earlier one.

    Parameters
    ----------
    nodes : iterable of torch.fx.Node
        In order, each with its fake result in ``meta["val"]``.

    Returns
    -------
    dict
        By node: a `Slot`, None, or tuples and lists of them as in its result.

    Raises
    ------
    CaptureError
        At an op that is no plain operator, writes to its arguments, or returns
        a sparse tensor.
    """
    slots: dict[torch.fx.Node, Slots] = {}
    by_storage: dict[int, Slot | None] = {}
    for node in nodes:
        if node.op in ("placeholder", "get_attr"):
            slots[node] = None
            if isinstance(node.meta.get("val"), torch.Tensor):
                by_storage[torch_shim.storage_key(node.meta["val"])] = None
        elif node.target is operator.getitem:
            slots[node] = slots[node.all_input_nodes[0]][node.args[1]]
        elif node.op == "call_function":
            slots[node] = _result_slots(node, _checked_op(node), slots, by_storage)
    return slots


def slot_leaves(slots: Slots) -> list[Slot]:
    """The slots in a nest of them, each once, without the persistent ones."""
    return list(dict.fromkeys(each for each in torch_shim.tree_leaves(slots) if isinstance(each, Slot)))


def slot_bytes(slot: Slot) -> int:
    """Bytes of the whole storage; 0 for a result that is no tensor."""
    leaf = torch_shim.tree_leaves(slot.node.meta["val"])[slot.index]
    return leaf.untyped_storage().nbytes() if isinstance(leaf, torch.Tensor) else 0


def slot_dtype(slot: Slot) -> str:
    """As in ``float32``; empty for a result that is no tensor."""
    leaf = torch_shim.tree_leaves(slot.node.meta["val"])[slot.index]
    return str(leaf.dtype).removeprefix("torch.") if isinstance(leaf, torch.Tensor) else ""


def _result_slots(
    node: torch.fx.Node,
    op: torch._ops.OpOverload,
    slots: dict[torch.fx.Node, Slots],
    by_storage: dict[int, Slot | None],
) -> Slots:
    leaves, structure = torch_shim.tree_flatten(node.meta["val"])
    if torch_shim.has_alias_schema(op):
        base = slots[node.all_input_nodes[0]]
        return torch_shim.tree_unflatten([base] * len(leaves), structure)
    found: list[Slot | None] = []
    for index, leaf in enumerate(leaves):
        if leaf is None:
            found.append(None)
        elif not isinstance(leaf, torch.Tensor):
            found.append(Slot(node, index))
        elif leaf.layout is not torch.strided:
            raise CaptureError(
                f"op {op} (node '{node.name}') returns a sparse tensor; use a dense form, as sparse=False"
            )
        else:
            found.append(by_storage.setdefault(torch_shim.storage_key(leaf), Slot(node, index)))
    return torch_shim.tree_unflatten(found, structure)


def _checked_op(node: torch.fx.Node) -> torch._ops.OpOverload:
    if not isinstance(node.target, torch._ops.OpOverload):
        raise CaptureError(
            f"op {node.target} (node '{node.name}') is not supported; "
            "write the step without control-flow ops such as torch.cond and custom ops that write to their arguments"
        )
    if torch_shim.writes_to_arguments(node):
        raise CaptureError(
            f"op {node.target} (node '{node.name}') writes to a tensor that is neither the model's nor the batch's; "
            "make that tensor a buffer of the model"
        )
    return node.target
