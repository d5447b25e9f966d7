"""CUDA graphs: a step's kernels are recorded once and launched together, without Python's time per op.

While a graph is recorded the state of a generator can neither be read nor set.
Which random numbers an op drew first is therefore told by offsets: a run before
the recording measures them, relative to the step's start. While recording, the
default generator has another one's state, and an op that runs again draws from
yet another; before each replay all these are set to the right offsets, and the
default generator's own state, which no graph knows, is moved on as in eager
execution. So a recording that fails cannot leave it in the midst of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch

from hcb_opt.capture.program import Program
from hcb_opt.errors import InvalidInput
from hcb_opt.runtime.errors import ExecutionError, StepMismatch
from hcb_opt.runtime.executor import Executed, Executor
from hcb_opt.runtime.generators import KeptDraws, generator_of, set_state, state_of
from hcb_opt.runtime.instructions import Free, Run

Span = tuple[int, int]


class MeasuredDraws(KeptDraws):
    """Notes the offsets between which calls draw.

    Attributes
    ----------
    again_spans : list of (int, int)
        For each later run of a call, in order: the generator's offsets before and
        after the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.again_spans: list[Span] = []
        self._spans: dict[int, Span] = {}

    @contextmanager
    def first(self, generator: torch.Generator, position: int) -> Iterator[None]:
        """Note where the call begins and ends to draw."""
        before = generator.get_offset()
        with super().first(generator, position):
            yield
        self._spans[position] = (before, generator.get_offset())

    def again(self, generator: torch.Generator, position: int) -> AbstractContextManager[None]:
        """Note that the call runs again."""
        self.again_spans.append(self._spans[position])
        return super().again(generator, position)


def shared_generators(spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    """Few generators from which calls can draw what lies in their spans.

    A generator only goes on; so a call takes one that has come to where its span
    begins, or a new one.

    Parameters
    ----------
    spans : sequence of (int, int)
        In the order of the calls.

    Returns
    -------
    starts : list of int
        Offset at which each generator begins.
    chosen : list of int
        For each call, its generator.
    """
    starts: list[int] = []
    chosen: list[int] = []
    arrived: dict[int, int] = {}
    for before, after in spans:
        generator = arrived.pop(before, None)
        if generator is None:
            generator = len(starts)
            starts.append(before)
        arrived[after] = generator
        chosen.append(generator)
    return starts, chosen


class RecordedDraws:
    """Draws of a recording: first runs from one generator, later ones from others.

    Parameters
    ----------
    default : torch.Generator
        The default one.
    spans : sequence of (int, int)
        Of the later runs, relative to the offset at which the step starts.
    total : int
        How far the whole step moves the default generator's offset on.

    Attributes
    ----------
    generators : list of torch.Generator
        All but the first are to be registered with the graph, which knows of the
        default one's present state by itself.
    """

    def __init__(self, default: torch.Generator, spans: Sequence[Span], total: int) -> None:
        self._default, self._total = default, total
        starts, self._chosen = shared_generators(spans)
        self._starts = [0, *starts]
        self.generators = [default.clone_state() for _ in self._starts]
        self._turn = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Inside, the default generator has the first generator's state."""
        with self._instead(self._default, 0):
            yield

    def first(self, generator: torch.Generator, position: int) -> AbstractContextManager[None]:
        """Nothing is kept: the offset is known."""
        return nullcontext()

    def again(self, generator: torch.Generator, position: int) -> AbstractContextManager[None]:
        """Let the default generator have another state meanwhile."""
        self._turn += 1
        return self._instead(generator, 1 + self._chosen[self._turn - 1])

    def place(self) -> None:
        """Set the generators to where they must begin if the step begins now, and the default one to its end."""
        state, offset = state_of(self._default), self._default.get_offset()
        for each, start in zip(self.generators, self._starts, strict=True):
            set_state(each, state)
            each.set_offset(offset + start)
        self._default.set_offset(offset + self._total)

    @contextmanager
    def _instead(self, generator: torch.Generator, number: int) -> Iterator[None]:
        present = generator.graphsafe_get_state()
        generator.graphsafe_set_state(self.generators[number])
        try:
            yield
        finally:
            generator.graphsafe_set_state(present)


class CudaGraphRecording:
    """A step as a CUDA graph; see `hcb_opt.runtime.recorded.Recording`."""

    def __init__(self, graph: torch.cuda.CUDAGraph, draws: RecordedDraws, executed: Executed) -> None:
        self._graph, self._draws, self.executed = graph, draws, executed

    def replay(self) -> None:
        """Launch the whole step on the current stream."""
        self._draws.place()
        self._graph.replay()


def require_cuda(model: torch.nn.Module) -> None:
    """Refuse a model that lies elsewhere.

    Raises
    ------
    InvalidInput
        Naming where it lies.
    """
    for each in model.parameters():
        if each.device.type != "cuda":
            fix = "move model and batch to a CUDA device, or leave cuda_graph out"
            raise InvalidInput("cuda_graph", f"the model is on {each.device}", fix)


def record_cuda_graph(executor: Executor, arguments: Sequence[torch.Tensor]) -> CudaGraphRecording:
    """Record an executor's step.

    Parameters
    ----------
    executor : Executor
    arguments : sequence of torch.Tensor
        Every replay reads them where they are now.

    Raises
    ------
    StepMismatch
        If a tensor is not on the one CUDA device, random numbers are drawn on the
        CPU, or the schedule does more than compute and drop.
    ExecutionError, OutOfBudget
        If an op fails, or waits for the device, which a recording cannot. The
        default generator is then as it was.
    """
    device = _cuda_device(executor.program)
    if not all(isinstance(each, Run | Free) for each in executor.plan.instructions):
        raise StepMismatch("cuda_graph: the schedule does more than compute and drop; leave one of them out")
    generator = generator_of(device)
    here = torch.cuda.current_stream(device)
    # The outer stream context puts things right where torch.cuda.graph fails while it leaves its own.
    with torch.cuda.device(device), torch.cuda.stream(here):
        draws = RecordedDraws(generator, *_measured(executor, arguments, generator))
        graph = torch.cuda.CUDAGraph()
        for each in draws.generators[1:]:
            graph.register_generator_state(each)
        executed = _recorded(graph, executor, arguments, draws, _stream(generator.device))
    return CudaGraphRecording(graph, draws, executed)


def _measured(
    executor: Executor, arguments: Sequence[torch.Tensor], generator: torch.Generator
) -> tuple[list[Span], int]:
    """Run the step once where it will be recorded, and see which random numbers it draws."""
    stream, here = _stream(generator.device), torch.cuda.current_stream(generator.device)
    start, on_cpu = generator.get_offset(), state_of(torch.default_generator)
    draws = MeasuredDraws()
    stream.wait_stream(here)
    with torch.cuda.stream(stream):
        executor.run_drawing(arguments, draws)
    here.wait_stream(stream)
    if state_of(torch.default_generator) != on_cpu:
        raise StepMismatch("cuda_graph: the step draws random numbers on the CPU; leave cuda_graph out")
    return [(before - start, after - start) for before, after in draws.again_spans], generator.get_offset() - start


def _recorded(
    graph: torch.cuda.CUDAGraph,
    executor: Executor,
    arguments: Sequence[torch.Tensor],
    draws: RecordedDraws,
    stream: torch.cuda.Stream,
) -> Executed:
    failed: list[ExecutionError] = []
    try:
        with draws.recording(), torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            try:
                return executor.run_drawing(arguments, draws)
            except ExecutionError as error:
                failed.append(error)  # leaving the recording fails, too, and says less
                raise
    except Exception as error:
        cause = failed[0] if failed else error
        kind = type(cause) if isinstance(cause, ExecutionError) else ExecutionError
        first = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise kind(f"cuda_graph: {first}; leave cuda_graph out to run the step op by op") from error


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all recordings of a device: each stream has memory of its own for matrix products."""
    return torch.cuda.Stream(device)


def _cuda_device(program: Program) -> torch.device:
    placed = [(each.name, torch.device(each.device)) for each in program.layouts]
    placed += [(f"constant {number}", each.device) for number, each in enumerate(program.constants) if each.dim()]
    device = placed[0][1]
    for name, found in placed:
        if found.type != "cuda" or found != device:
            raise StepMismatch(
                f"{name}: is on {found}, but a CUDA graph reads tensors of one CUDA device; leave cuda_graph out"
            )
    return device
