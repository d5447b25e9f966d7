"""What torch's own partitioners would save of a captured step, as schedules.

Functorch splits a joint graph in two: a forward, which returns values it saves,
and a backward, which recomputes what else it reads. Its ``default_partition``
saves all that the backward reads. ``torch.compile`` takes the minimum cut; with
an activation memory budget below 1, a knapsack decides which further values are
not saved. The interfaces are private: those of torch 2.11 to 2.13.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.fx
from torch._functorch import config
from torch._functorch.partitioners import default_partition, min_cut_rematerialization_partition

from hcb_opt.blocks import turn_position
from hcb_opt.capture.step import CapturedStep
from hcb_opt.capture.storages import slot_leaves
from hcb_opt.errors import CaptureError, InvalidInput, did_you_mean
from hcb_opt.graph import Phase
from hcb_opt.realise import recompute_on_demand
from hcb_opt.schedule import Schedule, schedule_from_computes

#: What decides within an activation memory budget.
KNAPSACKS = ("dp", "greedy", "ilp")


def partition_schedule(step: CapturedStep, budget: float | None = 1.0, knapsack: str = "dp") -> Schedule:
    """The schedule of torch's choice of what to save.

    The forward runs once in the stored order; at its end all that is not saved
    is let go, and the backward recomputes each such value when it is first read.

    Parameters
    ----------
    step : CapturedStep
    budget : float or None
        ``activation_memory_budget``: a share of what the forward would save. At 1
        the minimum cut alone decides. It does not bound the peak. None for
        ``default_partition``.
    knapsack : str
        One of `KNAPSACKS`.

    Returns
    -------
    Schedule
        Its peak and cost are for `hcb_opt.replay` to tell.

    Raises
    ------
    InvalidInput
        If budget or knapsack are out of range.
    CaptureError
        If torch cannot partition the step.
    """
    graph = step.graph
    kept = saved_values(step, budget, knapsack) | graph.required
    turn = turn_position(graph)
    lost = [value for value, each in enumerate(graph.values) if each.producer < turn and value not in kept]
    return schedule_from_computes(graph, recompute_on_demand(graph, {turn - 1: lost}))


def saved_values(step: CapturedStep, budget: float | None = 1.0, knapsack: str = "dp") -> frozenset[int]:
    """Positions of the values that torch's partitioner saves; see `partition_schedule`."""
    if budget is not None and not 0 <= budget <= 1:
        raise InvalidInput(f"budget {budget!r}", "not a share", "give a number from 0 to 1")
    if knapsack not in KNAPSACKS:
        raise InvalidInput(f"knapsack {knapsack!r}", "unknown", did_you_mean(knapsack, KNAPSACKS))
    module, forward_outputs = _joint(step)
    forward, _ = _partition(module, forward_outputs, budget, knapsack)
    returned: Any = forward.graph.output_node().args[0]
    by_name = {node.name: node for node in step.slots}
    saved = []
    for node in returned[forward_outputs:]:
        # Primals are persistent.
        if node.op != "placeholder":
            if node.name not in by_name:
                raise CaptureError(f"torch's partitioner saves '{node.name}', which is no node of the step")
            saved.append(step.slots[by_name[node.name]])
    return frozenset(step.value_slots.index(slot) for slot in slot_leaves(saved))


def _partition(
    module: torch.fx.GraphModule, forward_outputs: int, budget: float | None, knapsack: str
) -> tuple[torch.fx.GraphModule, torch.fx.GraphModule]:
    """Torch's forward and backward; equal ops stay apart, as in the captured graph."""
    parts: tuple[torch.fx.GraphModule, torch.fx.GraphModule]
    if budget is None:
        parts = default_partition(module, None, num_fwd_outputs=forward_outputs)
        return parts
    options = {"activation_memory_budget": budget, "activation_memory_budget_solver": knapsack, "cse": False}
    with config.patch(options):
        parts = min_cut_rematerialization_partition(module, None, num_fwd_outputs=forward_outputs)
    return parts


def _joint(step: CapturedStep) -> tuple[torch.fx.GraphModule, int]:
    """The step as functorch expects it, and the number of its forward outputs.

    Inputs are primals and a tangent of the loss; outputs are those of the
    forward, then gradients. Nodes keep their names; those that only detach are
    left out, as functorch does.
    """
    phases = {node: op.phase for node, op in zip(step.nodes, step.graph.ops, strict=True)}
    first_backward = next(node for node, phase in phases.items() if phase is Phase.BACKWARD)
    graph = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    tag = "is_forward"
    for number, node in enumerate(step.module.graph.nodes):
        if node.op == "placeholder":
            copies[node] = graph.placeholder(f"primals_{number}")
        elif node is first_backward:
            # The gradient of the loss by itself, ones of its shape.
            copies[node] = graph.placeholder("tangents_0")
            tag = "is_backward"
        elif node.target is torch.ops.aten.detach.default:
            copies[node] = copies[node.args[0]]
            continue
        elif node.op != "output":
            copies[node] = graph.node_copy(node, copies.__getitem__)
        else:
            continue
        copies[node].meta = {**node.meta, "partitioner_tag": tag}
    results: Any = step.module.graph.output_node().args[0]
    computed = [each for each in results if isinstance(each, torch.fx.Node) and each.op != "placeholder"]
    # Sorting keeps the order of equals.
    computed.sort(key=lambda each: _is_backward(step, each, phases))
    graph.output(tuple(copies[each] for each in computed))
    return torch.fx.GraphModule(step.module, graph), sum(not _is_backward(step, each, phases) for each in computed)


def _is_backward(step: CapturedStep, node: torch.fx.Node, phases: Mapping[torch.fx.Node, Phase]) -> bool:
    """Whether a backward op wrote what the node gives."""
    writers = [slot.node for slot in slot_leaves(step.slots.get(node))]
    return any(phases.get(writer) is Phase.BACKWARD for writer in writers)
