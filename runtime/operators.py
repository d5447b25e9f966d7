"""Operators by the names that programs call them by."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import torch

from hcb_opt.capture.program import Call, Output, Program
from hcb_opt.runtime.errors import StepMismatch


def function_of(program: Program, call: Call) -> Callable[..., Any]:
    """What to run for a call: its operator, but for the one whose functional form draws otherwise than eager.

    Dropout on a CPU fills an empty tensor of its input's layout by ``bernoulli_``.
    The functional ``bernoulli`` that a capture records in its place fills a
    contiguous one, so that other elements would be dropped.

    Raises
    ------
    StepMismatch
        As `find_operator`.
    """
    filled = call.arguments[0] if call.operator == "aten::bernoulli.p" else None
    if isinstance(filled, Output) and program.calls[filled.call].operator == "aten::empty_like":
        return bernoulli_in_layout
    return find_operator(call.operator, call.name)


def bernoulli_in_layout(tensor: torch.Tensor, probability: float) -> torch.Tensor:
    """What ``tensor.bernoulli_(probability)`` makes of the tensor, in memory of its own."""
    return torch.empty_like(tensor).bernoulli_(probability)


@cache
def find_operator(operator: str, name: str) -> torch._ops.OpOverload:
    """The operator of this name.

    Parameters
    ----------
    operator : str
        ``namespace::name.overload``.
    name : str
        Of the op that calls it, for the message.

    Raises
    ------
    StepMismatch
        If this process has no such operator, or it writes to its arguments.
    """
    namespace, _, rest = operator.partition("::")
    if namespace == "hcb_opt":
        import_module("hcb_opt.runtime.fused")  # registers them
    packet_name, _, overload = rest.partition(".")
    try:
        found = getattr(getattr(getattr(torch.ops, namespace), packet_name), overload or "default")
    except (AttributeError, RuntimeError):
        found = None
    if not isinstance(found, torch._ops.OpOverload):
        raise StepMismatch(
            f"op '{name}': there is no operator {operator} here; import what registers it, "
            "or capture the step with this version of torch"
        )
    if found._schema.is_mutable:
        raise StepMismatch(f"op '{name}': {operator} writes to its arguments; capture the step again")
    return found
