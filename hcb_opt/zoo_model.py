"""What a model of the zoo is: a builder whose parameters are the sizes that the user may choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph

if TYPE_CHECKING:
    import torch

    from hcb_opt.capture.step import CapturedStep

FlagValue = int | float
Step = tuple["torch.nn.Module", "Callable[[Any, Any], torch.Tensor]", Any]

_HELP = {
    "layers": "layers, or transformer blocks",
    "width": "features of the hidden layers; for unet, channels of its first level",
    "heads": "attention heads",
    "vocabulary": "tokens of the vocabulary",
    "sequence": "tokens per example",
    "batch": "examples per step",
    "classes": "output classes",
    "levels": "down- and upsampling levels",
    "image": "height and width of the images, in pixels",
    "channels": "channels of the images",
    "steps": "time steps",
    "dropout": "probability of every dropout",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """A size that the user may choose.

    Attributes
    ----------
    name, help : str
    default : int or float
        Its type is the flag's.
    """

    name: str
    default: FlagValue
    help: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the zoo.

    Attributes
    ----------
    name, summary : str
    flags : mapping of str to Flag
    build : callable
        Takes the flags by keyword and returns ``(model, loss_fn, batch)``.
    """

    name: str
    summary: str
    flags: Mapping[str, Flag]
    build: Callable[..., Step]

    def capture(self, *, cost: str = "roofline:h200", **flags: FlagValue | str) -> Graph:
        """Capture one training step of the model; see `hcb_opt.capture.capture`.

        Parameters
        ----------
        cost : str
        **flags : int or float
            Those of ``flags``; the rest keep their defaults. And ``device``, ``cpu``
            or ``cuda``, whose ops may be others: where the model is.

        Raises
        ------
        InvalidInput
            If a flag is unknown, not a number of its type, or out of range, or
            torch sees no such device.
        """
        return self.capture_step(cost=cost, **flags).graph

    def capture_step(self, *, cost: str = "roofline:h200", **flags: FlagValue | str) -> CapturedStep:
        """As `capture`, with the traced module that an executor needs beside the graph."""
        from hcb_opt.capture import capture_step
        from hcb_opt.capture.torch_shim import fake_tensors

        with fake_tensors():
            model, loss_fn, batch = self.make(**flags)
        return capture_step(model, loss_fn, batch, cost=cost, name=self.name)

    def make(self, **flags: FlagValue | str) -> Step:
        """The model, its loss function and a random batch, on real tensors.

        Parameters
        ----------
        **flags : int or float
            As in `capture`.

        Raises
        ------
        InvalidInput
            As `capture`.
        """
        import torch

        device = str(flags.pop("device", ""))
        checked = {name: self._checked(name, value) for name, value in flags.items()}
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise InvalidInput(f"device '{device}'", "torch sees no CUDA device", "leave it out, or run where one is")
        with torch.device(device) if device else nullcontext():
            return self.build(**checked)

    def _checked(self, name: str, value: FlagValue | str) -> FlagValue:
        where = f"{self.name} flag '{name}'"
        if name not in self.flags:
            raise InvalidInput(where, "unknown", f"use one of {', '.join(self.flags)}")
        if isinstance(self.flags[name].default, float):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise InvalidInput(where, f"{value!r} is no probability", "give a number in [0, 1)")
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidInput(where, f"{value!r} is no whole number >= 1", "give a positive integer")
        return value


_ZOO: dict[str, Model] = {}


def registered() -> Mapping[str, Model]:
    """The models of all builders so far, by name."""
    return dict(_ZOO)


def register(build: Callable[..., Step]) -> Callable[..., Step]:
    """Add a builder: its name, the first line of its docstring and its defaults make a `Model`."""
    flags = {name: Flag(name, each.default, _HELP[name]) for name, each in signature(build).parameters.items()}
    summary = (build.__doc__ or "").strip().splitlines()[0]
    _ZOO[build.__name__] = Model(build.__name__, summary, flags, build)
    return build
