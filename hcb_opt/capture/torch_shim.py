"""All that the capture uses of torch's private interfaces, for torch 2.11 to 2.13."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.fx
from torch._C._autograd import DeviceType
from torch._guards import detect_fake_mode
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten
from torch.utils.flop_counter import flop_registry

from hcb_opt.capture.batch_norm import DeclaredStatistics

__all__ = [
    "autocast_state",
    "elementary_recurrence",
    "existing_fake_mode",
    "fake_tensors",
    "flop_registry",
    "has_alias_schema",
    "has_gradient_hooks",
    "is_fake",
    "is_seeded",
    "profiled_memory",
    "recorded_names",
    "storage_key",
    "swapped_tensors",
    "to_fake",
    "trace_functional",
    "tree_flatten",
    "tree_leaves",
    "tree_unflatten",
    "writes_to_arguments",
]

# In training they write to their running statistics, which their schemas do not declare.
_UNDECLARED_WRITES = ("aten::native_batch_norm", "aten::cudnn_batch_norm", "aten::miopen_batch_norm")

# Their schemas declare no alias, yet the result is a view of the first argument.
_UNDECLARED_VIEWS = ("aten::_unsafe_view", "aten::_reshape_alias")


def fake_tensors() -> FakeTensorMode:
    """A context in which tensors have shapes and no data; real ones may be read in it."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def existing_fake_mode(tensors: Sequence[torch.Tensor]) -> FakeTensorMode | None:
    """The mode of those among the tensors that are fake already, if any."""
    mode: FakeTensorMode | None = detect_fake_mode(list(tensors))
    return mode


def to_fake(mode: FakeTensorMode, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same layout without data; a meta tensor becomes a CPU one.

    Two tensors that share storage share it afterwards, too.
    """
    if isinstance(tensor, FakeTensor):
        return tensor
    if tensor.device.type != "meta":
        return mode.from_tensor(tensor, static_shapes=True)
    with mode:
        fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
    return fake.requires_grad_(tensor.requires_grad)


@contextmanager
def swapped_tensors(module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> Iterator[None]:
    """The module with other parameters and buffers, under all names of tied ones."""
    with _reparametrize_module(module, tensors, tie_weights=True):
        yield


@contextmanager
def elementary_recurrence() -> Iterator[None]:
    """Inside, nn.LSTM and nn.GRU on a CPU are traced as what they are made of.

    The backward of their fused oneDNN kernel reads a workspace that no op
    returns, so it cannot be run op by op.
    """
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def trace_functional(
    function: Callable[[Sequence[torch.Tensor]], list[torch.Tensor | None]],
    arguments: list[torch.Tensor],
    mode: FakeTensorMode,
) -> torch.fx.GraphModule:
    """The ATen graph of a function that computes and differentiates, without in-place ops.

    Without Python's dispatcher, which would put other ops in the place of those
    that eager runs: another batch norm on CUDA, on a CPU a dropout with a mask of
    its own and copies in layer norm.

    Parameters
    ----------
    function : callable
        From tensors to tensors; may write to its arguments.
    arguments : list of torch.Tensor
        Fake tensors of ``mode``.
    mode : FakeTensorMode

    Returns
    -------
    torch.fx.GraphModule
        An output that is an argument is that argument as the function leaves it;
        the placeholder itself if the function does not write to it.
    """

    def functional(*plain: torch.Tensor) -> list[torch.Tensor | None]:
        above = torch._C.DispatchKeySet(torch._C.DispatchKey.Functionalize)
        with torch._C._ExcludeDispatchKeyGuard(above), FunctionalTensorMode(), declared:
            wrapped = [FunctionalTensor.to_functional(each) for each in plain]
            return [_from_functional(each) for each in function(wrapped)]

    on_cuda = any(each.device.type == "cuda" for each in arguments)
    declared = DeclaredStatistics() if on_cuda else nullcontext()  # type: ignore[no-untyped-call]
    with mode, _unlogged():
        return make_fx(functional, _allow_non_fake_inputs=True)(*arguments)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Inside, a failing fake kernel raises its error without logging it as well."""
    logger = logging.getLogger(fake_tensor.__name__)
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


def _from_functional(tensor: torch.Tensor | None) -> torch.Tensor | None:
    if not isinstance(tensor, FunctionalTensor):
        return tensor
    torch._sync(tensor)  # type: ignore[attr-defined, no-untyped-call]
    plain: torch.Tensor = torch._from_functional_tensor(tensor.elem)
    return plain


def recorded_names() -> Iterator[str]:
    """Names of the nodes that the trace under way has recorded."""
    mode = get_proxy_mode()
    assert mode is not None, "called outside a trace"
    return (node.name for node in mode.tracer.graph.nodes)


def profiled_memory(function: Callable[[], object], marker: str) -> list[tuple[int, str | int]]:
    """What the CPU's allocator does while a function runs, as the profiler sees it.

    Parameters
    ----------
    function : callable
    marker : str
        How the names of those of its `torch.profiler.record_function` begin that
        are to be told.

    Returns
    -------
    list of (int, str or int)
        In order of time, which comes first, in ns: bytes allocated (negative:
        freed), the name of a marker that begins, and an empty name where one ends.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        function()
    assert profile.profiler is not None
    told: list[tuple[int, str | int]] = []
    for each in profile.profiler.kineto_results.events():
        if each.name() == "[memory]" and each.device_type() == DeviceType.CPU:
            told.append((each.start_ns(), each.nbytes()))
        elif each.name().startswith(marker):
            told += [(each.start_ns(), each.name()), (each.start_ns() + each.duration_ns(), "")]
    return sorted(told, key=lambda each: each[0])


def storage_key(tensor: torch.Tensor) -> int:
    """Identity of the tensor's storage, while it lives."""
    return int(tensor.untyped_storage()._cdata)


def has_gradient_hooks(parameter: torch.Tensor) -> bool:
    """Whether autograd would call something once the parameter's gradient is there."""
    return bool(parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None))


def autocast_state() -> tuple[object, ...]:
    """Whether, and to what, autocast casts here, on the CPU and on CUDA."""
    kinds = ("cpu", "cuda")
    return tuple((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds)


def is_fake(tensor: torch.Tensor) -> bool:
    """Whether the tensor has a shape and no data."""
    return isinstance(tensor, FakeTensor)


def has_alias_schema(op: torch._ops.OpOverload) -> bool:
    """Whether the op only gives another view of its first argument."""
    return op.is_view or op._schema.name in _UNDECLARED_VIEWS


def writes_to_arguments(node: torch.fx.Node) -> bool:
    """Whether the node's op writes to a tensor it is given, declared or not."""
    op = node.target
    if not isinstance(op, torch._ops.OpOverload):
        return False
    updates = op._schema.name in _UNDECLARED_WRITES and _argument(node, "training") and _argument(node, "running_mean")
    return op._schema.is_mutable or bool(updates)


def is_seeded(node: torch.fx.Node) -> bool:
    """Whether the node's op draws from a random-number generator.

    Fused attention is tagged as random, draws only if its ``dropout_p`` is above
    zero, and in its backward makes the same numbers from the seed that it is given.
    """
    op = node.target
    if not isinstance(op, torch._ops.OpOverload) or torch.Tag.nondeterministic_seeded not in op.tags:
        return False
    names = {each.name for each in op._schema.arguments}
    return "philox_seed" not in names and ("dropout_p" not in names or _argument(node, "dropout_p") != 0.0)


def _argument(node: torch.fx.Node, name: str) -> Any:
    """What the node passes for the argument of this name, or its default."""
    assert isinstance(node.target, torch._ops.OpOverload)
    declared = node.target._schema.arguments
    position = [each.name for each in declared].index(name)
    if position < len(node.args):
        return node.args[position]
    return node.kwargs.get(name, declared[position].default_value)
