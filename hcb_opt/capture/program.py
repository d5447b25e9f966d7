"""How a captured step is executed: the calls behind a graph's ops, and what goes in and comes out.

A graph says what may be dropped and recomputed; its program says what an op is.
Both together, and a schedule, are all that `hcb_opt.runtime` needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Output:
    """What a call returned: all of it, or one element of the tuple or list.

    Attributes
    ----------
    call : int
        Position in `Program.calls`.
    element : int
        0 if the call returns a single tensor.
    """

    call: int
    element: int


@dataclass(frozen=True, slots=True)
class Argument:
    """A tensor that the step is given: a parameter, a buffer or a tensor of the batch."""

    position: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor that the step found elsewhere and reads at every run."""

    position: int


Reference = Output | Argument | Constant


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operator.

    Attributes
    ----------
    name : str
        Of the traced node; that of the op, if it is one.
    operator : str
        ``namespace::name.overload``, as in ``aten::sum.dim_IntList``; the default
        overload goes without its name.
    arguments : tuple
        Numbers, strings, torch's dtypes and the like, `Reference`, and tuples of
        them.
    keywords : tuple of (str, argument)
    op : int or None
        Position of its op in the graph; None for a view, which is made anew from
        whatever instance of its base is resident.
    values : tuple of int or None
        For each element it returns, the position of the value in whose storage
        it lives; None where that is a persistent one, or nothing is to be kept.
    single : bool
        Whether it returns one tensor and not a tuple or list.
    """

    name: str
    operator: str
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...]
    op: int | None
    values: tuple[int | None, ...]
    single: bool


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """What a tensor must look like for the program to run on it.

    Attributes
    ----------
    name : str
        In the model, or ``batch[k]``.
    shape, strides : tuple of int
        In elements.
    dtype, device : str
        As in ``float32`` and ``cuda:0``.
    offset : int or None
        Elements before its first one in its storage; None if they do not matter.
    """

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: str
    offset: int | None

    @property
    def span(self) -> int:
        """Elements of memory from the first one to the last."""
        if 0 in self.shape:
            return 0
        return 1 + sum((count - 1) * stride for count, stride in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True)
class Program:
    """The calls of a captured step, in the graph's order.

    Attributes
    ----------
    calls : tuple of Call
        Ops and views; each reads only what earlier ones return.
    layouts : tuple of TensorLayout
        Of every argument: parameters, then buffers, then the batch's tensors.
    parameters, buffers : int
        How many of the arguments are such.
    constants : tuple of torch.Tensor
    loss : Reference
    gradients : tuple of Reference or None
        For each parameter; None if it gets no gradient.
    updates : tuple of (int, Reference)
        Arguments that the step writes to, and what they hold after it.
    """

    calls: tuple[Call, ...]
    layouts: tuple[TensorLayout, ...]
    parameters: int
    buffers: int
    constants: tuple[Any, ...]
    loss: Reference
    gradients: tuple[Reference | None, ...]
    updates: tuple[tuple[int, Reference], ...]

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters in the model, a tied one under its first."""
        return tuple(each.name for each in self.layouts[: self.parameters])

    @property
    def buffer_names(self) -> tuple[str, ...]:
        """Names of the buffers in the model."""
        return tuple(each.name for each in self.layouts[self.parameters : self.parameters + self.buffers])

    @property
    def results(self) -> tuple[Reference, ...]:
        """All that must be at hand when the step ends, each once."""
        kept = [self.loss, *self.gradients, *(each for _, each in self.updates)]
        return tuple(dict.fromkeys(each for each in kept if each is not None))


def references(arguments: Any) -> list[Reference]:
    """The references in a nest of arguments, in order."""
    if isinstance(arguments, tuple):
        return [found for each in arguments for found in references(each)]
    return [arguments] if isinstance(arguments, Reference) else []


def call_references(call: Call) -> list[Reference]:
    """All that a call reads, in order."""
    return references((call.arguments, tuple(each for _, each in call.keywords)))
