"""Programs as JSON, kept in the graph's file under ``program``."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch

from hcb_opt.capture import torch_shim
from hcb_opt.capture.program import Argument, Call, Constant, Output, Program, Reference, TensorLayout, call_references
from hcb_opt.errors import CaptureError, InvalidInput
from hcb_opt.fields import Fields, shown
from hcb_opt.files import read_json
from hcb_opt.graph import Graph

_FIELDS = ("layouts", "parameters", "buffers", "constants", "calls", "loss", "gradients", "updates")
_CALL_FIELDS = ("name", "operator", "arguments", "keywords", "op", "values", "single")
_LAYOUT_FIELDS = ("name", "shape", "strides", "dtype", "device", "offset")
_CONSTANT_FIELDS = ("dtype", "shape", "device", "data")
_AGAIN = "capture the step again with this version of hcb-opt"


def program_to_json(program: Program) -> dict[str, Any]:
    """What `hcb_opt.io.save_graph` writes under ``program``.

    Parameters
    ----------
    program : Program

    Raises
    ------
    CaptureError
        If a constant has no data, as in a capture on fake tensors.
    """
    return {
        "layouts": [
            {name: _to_json(getattr(each, name)) for name in _LAYOUT_FIELDS if getattr(each, name) is not None}
            for each in program.layouts
        ],
        "parameters": program.parameters,
        "buffers": program.buffers,
        "constants": [_constant_to_json(each) for each in program.constants],
        "calls": [
            {
                "name": call.name,
                "operator": call.operator,
                "arguments": _to_json(call.arguments),
                "keywords": {name: _to_json(each) for name, each in call.keywords},
                "op": call.op,
                "values": list(call.values),
                "single": call.single,
            }
            for call in program.calls
        ],
        "loss": _to_json(program.loss),
        "gradients": [_to_json(each) for each in program.gradients],
        "updates": [[position, _to_json(each)] for position, each in program.updates],
    }


def load_program(path: str | Path, graph: Graph) -> Program:
    """Read the program that a graph's file holds.

    Parameters
    ----------
    path : str or Path
        As written by ``hcb-opt capture``.
    graph : Graph
        As `hcb_opt.load_graph` read it from there.

    Raises
    ------
    InvalidInput
        If the file holds none, or one that does not belong to the graph.
    """
    document = read_json(path)
    try:
        if "program" not in document:
            what = "missing: this graph can be solved, but not executed"
            raise InvalidInput("program", what, "capture the step with hcb-opt capture")
        program = program_from_json(document["program"])
        check_program(program, graph)
        return program
    except InvalidInput as error:
        raise error.within(str(path)) from None


def program_from_json(document: object) -> Program:
    """The program that `program_to_json` wrote.

    Raises
    ------
    InvalidInput
        If the document is none; the message names the field.
    """
    fields = Fields(document, "program", _FIELDS)
    calls = tuple(_call(each, f"program.calls[{index}]") for index, each in enumerate(fields.listing("calls")))
    loss = _reference(fields.required("loss"), "program.loss")
    gradients = tuple(
        None if each is None else _reference(each, f"program.gradients[{index}]")
        for index, each in enumerate(fields.listing("gradients"))
    )
    updates = []
    for index, each in enumerate(fields.listing("updates")):
        where = f"program.updates[{index}]"
        if not isinstance(each, list) or len(each) != 2 or not _is_position(each[0]):
            raise InvalidInput(where, f"{shown(each)} is no update", _AGAIN)
        updates.append((each[0], _reference(each[1], where)))
    layouts = tuple(_layout(each, f"program.layouts[{index}]") for index, each in enumerate(fields.listing("layouts")))
    constants = tuple(
        _constant(each, f"program.constants[{index}]") for index, each in enumerate(fields.listing("constants"))
    )
    return Program(
        calls, layouts, fields.whole("parameters"), fields.whole("buffers"), constants, loss, gradients, tuple(updates)
    )


def check_program(program: Program, graph: Graph) -> None:
    """Refuse a program that is not this graph's.

    Every op has one call, which reads, through views too, only the op's inputs
    and writes its outputs; a view reads only its base.

    Raises
    ------
    InvalidInput
        Naming the call.
    """
    made: list[set[int]] = []
    by_op: dict[int, str] = {}
    for index, call in enumerate(program.calls):
        where = f"program.calls[{index}] '{call.name}'"
        read: set[int] = set()
        for each in call_references(call):
            _check_reference(each, program, index, where)
            if isinstance(each, Output):
                value = program.calls[each.call].values[each.element]
                read |= set() if value is None else {value}
        written = {each for each in call.values if each is not None}
        made.append(written)
        if call.op is None:
            fits = written == read and len(read) <= 1
        else:
            known = call.op < len(graph.ops) and graph.ops[call.op].name == call.name and call.op not in by_op
            fits = known and read <= set(graph.ops[call.op].inputs) and written == set(graph.ops[call.op].outputs)
            by_op[call.op] = call.name
        if not fits:
            raise InvalidInput(where, "does not belong to this graph", _AGAIN)
    if len(by_op) < len(graph.ops):
        missing = next(op.name for position, op in enumerate(graph.ops) if position not in by_op)
        raise InvalidInput("program.calls", f"op '{missing}' has no call", _AGAIN)
    for each in program.results:
        _check_reference(each, program, len(program.calls), "program")
        value = program.calls[each.call].values[each.element] if isinstance(each, Output) else None
        if value is not None and value not in graph.required:
            raise InvalidInput("program", f"value '{graph.values[value].name}' is no output of the graph", _AGAIN)
    if program.parameters != len(program.gradients) or program.parameters + program.buffers > len(program.layouts):
        raise InvalidInput("program", "its parameters, buffers and layouts do not agree", _AGAIN)


def _check_reference(reference: Reference, program: Program, before: int, where: str) -> None:
    if isinstance(reference, Output):
        known = reference.call < before and reference.element < len(program.calls[reference.call].values)
    else:
        table = program.layouts if isinstance(reference, Argument) else program.constants
        known = reference.position < len(table)
    if not known:
        raise InvalidInput(where, "reads what is not there before it", _AGAIN)


def _to_json(argument: Any) -> Any:
    if isinstance(argument, tuple):
        return [_to_json(each) for each in argument]
    if isinstance(argument, Output):
        return {"output": [argument.call, argument.element]}
    if isinstance(argument, Argument | Constant):
        return {type(argument).__name__.lower(): argument.position}
    if isinstance(argument, torch.dtype | torch.layout | torch.memory_format):
        kind = {torch.dtype: "dtype", torch.layout: "layout"}.get(type(argument), "memory_format")
        return {kind: str(argument).removeprefix("torch.")}
    if isinstance(argument, torch.device):
        return {"device": str(argument)}
    if isinstance(argument, float) and not math.isfinite(argument):
        return {"float": str(argument)}
    return argument


def _from_json(item: Any, where: str) -> Any:
    if isinstance(item, list):
        return tuple(_from_json(each, where) for each in item)
    if not isinstance(item, dict):
        return item
    kind, found = next(iter(item.items())) if len(item) == 1 else ("", None)
    if kind == "output" and isinstance(found, list) and len(found) == 2 and all(map(_is_position, found)):
        return Output(found[0], found[1])
    if kind == "argument" and _is_position(found):
        return Argument(found)
    if kind == "constant" and _is_position(found):
        return Constant(found)
    if kind in ("dtype", "layout", "memory_format") and isinstance(found, str):
        attribute = getattr(torch, found, None)
        if isinstance(attribute, getattr(torch, kind)):
            return attribute
    if kind == "device" and isinstance(found, str):
        return torch.device(found)
    if kind == "float" and found in ("inf", "-inf", "nan"):
        return float(found)
    raise InvalidInput(where, f"{shown(item)} is no argument", _AGAIN)


def _is_position(item: object) -> TypeGuard[int]:
    return isinstance(item, int) and not isinstance(item, bool) and item >= 0


def _reference(item: Any, where: str) -> Reference:
    found = _from_json(item, where)
    if not isinstance(found, Reference):
        raise InvalidInput(where, f"{shown(item)} names no tensor", _AGAIN)
    return found


def _call(document: object, where: str) -> Call:
    fields = Fields(document, where, _CALL_FIELDS)
    keywords = Fields(fields.required("keywords"), f"{where}.keywords").document
    op = fields.required("op")
    values = fields.listing("values")
    if not all(each is None or _is_position(each) for each in [op, *values]):
        raise InvalidInput(where, "op and values are positions or null", _AGAIN)
    return Call(
        fields.text("name"),
        fields.text("operator"),
        tuple(_from_json(each, f"{where}.arguments") for each in fields.listing("arguments")),
        tuple((name, _from_json(each, f"{where}.keywords")) for name, each in keywords.items()),
        op,
        tuple(values),
        fields.flag("single"),
    )


def _layout(document: object, where: str) -> TensorLayout:
    fields = Fields(document, where, _LAYOUT_FIELDS)
    shape, strides = fields.listing("shape"), fields.listing("strides")
    if not all(map(_is_position, [*shape, *strides])) or len(shape) != len(strides):
        raise InvalidInput(where, "shape and strides are as many whole numbers", _AGAIN)
    offset = fields.whole("offset") if "offset" in fields.document else None
    return TensorLayout(
        fields.text("name"), tuple(shape), tuple(strides), fields.text("dtype"), fields.text("device"), offset
    )


def _constant_to_json(constant: torch.Tensor) -> Mapping[str, Any]:
    if torch_shim.is_fake(constant) or constant.device.type == "meta":
        raise CaptureError("the step reads a tensor without data that is not the model's; make it a buffer")
    plain = constant.detach().cpu().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    return {
        "dtype": str(plain.dtype).removeprefix("torch."),
        "shape": list(plain.shape),
        "device": str(constant.device),
        "data": base64.b64encode(data).decode("ascii"),
    }


def _constant(document: object, where: str) -> torch.Tensor:
    fields = Fields(document, where, _CONSTANT_FIELDS)
    dtype = _from_json({"dtype": fields.text("dtype")}, where)
    data = bytearray(base64.b64decode(fields.text("data")))
    flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return flat.reshape(fields.listing("shape")).to(fields.text("device"))
