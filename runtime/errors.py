"""What can go wrong while a schedule runs; whatever is raised, the model is as it was before the step."""

from __future__ import annotations

from hcb_opt.errors import HcbOptError


class ExecutionError(HcbOptError, RuntimeError):
    """A step that could not be executed; the message names the op."""


class OutOfBudget(ExecutionError):
    """The step holds more bytes than its budget, or than the device has."""


class StepMismatch(ExecutionError, ValueError):
    """Graph, program, schedule, model or batch do not belong together."""


class NondeterministicOp(ExecutionError):
    """Under strict mode, an op without a deterministic kernel."""
