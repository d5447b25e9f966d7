"""The networks that are trained on the device, and their parts that are checkpointed as blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from hcb_opt.models import zoo

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Network:
    """A model of the zoo at one size.

    Attributes
    ----------
    title, model : str
        For the table, and in the zoo.
    sizes : mapping of str to int
        Without the batch.
    batch : int
        Examples of a step.
    dtype : str
        Of parameters and images.
    """

    title: str
    model: str
    sizes: Mapping[str, int]
    batch: int
    dtype: str = "float32"


NETWORKS: Mapping[str, Network] = {
    "gpt2": Network(
        "GPT-2, 355M, bf16", "gpt2", {"layers": 24, "width": 1024, "heads": 16, "sequence": 1024}, 8, "bfloat16"
    ),
    "resnet50": Network("ResNet-50", "resnet50", {"image": 224}, 128),
    "unet": Network("U-Net", "unet", {"image": 256}, 16),
}

QUICK: Mapping[str, Network] = {
    "gpt2": Network(
        "GPT-2, tiny, bf16",
        "gpt2",
        {"layers": 2, "width": 32, "heads": 2, "vocabulary": 101, "sequence": 16},
        4,
        "bfloat16",
    ),
    "unet": Network("U-Net, tiny", "unet", {"levels": 1, "width": 2, "image": 16}, 4),
}


@dataclass(frozen=True)
class Training:
    """A model on its device.

    Attributes
    ----------
    model : torch.nn.Module
    loss_fn : callable
    batch : tuple of torch.Tensor
    """

    model: torch.nn.Module
    loss_fn: Callable[[Any, Any], torch.Tensor]
    batch: tuple[torch.Tensor, ...]


def networks(quick: bool) -> Mapping[str, Network]:
    """Those that are measured, by the name in the zoo."""
    return QUICK if quick else NETWORKS


def make(network: Network, device: str) -> Training:
    """The model, with the same weights each time, and a batch."""
    import torch

    torch.manual_seed(0)
    model, loss_fn, _ = zoo()[network.model].make(**network.sizes, batch=1, device=device)
    model = model.to(getattr(torch, network.dtype))
    return Training(model, loss_fn, make_batch(network, network.batch, device))


def make_batch(network: Network, size: int, device: str) -> tuple[torch.Tensor, ...]:
    """A random batch of so many examples."""
    import torch

    kinds = next(each for name, each in zoo()[network.model].flags.items() if name in ("vocabulary", "classes"))
    count = int(network.sizes.get(kinds.name, kinds.default))
    generator = torch.Generator(device).manual_seed(0)
    made = []
    for example, floating in _example(network.model, tuple(network.sizes.items())):
        shape = (size, *example)
        if floating:
            dtype = getattr(torch, network.dtype)
            made.append(torch.randn(shape, device=device, dtype=dtype, generator=generator))
        else:
            made.append(torch.randint(0, count, shape, device=device, generator=generator))
    return tuple(made)


@cache
def _example(model: str, sizes: tuple[tuple[str, int], ...]) -> list[tuple[tuple[int, ...], bool]]:
    """Of each tensor of a batch, the shape that an example has, and whether it is of floating point."""
    from hcb_opt.capture.torch_shim import fake_tensors

    with fake_tensors():
        _, _, batch = zoo()[model].make(**dict(sizes), batch=1)
    return [(tuple(each.shape[1:]), each.is_floating_point()) for each in batch]


def blocks(network: Network, model: torch.nn.Module) -> Sequence[torch.nn.Module]:
    """What a user would wrap in ``torch.utils.checkpoint``: transformer blocks, bottlenecks, double convolutions."""
    from hcb_opt.capture.networks.convolutional import Bottleneck, UNet
    from hcb_opt.capture.networks.transformer import Gpt2

    if isinstance(model, Gpt2):
        return list(model.blocks)
    if isinstance(model, UNet):
        return [*model.down, model.bottom, *model.merge]
    return [each for each in model.modules() if isinstance(each, Bottleneck)]


@contextmanager
def checkpointed(parts: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Inside, each of these modules keeps its input only and runs again in the backward."""
    from torch.utils.checkpoint import checkpoint

    for each in parts:
        vars(each)["forward"] = partial(checkpoint, each.forward, use_reentrant=False)
    try:
        yield
    finally:
        for each in parts:
            del vars(each)["forward"]
