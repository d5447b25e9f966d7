"""Torch's joint graph of forward and backward as a `Graph`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.fx

from hcb_opt.capture.assemble import Assembled, assemble
from hcb_opt.capture.costs import CostModel
from hcb_opt.capture.storages import is_op, slot_leaves
from hcb_opt.capture.torch_shim import is_fake
from hcb_opt.errors import CaptureError
from hcb_opt.graph import Graph
from hcb_opt.runtime.compile.hooks import is_seeds

_COPY = torch.ops.aten.copy_.default


@dataclass(frozen=True)
class JointGraph:
    """What a partitioner was given, and the graph that is solved.

    All nodes are those of a copy, in which the forward comes first.

    Attributes
    ----------
    graph : Graph
        Its forward ends with an op that reads all that the forward returns.
    nodes : tuple of torch.fx.Node
        Of each op.
    module : torch.fx.GraphModule
    forward_outputs, backward_outputs : tuple of torch.fx.Node or None
    writes : tuple of (torch.fx.Node, torch.fx.Node, torch.fx.Node)
        Placeholders that the forward writes to, what it writes, and the original
        node that does.
    seeds : mapping of torch.fx.Node to torch.fx.Node
        Placeholders that stand for draws which are never repeated, and the
        original nodes.
    views : mapping of torch.fx.Node to frozenset of torch.fx.Node
        For every node that is no op, the ops whose values it is a view of; the
        tensors of an op that returns several count as such.
    output_facts : mapping
        What torch notes of the outputs.
    """

    graph: Graph
    nodes: tuple[torch.fx.Node, ...]
    module: torch.fx.GraphModule
    forward_outputs: tuple[Any, ...]
    backward_outputs: tuple[Any, ...]
    writes: tuple[tuple[torch.fx.Node, torch.fx.Node, torch.fx.Node], ...]
    seeds: dict[torch.fx.Node, torch.fx.Node]
    views: dict[torch.fx.Node, frozenset[torch.fx.Node]]
    output_facts: Mapping[str, Any]


def read_joint(joint: torch.fx.GraphModule, forward_outputs: int, cost: CostModel) -> JointGraph | None:
    """The graph of a joint module, whose ops are sorted into forward and backward.

    The forward is what its outputs are computed from, and what torch marks as
    forward and needs no gradient.

    Returns
    -------
    JointGraph or None
        None where one of the phases computes nothing.

    Raises
    ------
    CaptureError
        If shapes are dynamic, or an op is not supported.
    """
    results = list(joint.graph.output_node().args[0])  # type: ignore[arg-type]
    _check_shapes(joint)
    forward = _forward_nodes(joint, results[:forward_outputs])
    ordered = sorted(joint.graph.nodes, key=lambda node: (node.op != "placeholder", node not in forward))
    copied = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    seeds: dict[torch.fx.Node, torch.fx.Node] = {}
    writes = []
    for node in ordered:
        if node.op == "output":
            continue
        if node.target is _COPY and node.args[0].op == "placeholder":
            if node not in forward:
                raise CaptureError(f"the backward writes to the step's argument '{node.args[0]}'; compile it without")
            writes.append((node.args[0], node.args[1], node))
            copies[node] = copies[node.args[1]]
        elif is_seeds(node):
            copies[node] = copied.placeholder(node.name)
            copies[node].meta = dict(node.meta)
            seeds[copies[node]] = node
        else:
            copies[node] = copied.node_copy(node, copies.__getitem__)

    def told(each: Any) -> Any:
        return copies[each] if isinstance(each, torch.fx.Node) else None

    mapped = [told(each) for each in results]
    written = tuple((copies[target], copies[source], node) for target, source, node in writes)
    copied.output(tuple(each for each in (*mapped, *(source for _, source, _ in written)) if each is not None))
    module = torch.fx.GraphModule(joint, copied)
    names = frozenset(copies[node].name for node in forward)
    arguments = [each.meta["val"] for each in copied.find_nodes(op="placeholder")]
    if not _both_compute(copied, names):
        return None
    facts: dict[str, str | int] = {"torch": torch.__version__, "cost_model": cost.name}
    built = assemble(module, names, arguments, cost, "compiled", facts)
    turn = sum(node.name in names for node in built.nodes)
    if not 0 < turn < len(built.nodes):
        return None
    returned = [*mapped[:forward_outputs], *(source for _, source, _ in written)]
    return JointGraph(
        graph=_returning(built, turn, [each for each in returned if each is not None]),
        nodes=built.nodes,
        module=module,
        forward_outputs=tuple(mapped[:forward_outputs]),
        backward_outputs=tuple(mapped[forward_outputs:]),
        writes=written,
        seeds=seeds,
        views=_views(built),
        output_facts=dict(joint.graph.output_node().meta),
    )


def _check_shapes(joint: torch.fx.GraphModule) -> None:
    for node in joint.graph.find_nodes(op="placeholder"):
        tensor = node.meta.get("val")
        if not isinstance(tensor, torch.Tensor) or not is_fake(tensor):
            raise CaptureError(f"argument '{node.name}' is no plain tensor; pass dynamic=False to torch.compile")
        if any(not isinstance(each, int) for each in (*tensor.shape, *tensor.stride())):
            raise CaptureError(f"the shape of argument '{node.name}' is dynamic; pass dynamic=False to torch.compile")


def _forward_nodes(joint: torch.fx.GraphModule, outputs: Iterable[Any]) -> set[torch.fx.Node]:
    """All nodes that run before the gradient is there."""
    tangents = [node for node in joint.graph.find_nodes(op="placeholder") if "tangents" in str(node.target)]
    late: set[torch.fx.Node] = set(tangents)
    for node in joint.graph.nodes:
        if any(each in late for each in node.all_input_nodes):
            late.add(node)
    marked = (
        node
        for node in joint.graph.nodes
        if str(node.meta.get("partitioner_tag")) in ("is_forward", "must_be_in_forward") or node.target is _COPY
    )
    waiting = [each for each in (*outputs, *marked) if isinstance(each, torch.fx.Node) and each not in late]
    found: set[torch.fx.Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _both_compute(graph: torch.fx.Graph, forward: frozenset[str]) -> bool:
    return {node.name in forward for node in graph.nodes if is_op(node)} == {True, False}


def _returning(built: Assembled, turn: int, returned: Iterable[torch.fx.Node]) -> Graph:
    """The graph, in which the forward's last op finds all that the forward returns."""
    graph = built.graph
    positions = {slot: value for value, slot in enumerate(built.value_slots)}
    last = graph.ops[turn - 1]
    kept = {positions[slot] for node in returned for slot in slot_leaves(built.slots[node])}
    inputs = tuple(sorted({*last.inputs, *kept} - set(last.outputs)))
    return replace(graph, ops=(*graph.ops[: turn - 1], replace(last, inputs=inputs), *graph.ops[turn:]))


def _views(built: Assembled) -> dict[torch.fx.Node, frozenset[torch.fx.Node]]:
    ops = set(built.nodes)
    views: dict[torch.fx.Node, frozenset[torch.fx.Node]] = {}
    for node, slots in built.slots.items():
        if node not in ops and node.op == "call_function":
            views[node] = frozenset(slot.node for slot in slot_leaves(slots))
            known = {slot.node for each in node.all_input_nodes for slot in slot_leaves(built.slots[each])}
            if not views[node] <= known:
                raise CaptureError(f"op {node.target} (node '{node.name}') gives a view of what it is not given")
    return views
