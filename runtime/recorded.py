"""A step that is recorded once and replayed ever after: its inputs, and its results, stay where they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from hcb_opt.capture.program import Program, TensorLayout
from hcb_opt.capture.torch_shim import storage_key
from hcb_opt.graph import Graph
from hcb_opt.runtime.errors import OutOfBudget
from hcb_opt.runtime.executor import Executed, Executor, Watch, check_arguments
from hcb_opt.runtime.generators import restored
from hcb_opt.schedule import Schedule


class Recording(Protocol):
    """A run of a step that can be repeated.

    Attributes
    ----------
    executed : Executed
        Its results, which every replay computes anew in the same memory.
    """

    executed: Executed

    def replay(self) -> None:
        """Run the step on what its arguments hold now; generators go on as if it had run op by op."""


Recorder = Callable[[Executor, Sequence[torch.Tensor]], Recording]
"""Makes a recording of an executor's step on arguments that keep their places. It may draw random numbers."""


class RecordedExecutor(Executor):
    """An executor whose runs are replays of a recording.

    The first run records; so does one whose parameters or buffers lie elsewhere
    than before. The batch is copied to where the recording reads it. A gradient
    that was handed over without a copy, and is still in use when the next run
    overwrites it, is copied first.

    Parameters
    ----------
    graph, program, schedule, budget_bytes, strict
        As in `Executor`.
    recorder : callable
        `hcb_opt.runtime.cuda_graph.record_cuda_graph`.
    """

    reuses_memory = True

    def __init__(
        self,
        graph: Graph,
        program: Program,
        schedule: Schedule,
        recorder: Recorder,
        *,
        budget_bytes: int | None = None,
        strict: bool = False,
    ) -> None:
        super().__init__(graph, program, schedule, budget_bytes=budget_bytes, strict=strict)
        self._recorder = recorder
        self._recording: Recording | None = None
        self._owned = program.parameters + program.buffers
        self._places: list[int] = []
        self._inputs: list[torch.Tensor] = []
        self._fixed: frozenset[int] = frozenset()

    def run(self, arguments: Sequence[torch.Tensor], watch: Watch | None = None) -> Executed:
        """As `Executor.run`; what is returned is overwritten by the next run, but for the loss.

        With `watch` the step runs op by op.
        """
        if watch is not None:
            return super().run(arguments, watch)
        check_arguments(self.program, arguments)
        self._copy_gradients(arguments[: self.program.parameters])
        if self._recording is None or self._places != self._now(arguments):
            self._record(arguments)
        assert self._recording is not None
        for layout, kept, given in zip(self._batch_layouts, self._inputs, arguments[self._owned :], strict=True):
            kept.copy_(_flat(layout, given))
        self._recording.replay()
        executed = self._recording.executed
        return Executed(executed.loss.clone(), list(executed.gradients), list(executed.updates))

    def release(self, parameters: Sequence[torch.Tensor]) -> None:
        """Give the recording's memory back; gradients that lie in it are copied."""
        self._copy_gradients(parameters)
        self._recording, self._inputs, self._fixed = None, [], frozenset()

    @property
    def _batch_layouts(self) -> tuple[TensorLayout, ...]:
        return self.program.layouts[self._owned :]

    def _now(self, arguments: Sequence[torch.Tensor]) -> list[int]:
        """What must be as it was recorded: where the model lies, and how much memory the batch has."""
        batch = zip(self._batch_layouts, arguments[self._owned :], strict=True)
        return [
            *(each.data_ptr() for each in arguments[: self._owned]),
            *(_flat(layout, each).numel() for layout, each in batch),
        ]

    def _record(self, arguments: Sequence[torch.Tensor]) -> None:
        self._recording = None  # its memory is needed for the next one
        inputs, fed = [], []
        for layout, given in zip(self._batch_layouts, arguments[self._owned :], strict=True):
            inputs.append(_flat(layout, given).clone())
            fed.append(inputs[-1].as_strided(layout.shape, layout.strides, layout.offset or 0))
        placed = [*arguments[: self._owned], *fed]
        with restored(self._devices):
            super().run(placed)  # libraries start, and the budget is kept or not
            recording = self._recorder(self, placed)
        executed = recording.executed
        results = [*(each for each in executed.gradients if each is not None), *(each for _, each in executed.updates)]
        self._fixed = frozenset(map(storage_key, (*results, *fed)))
        self._inputs, self._places = inputs, self._now(arguments)
        self._recording = recording

    def _copy_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        for each in parameters:
            if each.grad is not None and each.grad.layout == torch.strided and storage_key(each.grad) in self._fixed:
                try:
                    each.grad = each.grad.clone()
                except torch.OutOfMemoryError as error:
                    raise OutOfBudget(f"no room to keep a gradient of shape {tuple(each.shape)}: {error}") from None


def _flat(layout: TensorLayout, tensor: torch.Tensor) -> torch.Tensor:
    """The memory that a step may read of a tensor: from its first to its last element, or all of its storage."""
    if layout.offset is None:
        return tensor.detach().as_strided((layout.span,), (1,), tensor.storage_offset())
    count = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.detach().as_strided((count,), (1,), 0)
