"""From a captured step to the program that an executor runs."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.fx

from hcb_opt.capture import torch_shim
from hcb_opt.capture.program import Argument, Call, Constant, Output, Program, Reference, TensorLayout, references
from hcb_opt.capture.step import CapturedStep
from hcb_opt.capture.storages import Slot, Slots, operator_of
from hcb_opt.errors import CaptureError
from hcb_opt.graph import Phase

_PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)

# What they return differs from what they are given to autograd only, which takes no part in an execution.
_SAME = (torch.ops.aten.detach.default, torch.ops.aten.alias.default)


def record_program(step: CapturedStep) -> Program:
    """The calls behind a captured step's graph.

    Parameters
    ----------
    step : CapturedStep

    Returns
    -------
    Program
        Its constants are the tensors that the step read when it was traced, not
        copies: what is written to them later is seen.

    Raises
    ------
    CaptureError
        If an op draws random numbers in the backward, returns nested tuples, or a view beside a tensor of its own, or
        takes an argument that no file can hold; the message names it.
    """
    return _Recorder(step).program()


class _Recorder:
    """What is known of the nodes met so far."""

    def __init__(self, step: CapturedStep) -> None:
        self.step = step
        self.ops = {node: position for position, node in enumerate(step.nodes)}
        self.values = {slot: position for position, slot in enumerate(step.value_slots)}
        self.placeholders = list(step.module.graph.find_nodes(op="placeholder"))
        self.found: dict[torch.fx.Node, Any] = {
            node: Argument(position) for position, node in enumerate(self.placeholders)
        }
        self.calls: list[Call] = []
        self.constants: list[torch.Tensor] = []

    def program(self) -> Program:
        """All nodes in order, then what the step returns."""
        for node in self.step.slots:
            if node.op == "get_attr":
                self.found[node] = Constant(len(self.constants))
                self.constants.append(getattr(self.step.module, str(node.target)))
            elif node.target is operator.getitem:
                self.found[node] = self.found[node.all_input_nodes[0]][node.args[1]]
            elif node.target in _SAME:
                self.found[node] = self.found[node.all_input_nodes[0]]
            elif node.op == "call_function":
                self._add_call(node)
        returned = self.step.module.graph.output_node().args[0]
        assert isinstance(returned, list | tuple)
        loss, *rest = [None if each is None else self._reference(each) for each in returned]
        assert loss is not None
        count = len(self.step.parameters)
        updates = [
            (position, each)
            for position, each in enumerate(rest[count:])
            if each is not None and each != Argument(position)
        ]
        return Program(
            tuple(self.calls),
            self._layouts(),
            count,
            len(self.step.buffers),
            tuple(self.constants),
            loss,
            tuple(rest[:count]),
            tuple(updates),
        )

    def _add_call(self, node: torch.fx.Node) -> None:
        if torch_shim.is_seeded(node) and self._phase(node) is Phase.BACKWARD:
            raise CaptureError(
                f"op {node.target} (node '{node.name}') draws random numbers in the backward, where a checkpoint would "
                "draw again what it drew in the forward; capture the model without torch.utils.checkpoint"
            )
        position = len(self.calls)
        slots = self.step.slots[node]
        single = not isinstance(slots, list | tuple)
        elements = (slots,) if single else tuple(slots)
        _check_elements(node, elements)
        self.calls.append(
            Call(
                node.name,
                operator_of(node).name(),
                self._argument(node, node.args),
                tuple((name, self._argument(node, each)) for name, each in node.kwargs.items()),
                self.ops.get(node),
                self._values(node, elements),
                single,
            )
        )
        outputs = tuple(Output(position, element) for element in range(len(elements)))
        self.found[node] = outputs[0] if single else outputs
        if node not in self.ops:
            _check_view(node, references(self.calls[-1].arguments), self.step.slots)

    def _phase(self, node: torch.fx.Node) -> Phase | None:
        return self.step.graph.ops[self.ops[node]].phase if node in self.ops else None

    def _values(self, node: torch.fx.Node, elements: tuple[Slots, ...]) -> tuple[int | None, ...]:
        owned = [isinstance(each, Slot) and (each.node is node or node not in self.ops) for each in elements]
        return tuple(self.values.get(each) if own else None for each, own in zip(elements, owned, strict=True))

    def _reference(self, node: Any) -> Reference:
        found: Reference = self.found[node]
        return found

    def _argument(self, node: torch.fx.Node, argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            return self.found[argument]
        if isinstance(argument, list | tuple):
            return tuple(self._argument(node, each) for each in argument)
        if isinstance(argument, _PLAIN):
            return argument
        kind = type(argument).__name__
        raise CaptureError(
            f"op {node.target} (node '{node.name}') takes a {kind}, which cannot be kept to be run again; "
            "write the step without it"
        )

    def _layouts(self) -> tuple[TensorLayout, ...]:
        owned = [*self.step.parameters, *self.step.buffers]
        names = [*owned, *(f"batch[{position}]" for position in range(len(self.placeholders) - len(owned)))]
        # These count their offset from the storage's start, whatever the tensor's own.
        strided = {
            node.all_input_nodes[0]
            for node in self.step.slots
            if node.op == "call_function" and str(node.target).startswith("aten.as_strided")
        }
        return tuple(
            layout_of(name, node.meta["val"], node in strided)
            for name, node in zip(names, self.placeholders, strict=True)
        )


def layout_of(name: str, tensor: torch.Tensor, with_offset: bool) -> TensorLayout:
    """The layout of a tensor under a name."""
    return TensorLayout(
        name,
        tuple(tensor.shape),
        tuple(tensor.stride()),
        str(tensor.dtype).removeprefix("torch."),
        str(tensor.device),
        int(tensor.storage_offset()) if with_offset else None,
    )


def _check_elements(node: torch.fx.Node, elements: tuple[Slots, ...]) -> None:
    if any(isinstance(each, list | tuple) for each in elements):
        raise CaptureError(f"op {node.target} (node '{node.name}') returns nested tuples; it cannot be executed")
    if not any(isinstance(each, Slot) and each.node is node for each in elements):
        return
    read = {each.args[1] for each in node.users if each.target is operator.getitem}
    leaves = torch_shim.tree_leaves(node.meta["val"])
    for position, each in enumerate(elements):
        borrowed = isinstance(leaves[position], torch.Tensor) and (each is None or each.node is not node)
        if borrowed and position in read:
            raise CaptureError(
                f"op {node.target} (node '{node.name}') returns a view of its input beside a tensor of its own; "
                "it cannot be executed: clone its input"
            )


def _check_view(node: torch.fx.Node, read: list[Reference], slots: Mapping[torch.fx.Node, Slots]) -> None:
    """A view may read nothing but its base: that alone is sure to be resident."""
    own = {each for each in torch_shim.tree_leaves(slots[node]) if isinstance(each, Slot)}
    others = {each for source in node.all_input_nodes for each in torch_shim.tree_leaves(slots[source])}
    if not {each for each in others if isinstance(each, Slot)} <= own or not read:
        raise CaptureError(
            f"op {node.target} (node '{node.name}') returns a view that depends on more than its base; "
            "it cannot be executed"
        )
