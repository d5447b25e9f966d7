"""``torch.compile`` within a memory budget: options for Inductor, and a backend that runs op by op."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch.fx

from hcb_opt.budget import format_bytes, parse_budget
from hcb_opt.capture.costs import cost_model
from hcb_opt.graph import Graph
from hcb_opt.result import Result
from hcb_opt.runtime.compile.emission import emit
from hcb_opt.runtime.compile.hooks import CustomPartitionerFn, default_partition, eager_backend, split
from hcb_opt.runtime.compile.joint import read_joint
from hcb_opt.runtime.errors import OutOfBudget
from hcb_opt.schedule import Compute
from hcb_opt.solve import solve_schedule
from hcb_opt.version import __version__

_log = logging.getLogger("hcb_opt")


@dataclass(frozen=True)
class Compiled:
    """A graph that was partitioned.

    Attributes
    ----------
    graph : Graph
        Of the ops that torch hands to its partitioner.
    result : Result
        Its schedule is what the emitted forward and backward compute, in order.
    """

    graph: Graph
    result: Result


class Partitioner(CustomPartitionerFn):
    """Splits torch's joint graphs by the cheapest schedule within a budget; see `compile_options`.

    Attributes
    ----------
    compiled : list of Compiled
        All graphs partitioned so far.
    """

    def __init__(self, budget: int | float | str, cost: str, limits: dict[str, Any]) -> None:
        self.compiled: list[Compiled] = []
        self._budget, self._cost, self._limits = budget, cost, limits
        cost_model(cost)

    def __reduce__(self) -> tuple[Any, ...]:
        # Torch's caches pickle it with the other options: what it has compiled is no part of what it is.
        return Partitioner, (self._budget, self._cost, self._limits)

    def __call__(
        self, gm: torch.fx.GraphModule, joint_inputs: Sequence[object], **keywords: Any
    ) -> tuple[torch.fx.GraphModule, torch.fx.GraphModule]:
        """Forward and backward of a joint graph.

        Raises
        ------
        CaptureError
            If shapes are dynamic, or an op is not supported.
        OutOfBudget
            If no schedule within the budget exists, or none is found in time.
        """
        num_fwd_outputs: int = keywords["num_fwd_outputs"]
        joint = read_joint(gm, num_fwd_outputs, cost_model(self._cost))
        if joint is None:
            parts: tuple[torch.fx.GraphModule, torch.fx.GraphModule]
            parts = default_partition(gm, joint_inputs, num_fwd_outputs=num_fwd_outputs)
            return parts
        graph = joint.graph
        budget_bytes = parse_budget(self._budget, graph.store_all_peak_bytes)
        result = solve_schedule(graph, budget_bytes, **self._limits)
        if result.schedule is None:
            raise OutOfBudget(
                f"budget {budget_bytes} bytes: no schedule found: {result.reason}; give more bytes or time"
            )
        self.compiled.append(Compiled(graph, result))
        _log.info(
            "compiled graph %d: %d ops, peak %s of %s, overhead %.2f %%",
            len(self.compiled),
            len(graph.ops),
            format_bytes(result.peak_bytes or 0),
            format_bytes(budget_bytes),
            100 * (result.overhead or 0.0),
        )
        computes = [action.op for action in result.schedule.actions if isinstance(action, Compute)]
        return split(*emit(joint, computes), num_fwd_outputs)

    def uuid(self) -> str:
        """What Inductor's caches know the partitioner by."""
        return f"hcb_opt {__version__} {self._budget!r} {self._cost} {sorted(self._limits.items())}"


def compile_options(
    budget: int | float | str,
    *,
    method: str = "auto",
    time_limit: float = 60.0,
    gap: float = 0.01,
    seed: int = 0,
    workers: int = 1,
    cost: str = "roofline:h200",
) -> dict[str, Any]:
    """Options for ``torch.compile`` with Inductor: training within a memory budget.

    ``torch.compile(model, options=hcb_opt.compile_options(budget=0.5))``. Each
    joint graph is solved on its own, as Inductor has it before it fuses ops; ops
    that run again, in the forward or backward, more than once too, become nodes
    of their own. Shapes must be static (``dynamic=False``).

    Parameters
    ----------
    budget : int, float or str
        Of what forward and backward hold besides arguments and incoming
        gradients: bytes, ``"8GiB"``, or a share of each graph's store-all peak.
        Inductor fuses and reorders ops afterwards, so that its peak may differ.
    method, time_limit, gap, seed, workers
        As in `hcb_opt.solve_schedule`, for each graph.
    cost : str
        As in `hcb_opt.capture`.

    Returns
    -------
    dict
    """
    limits = {"method": method, "time_limit": time_limit, "gap": gap, "seed": seed, "workers": workers}
    return {"custom_partitioner_fn": Partitioner(budget, cost, limits)}


def eager_compile_backend(budget: int | float | str, **options: Any) -> Callable[..., Any]:
    """A backend for ``torch.compile`` that runs op by op, as ``aot_eager``, within a memory budget.

    ``torch.compile(model, backend=hcb_opt.eager_compile_backend(budget=0.5))``.
    Results and gradients are those of torch's own ``aot_eager`` bit by bit, and so
    those of eager, save where torch traces another backward (GELU in bfloat16). A
    random op that runs again draws what it drew; its generator's state is saved
    for that, beside the budget (5 kB on a CPU, 16 B on CUDA).

    Parameters
    ----------
    budget, **options
        As in `compile_options`.

    Returns
    -------
    callable
    """
    return eager_backend(compile_options(budget, **options)["custom_partitioner_fn"])
