"""Whether a schedule of any graph runs as predicted, on this device and without its model."""

from __future__ import annotations

from dataclasses import asdict
from types import ModuleType
from typing import Any

import torch

from hcb_opt.graph import Graph
from hcb_opt.layout import layout
from hcb_opt.layout.address_map import DEFAULT_ALIGNMENT_BYTES
from hcb_opt.replay import replay
from hcb_opt.result import relative_gap
from hcb_opt.runtime.instance import (
    checksum,
    default_kernels,
    play,
    scaled,
    scheduled_launches,
    straight_bytes,
    straight_launches,
    wrong_launches,
)
from hcb_opt.runtime.instance_times import Clock, calibrated_work, fitted
from hcb_opt.runtime.kernels.instance_reference import Launch
from hcb_opt.schedule import Schedule

MOST_NAMED = 10


def validate_instance(
    graph: Graph,
    schedule: Schedule,
    *,
    scale: int = 1,
    in_place: bool = False,
    alignment_bytes: int = DEFAULT_ALIGNMENT_BYTES,
    device: torch.device | None = None,
    kernels: ModuleType | None = None,
    seed: int = 0,
    repeats: int = 5,
) -> dict[str, Any]:
    """Lay a schedule out, run it by hash kernels in one arena, and compare with what was predicted.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule
    scale : int
        All sizes are divided by it and rounded up; predictions are of the graph so scaled.
    in_place : bool
        Let ops write over inputs where the graph says that they may: the arena may
        then be smaller than the predicted peak, which counts both.
    alignment_bytes : int
        Of every address.
    device : torch.device or None
        None takes CUDA's where there is one.
    kernels : module or None
        None takes Triton's on CUDA, otherwise the reference in torch.
    seed : int
        Of the layout.
    repeats : int
        Runs of which the median of each launch's time is taken.

    Returns
    -------
    dict
        Ready for JSON. ``bit_equal``: every run of an op found its inputs intact, and
        so did the end, and nothing was written behind the arena; otherwise
        ``wrong`` names the first ops that did not. ``measured_arena_bytes``: up to the last byte of the
        arena that was written.

    Raises
    ------
    IllegalSchedule
        If replay finds the schedule illegal.
    InvalidInput
        If a number is out of range.
    OutOfBudget
        If the device has too little memory.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kernels = kernels or default_kernels(device)
    graph = scaled(graph, scale)
    predicted = replay(graph, schedule)
    placed = layout(graph, schedule, in_place=in_place, alignment_bytes=alignment_bytes, seed=seed)
    launches, straight = scheduled_launches(graph, schedule, placed), straight_launches(graph)
    expected = play(straight, straight_bytes(graph), device, kernels)
    played = play(launches, placed.arena_bytes, device, kernels)
    wrong = wrong_launches(launches, played, expected)
    names = [op.name for op in graph.ops] + [f"output {graph.values[value].name}" for value in graph.outputs]
    return {
        "graph": graph.name,
        "device": str(device),
        "torch": torch.__version__,
        "kernels": kernels.__name__.rpartition(".")[2],
        "scale": scale,
        "launches": len(schedule.computes),
        "recomputes": len(schedule.computes) - len(graph.ops),
        "bit_equal": not wrong and not played.beyond,
        "wrong": [names[launches[index].op] for index in wrong[:MOST_NAMED]],
        "checksum": checksum(launches, played),
        "straight_checksum": checksum(straight, expected),
        "alignment_bytes": alignment_bytes,
        "predicted_peak_bytes": predicted.peak_bytes,
        "predicted_aligned_peak_bytes": placed.live_peak_bytes,
        "written_in_place": len(placed.in_place),
        "arena_bytes": placed.arena_bytes,
        "measured_arena_bytes": played.written_bytes,
        "cost": predicted.cost,
        "cost_unit": graph.cost_unit,
        "predicted_overhead": relative_gap(predicted.cost, graph.base_cost),
        **_times(graph, schedule, launches, placed.arena_bytes, Clock(device, kernels, repeats)),
    }


def _times(
    graph: Graph, schedule: Schedule, launches: tuple[Launch, ...], arena_bytes: int, clock: Clock
) -> dict[str, Any]:
    computes = launches[: len(schedule.computes)]
    straight = straight_launches(graph)[: len(graph.ops)]
    work = calibrated_work(graph, straight, straight_bytes(graph), clock)
    seconds = clock.seconds(computes, arena_bytes, work)
    stored_order = clock.seconds(straight, straight_bytes(graph), work)
    return {
        "seconds": sum(seconds),
        "stored_order_seconds": sum(stored_order),
        "measured_overhead": sum(seconds) / sum(stored_order) - 1,
        "time_fit": asdict(fitted([graph.ops[launch.op].cost for launch in computes], seconds)),
    }
