"""One training step, traced: forward, backward, and what each of its tensors is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx

from hcb_opt.capture import torch_shim
from hcb_opt.capture.assemble import assemble
from hcb_opt.capture.costs import CostModel
from hcb_opt.capture.failures import as_capture_error
from hcb_opt.capture.state import restored
from hcb_opt.capture.storages import Slot, Slots
from hcb_opt.errors import CaptureError, InvalidInput
from hcb_opt.graph import Graph

LossFunction = Callable[[Any, Any], torch.Tensor]


@dataclass(frozen=True)
class CapturedStep:
    """A graph, and the traced module it was made from.

    Attributes
    ----------
    graph : Graph
    module : torch.fx.GraphModule
        Takes the tensors of ``parameters``, then ``buffers``, then the batch's
        tensors in `torch.utils._pytree` order. Returns the loss; for each of
        ``parameters`` its gradient or None; then all those tensors as the step
        leaves them, where one that it does not write to is returned itself.
    parameters, buffers : tuple of str
        Names in the model, a tied parameter under its first name. A tensor that
        a module keeps as a plain attribute counts as a buffer.
    nodes : tuple of torch.fx.Node
        The node of each op.
    value_slots : tuple of Slot
        The node and output position of each value.
    slots : mapping
        For every node of the module, views included, the slots its result lives
        in; see `hcb_opt.capture.storages.find_slots`.
    """

    graph: Graph
    module: torch.fx.GraphModule
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]
    nodes: tuple[torch.fx.Node, ...]
    value_slots: tuple[Slot, ...]
    slots: Mapping[torch.fx.Node, Slots]


@dataclass(frozen=True)
class Trace:
    """What `trace_step` found; the fields are those of `CapturedStep`.

    Attributes
    ----------
    forward_names : frozenset of str
        Names of the nodes recorded before the backward began.
    arguments : list of torch.Tensor
        The fake tensors the module was traced with.
    """

    module: torch.fx.GraphModule
    forward_names: frozenset[str]
    arguments: list[torch.Tensor]
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]


def capture_traced(
    model: torch.nn.Module, loss_fn: LossFunction, batch: Any, cost: CostModel, name: str | None
) -> CapturedStep:
    """Trace a step and build its graph; see `hcb_opt.capture.capture`."""
    if not isinstance(model, torch.nn.Module):
        what = f"a {type(model).__name__} is no torch.nn.Module"
        raise InvalidInput("model", what, "wrap it in a module that owns its parameters")
    if not callable(loss_fn):
        what = f"a {type(loss_fn).__name__} cannot be called"
        raise InvalidInput("loss_fn", what, "pass a function loss_fn(model, batch)")
    with restored(model):
        try:
            trace = trace_step(model, loss_fn, batch)
        except Exception as error:
            raise as_capture_error(error) from error
    label = type(model).__name__
    facts = _facts(trace, label, batch, cost)
    built = assemble(trace.module, trace.forward_names, trace.arguments, cost, name or label.lower(), facts)
    return CapturedStep(
        built.graph, trace.module, trace.parameters, trace.buffers, built.nodes, built.value_slots, built.slots
    )


def trace_step(model: torch.nn.Module, loss_fn: LossFunction, batch: Any) -> Trace:
    """The functional ATen graph of loss and gradients.

    Raises
    ------
    CaptureError
        If no parameter gets a gradient. Other errors come as torch raises them.
    """
    parameters = dict(model.named_parameters())
    buffers = _buffers(model)
    leaves, structure = torch_shim.tree_flatten(batch)
    tensors = [*parameters.values(), *buffers.values(), *(each for each in leaves if isinstance(each, torch.Tensor))]
    trainable = [each.requires_grad for each in parameters.values()]
    if not any(trainable):
        raise CaptureError(f"{type(model).__name__}: no parameter is trainable; set requires_grad on those to train")
    mode = torch_shim.existing_fake_mode(tensors) or torch_shim.fake_tensors()
    arguments = _apart([torch_shim.to_fake(mode, each) for each in tensors])
    forward_names: set[str] = set()

    def joint(given: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
        own = [each.detach().requires_grad_(wanted) for each, wanted in zip(given, trainable, strict=False)]
        held = dict(zip([*parameters, *buffers], [*own, *given[len(own) :]], strict=False))
        feed = iter(given[len(held) :])
        fed = [next(feed) if isinstance(each, torch.Tensor) else each for each in leaves]
        # The backward runs inside, too: checkpointed parts of the model run again there.
        with torch_shim.swapped_tensors(model, held):
            loss = _checked_loss(loss_fn(model, torch_shim.tree_unflatten(fed, structure)))
            forward_names.update(torch_shim.recorded_names())
            gradients = _gradients(loss, own)
            after = _buffers(model)
        updated = [after[each].detach() if each in after else None for each in buffers]
        return [loss.detach(), *gradients, *given[: len(own)], *updated, *given[len(held) :]]

    with torch.inference_mode(False), torch.enable_grad(), torch_shim.elementary_recurrence():
        module = torch_shim.trace_functional(joint, arguments, mode)
    _check_constants(module)
    return Trace(module, frozenset(forward_names), arguments, tuple(parameters), tuple(buffers))


def _apart(arguments: list[torch.Tensor]) -> list[torch.Tensor]:
    """Aliases in the place of tensors that come a second time, so that each is an argument of its own."""
    first = {id(each): position for position, each in reversed(list(enumerate(arguments)))}
    return [each if first[id(each)] == position else each.detach() for position, each in enumerate(arguments)]


def _buffers(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Buffers by name, and with them the tensors that modules keep as plain attributes."""
    found = dict(model.named_buffers())
    known = {id(each) for each in [*found.values(), *model.parameters()]}
    for prefix, module in model.named_modules():
        for name, each in vars(module).items():
            if isinstance(each, torch.Tensor) and id(each) not in known:
                known.add(id(each))
                found[f"{prefix}.{name}" if prefix else name] = each
    return found


def _gradients(loss: torch.Tensor, parameters: list[torch.Tensor]) -> list[torch.Tensor | None]:
    wanted = [each for each in parameters if each.requires_grad]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    if all(each is None for each in found):
        raise CaptureError(
            "the loss depends on no trainable parameter of model; compute it from the model that loss_fn is given"
        )
    by_parameter = dict(zip(map(id, wanted), found, strict=True))
    return [by_parameter.get(id(each)) for each in parameters]


def _checked_loss(loss: Any) -> torch.Tensor:
    if not isinstance(loss, torch.Tensor):
        raise CaptureError(f"loss_fn returned a {type(loss).__name__}; return the scalar loss tensor")
    if loss.numel() != 1:
        shape = tuple(loss.shape)
        raise CaptureError(f"loss_fn returned a tensor of shape {shape}; reduce it to a scalar, as with .mean()")
    if not loss.requires_grad:
        raise CaptureError("the loss has no backward; remove no_grad, detach or .data between parameters and loss")
    return loss


def _check_constants(module: torch.fx.GraphModule) -> None:
    for node in module.graph.find_nodes(op="get_attr"):
        constant = getattr(module, str(node.target))
        if isinstance(constant, torch.Generator):
            raise CaptureError("an op is given a Generator of its own; let it draw from torch's default generator")
        if isinstance(constant, torch.nn.Parameter) and constant.requires_grad:
            raise CaptureError(
                f"the step reads a trainable parameter of shape {tuple(constant.shape)} that is not the model's; "
                "make its owner a submodule of the model"
            )


def _facts(trace: Trace, label: str, batch: Any, cost: CostModel) -> dict[str, str | int]:
    owned = trace.arguments[: len(trace.parameters)]
    first = _first_tensor(torch_shim.tree_leaves(batch))
    return {
        "torch": torch.__version__,
        "model": label,
        "batch": first.shape[0] if first is not None and first.dim() else 1,
        "device": owned[0].device.type,
        "cost_model": cost.name,
        "parameters": sum(each.numel() for each in owned),
    }


def _first_tensor(leaves: Iterable[Any]) -> torch.Tensor | None:
    return next((each for each in leaves if isinstance(each, torch.Tensor)), None)
