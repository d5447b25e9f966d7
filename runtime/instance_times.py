"""How long the launches of a schedule take: work per op calibrated to its cost, and how well time follows it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch

from hcb_opt.graph import Graph
from hcb_opt.runtime.instance import allocated
from hcb_opt.runtime.kernels.instance_reference import Launch

MOST_SHARE_OF_WORK = 0.8
LEAST_SECONDS = 0.1
CALIBRATION_SECONDS = 0.01
CALIBRATION_RUNS = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A line through the launches: ``seconds = seconds_per_launch + seconds_per_cost * cost``.

    Attributes
    ----------
    seconds_per_cost, seconds_per_launch : float
    r_squared : float or None
        Share of the variance that the line explains; None if all costs or all times are equal.
    """

    seconds_per_cost: float
    seconds_per_launch: float
    r_squared: float | None


@dataclass(frozen=True, slots=True)
class Clock:
    """Times launches in an arena.

    Attributes
    ----------
    device : torch.device
    kernels : module
        `hcb_opt.runtime.kernels.instance_reference` or ``instance``.
    repeats : int
        Runs of all launches, of which the median of each launch is taken; one before them is not counted.
    """

    device: torch.device
    kernels: ModuleType
    repeats: int

    def seconds(self, launches: Sequence[Launch], arena_bytes: int, work: Sequence[int]) -> list[float]:
        """Of each launch, with so many iterations of work for each op; what outputs are read at the end takes none."""
        arena = allocated(launches, arena_bytes, self.device)
        prepared = self.kernels.prepare(launches, self.device)
        digests = torch.zeros(len(launches), dtype=torch.int32, device=self.device)

        def run(index: int) -> None:
            iterations = work[launches[index].op] if launches[index].op < len(work) else 0
            self.kernels.mix(arena, prepared, index, 0, digests, iterations)

        runs = [self._run(len(launches), run) for _ in range(self.repeats + 1)]
        return [statistics.median(each) for each in zip(*runs[1:], strict=True)]
