"""What a step really holds and how long it takes, on the device it runs on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from hcb_opt.capture.torch_shim import profiled_memory
from hcb_opt.graph import Graph
from hcb_opt.runtime.executor import Executor, Watch
from hcb_opt.runtime.instructions import Run

_MARKER = "hcb-opt op "


def peak_bytes(function: Callable[[], object], device: torch.device) -> int:
    """The most bytes held while a function runs, beyond what was held before.

    By the profiler's memory events on a CPU, by ``max_memory_allocated`` on CUDA.

    Parameters
    ----------
    function : callable
    device : torch.device
    """
    if device.type == "cuda":
        function()  # at their first call, libraries take memory that they keep
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    held = peak = 0
    for _, change in profiled_memory(function, _MARKER):
        assert isinstance(change, int)
        held += change
        peak = max(peak, held)
    return peak


def median_seconds(function: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Median time of a function's runs, one before them not counted."""
    function()
    seconds = []
    for _ in range(repeats):
        _synchronize(device)
        start = time.perf_counter()
        function()
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def op_nanoseconds(
    executor: Executor, arguments: Sequence[torch.Tensor], device: torch.device, repeats: int
) -> list[list[int]]:
    """For each op of the graph, how long it took at each time that it ran, one run of the step before not counted.

    On CUDA between events on the device's stream, otherwise by the clock.

    Parameters
    ----------
    executor : Executor
    arguments : sequence of torch.Tensor
    device : torch.device
    repeats : int
        Runs of the step.
    """
    watch, read = _cuda_watch() if device.type == "cuda" else _clock_watch()
    executor.run(arguments)
    for _ in range(repeats):
        executor.run(arguments, watch)
    _synchronize(device)
    times: list[list[int]] = [[] for _ in executor.graph.ops]
    for op, nanoseconds in read():
        times[op].append(nanoseconds)
    return times


def _clock_watch() -> tuple[Watch, Callable[[], Iterable[tuple[int, int]]]]:
    found: list[tuple[int, int]] = []

    @contextmanager
    def watch(run: Run) -> Iterator[None]:
        start = time.perf_counter_ns()
        yield
        if run.op is not None:
            found.append((run.op, time.perf_counter_ns() - start))

    return watch, lambda: found


def _cuda_watch() -> tuple[Watch, Callable[[], Iterable[tuple[int, int]]]]:
    events: list[tuple[int, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def watch(run: Run) -> Iterator[None]:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        yield
        end.record()
        if run.op is not None:
            events.append((run.op, start, end))

    return watch, lambda: [(op, round(1e6 * start.elapsed_time(end))) for op, start, end in events]


def with_measured_workspaces(executor: Executor, arguments: Sequence[torch.Tensor], device: torch.device) -> Graph:
    """The executor's graph, with the scratch memory that each op was seen to take.

    A capture on fake tensors cannot know it: a convolution may unfold its input
    or reorder its weights. Runs the step once under the executor's schedule.

    Parameters
    ----------
    executor : Executor
    arguments : sequence of torch.Tensor
    device : torch.device

    Returns
    -------
    Graph
        Differs in ``workspace_bytes`` only; a schedule of the one is legal for
        the other.
    """
    graph = executor.graph
    measure = _cuda_peaks if device.type == "cuda" else _cpu_peaks
    peaks = measure(executor, arguments, device)
    ops = []
    for position, op in enumerate(graph.ops):
        written = sum(graph.sizes[value] for value in op.outputs)
        ops.append(replace(op, workspace_bytes=max(0, peaks.get(position, 0) - written)))
    return replace(graph, ops=tuple(ops))


def _cpu_peaks(executor: Executor, arguments: Sequence[torch.Tensor], device: torch.device) -> dict[int, int]:
    """For each op, the most bytes that it held beyond what was held when it began."""

    @contextmanager
    def marked(run: Run) -> Iterator[None]:
        with torch.profiler.record_function(f"{_MARKER}{run.op}"):
            yield

    peaks: dict[int, int] = {}
    op = None
    held = 0
    for _, what in profiled_memory(lambda: executor.run(arguments, marked), _MARKER):
        if isinstance(what, str):
            op, held = what.removeprefix(_MARKER), 0
        elif op and op != "None":
            held += what
            peaks[int(op)] = max(peaks.get(int(op), 0), held)
    return peaks


def _cuda_peaks(executor: Executor, arguments: Sequence[torch.Tensor], device: torch.device) -> dict[int, int]:
    peaks: dict[int, int] = {}

    @contextmanager
    def measured(run: Run) -> Iterator[None]:
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield
        if run.op is not None:
            held = torch.cuda.max_memory_allocated(device) - before
            peaks[run.op] = max(peaks.get(run.op, 0), held)

    executor.run(arguments)  # at their first call, libraries take memory that they keep
    executor.run(arguments, measured)
    return peaks


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
