"""Scratch memory of a captured step's ops, measured on its device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hcb_opt.capture.program import Program
from hcb_opt.capture.step import CapturedStep
from hcb_opt.graph import Graph
from hcb_opt.runtime.device_cache import DeviceCache, device_label, signature
from hcb_opt.runtime.executor import Executor
from hcb_opt.runtime.generators import restored
from hcb_opt.runtime.measure import with_measured_workspaces
from hcb_opt.runtime.validate import random_arguments
from hcb_opt.schedule import schedule_from_computes


def measured_workspaces(step: CapturedStep, program: Program, folder: Path | None = None) -> Graph:
    """The graph of a captured step with the scratch memory that its ops take on this device.

    Unless all its ops are known already, the step runs once in the stored order, on
    random tensors: everything that it stores has to fit the device.

    Parameters
    ----------
    step : CapturedStep
    program : Program
        Of the step, by `hcb_opt.capture.record.record_program`.
    folder : Path or None
        Where measurements are kept; None takes `hcb_opt.runtime.device_cache.default_cache`.

    Returns
    -------
    Graph
        Differs in ``workspace_bytes`` and the fact ``workspaces``, which names the device.

    Raises
    ------
    InvalidInput
        If the file of measurements is none of ours or cannot be written.
    ExecutionError
        If the step cannot be run, as where the device is full.
    """
    device = torch.device(program.layouts[0].device)
    cache = DeviceCache("workspace_bytes", device_label(device), folder)
    known = cache.read(_is_size)
    signatures = [signature(node) for node in step.nodes]
    if not known.keys() >= set(signatures):
        known |= _measured(step.graph, program, signatures, device)
        cache.write(known)
    ops = tuple(replace(op, workspace_bytes=known[each]) for op, each in zip(step.graph.ops, signatures, strict=True))
    return replace(step.graph, ops=ops, facts={**step.graph.facts, "workspaces": f"measured on {cache.label}"})


def _measured(graph: Graph, program: Program, signatures: Sequence[str], device: torch.device) -> dict[str, int]:
    """The most that an op of each signature was seen to take."""
    executor = Executor(graph, program, schedule_from_computes(graph, range(len(graph.ops))))
    with restored([device]):
        measured = with_measured_workspaces(executor, random_arguments(program), device)
    most: dict[str, int] = {}
    for op, each in zip(measured.ops, signatures, strict=True):
        most[each] = max(most.get(each, 0), op.workspace_bytes)
    return most


def _is_size(found: object) -> bool:
    return type(found) is int and found >= 0
