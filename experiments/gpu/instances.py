"""Schedules without their models, by hash kernels in one arena: of a random layered graph and of a captured step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch

from hcb_opt.experiments.gpu.schedules import choose
from hcb_opt.experiments.gpu.sections import Case, Left, NothingToMeasure, Row, Settings
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph
from hcb_opt.layered import random_layered
from hcb_opt.runtime.instance_report import validate_instance

LAYERED_OPS = 1000
QUICK_LAYERED_OPS = 25
BYTES_PER_UNIT = 1024
"""Of the sizes of the published family, which are plain numbers."""
SHARE = 0.8
CAPTURED_SCALE = 4
SOLVE_SECONDS = 8.0
QUICK_SOLVE_SECONDS = 0.5
REPEATS = 3


def cases(settings: Settings) -> Sequence[Case]:
    """A random layered graph of Moccasin's largest size, and GPT-2's step, as captured on this device."""
    ops = QUICK_LAYERED_OPS if settings.quick else LAYERED_OPS
    return [
        Case(f"random layered graph, {ops} ops", partial(_layered, settings)),
        Case("GPT-2", partial(_captured, settings)),
    ]


def layered_instance(quick: bool) -> Graph:
    """The random layered graph, its sizes in bytes."""
    graph = random_layered(QUICK_LAYERED_OPS if quick else LAYERED_OPS)
    unit = 1 if quick else BYTES_PER_UNIT
    return replace(graph, values=tuple(replace(each, size_bytes=unit * each.size_bytes) for each in graph.values))


def _layered(settings: Settings, left: Left) -> Iterator[Row]:
    yield _validated(settings, layered_instance(settings.quick), 1, left)


def _captured(settings: Settings, left: Left) -> Iterator[Row]:
    path = settings.directory / "graphs" / "gpt2.json"
    if not path.is_file():
        raise NothingToMeasure("its step was not captured")
    yield _validated(settings, load_graph(path), CAPTURED_SCALE, left)


def _validated(settings: Settings, graph: Graph, scale: int, left: Left) -> Row:
    seconds = min(left(), QUICK_SOLVE_SECONDS if settings.quick else SOLVE_SECONDS)
    chosen = choose(graph, SHARE, settings.directory, seconds)
    repeats = 1 if settings.quick else REPEATS
    device = torch.device(settings.device)
    report = validate_instance(graph, chosen.schedule, scale=scale, device=device, repeats=repeats)
    return {"method": chosen.method, "share": SHARE, **report}
