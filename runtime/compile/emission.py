"""From a schedule of a joint graph to the joint graph that runs it: ops that run again are nodes of their own."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence

import torch
import torch.fx
from torch.fx.node import map_arg

from hcb_opt.blocks import turn_position
from hcb_opt.capture.storages import operator_of
from hcb_opt.capture.torch_shim import tree_leaves
from hcb_opt.errors import CaptureError
from hcb_opt.runtime.compile.hooks import run_and_save_rng_state, run_with_rng_state, state_like
from hcb_opt.runtime.compile.joint import JointGraph


def emit(joint: JointGraph, computes: Sequence[int]) -> tuple[torch.fx.GraphModule, list[torch.fx.Node]]:
    """The joint module that computes in this order, and what its forward saves.

    Parameters
    ----------
    joint : JointGraph
    computes : sequence of int
        Positions of ops as a legal schedule computes them, first computes in the
        graph's order. The forward ends with the first compute of its last op.

    Returns
    -------
    module : torch.fx.GraphModule
    saved : list of torch.fx.Node
    """
    turn = turn_position(joint.graph)
    end = list(computes).index(turn - 1) + 1
    emission = _Emission(joint, Counter(computes))
    for op in computes[:end]:
        emission.compute(op)
    emission.turn()
    for op in computes[end:]:
        emission.compute(op)
    return emission.finish()


class _Emission:
    def __init__(self, joint: JointGraph, counts: Counter[int]) -> None:
        self._joint, self._counts = joint, counts
        self._graph = torch.fx.Graph()
        self._current: dict[torch.fx.Node, torch.fx.Node] = {}
        self._states: dict[torch.fx.Node, torch.fx.Node] = {}
        self._early: set[torch.fx.Node] = set()
        self._saved: dict[torch.fx.Node, None] = {}
        self._outputs: list[torch.fx.Node | None] = []
        self._dependents: dict[torch.fx.Node, list[torch.fx.Node]] = {}
        for view, ops in joint.views.items():
            for op in ops:
                self._dependents.setdefault(op, []).append(view)
        self._begin()

    def compute(self, op: int) -> None:
        """Run an op, once more perhaps; views of what it wrote before are made anew."""
        node = self._joint.nodes[op]
        for view in self._dependents.get(node, ()):
            self._current.pop(view, None)
        if self._joint.graph.ops[op].seeded and self._counts[op] > 1:
            self._current[node] = self._draw(node)
        else:
            self._current[node] = self._copy(node)
        if not isinstance(node.meta["val"], torch.Tensor):
            for each in node.users:
                if each.target is operator.getitem:
                    self._current[each] = self._copy(each)

    def turn(self) -> None:
        """Return what the forward returns, and go on to the backward."""
        joint = self._joint
        for target, source, write in joint.writes:
            made = self._graph.call_function(operator_of(write), (self._placeholders[target], self._find(source)))
            made.meta = dict(write.meta) | {"partitioner_tag": "must_be_in_forward"}
        self._outputs = [None if each is None else self._find(each) for each in joint.forward_outputs]
        for view in joint.views:
            if not (view.target is operator.getitem and view.args[0] not in joint.views):
                self._current.pop(view, None)
        self._early = {each for each in self._graph.nodes if each.op != "get_attr" and not _is_tangent(each)}

    def finish(self) -> tuple[torch.fx.GraphModule, list[torch.fx.Node]]:
        """Return the gradients."""
        gradients = [None if each is None else self._find(each) for each in self._joint.backward_outputs]
        output = self._graph.output((*self._outputs, *gradients))
        output.meta = dict(self._joint.output_facts)
        return torch.fx.GraphModule(self._joint.module, self._graph), list(self._saved)

    def _begin(self) -> None:
        """Arguments; seeds, drawn once; and copies of arguments that the forward writes to and the backward reads."""
        joint = self._joint
        for node in joint.module.graph.find_nodes(op="placeholder"):
            if node not in joint.seeds:
                self._current[node] = self._graph.node_copy(node)
        self._placeholders = dict(self._current)
        for node, draw in joint.seeds.items():
            self._current[node] = self._graph.node_copy(draw)
        for target, _, _ in joint.writes:
            old = self._graph.call_function(torch.ops.aten.clone.default, (self._placeholders[target],))
            old.meta = {**target.meta, "partitioner_tag": "is_forward"}
            self._current[target] = old

    def _find(self, node: torch.fx.Node) -> torch.fx.Node:
        """The present instance of a node's result, views made on the way."""
        if node not in self._current:
            if node.op != "get_attr" and node not in self._joint.views:
                raise CaptureError(f"'{node.name}' is read where no op has left it")
            self._current[node] = self._copy(node)
        found = self._current[node]
        if found in self._early:
            self._saved[found] = None
        return found

    def _copy(self, node: torch.fx.Node) -> torch.fx.Node:
        return self._graph.node_copy(node, self._find)

    def _draw(self, node: torch.fx.Node) -> torch.fx.Node:
        """Random numbers that are drawn again: from the generator's state at the first time."""
        arguments, keywords = map_arg((node.args, dict(node.kwargs)), self._find)
        if node in self._states:
            state = self._states[node]
            if state in self._early:
                self._saved[state] = None
            drawn = self._graph.call_function(run_with_rng_state, (state, operator_of(node), *arguments), keywords)
            drawn.meta = dict(node.meta)
            return drawn
        both = self._graph.call_function(run_and_save_rng_state, (operator_of(node), *arguments), keywords)
        state, drawn = (self._graph.call_function(operator.getitem, (both, index)) for index in (0, 1))
        first = next(each for each in tree_leaves(node.meta["val"]) if isinstance(each, torch.Tensor))
        state.meta["val"] = state_like(first)
        drawn.meta = dict(node.meta)
        both.meta["val"] = (state.meta["val"], node.meta["val"])
        self._states[node] = state
        return drawn


def _is_tangent(node: torch.fx.Node) -> bool:
    return node.op == "placeholder" and "tangents" in str(node.target)
