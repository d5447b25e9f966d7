"""Memory of an op's own, which no traced graph shows: declared by those who define the op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.fx

from hcb_opt.capture.storages import operator_of


@dataclass(frozen=True, slots=True)
class Scratch:
    """Memory that one execution of an op takes and gives back.

    Attributes
    ----------
    held_bytes : int
        At most at once, beside inputs and outputs.
    moved_bytes : int
        Written to it and read from it, in all.
    """

    held_bytes: int
    moved_bytes: int = 0


NO_SCRATCH = Scratch(0)

Formula = Callable[..., Scratch]

_FORMULAS: dict[torch._ops.OpOverloadPacket, Formula] = {}


def declares_scratch(packet: torch._ops.OpOverloadPacket) -> Callable[[Formula], Formula]:
    """Decorate what tells an op's scratch memory from its arguments, whose tensors have shapes and no data."""

    def declare(formula: Formula) -> Formula:
        _FORMULAS[packet] = formula
        return formula

    return declare


def node_scratch(node: torch.fx.Node) -> Scratch:
    """Scratch memory of a traced op; none where nothing is declared."""
    formula = _FORMULAS.get(operator_of(node)._overloadpacket)
    if formula is None:
        return NO_SCRATCH
    arguments, keywords = torch.fx.node.map_arg((node.args, dict(node.kwargs)), lambda each: each.meta["val"])
    return formula(*arguments, **keywords)
