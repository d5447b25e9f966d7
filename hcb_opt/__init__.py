"""The cheapest way to train within a memory budget, and how far from optimal any schedule is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import CaptureError, HcbOptError, InvalidInput
from hcb_opt.graph import Graph, Op, Phase, Value
from hcb_opt.io import load_graph, load_schedule, save_graph, save_schedule
from hcb_opt.layout import Layout, layout
from hcb_opt.minimum import MinimumBudget, minimum_budget
from hcb_opt.pareto import pareto
from hcb_opt.pareto_front import ParetoFront, ParetoPoint
from hcb_opt.replay import IllegalSchedule, Replay, replay
from hcb_opt.result import Event, Result, Status
from hcb_opt.schedule import (
    Compress,
    Compute,
    Decompress,
    Discard,
    Drop,
    Offload,
    Prefetch,
    Schedule,
    schedule_from_computes,
)
from hcb_opt.solve import solve_schedule
from hcb_opt.transfers.link import Link
from hcb_opt.transfers.planner import plan_transfers
from hcb_opt.transfers.replay import TransferReplay, replay_transfers
from hcb_opt.version import __version__

if TYPE_CHECKING:
    from hcb_opt.capture import capture

__all__ = [
    "CaptureError",
    "Compress",
    "Compute",
    "Decompress",
    "Discard",
    "Drop",
    "Event",
    "Graph",
    "HcbOptError",
    "IllegalSchedule",
    "InvalidInput",
    "Layout",
    "Link",
    "MinimumBudget",
    "Offload",
    "Op",
    "OpSpec",
    "ParetoFront",
    "ParetoPoint",
    "Phase",
    "Prefetch",
    "Replay",
    "Result",
    "Schedule",
    "Status",
    "TransferReplay",
    "Value",
    "__version__",
    "build_graph",
    "capture",
    "compile_options",
    "eager_compile_backend",
    "layout",
    "load_graph",
    "load_schedule",
    "minimum_budget",
    "optimize",
    "pareto",
    "plan_transfers",
    "replay",
    "replay_transfers",
    "save_graph",
    "save_schedule",
    "schedule_from_computes",
    "solve_schedule",
    "within_budget",
]


def __getattr__(name: str) -> Any:
    # torch is imported only by those who capture or execute: solving must work without it.
    if name == "capture":
        from hcb_opt.capture import capture

        return capture
    if name in ("compile_options", "eager_compile_backend"):
        return getattr(importlib.import_module("hcb_opt.runtime.compile.partitioner"), name)
    if name == "optimize":
        return importlib.import_module("hcb_opt.runtime.optimize").optimize
    if name == "within_budget":
        return importlib.import_module("hcb_opt.runtime.context").within_budget
    raise AttributeError(f"module 'hcb_opt' has no attribute {name!r}")
