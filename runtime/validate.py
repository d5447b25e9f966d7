"""What was predicted of a schedule against what is measured, and its gradients against a reference."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch

from hcb_opt.capture.program import Program, TensorLayout
from hcb_opt.graph import Graph
from hcb_opt.result import relative_gap
from hcb_opt.runtime.executor import Executed, Executor
from hcb_opt.runtime.generators import restored, states_of
from hcb_opt.runtime.measure import median_seconds, peak_bytes, with_measured_workspaces
from hcb_opt.schedule import Schedule, schedule_from_computes
from hcb_opt.transfers.link import INSTANT, Link
from hcb_opt.transfers.replay import replay_transfers


@dataclass(frozen=True)
class Reference:
    """What a schedule's results are compared with.

    Attributes
    ----------
    name : str
        ``eager``, or ``stored order``: the same program with nothing recomputed.
    run : callable
        Runs one step; leaves everything as it was but the generators.
    """

    name: str
    run: Callable[[], Executed]


def validate(
    graph: Graph,
    program: Program,
    schedule: Schedule,
    arguments: Sequence[torch.Tensor],
    reference: Reference | None = None,
    *,
    seed: int = 0,
    repeats: int = 5,
    link: Link = INSTANT,
) -> dict[str, Any]:
    """Run a schedule and say whether it keeps what was promised.

    Parameters
    ----------
    graph, program, schedule
    arguments : sequence of torch.Tensor
        As `Executor.run` takes them.
    reference : Reference or None
        None compares with the stored order.
    seed : int
        Of the generators, before each compared run.
    repeats : int
        Runs whose median time is taken.
    link : Link
        What transfers cost.

    Returns
    -------
    dict
        Ready for JSON: peaks in bytes, seconds, and for loss, every gradient and
        every buffer the largest absolute difference and whether all bits agree.
        ``predicted_peak_with_workspaces_bytes`` counts the scratch memory that
        ops were seen to take; a capture cannot know it. ``predicted_host_peak_bytes``
        are host copies, which on a CPU count in the measured peak.

    Raises
    ------
    IllegalSchedule, StepMismatch, ExecutionError
        As `Executor`.
    """
    device = torch.device(program.layouts[0].device)
    executor = Executor(graph, program, schedule)
    stored = Executor(graph, program, schedule_from_computes(graph, range(len(graph.ops))))
    reference = reference or Reference("stored order", lambda: stored.run(arguments))

    def run() -> Executed:
        return executor.run(arguments)

    with restored([device]):
        found, states = _seeded(run, seed, device)
        expected, expected_states = _seeded(reference.run, seed, device)
        compared = compare(program, found, expected)
        del found, expected
        measured = {
            "measured_peak_bytes": peak_bytes(run, device),
            "reference_peak_bytes": peak_bytes(reference.run, device),
            "seconds": median_seconds(run, device, repeats),
            "stored_order_seconds": median_seconds(lambda: stored.run(arguments), device, repeats),
            "reference_seconds": median_seconds(reference.run, device, repeats),
        }
        with_workspaces = with_measured_workspaces(executor, arguments, device)
    predicted = replay_transfers(graph, schedule, link)
    generators_equal = states == expected_states
    return {
        "graph": graph.name,
        "device": str(device),
        "torch": torch.__version__,
        "reference": reference.name,
        "predicted_peak_bytes": predicted.peak_bytes,
        "predicted_peak_with_workspaces_bytes": replay_transfers(with_workspaces, schedule, link).peak_bytes,
        "predicted_host_peak_bytes": predicted.host_peak_bytes,
        "cost": predicted.cost,
        "cost_unit": graph.cost_unit,
        "predicted_overhead": relative_gap(predicted.cost, graph.base_cost),
        "measured_overhead": measured["seconds"] / measured["stored_order_seconds"] - 1,
        **measured,
        **compared,
        "generators_bit_equal": generators_equal,
        "bit_equal": generators_equal
        and all(each["bit_equal"] for kind in compared.values() for each in kind.values()),
    }


def eager_reference(
    model: torch.nn.Module, loss_fn: Callable[[Any, Any], torch.Tensor], batch: Any, program: Program
) -> Reference:
    """Autograd on a copy of the model and of what the step writes to.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    loss_fn, batch
        As captured.
    program : Program
    """

    twin, fed = copy.deepcopy((model, batch))
    twin.zero_grad()
    names = (*program.parameter_names, *program.buffer_names)
    written = [position for position, _ in program.updates if position < len(names)]

    def run() -> Executed:
        owned = [attrgetter(name)(twin) for name in names]
        with torch.no_grad():
            for position in written:
                owned[position].copy_(attrgetter(names[position])(model))
        loss = loss_fn(twin, fed)
        loss.backward()
        gradients = [each.grad for each in owned[: program.parameters]]
        twin.zero_grad()
        after = [(position, attrgetter(names[position])(twin).detach()) for position in written]
        return Executed(loss.detach(), gradients, after)

    return Reference("eager", run)


def random_arguments(program: Program, seed: int = 0) -> list[torch.Tensor]:
    """Tensors that a program runs on where the model is not at hand: uniform in [0, 1), whole numbers 0.

    Parameters
    ----------
    program : Program
    seed : int
    """
    generators = {each.device: torch.Generator(each.device).manual_seed(seed) for each in program.layouts}
    return [_random_tensor(each, generators[each.device]) for each in program.layouts]


def _random_tensor(layout: TensorLayout, generator: torch.Generator) -> torch.Tensor:
    dtype = getattr(torch, layout.dtype)
    offset = layout.offset or 0
    if dtype.is_floating_point or dtype.is_complex:
        flat = torch.rand(offset + layout.span, dtype=dtype, device=layout.device, generator=generator)
    else:
        flat = torch.zeros(offset + layout.span, dtype=dtype, device=layout.device)
    return flat.as_strided(layout.shape, layout.strides, offset)


def _seeded(run: Callable[[], Executed], seed: int, device: torch.device) -> tuple[Executed, list[bytes]]:
    torch.manual_seed(seed)
    executed = run()
    return executed, states_of([device])


def compare(program: Program, found: Executed, expected: Executed) -> dict[str, dict[str, dict[str, Any]]]:
    """For loss, gradients and buffers, by name, the largest absolute difference and whether all bits agree."""
    written = dict(expected.updates)
    return {
        "loss": {"loss": _difference(found.loss, expected.loss)},
        "gradients": {
            name: _difference(first, second)
            for name, first, second in zip(program.parameter_names, found.gradients, expected.gradients, strict=True)
            if first is not None and second is not None
        },
        "buffers": {
            program.layouts[position].name: _difference(each, written[position])
            for position, each in found.updates
            if position in written
        },
    }


def _difference(found: torch.Tensor, expected: torch.Tensor) -> dict[str, Any]:
    """Bits, so that NaNs may agree; a largest difference that is no finite number is None."""
    exact = torch.equal(_bits(found), _bits(expected))
    difference = 0.0 if exact or not found.numel() else float((found.double() - expected.double()).abs().max())
    finite = difference == difference and difference != float("inf")
    return {"max_abs_difference": difference if finite else None, "bit_equal": exact}


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
