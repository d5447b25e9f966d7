"""Graphs and schedules as JSON files; their schemas are in ``hcb_opt/schemas``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput
from hcb_opt.fields import Fields, shown
from hcb_opt.files import read_json, write_json
from hcb_opt.graph import Graph, Phase, Value
from hcb_opt.operator_log import is_operator_log, read_operator_log
from hcb_opt.published import read_published
from hcb_opt.schedule import ACTIONS, Action, Compress, Compute, Schedule, action_word
from hcb_opt.topology import require_order

GRAPH_FORMAT = "hcb-opt/graph"
SCHEDULE_FORMAT = "hcb-opt/schedule"
VERSION = 1

_GRAPH_FIELDS = ("format", "version", "name", "cost_unit", "persistent_bytes", "ops", "outputs", "facts", "program")
_OP_FIELDS = ("name", "cost", "inputs", "outputs", "workspace_bytes", "phase", "seeded", "mutates", "in_place")
_SCHEDULE_FIELDS = ("format", "version", "graph", "graph_digest", "lossy", "actions", "result")


def load_graph(path: str | Path) -> Graph:
    """Read a graph: the toolkit's own JSON, or a published instance.

    Parameters
    ----------
    path : str or Path
        Own format (``"format": "hcb-opt/graph"``), the node-link JSON of
        Checkmate or Moccasin (see `hcb_opt.published`), or an operator log of
        dynamic tensor rematerialization (`hcb_opt.operator_log`); content tells
        which.

    Returns
    -------
    Graph

    Raises
    ------
    InvalidInput
        If the file is unreadable, truncated, of another format or version, or
        describes no valid graph; the message names file, field and fix.
    """
    if is_operator_log(path):
        return _logged_graph(Path(path))
    document = read_json(path)
    try:
        if "format" not in document and "nodes" in document:
            return _published_graph(document, Path(path).stem)
        return _own_graph(document)
    except InvalidInput as error:
        raise error.within(str(path)) from None


def save_graph(graph: Graph, path: str | Path, program: Mapping[str, Any] | None = None) -> None:
    """Write a graph in the toolkit's own format, atomically.

    Parameters
    ----------
    graph : Graph
    path : str or Path
    program : mapping or None
        What `hcb_opt.capture.program_json.program_to_json` gives for the step that
        it was captured from, so that its schedules can be executed; kept beside it.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    names = [value.name for value in graph.values]
    document = {
        "format": GRAPH_FORMAT,
        "version": VERSION,
        "name": graph.name,
        "cost_unit": graph.cost_unit,
        "persistent_bytes": graph.persistent_bytes,
        "facts": dict(graph.facts),
        "ops": [
            {
                "name": op.name,
                "cost": op.cost,
                "inputs": [names[value] for value in op.inputs],
                "outputs": [_value_json(graph.values[value]) for value in op.outputs],
                "workspace_bytes": op.workspace_bytes,
                "phase": op.phase.value,
                "seeded": op.seeded,
                "mutates": op.mutates,
                **({"in_place": [names[value] for value in op.in_place]} if op.in_place else {}),
            }
            for op in graph.ops
        ],
        "outputs": [names[value] for value in graph.outputs],
    }
    if program is not None:
        document["program"] = dict(program)
    write_json(path, document, rows=("ops",))


def load_schedule(path: str | Path, graph: Graph) -> Schedule:
    """Read a schedule of this graph; whether it is legal is for `replay` to say.

    Parameters
    ----------
    path : str or Path
    graph : Graph
        The graph that the schedule was made for.

    Returns
    -------
    Schedule

    Raises
    ------
    InvalidInput
        If the file is unreadable, of another format or version, made for
        another graph, or an action names no op or value of this one.
    """
    document = read_json(path)
    try:
        _require_format(Fields(document, ""), SCHEDULE_FORMAT)
        fields = Fields(document, "", _SCHEDULE_FIELDS)
        if fields.text("graph_digest") != graph_digest(graph):
            made_for = shown(document.get("graph", ""))
            raise InvalidInput(
                "graph_digest",
                f"made for another graph (named {made_for})",
                "give the graph that was solved, or solve this one",
            )
        return Schedule(_actions(fields.listing("actions"), graph), fields.flag("lossy", False))
    except InvalidInput as error:
        raise error.within(str(path)) from None


def save_schedule(
    schedule: Schedule, graph: Graph, path: str | Path, certificate: Mapping[str, Any] | None = None
) -> None:
    """Write a schedule, atomically.

    Parameters
    ----------
    schedule : Schedule
    graph : Graph
        The graph that it belongs to; its digest is kept, so that it cannot be
        replayed on another one by mistake.
    path : str or Path
    certificate : mapping or None
        What `hcb_opt.certificate.result_to_json` gives for the result that it
        belongs to; kept beside it.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    document = {
        "format": SCHEDULE_FORMAT,
        "version": VERSION,
        "graph": graph.name,
        "graph_digest": graph_digest(graph),
        **({"lossy": True} if schedule.lossy else {}),
        "actions": [_action_json(each, graph) for each in schedule.actions],
    }
    if certificate is not None:
        document["result"] = dict(certificate)
    write_json(path, document, rows=("actions",))


def graph_digest(graph: Graph) -> str:
    """A digest of all that a schedule's legality and peak depend on.

    Names, edges, sizes, workspaces and outputs count; costs do not, since
    measured costs differ from one capture to the next.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    str
        ``sha256:`` and 64 hexadecimal digits.
    """
    structure = [
        [[op.name, op.inputs, op.outputs, op.workspace_bytes] for op in graph.ops],
        [[value.name, value.size_bytes] for value in graph.values],
        sorted(graph.outputs),
    ]
    return f"sha256:{hashlib.sha256(json.dumps(structure).encode()).hexdigest()}"


def _require_format(fields: Fields, expected: str) -> None:
    found = fields.required("format")
    if found != expected:
        raise InvalidInput("format", f"{shown(found)} is not {shown(expected)}", "give a file of this format")
    version = fields.required("version")
    if isinstance(version, bool) or version != VERSION:
        raise InvalidInput(
            "version", f"{shown(version)} is not {VERSION}", "write the file again with this version of hcb-opt"
        )


def _value_json(value: Value) -> dict[str, str | int]:
    known = {"dtype": value.dtype} if value.dtype else {}
    return {"name": value.name, "size_bytes": value.size_bytes, **known}


def _own_graph(document: dict[str, Any]) -> Graph:
    if "format" not in document:
        raise InvalidInput("format", "missing", f"give {shown(GRAPH_FORMAT)}, or a published instance with 'nodes'")
    _require_format(Fields(document, ""), GRAPH_FORMAT)
    fields = Fields(document, "", _GRAPH_FIELDS)
    specs = [_op_spec(op, index) for index, op in enumerate(fields.listing("ops"))]
    require_order(specs)
    facts = Fields(document.get("facts", {}), "facts")
    for name, fact in facts.document.items():
        if isinstance(fact, bool) or not isinstance(fact, str | int):
            raise InvalidInput(facts.place(name), f"{shown(fact)} is no fact", "write a string or an integer")
    return build_graph(
        specs,
        fields.texts("outputs", []),
        persistent_bytes=fields.whole("persistent_bytes", 0),
        cost_unit=fields.text("cost_unit", "unit"),
        name=fields.text("name", "graph"),
        facts=facts.document,
    )


def _op_spec(op: object, index: int) -> OpSpec:
    fields = Fields(op, f"ops[{index}]", _OP_FIELDS)
    name = fields.text("name")
    fields.where = f"ops[{index}] '{name}'"
    outputs, dtypes = [], []
    for number, output in enumerate(fields.listing("outputs")):
        value = Fields(output, f"{fields.where}.outputs[{number}]", ("name", "size_bytes", "dtype"))
        outputs.append((value.text("name"), value.whole("size_bytes")))
        dtypes.append(value.text("dtype", ""))
    phase = fields.text("phase", Phase.FORWARD.value)
    if phase not in list(Phase):
        raise InvalidInput(fields.place("phase"), f"{shown(phase)} is no phase", f"write {' or '.join(Phase)}")
    return OpSpec(
        name,
        fields.whole("cost"),
        fields.texts("inputs"),
        tuple(outputs),
        fields.whole("workspace_bytes", 0),
        Phase(phase),
        fields.flag("seeded", False),
        fields.flag("mutates", False),
        fields.texts("in_place", []),
        tuple(dtypes),
    )


def _published_graph(document: dict[str, Any], fallback_name: str) -> Graph:
    found = read_published(document)
    require_order(found.specs)
    facts = {"source_format": found.dialect}
    return build_graph(found.specs, cost_unit=found.cost_unit, name=found.name or fallback_name, facts=facts)


def _logged_graph(path: Path) -> Graph:
    try:
        found = read_operator_log(path.read_text(encoding="utf-8").splitlines())
        facts = {"source_format": "operator log"}
        return build_graph(
            found.specs,
            found.outputs,
            persistent_bytes=found.persistent_bytes,
            cost_unit="ns",
            name=path.stem,
            facts=facts,
        )
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), f"not JSON lines ({error})", "give a UTF-8 file") from None
    except InvalidInput as error:
        raise error.within(str(path)) from None


def _action_json(action: Action, graph: Graph) -> list[str]:
    word = action_word(action)
    if isinstance(action, Compute):
        return [word, graph.ops[action.op].name]
    name = graph.values[action.value].name
    return [word, name, action.scheme] if isinstance(action, Compress) else [word, name]


def _actions(listed: list[Any], graph: Graph) -> tuple[Action, ...]:
    kinds = {kind.__name__.lower(): kind for kind in ACTIONS}
    ops = {op.name: position for position, op in enumerate(graph.ops)}
    values = {value.name: position for position, value in enumerate(graph.values)}
    actions: list[Action] = []
    for index, entry in enumerate(listed):
        kind = kinds.get(entry[0]) if _are_texts(entry) else None
        if kind is None or len(entry) != (3 if kind is Compress else 2):
            others = ", ".join(word for word in kinds if word not in ("compute", "drop"))
            fix = f'write ["compute", op] or ["drop", value], or one of {others}'
            raise InvalidInput(f"actions[{index}]", f"{shown(entry)} is no action", fix)
        found = (ops if kind is Compute else values).get(entry[1])
        if found is None:
            what = "op" if kind is Compute else "value"
            raise InvalidInput(f"actions[{index}]", f"the graph has no {what} '{entry[1]}'", "name one of the graph")
        actions.append(kind(found, *entry[2:]))
    return tuple(actions)


def _are_texts(entry: object) -> bool:
    return isinstance(entry, list) and bool(entry) and all(isinstance(each, str) for each in entry)
