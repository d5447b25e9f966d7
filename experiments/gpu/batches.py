"""The largest batch that trains within a memory: by eager, with checkpointed blocks, and under our schedules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch

from hcb_opt.capture import capture_step
from hcb_opt.capture.record import record_program
from hcb_opt.experiments.gpu.measuring import release, training_step
from hcb_opt.experiments.gpu.networks import Training, blocks, checkpointed, make, make_batch, networks
from hcb_opt.experiments.gpu.schedules import solve_here
from hcb_opt.experiments.gpu.sections import Case, Left, NothingToMeasure, Row, Settings
from hcb_opt.graph import Graph
from hcb_opt.result import Result
from hcb_opt.runtime.errors import OutOfBudget
from hcb_opt.runtime.executor import Executor
from hcb_opt.runtime.measure import peak_bytes, with_measured_workspaces
from hcb_opt.runtime.step import ModelStep
from hcb_opt.schedule import Schedule, schedule_from_computes

MEMORY_BYTES = 16 * 2**30
QUICK_MEMORY_BYTES = 2**18
PLANNED_SHARE = 0.95
"""Of the memory: the rest is what a caching allocator loses by its blocks."""
STEP_BACK = 0.95
NO_ENGINE = "unable to find an engine"
"""What cuDNN says where there is no memory left for any of its convolutions."""
SOLVE_SECONDS = 3.0
QUICK_SOLVE_SECONDS = 0.5


def cases(settings: Settings, name: str) -> Sequence[Case]:
    """One network: the three ways."""
    search = Search(settings, name)
    return [
        Case("eager", partial(search.autograd, "eager", nullcontext)),
        Case("checkpointed blocks", partial(search.autograd, "checkpointed blocks", search.blocks_checkpointed)),
        Case("ours", search.ours),
    ]


def largest(fits: Callable[[int], bool], left: Left) -> tuple[int, int]:
    """Double a batch until it does not fit, then bisect, while there is time.

    Returns
    -------
    fitting, refused : int
        The largest that was seen to fit, 0 if none was, and the smallest that was not, which may
        be larger by a few percent; without time it is untried.
    """
    fitting, refused = 0, 1
    while left() > 0 and fits(refused):
        fitting, refused = refused, 2 * refused
    while left() > 0 and refused - fitting > max(1, fitting // 50):
        middle = (fitting + refused) // 2
        fitting, refused = (middle, refused) if fits(middle) else (fitting, middle)
    return fitting, refused


def at_batch(small: Graph, large: Graph, first: int, batch: int) -> Graph:
    """The graph of a batch, from those of ``first`` and of twice as many examples: bytes are linear in the batch."""

    def line(one: int, two: int) -> int:
        return max(0, one + (two - one) * (batch - first) // first)

    values = tuple(
        replace(one, size_bytes=line(one.size_bytes, two.size_bytes))
        for one, two in zip(small.values, large.values, strict=True)
    )
    ops = tuple(
        replace(one, workspace_bytes=line(one.workspace_bytes, two.workspace_bytes))
        for one, two in zip(small.ops, large.ops, strict=True)
    )
    return replace(small, ops=ops, values=values)


class Search:
    """One network and the memory that it may have, parameters included."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings, self.name = settings, name
        self.growing = _let_blocks_grow(settings.device)
        self.network = networks(settings.quick)[name]
        self.training = make(replace(self.network, batch=1), settings.device)
        self.device = next(self.training.model.parameters()).device
        self.memory_bytes = QUICK_MEMORY_BYTES if settings.quick else MEMORY_BYTES
        held = (*self.training.model.parameters(), *self.training.model.buffers())
        self.model_bytes = sum(each.untyped_storage().nbytes() for each in held)

    def blocks_checkpointed(self) -> AbstractContextManager[None]:
        """With ``torch.utils.checkpoint`` around every block."""
        return checkpointed(blocks(self.network, self.training.model))

    def autograd(self, way: str, around: Callable[[], AbstractContextManager[None]], left: Left) -> Iterator[Row]:
        """By trying."""

        def fits(batch: int) -> bool:
            with around():
                return self._fits(training_step(self._training(batch)))

        yield self._row(way, *largest(fits, left))

    def ours(self, left: Left) -> Iterator[Row]:
        """The largest batch for which a schedule is found that fits by its replay; it is then run."""
        first = self.network.batch
        small = self._captured(first)
        started = time.monotonic()
        large = self._captured(2 * first)
        needed = 2 * (time.monotonic() - started)  # for capturing and running what is found
        allowed = int(PLANNED_SHARE * self.memory_bytes) - self.model_bytes
        example_bytes = sum(each.untyped_storage().nbytes() for each in self.training.batch)
        seconds = QUICK_SOLVE_SECONDS if self.settings.quick else SOLVE_SECONDS
        results: dict[int, Result] = {}

        def solved(batch: int) -> bool:
            graph, budget_bytes = at_batch(small, large, first, batch), max(1, allowed - batch * example_bytes)
            results[batch] = solve_here(graph, budget_bytes, seconds)
            return results[batch].schedule is not None

        batch, refused = largest(solved, lambda: left() - needed)
        if not batch:
            raise NothingToMeasure("no schedule was found in time")
        best = results[batch]
        assert best.schedule is not None
        tried = []
        while left() > 0 and batch:
            tried.append(batch)
            if self._fits(self._scheduled(batch, best.schedule)):
                yield self._row("ours", batch, refused) | {"predicted_overhead": best.overhead, "tried": tried}
                return
            batch, refused = int(STEP_BACK * batch), batch
        raise NothingToMeasure(f"batches tried in vain: {', '.join(map(str, tried)) or 'none'}")

    def _row(self, way: str, batch: int, refused: int) -> Row:
        return {
            "way": way,
            "batch": batch,
            "refused_batch": refused,
            "memory_bytes": self.memory_bytes,
            "model_bytes": self.model_bytes,
            "expandable_segments": self.growing,
        }

    def _training(self, batch: int) -> Training:
        return replace(self.training, batch=make_batch(self.network, batch, self.settings.device))

    def _captured(self, batch: int) -> Graph:
        """With the scratch memory that ops take where there is enough of it."""
        training = self._training(batch)
        captured = capture_step(training.model, training.loss_fn, training.batch, name=self.name)
        graph = captured.graph
        stored = Executor(graph, record_program(captured), schedule_from_computes(graph, range(len(graph.ops))))
        arguments = ModelStep(training.model, stored).arguments(training.batch)
        try:
            return with_measured_workspaces(stored, arguments, self.device)
        finally:
            del arguments, training
            release(self.device)

    def _scheduled(self, batch: int, schedule: Schedule) -> Callable[[], object]:
        training = self._training(batch)
        captured = capture_step(training.model, training.loss_fn, training.batch, name=self.name)
        own = ModelStep(training.model, Executor(captured.graph, record_program(captured), schedule))

        def step() -> None:
            own(training.batch)
            training.model.zero_grad(set_to_none=True)

        return step

    def _fits(self, step: Callable[[], object]) -> bool:
        """Whether the step runs in the memory; on a CPU, whether its peak is within."""
        try:
            with _limited(self.device, self.memory_bytes):
                if self.device.type == "cuda":
                    step()
                    torch.cuda.synchronize(self.device)
                    return True
                return self.model_bytes + peak_bytes(step, self.device) <= self.memory_bytes
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError | OutOfBudget) and NO_ENGINE not in str(error):
                raise
            return False
        finally:
            self.training.model.zero_grad(set_to_none=True)
            release(self.device)


def _let_blocks_grow(device: str) -> bool:
    """Let blocks of CUDA's caching allocator grow in place, if the driver can: gaps between them are lost otherwise."""
    if device == "cpu":
        return False
    torch._C._accelerator_setAllocatorSettings("expandable_segments:True")
    try:
        torch.empty(1, device=device)
    except RuntimeError:
        torch._C._accelerator_setAllocatorSettings("expandable_segments:False")
        return False
    return True


@contextmanager
def _limited(device: torch.device, memory_bytes: int) -> Iterator[None]:
    """Inside, CUDA's caching allocator takes so many bytes at most."""
    if device.type != "cuda":
        yield
        return
    release(device)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(memory_bytes / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
