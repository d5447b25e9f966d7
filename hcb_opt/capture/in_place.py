"""Which inputs a traced op could write its result over, element by element."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.fx

from hcb_opt.capture.storages import Slot, Slots, operator_of, slot_bytes, slot_leaves


def overwritable(node: torch.fx.Node, read: Iterable[Slot], slots: Mapping[torch.fx.Node, Slots]) -> list[Slot]:
    """The storages read by a pointwise op in which each element lies where the result's is to lie.

    torch tags as pointwise the ops that compute each element of their result from the
    same element of their inputs. An input must then have the result's shape, strides,
    offset and size of an element, and all that the op reads of its storage must have
    them, too: the sum of a matrix and its transpose needs elements that it would have
    written over.

    Parameters
    ----------
    node : torch.fx.Node
        Of an op, with fake tensors as its arguments and result.
    read : iterable of Slot
        What it reads.
    slots : mapping of torch.fx.Node to Slots
    """
    result = node.meta["val"]
    if torch.Tag.pointwise not in operator_of(node).tags or not isinstance(result, torch.Tensor):
        return []
    if slots[node] != Slot(node, 0) or not slot_bytes(slots[node]):
        return []
    displaced = {
        slot
        for each in node.all_input_nodes
        for slot in slot_leaves([slots[each]])
        if _place(each.meta["val"]) != _place(result)
    }
    return [slot for slot in read if slot not in displaced]


def _place(tensor: object) -> tuple[object, ...] | None:
    """Where the elements of a tensor lie in its storage; None of what is no tensor."""
    if not isinstance(tensor, torch.Tensor):
        return None
    size_bytes = tensor.untyped_storage().nbytes()
    return tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.element_size(), size_bytes
