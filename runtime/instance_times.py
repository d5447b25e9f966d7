"""How long the launches of a schedule take: work per op calibrated to its cost, and how well time follows it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType

import numpy as np
import torch

from hcb_opt.graph import Graph
from hcb_opt.runtime.instance import allocated
from hcb_opt.runtime.kernels.instance_reference import Launch

MOST_WORK = 5.0  # all time, as a multiple of what hashing alone takes
LEAST_SECONDS = 0.05
CALIBRATION_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Fit:
    """A line through launches: ``seconds = seconds_per_launch + seconds_per_cost * cost``.

    Attributes
    ----------
    seconds_per_cost, seconds_per_launch : float
    r_squared : float or None
        Share of the variance of the seconds that the line explains; None if all costs are equal.
    """

    seconds_per_cost: float
    seconds_per_launch: float
    r_squared: float | None


@dataclass(frozen=True, slots=True)
class Clock:
    """Times launches.

    Attributes
    ----------
    device : torch.device
    kernels : module
        `hcb_opt.runtime.kernels.instance_reference` or ``instance``.
    repeats : int
        Runs of all launches; a launch's median counts. One run before them does not.
    """

    device: torch.device
    kernels: ModuleType
    repeats: int

    def seconds(self, launches: Sequence[Launch], arena_bytes: int, work: Sequence[int]) -> list[float]:
        """Median seconds of each launch: by events on CUDA, on a CPU the processor's time of one thread.

        Other processes take no part of the latter, and threads do not wait for each other.

        Parameters
        ----------
        launches : sequence of Launch
            Without those that read the outputs at the end.
        arena_bytes : int
        work : sequence of int, one per op
            Iterations.

        Raises
        ------
        OutOfBudget, InvalidInput
            As `hcb_opt.runtime.instance.play`.
        """
        arena = allocated(launches, arena_bytes, self.device)
        prepared = self.kernels.prepare(launches, self.device)
        digests = torch.zeros(len(launches), dtype=torch.int32, device=self.device)
        marks = [_mark(self.device) for _ in range(len(launches) + 1)]
        runs = []
        with _one_thread():
            for _ in range(self.repeats + 1):
                marks[0] = _mark(self.device)
                for index, launch in enumerate(launches):
                    self.kernels.mix(arena, prepared, index, 0, digests, work[launch.op])
                    marks[index + 1] = _mark(self.device)
                runs.append(_differences(marks, self.device))
        return [statistics.median(each) for each in zip(*runs[1:], strict=True)]


def calibrated_work(graph: Graph, launches: Sequence[Launch], arena_bytes: int, clock: Clock) -> list[int]:
    """For each op the iterations after which a launch has taken time in proportion to its cost.

    Hashing takes time too: work fills up what is missing. The seconds per unit of
    cost are so many that this suffices for all ops, unless all together would
    take more than `MOST_WORK` times what hashing takes: then ops that hash much at
    little cost are slower than predicted.

    Parameters
    ----------
    graph : Graph
    launches : sequence of Launch
        In which every op runs.
    arena_bytes : int
    clock : Clock
    """
    hashing = [0.0] * len(graph.ops)
    for launch, seconds in zip(launches, clock.seconds(launches, arena_bytes, [0] * len(graph.ops)), strict=True):
        hashing[launch.op] = seconds
    costs = [op.cost for op in graph.ops]
    total = max(1, sum(costs))
    wanted = max((seconds / cost for seconds, cost in zip(hashing, costs, strict=True) if cost), default=0.0)
    per_cost = max(LEAST_SECONDS / total, min(wanted, MOST_WORK * sum(hashing) / total))
    each = _seconds_per_iteration(clock)
    return [max(0, round((cost * per_cost - seconds) / each)) for cost, seconds in zip(costs, hashing, strict=True)]


def fitted(costs: Sequence[int], seconds: Sequence[float]) -> Fit:
    """The line with the least squares.

    Parameters
    ----------
    costs : sequence of int
        Of each launch.
    seconds : sequence of float
    """
    predicted, measured = np.array(costs, dtype=float), np.array(seconds)
    spread = predicted - predicted.mean()
    if not spread.any():
        return Fit(0.0, float(measured.mean()), None)
    slope = float(spread @ measured / (spread @ spread))
    left = measured - measured.mean() - slope * spread
    variance = float(((measured - measured.mean()) ** 2).sum())
    explained = 1.0 - float(left @ left) / variance if variance else None
    return Fit(slope, float(measured.mean() - slope * predicted.mean()), explained)


def _seconds_per_iteration(clock: Clock) -> float:
    """From one launch that does nothing but work, for at least `CALIBRATION_SECONDS`."""
    launch = [Launch(0, ())]
    nothing = clock.seconds(launch, 1, [0])[0]
    iterations = 1000
    while (taken := clock.seconds(launch, 1, [iterations])[0] - nothing) < CALIBRATION_SECONDS:
        iterations *= 4
    return taken / iterations


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _mark(device: torch.device) -> float | torch.cuda.Event:
    """A point in the device's time."""
    if device.type != "cuda":
        return time.process_time()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _differences(marks: Sequence[float | torch.cuda.Event], device: torch.device) -> list[float]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return [_between(before, after) for before, after in pairwise(marks)]


def _between(before: float | torch.cuda.Event, after: float | torch.cuda.Event) -> float:
    if isinstance(before, float):
        assert isinstance(after, float)
        return after - before
    assert isinstance(after, torch.cuda.Event)
    return float(before.elapsed_time(after)) / 1000
