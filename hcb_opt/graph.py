"""The training step as a graph of ops and values, in a fixed topological order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from hcb_opt.errors import InvalidInput


class Phase(StrEnum):
    """Which half of the training step an op belongs to."""

    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True)
class Value:
    """One storage written by one op.

    Attributes
    ----------
    name : str
        Unique among the graph's values.
    size_bytes : int
        Bytes of the whole storage, views included.
    producer : int
        Position of the op that writes it.
    dtype : str
        What its bytes are, as in ``float32``; empty if that is not known. It
        tells how the value may be compressed.
    """

    name: str
    size_bytes: int
    producer: int
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Op:
    """One computation.

    Attributes
    ----------
    name : str
        Unique among the graph's ops.
    cost : int
        Cost of one execution, in the graph's ``cost_unit``.
    inputs, outputs : tuple of int
        Positions of the values it reads and writes. Parameters and batch are
        persistent and are no values.
    workspace_bytes : int
        Scratch memory held only while the op runs.
    phase : Phase
        Forward or backward.
    seeded : bool
        Draws random numbers: a recompute must replay its generator state.
    mutates : bool
        Writes to a persistent tensor: an executor must apply that write once.
    in_place : tuple of int
        Inputs over any one of which it could write its only output, element by
        element at the same places, if nothing needs that input afterwards. A
        layout may do so; `hcb_opt.replay` counts both.
    """

    name: str
    cost: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    workspace_bytes: int = 0
    phase: Phase = Phase.FORWARD
    seeded: bool = False
    mutates: bool = False
    in_place: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Ops in topological order, and the values they exchange.

    Attributes
    ----------
    ops : tuple of Op
        In the fixed order: an op reads only what earlier ops write.
    values : tuple of Value
        In the order of their producers.
    outputs : tuple of int
        Values that must be resident at the end, such as parameter gradients.
    persistent_bytes : int
        Parameters, buffers and batch: resident throughout, never dropped.
    cost_unit : str
        Unit of the ops' costs: ``ns``, ``flop``, ``byte`` or the instance's own.
    name : str
        A label for tables and plots.
    facts : mapping of str to str or int
        Where the graph came from (library versions, device, batch size).

    Raises
    ------
    InvalidInput
        If a name repeats, an input is produced late or never, or a number is
        negative or no integer; the message names the op and field.
    """

    ops: tuple[Op, ...]
    values: tuple[Value, ...]
    outputs: tuple[int, ...] = ()
    persistent_bytes: int = 0
    cost_unit: str = "unit"
    name: str = "graph"
    facts: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _validate(self)

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each value, the positions of the ops that read it, ascending."""
        readers: list[list[int]] = [[] for _ in self.values]
        for position, op in enumerate(self.ops):
            for value in op.inputs:
                readers[value].append(position)
        return tuple(tuple(each) for each in readers)

    @cached_property
    def required(self) -> frozenset[int]:
        """The outputs, as a set."""
        return frozenset(self.outputs)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each value."""
        return tuple(value.size_bytes for value in self.values)

    @cached_property
    def last_needed(self) -> tuple[int, ...]:
        """For each value, the last position of the fixed order that needs it.

        The number of ops if it must stay to the end; its producer's own
        position if nothing reads it.
        """
        return tuple(
            len(self.ops) if value in self.required else max(readers, default=self.values[value].producer)
            for value, readers in enumerate(self.consumers)
        )

    @cached_property
    def workset_bytes(self) -> tuple[int, ...]:
        """Bytes each op cannot run without: its inputs, outputs and workspace."""
        return tuple(
            op.workspace_bytes + sum(self.sizes[value] for value in {*op.inputs, *op.outputs}) for op in self.ops
        )

    @cached_property
    def base_cost(self) -> int:
        """Cost of computing every op once."""
        return sum(op.cost for op in self.ops)

    @cached_property
    def store_all_profile_bytes(self) -> tuple[int, ...]:
        """Resident bytes while each op of the fixed order runs, nothing recomputed.

        Each value is freed after its last use; outputs stay.
        """
        profile = []
        resident = 0
        dying: list[list[int]] = [[] for _ in range(len(self.ops) + 1)]
        for value, position in enumerate(self.last_needed):
            dying[position].append(value)
        for position, op in enumerate(self.ops):
            resident += sum(self.sizes[value] for value in op.outputs)
            profile.append(resident + op.workspace_bytes)
            resident -= sum(self.sizes[value] for value in dying[position])
        return tuple(profile)

    @cached_property
    def store_all_peak_bytes(self) -> int:
        """Peak of the schedule that recomputes nothing, in bytes."""
        return max(self.store_all_profile_bytes, default=0)


def _validate(graph: Graph) -> None:
    if not graph.ops:
        raise InvalidInput("ops", "the graph has no ops", "give at least one op")
    _require_distinct([op.name for op in graph.ops], "ops", "op")
    _require_distinct([value.name for value in graph.values], "values", "value")
    for where, number in _numbers(graph):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise InvalidInput(where, f"{number!r} is not a whole number >= 0", "sizes and costs are integers")
    for position, op in enumerate(graph.ops):
        where = f"ops[{position}] '{op.name}'"
        if len(set(op.inputs)) < len(op.inputs):
            raise InvalidInput(f"{where}.inputs", "a value is listed twice", "list each input once")
        if len(set(op.outputs)) < len(op.outputs):
            raise InvalidInput(f"{where}.outputs", "a value is listed twice", "list each output once")
        for value in op.inputs:
            producer = graph.values[value].producer
            if producer >= position:
                raise InvalidInput(
                    f"{where}.inputs",
                    f"value '{graph.values[value].name}' is written by op '{graph.ops[producer].name}', "
                    "which does not come before",
                    "order the ops so that producers come first; a cycle has no such order",
                )
        for value in op.outputs:
            if graph.values[value].producer != position:
                raise InvalidInput(
                    f"{where}.outputs",
                    f"value '{graph.values[value].name}' names another producer",
                    "give every value one producer",
                )
        _validate_in_place(graph, op, f"{where}.in_place")
    if sum(len(op.outputs) for op in graph.ops) != len(graph.values):
        raise InvalidInput("values", "a value is no op's output", "list every value once, with its producer")
    if len(set(graph.outputs)) < len(graph.outputs):
        raise InvalidInput("outputs", "a value is listed twice", "list each output once")


def _validate_in_place(graph: Graph, op: Op, where: str) -> None:
    if op.in_place and len(op.outputs) != 1:
        raise InvalidInput(where, f"the op has {len(op.outputs)} outputs", "only an op with one writes over an input")
    if len(set(op.in_place)) < len(op.in_place):
        raise InvalidInput(where, "a value is listed twice", "list each input once")
    for value in op.in_place:
        name, size_bytes = graph.values[value].name, graph.values[value].size_bytes
        if value not in op.inputs:
            raise InvalidInput(where, f"value '{name}' is no input of the op", "list inputs only")
        written_bytes = graph.values[op.outputs[0]].size_bytes
        if size_bytes != written_bytes:
            what = f"value '{name}' has {size_bytes} bytes, the output {written_bytes}"
            raise InvalidInput(where, what, "list inputs of the output's size")


def _numbers(graph: Graph) -> Iterable[tuple[str, object]]:
    yield "persistent_bytes", graph.persistent_bytes
    for position, op in enumerate(graph.ops):
        yield f"ops[{position}] '{op.name}'.cost", op.cost
        yield f"ops[{position}] '{op.name}'.workspace_bytes", op.workspace_bytes
    for value in graph.values:
        yield f"value '{value.name}'.size_bytes", value.size_bytes


def _require_distinct(names: list[str], where: str, what: str) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            raise InvalidInput(
                f"{where}[{position}].name", f"{what} name '{name}' is used twice", "names must be unique"
            )
        seen.add(name)
