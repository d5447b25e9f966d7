"""Costs of a captured step's ops, measured on its device."""

from __future__ import annotations

import statistics
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
from hcb_opt.runtime.measure import op_nanoseconds
from hcb_opt.runtime.validate import random_arguments
from hcb_opt.schedule import schedule_from_computes

REPEATS = 7


def measured_costs(step: CapturedStep, program: Program, folder: Path | None = None, repeats: int = REPEATS) -> Graph:
    """The graph of a captured step with the median times of its ops on this device as costs, in ns.

    Unless all its ops are known already, the step runs in the stored order on random
    tensors, once to warm up and then ``repeats`` times: everything that it stores has
    to fit the device. Calls of one op with arguments of the same shapes count as one.

    Parameters
    ----------
    step : CapturedStep
    program : Program
        Of the step, by `hcb_opt.capture.record.record_program`.
    folder : Path or None
        Where measurements are kept; None takes `hcb_opt.runtime.device_cache.default_cache`.
    repeats : int

    Returns
    -------
    Graph
        Differs in costs and their unit, and in the facts ``cost_model``, which names
        the device, and ``cost_spread``: half of the time is spent in ops whose
        interquartile range is at most this share of their median.

    Raises
    ------
    InvalidInput
        If the file of measurements is none of ours or cannot be written.
    ExecutionError
        If the step cannot be run, as where the device is full.
    """
    device = torch.device(program.layouts[0].device)
    cache = DeviceCache("nanoseconds", device_label(device), folder)
    known = cache.read(_are_quartiles)
    signatures = [signature(node) for node in step.nodes]
    if not known.keys() >= set(signatures):
        known |= _measured(step.graph, program, signatures, device, repeats)
        cache.write(known)
    quartiles = [known[each] for each in signatures]
    ops = tuple(replace(op, cost=max(1, median)) for op, (_, median, _) in zip(step.graph.ops, quartiles, strict=True))
    facts = {"cost_model": f"measured on {cache.label}", "cost_spread": f"{100 * _spread(quartiles):.1f} %"}
    return replace(step.graph, ops=ops, cost_unit="ns", facts={**step.graph.facts, **facts})


def _measured(
    graph: Graph, program: Program, signatures: Sequence[str], device: torch.device, repeats: int
) -> dict[str, list[int]]:
    """Quartiles of the times of all ops of each signature."""
    executor = Executor(graph, program, schedule_from_computes(graph, range(len(graph.ops))))
    with restored([device]):
        times = op_nanoseconds(executor, random_arguments(program), device, repeats)
    together: dict[str, list[int]] = {}
    for each, found in zip(signatures, times, strict=True):
        together.setdefault(each, []).extend(found)
    return {
        each: [round(cut) for cut in statistics.quantiles(found, n=4, method="inclusive")]
        for each, found in together.items()
    }


def _spread(quartiles: Sequence[Sequence[int]]) -> float:
    """The median of the ops' interquartile ranges over their medians, each op counted by its time."""
    spreads = sorted(((third - first) / max(1, median), median) for first, median, third in quartiles)
    half, passed = sum(median for _, median in spreads) / 2, 0
    for spread, median in spreads:
        passed += median
        if passed >= half:
            return spread
    return 0.0


def _are_quartiles(found: object) -> bool:
    return isinstance(found, list) and len(found) == 3 and all(type(each) is int and each >= 0 for each in found)
