"""Random DAGs of small tensor ops under random schedules: values, draws, and every allocation."""

from __future__ import annotations

import random

import pytest
from walks import random_walk

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.graph import Graph
from hcb_opt.schedule import Compute, Schedule, schedule_from_computes

torch = pytest.importorskip("torch")

import training_steps  # noqa: E402, F401
from torch import Tensor  # noqa: E402

from hcb_opt.capture.program import Argument, Call, Output, Program, Reference  # noqa: E402
from hcb_opt.capture.record import layout_of  # noqa: E402
from hcb_opt.capture.torch_shim import profiled_memory  # noqa: E402
from hcb_opt.runtime.executor import Executor  # noqa: E402

aten = torch.ops.aten
SIDE = 4
STATE_BYTES = torch.get_rng_state().numel()


class Dag:
    """A random program, its graph, and the tensors that a straight evaluation gives."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.calls: list[Call] = []
        self.specs: list[OpSpec] = []
        self.bases: dict[Reference, str | None] = {Argument(0): None, Argument(1): None}
        torch.manual_seed(seed)
        self.arguments = [torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)]
        self.tensors: dict[Reference, Tensor] = dict(zip(self.bases, self.arguments, strict=True))
        self.index: dict[str, int] = {}
        for number in range(self.rng.randint(2, 24)):
            self._add(number)
        outputs = [name for name in self.index if self.rng.random() < 0.2] or [next(iter(self.index))]
        self.kept = [next(each for each, base in self.bases.items() if base == name) for name in outputs]
        # Some results are views of the outputs.
        self.kept = [self._view(each) if self.rng.random() < 0.5 else each for each in self.kept]
        self.graph: Graph = build_graph(self.specs, outputs)
        layouts = tuple(layout_of(f"batch[{each}]", self.arguments[each], False) for each in range(2))
        loss, *gradients = self.kept
        updates = tuple((0, each) for each in gradients)
        self.program = Program(tuple(self.calls), layouts, 0, 0, (), loss, (), updates)

    def _add(self, number: int) -> None:
        name = f"op{number}"
        kind = self.rng.choice(("add", "mul", "mm", "tanh", "cat", "max", "bernoulli"))
        first, second, third = (self._operand() for _ in range(3))
        if kind == "mm" and any(0 in self.tensors[each].stride() for each in (first, second)):
            kind = "add"  # mm copies expanded operands: scratch memory that no graph knows of
        seeded = kind == "bernoulli"
        if kind in ("add", "mul", "mm"):
            arguments, operator = (first, second), {"add": "add.Tensor", "mul": "mul.Tensor"}.get(kind, kind)
        elif kind == "cat":
            arguments, operator = ((first, second, third), 1), "cat"
        elif kind == "max":
            arguments, operator = (first, 1), "max.dim"
        elif seeded:
            arguments, operator = (first, 0.5), "bernoulli.p"
        else:
            arguments, operator = (first,), "tanh"
        read = (first, second, third) if kind == "cat" else arguments
        position = len(self.calls)
        single = kind != "max"
        results = self._evaluate(operator, arguments)
        names = [f"{name}.{element}" for element in range(len(results))]
        values = []
        for element, (value, result) in enumerate(zip(names, results, strict=True)):
            self.index[value] = len(self.index)
            values.append(self.index[value])
            reference = Output(position, element)
            self.tensors[reference], self.bases[reference] = result, value
        outputs = tuple((value, each.untyped_storage().nbytes()) for value, each in zip(names, results, strict=True))
        inputs = tuple(dict.fromkeys(base for each in read if (base := self.bases.get(each))))
        self.specs.append(OpSpec(name, 1, inputs, outputs, seeded=seeded))
        self.calls.append(Call(name, f"aten::{operator}", arguments, (), len(self.specs) - 1, tuple(values), single))

    def _operand(self) -> Reference:
        """A square of floats that is there already, often through a view or a view of one."""
        found = self.rng.choice([each for each, tensor in self.tensors.items() if tensor.dtype == torch.float32])
        while self.rng.random() < 0.4 or self.tensors[found].shape != (SIDE, SIDE):
            found = self._view(found)
        return found

    def _view(self, base: Reference) -> Reference:
        shape = self.tensors[base].shape
        if len(shape) == 1:
            operator, arguments = "expand", (base, (SIDE, SIDE))
        elif shape[1] > SIDE:
            operator, arguments = "slice.Tensor", (base, 1, SIDE, 2 * SIDE)
        elif self.rng.random() < 0.3:
            operator, arguments = "split.Tensor", (base, SIDE)
        else:
            operator, arguments = "t", (base,)
        (result,) = self._evaluate(operator, arguments)
        reference = Output(len(self.calls), 0)
        value = self.bases[base]
        values = (None if value is None else self.index[value],)
        single = operator != "split.Tensor"
        self.calls.append(Call(f"view{len(self.calls)}", f"aten::{operator}", arguments, (), None, values, single))
        self.tensors[reference], self.bases[reference] = result, value
        return reference

    def _evaluate(self, operator: str, arguments: tuple[object, ...]) -> list[Tensor]:
        packet, _, overload = operator.partition(".")
        given = [
            [self.tensors[part] for part in each]
            if isinstance(each, tuple) and isinstance(each[0], Reference)
            else self.tensors[each]
            if isinstance(each, Reference)
            else each
            for each in arguments
        ]
        result = getattr(getattr(aten, packet), overload or "default")(*given)
        return [result] if isinstance(result, Tensor) else list(result)

    def schedule(self, seed: int) -> Schedule:
        """A legal schedule; in another topological order than the graph's, where nothing is drawn."""
        walk = random_walk(self.graph, seed)
        if any(op.seeded for op in self.graph.ops):
            return schedule_from_computes(self.graph, walk)
        rng = random.Random(seed)
        ready: list[int] = []
        waiting = list(range(len(self.graph.ops)))
        while waiting:
            free = [op for op in waiting if self._producers(op) <= {*ready}]
            ready.append(rng.choice(free))
            waiting.remove(ready[-1])
        return schedule_from_computes(self.graph, [*ready, *walk])

    def _producers(self, op: int) -> set[int]:
        return {self.graph.values[each].producer for each in self.graph.ops[op].inputs}


@pytest.mark.parametrize("seed", range(200))
def test_executed_dag_is_the_straight_evaluation(seed: int) -> None:
    dag = Dag(seed)
    state = torch.get_rng_state()
    schedule = dag.schedule(seed)
    torch.manual_seed(seed)
    torch.rand(2 * SIDE, SIDE)  # as drawn for the arguments
    executor = Executor(dag.graph, dag.program, schedule, budget_bytes=1 << 30)
    executed = executor.run(dag.arguments)
    results = [executed.loss, *(each for _, each in executed.updates)]
    for reference, result in zip(dag.kept, results, strict=True):
        assert torch.equal(result, dag.tensors[reference])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("seed", range(0, 200, 8))
def test_allocations_are_those_of_the_plan(seed: int) -> None:
    dag = Dag(seed)
    schedule = dag.schedule(seed)
    executor = Executor(dag.graph, dag.program, schedule)
    kept: list[object] = []
    trace = profiled_memory(lambda: kept.append(executor.run(dag.arguments)), "none")
    changes = [each for _, each in trace if abs(each) != STATE_BYTES]
    assert changes == planned_changes(dag.graph, schedule)


def planned_changes(graph: Graph, schedule: Schedule) -> list[int]:
    """Bytes allocated, and negative where freed, in the order of the schedule's actions."""
    changes = []
    resident: set[int] = set()
    for action in schedule.actions:
        if isinstance(action, Compute):
            written = graph.ops[action.op].outputs
            changes += [-graph.sizes[value] for value in written if value in resident]
            changes += [graph.sizes[value] for value in written]
            resident |= {*written}
        else:
            changes.append(-graph.sizes[action.value])
            resident.remove(action.value)
    changes += [-graph.sizes[value] for value in resident - graph.required]
    return changes
