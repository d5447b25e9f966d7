"""Published instances: the node-link JSON of Checkmate and of Moccasin.

Both are networkx's node-link form of a directed graph in which every node is an
op with one value. Nothing has to be resident at the end; every op has to be
computed.

Checkmate (Jain et al., MLSys 2020): nodes have ``id`` (an integer; ascending ids
are the fixed order), ``cost_cpu``, ``cost_ram`` (bytes of its value) and, where
known, ``name`` and ``backward``; edges have ``source`` and ``target``.

Moccasin (Bartan et al., ICML 2023): nodes have ``name``, ``duration`` and
``out_cost`` (size of its value); edges have ``"0"`` (from) and ``"1"`` (to);
``graph.order`` lists the nodes in the fixed order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hcb_opt.build import OpSpec
from hcb_opt.errors import InvalidInput
from hcb_opt.fields import Fields, shown
from hcb_opt.graph import Phase

LARGEST_SCALE = 10**12


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family of instances names its fields."""

    name: str
    key: str
    cost: str
    size: str
    edge_from: str
    edge_to: str


CHECKMATE = Dialect("checkmate", "id", "cost_cpu", "cost_ram", "source", "target")
MOCCASIN = Dialect("moccasin", "name", "duration", "out_cost", "0", "1")


@dataclass(frozen=True, slots=True)
class Published:
    """A published instance, ready for `hcb_opt.build_graph`.

    Attributes
    ----------
    name : str
        As the file names it; may be empty.
    specs : tuple of OpSpec
        In the fixed order.
    cost_unit : str
        The file's cost field; ``cost_cpu/10`` if the costs were multiplied by 10
        to make them whole.
    dialect : str
        ``checkmate`` or ``moccasin``.
    """

    name: str
    specs: tuple[OpSpec, ...]
    cost_unit: str
    dialect: str


def read_published(document: dict[str, Any]) -> Published:
    """Read a node-link instance, told apart by the fields of its first node.

    Costs that are no whole numbers are multiplied, all alike, by the smallest
    factor that makes them whole: ratios of costs stay exact.

    Parameters
    ----------
    document : dict
        The parsed file, with a ``nodes`` field.

    Returns
    -------
    Published

    Raises
    ------
    InvalidInput
        If it is of neither family, or a field is missing, NaN, negative or
        inconsistent.
    """
    fields = Fields(document, "")
    nodes = [Fields(node, f"nodes[{index}]") for index, node in enumerate(fields.listing("nodes"))]
    if not nodes:
        raise InvalidInput("nodes", "the graph has no ops", "give at least one node")
    dialect = _dialect(nodes[0])
    keys = _keys(nodes, dialect)
    order = _order(fields, keys, dialect)
    reads = _reads(fields, keys, dialect)
    costs = [_number(node, dialect.cost) for node in nodes]
    scale = _scale(costs, dialect)
    names = _names(nodes, keys)
    specs = tuple(
        OpSpec(
            names[node],
            int(costs[node] * scale),
            tuple(names[each] for each in reads[node]),
            ((names[node], _whole(nodes[node], dialect.size)),),
            phase=Phase.BACKWARD if nodes[node].flag("backward", False) else Phase.FORWARD,
        )
        for node in order
    )
    label = Fields(fields.document.get("graph", {}), "graph").text("name", "")
    return Published(label, specs, dialect.cost if scale == 1 else f"{dialect.cost}/{scale}", dialect.name)


def _dialect(node: Fields) -> Dialect:
    for dialect in (CHECKMATE, MOCCASIN):
        if dialect.cost in node.document or dialect.size in node.document:
            return dialect
    raise InvalidInput(
        node.where,
        "neither a Checkmate node (cost_cpu, cost_ram) nor a Moccasin node (duration, out_cost)",
        "give every node these fields",
    )


def _keys(nodes: list[Fields], dialect: Dialect) -> dict[int | str, int]:
    keys: dict[int | str, int] = {}
    for index, node in enumerate(nodes):
        key = node.required(dialect.key)
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InvalidInput(
                node.place(dialect.key), f"{shown(key)} is no node's name", "write an integer or a string"
            )
        if key in keys:
            raise InvalidInput(node.place(dialect.key), f"{shown(key)} is used twice", "give every node its own")
        keys[key] = index
    return keys


def _order(fields: Fields, keys: dict[int | str, int], dialect: Dialect) -> list[int]:
    if dialect is CHECKMATE:
        return [index for _, index in sorted(_numbered(key, index) for key, index in keys.items())]
    listed = Fields(fields.required("graph"), "graph").listing("order")
    order = [_node(key, f"graph.order[{index}]", keys) for index, key in enumerate(listed)]
    if len(set(order)) < len(order):
        raise InvalidInput("graph.order", "a node is listed twice", "list every node once")
    if len(order) < len(keys):
        missing = next(key for key, index in keys.items() if index not in set(order))
        raise InvalidInput("graph.order", f"node {shown(missing)} is not in it", "list every node once")
    return order


def _numbered(key: int | str, index: int) -> tuple[int, int]:
    if isinstance(key, str):
        raise InvalidInput(f"nodes[{index}].id", f"{shown(key)} is not an integer", "ascending ids are the order")
    return key, index


def _reads(fields: Fields, keys: dict[int | str, int], dialect: Dialect) -> list[list[int]]:
    name = "edges" if "edges" in fields.document else "links"
    reads: list[dict[int, None]] = [{} for _ in keys]
    for index, edge in enumerate(fields.listing(name)):
        entry = Fields(edge, f"{name}[{index}]")
        start, end = (
            _node(entry.required(each), entry.place(each), keys) for each in (dialect.edge_from, dialect.edge_to)
        )
        reads[end][start] = None
    return [list(each) for each in reads]


def _node(key: object, where: str, keys: dict[int | str, int]) -> int:
    if isinstance(key, bool) or not isinstance(key, int | str) or key not in keys:
        raise InvalidInput(where, f"there is no node {shown(key)}", "name a node of the file")
    return keys[key]


def _names(nodes: list[Fields], keys: dict[int | str, int]) -> list[str]:
    given = [str(node.document.get("name", key)) for node, key in zip(nodes, keys, strict=True)]
    if len(set(given)) == len(given):
        return given
    return [f"{name}#{key}" for name, key in zip(given, keys, strict=True)]


def _number(node: Fields, name: str) -> Fraction:
    found = node.required(name)
    usable = not isinstance(found, bool) and isinstance(found, int | float) and math.isfinite(found) and found >= 0
    if not usable:
        raise InvalidInput(node.place(name), f"{shown(found)} is not a number >= 0", "write a finite number")
    # The shortest decimal that names the float is what the file says: 0.1 is one tenth.
    return Fraction(found) if isinstance(found, int) else Fraction(repr(found))


def _whole(node: Fields, name: str) -> int:
    number = _number(node, name)
    if number.denominator != 1:
        raise InvalidInput(
            node.place(name), f"{shown(node.document[name])} is not a whole number", "write sizes in whole bytes"
        )
    return number.numerator


def _scale(costs: list[Fraction], dialect: Dialect) -> int:
    scale = math.lcm(*(cost.denominator for cost in costs))
    if scale > LARGEST_SCALE:
        finest = max(range(len(costs)), key=lambda index: costs[index].denominator)
        raise InvalidInput(
            f"nodes[{finest}].{dialect.cost}",
            "too fine to be made whole exactly",
            "round the costs to at most 12 decimals",
        )
    return scale
