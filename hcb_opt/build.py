"""Graphs from ops that name the values they read and write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph, Op, Phase, Value


@dataclass(frozen=True, slots=True)
class OpSpec:
    """An op described by the names of its values, as in the JSON form.

    Attributes
    ----------
    name, cost, workspace_bytes, phase, seeded, mutates
        As in `Op`.
    inputs : tuple of str
        Names of the values it reads.
    outputs : tuple of (str, int)
        Name and size in bytes of each value it writes.
    in_place : tuple of str
        Names of the inputs over any one of which it could write its only output.
    dtypes : tuple of str
        Of each output, as in `Value`; no entry if none is known.
    """

    name: str
    cost: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[tuple[str, int], ...] = ()
    workspace_bytes: int = 0
    phase: Phase = Phase.FORWARD
    seeded: bool = False
    mutates: bool = False
    in_place: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()


def build_graph(
    specs: Iterable[OpSpec],
    outputs: Iterable[str] = (),
    *,
    persistent_bytes: int = 0,
    cost_unit: str = "unit",
    name: str = "graph",
    facts: Mapping[str, str | int] | None = None,
) -> Graph:
    """Make a Graph from ops that name the values they read and write.

    Parameters
    ----------
    specs : iterable of OpSpec
        In topological order.
    outputs : iterable of str
        Names of the values that must be resident at the end.
    persistent_bytes, cost_unit, name, facts
        As in `Graph`.

    Raises
    ------
    InvalidInput
        If a value is unknown, written twice, or read before it is written.
    """
    specs = tuple(specs)
    index: dict[str, int] = {}
    values: list[Value] = []
    for position, spec in enumerate(specs):
        dtypes = spec.dtypes or ("",) * len(spec.outputs)
        for (value_name, size_bytes), dtype in zip(spec.outputs, dtypes, strict=True):
            if value_name in index:
                raise InvalidInput(
                    f"ops[{position}] '{spec.name}'.outputs",
                    f"value '{value_name}' is written twice",
                    "give every value one producer and its own name",
                )
            index[value_name] = len(values)
            values.append(Value(value_name, size_bytes, position, dtype))

    def lookup(value_name: str, where: str) -> int:
        if value_name not in index:
            raise InvalidInput(where, f"no op writes value '{value_name}'", "add its producer or remove the reference")
        return index[value_name]

    ops = tuple(
        Op(
            spec.name,
            spec.cost,
            tuple(lookup(each, f"ops[{position}] '{spec.name}'.inputs") for each in spec.inputs),
            tuple(index[each] for each, _ in spec.outputs),
            spec.workspace_bytes,
            spec.phase,
            spec.seeded,
            spec.mutates,
            tuple(lookup(each, f"ops[{position}] '{spec.name}'.in_place") for each in spec.in_place),
        )
        for position, spec in enumerate(specs)
    )
    required = tuple(lookup(each, "outputs") for each in outputs)
    return Graph(ops, tuple(values), required, persistent_bytes, cost_unit, name, dict(facts or {}))


def counting_persistent(graph: Graph) -> Graph:
    """The graph with its persistent bytes counted at every op, as if they were workspace.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    Graph
        Its peaks, and budgets as shares of them, count what is resident throughout.
    """
    held = graph.persistent_bytes
    return replace(graph, ops=tuple(replace(op, workspace_bytes=op.workspace_bytes + held) for op in graph.ops))
