"""From a traced step to a Graph: ops, values, costs, phases and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.fx

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.capture import torch_shim
from hcb_opt.capture.costs import CostModel
from hcb_opt.capture.in_place import overwritable
from hcb_opt.capture.scratch import node_scratch
from hcb_opt.capture.storages import Slot, Slots, find_slots, is_op, live_nodes, slot_bytes, slot_dtype, slot_leaves
from hcb_opt.capture.work import flop_counter_flops, node_work
from hcb_opt.errors import CaptureError
from hcb_opt.graph import Graph, Phase


@dataclass(frozen=True)
class Assembled:
    """A graph and how it maps to the traced nodes; the fields are those of `CapturedStep`."""

    graph: Graph
    nodes: tuple[torch.fx.Node, ...]
    value_slots: tuple[Slot, ...]
    slots: Mapping[torch.fx.Node, Slots]


def assemble(
    module: torch.fx.GraphModule,
    forward_names: frozenset[str],
    arguments: Sequence[torch.Tensor],
    cost: CostModel,
    name: str,
    facts: Mapping[str, str | int],
) -> Assembled:
    """Build the graph of a traced step.

    Parameters
    ----------
    module : torch.fx.GraphModule
    forward_names : frozenset of str
        Nodes of the forward phase; all others are backward.
    arguments : sequence of torch.Tensor
        Parameters, buffers and batch.
    cost : CostModel
    name, facts
        As in `Graph`.

    Raises
    ------
    CaptureError
        If an op is not supported or no backward op is left.
    """
    live = live_nodes(module.graph)
    slots = find_slots(live)
    nodes = tuple(each for each in live if is_op(each) and _own_slots(each, slots))
    read = {slot for node in live if is_op(node) or node.op == "output" for slot in _read_slots(node, slots)}
    written = {node: [slot for slot in _own_slots(node, slots) if slot in read or slot_bytes(slot)] for node in nodes}
    specs = [
        OpSpec(
            name=node.name,
            cost=cost.cost(node_work(node)),
            inputs=tuple(_value_name(slot) for slot in _read_slots(node, slots)),
            outputs=tuple((_value_name(slot), slot_bytes(slot)) for slot in written[node]),
            workspace_bytes=node_scratch(node).held_bytes,
            phase=Phase.FORWARD if node.name in forward_names else Phase.BACKWARD,
            seeded=torch_shim.is_seeded(node),
            dtypes=tuple(map(slot_dtype, written[node])),
            in_place=tuple(_value_name(slot) for slot in overwritable(node, _read_slots(node, slots), slots)),
        )
        for node in nodes
    ]
    if all(spec.phase is Phase.FORWARD for spec in specs):
        raise CaptureError("the capture lost its backward; check that the loss is differentiable")
    outputs = [_value_name(slot) for slot in _read_slots(module.graph.output_node(), slots)]
    counted = {"flop_counter_flops": sum(flop_counter_flops(node) for node in nodes)}
    graph = build_graph(
        specs,
        outputs,
        persistent_bytes=_persistent_bytes(module, arguments),
        cost_unit=cost.unit,
        name=name,
        facts={**facts, **counted},
    )
    return Assembled(graph, nodes, tuple(slot for node in nodes for slot in written[node]), slots)


def _own_slots(node: torch.fx.Node, slots: Mapping[torch.fx.Node, Slots]) -> list[Slot]:
    return [slot for slot in slot_leaves(slots[node]) if slot.node is node]


def _read_slots(node: torch.fx.Node, slots: Mapping[torch.fx.Node, Slots]) -> list[Slot]:
    return slot_leaves([slots[each] for each in node.all_input_nodes])


def _value_name(slot: Slot) -> str:
    return slot.node.name if isinstance(slot.node.meta["val"], torch.Tensor) else f"{slot.node.name}.{slot.index}"


def _persistent_bytes(module: torch.fx.GraphModule, arguments: Sequence[torch.Tensor]) -> int:
    constants = [getattr(module, str(each.target)) for each in module.graph.find_nodes(op="get_attr")]
    storages = {torch_shim.storage_key(each): each.untyped_storage().nbytes() for each in [*arguments, *constants]}
    return sum(storages.values())
