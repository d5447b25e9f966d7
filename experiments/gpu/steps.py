"""A network's training step under budgets: predicted against measured peak, time, and gradients against eager's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import torch

from hcb_opt.capture import capture_step
from hcb_opt.capture.program import Program
from hcb_opt.capture.program_json import program_to_json
from hcb_opt.capture.record import record_program
from hcb_opt.capture.step import CapturedStep
from hcb_opt.capture.torch_partition import partition_schedule
from hcb_opt.experiments.gpu.measuring import deterministic, measured, release, training_step
from hcb_opt.experiments.gpu.networks import blocks, checkpointed, make, networks
from hcb_opt.experiments.gpu.schedules import choose
from hcb_opt.experiments.gpu.sections import Case, Left, NothingToMeasure, Row, Settings
from hcb_opt.graph import Graph
from hcb_opt.io import save_graph
from hcb_opt.replay import replay
from hcb_opt.result import relative_gap
from hcb_opt.runtime.cuda_graph import record_cuda_graph
from hcb_opt.runtime.executor import Executed, Executor
from hcb_opt.runtime.measure import median_seconds, with_measured_workspaces
from hcb_opt.runtime.recorded import RecordedExecutor
from hcb_opt.runtime.step import ModelStep
from hcb_opt.runtime.validate import compare, eager_reference
from hcb_opt.schedule import Schedule, schedule_from_computes

SHARES = (0.8, 0.6, 0.4)
QUICK_SHARES = (0.8,)
COMPILED_SHARE = 0.6
KNOBS = (0.7, 0.4, 0.2, 0.1, 0.0)
QUICK_KNOBS = (1.0, 0.5)
SOLVE_SECONDS = 6.0
QUICK_SOLVE_SECONDS = 0.5
REPEATS = 7
QUICK_REPEATS = 1


def cases(settings: Settings, name: str) -> Sequence[Case]:
    """One network: eager and checkpointed blocks, then ours at each share and at the blocks' peak, torch's at each.

    Parameters
    ----------
    settings : Settings
    name : str
        Of the network.
    """
    bench = Bench(settings, name)
    shares = QUICK_SHARES if settings.quick else SHARES
    listed = [
        Case("eager", bench.eager),
        Case("checkpointed blocks", bench.checkpointed),
        Case("capture", bench.capture),
        *(Case(f"ours at {share:.0%}", partial(bench.ours, share)) for share in shares),
        Case("ours at the checkpointed blocks' peak", bench.ours_at_blocks),
        *(Case(f"torch's budget at {share:.0%}", partial(bench.torch_budget, share)) for share in shares),
    ]
    if not settings.quick:
        listed.append(Case(f"torch.compile at {COMPILED_SHARE:.0%}", partial(bench.compiled, COMPILED_SHARE)))
    return listed


class Bench:
    """A network on the device, and what is found out about its step on the way."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings, self.name = settings, name
        self.network = networks(settings.quick)[name]
        self.training = make(self.network, settings.device)
        self.device = next(self.training.model.parameters()).device
        self.repeats = QUICK_REPEATS if settings.quick else REPEATS
        self.blocks_peak_bytes: int | None = None

    def eager(self, left: Left) -> Iterator[Row]:
        """Plain autograd."""
        yield self._row("eager", training_step(self.training))

    def checkpointed(self, left: Left) -> Iterator[Row]:
        """``torch.utils.checkpoint`` around every block."""
        with checkpointed(blocks(self.network, self.training.model)):
            row = self._row("checkpointed blocks", training_step(self.training))
        self.blocks_peak_bytes = row["measured_peak_bytes"]
        yield row

    def capture(self, left: Left) -> Iterator[Row]:
        """Capture the step, measure the scratch memory of its ops, and keep the graph's file."""
        graph = self.graph
        folder = self.settings.directory / "graphs"
        folder.mkdir(parents=True, exist_ok=True)
        save_graph(graph, folder / f"{self.name}.json", program_to_json(self.program))
        yield {
            "way": "graph",
            "ops": len(graph.ops),
            "store_all_peak_bytes": graph.store_all_peak_bytes,
            "persistent_bytes": graph.persistent_bytes,
            "base_cost": graph.base_cost,
            "cost_unit": graph.cost_unit,
        }

    def ours(self, share: float, left: Left) -> Iterator[Row]:
        """A schedule at a share of the store-all peak: op by op, and as a CUDA graph."""
        seconds = QUICK_SOLVE_SECONDS if self.settings.quick else SOLVE_SECONDS
        chosen = choose(self.graph, share, self.settings.directory, min(seconds, left()))
        row = self._scheduled("ours", share, chosen.schedule)
        yield row | {"method": chosen.method, "lower_bound_overhead": chosen.lower_bound_overhead}
        if self.device.type == "cuda":
            yield self._graphed(share, chosen.schedule)

    def ours_at_blocks(self, left: Left) -> Iterator[Row]:
        """A schedule within the peak that was measured with checkpointed blocks, in whole percent."""
        if self.blocks_peak_bytes is None:
            raise NothingToMeasure("checkpointed blocks were not measured")
        yield from self.ours(100 * self.blocks_peak_bytes // self.graph.store_all_peak_bytes / 100, left)

    def torch_budget(self, share: float, left: Left) -> Iterator[Row]:
        """What torch's partitioner saves by the highest ``activation_memory_budget`` whose peak is as low."""
        knob, schedule = self._knob(share)
        yield self._scheduled("torch's budget", share, schedule) | {"knob": knob}

    def compiled(self, share: float, left: Left) -> Iterator[Row]:
        """The same by ``torch.compile`` itself, op by op (``aot_eager``)."""
        from torch._functorch import config

        knob, _ = self._knob(share)
        compiled = torch.compile(self.training.loss_fn, backend="aot_eager", dynamic=False)
        model, batch = self.training.model, self.training.batch

        def step() -> None:
            compiled(model, batch).backward()
            model.zero_grad(set_to_none=True)

        with config.patch(activation_memory_budget=knob):
            yield self._row("torch.compile", step) | {"share": share, "knob": knob}

    @cached_property
    def captured(self) -> CapturedStep:
        training = self.training
        return capture_step(training.model, training.loss_fn, training.batch, name=self.name)

    @cached_property
    def program(self) -> Program:
        return record_program(self.captured)

    @cached_property
    def graph(self) -> Graph:
        """With the scratch memory that ops are seen to take in the stored order."""
        bare = self.captured.graph
        stored = Executor(bare, self.program, schedule_from_computes(bare, range(len(bare.ops))))
        arguments = ModelStep(self.training.model, stored).arguments(self.training.batch)
        return with_measured_workspaces(stored, arguments, self.device)

    @cached_property
    def strict(self) -> bool:
        """Whether torch has a deterministic kernel for every op of the step."""
        try:
            with deterministic():
                training_step(self.training)()
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            return False
        finally:
            self.training.model.zero_grad(set_to_none=True)
        return True

    @cached_property
    def expected(self) -> tuple[Executed, bool]:
        """Eager's results by deterministic kernels, as far as there are any, and whether they are the same twice."""
        training = self.training
        reference = eager_reference(training.model, training.loss_fn, training.batch, self.program)
        with deterministic(self.strict):
            first, second = reference.run(), reference.run()
        return first, self._difference(second, first)[0]

    def _row(self, way: str, step: Any) -> Row:
        release(self.device)
        return {"way": way, **measured(step, self.device, self.repeats)}

    def _scheduled(self, way: str, share: float, schedule: Schedule) -> Row:
        executor = Executor(self.graph, self.program, schedule)
        judged = replay(self.graph, schedule)
        return {
            **self._row(way, self._step(executor)),
            "share": share,
            "budget_bytes": int(share * self.graph.store_all_peak_bytes),
            "predicted_peak_bytes": judged.peak_bytes,
            "predicted_overhead": relative_gap(judged.cost, self.graph.base_cost),
            **self._compared(executor),
        }

    def _graphed(self, share: float, schedule: Schedule) -> Row:
        """The step as a CUDA graph: its time, and the memory that it keeps for itself."""
        repeatable = RecordedExecutor(self.graph, self.program, schedule, record_cuda_graph)
        with deterministic(self.strict):
            compared = self._compared(repeatable)
        parameters = list(self.training.model.parameters())
        repeatable.release(parameters)
        release(self.device)
        before = torch.cuda.memory_reserved(self.device)
        recorded = RecordedExecutor(self.graph, self.program, schedule, record_cuda_graph)
        seconds = median_seconds(self._step(recorded), self.device, self.repeats)
        release(self.device)
        reserved = torch.cuda.memory_reserved(self.device) - before
        recorded.release(parameters)
        return {"way": "ours, CUDA graph", "share": share, "seconds": seconds, "reserved_bytes": reserved, **compared}

    def _step(self, executor: Executor) -> Any:
        own = ModelStep(self.training.model, executor)

        def step() -> None:
            own(self.training.batch)
            self.training.model.zero_grad(set_to_none=True)

        return step

    def _compared(self, executor: Executor) -> Row:
        arguments = ModelStep(self.training.model, executor).arguments(self.training.batch)
        expected, repeatable = self.expected
        with deterministic(self.strict):
            equal, difference = self._difference(executor.run(arguments), expected)
        return {"bit_equal": equal, "max_abs_difference": difference, "eager_repeats_itself": repeatable}

    def _difference(self, found: Executed, expected: Executed) -> tuple[bool, float | None]:
        compared = compare(self.program, found, expected)
        each = [fact for kind in ("loss", "gradients") for fact in compared[kind].values()]
        largest = [fact["max_abs_difference"] for fact in each]
        return all(fact["bit_equal"] for fact in each), None if None in largest else max(largest)

    @cached_property
    def _knobs(self) -> list[tuple[float, Schedule, int]]:
        """Knobs, largest first, what they save, and the peak of that."""
        found = []
        for knob in QUICK_KNOBS if self.settings.quick else KNOBS:
            schedule = partition_schedule(self.captured, knob)
            found.append((knob, schedule, replay(self.graph, schedule).peak_bytes))
        return found

    def _knob(self, share: float) -> tuple[float, Schedule]:
        budget_bytes = int(share * self.graph.store_all_peak_bytes)
        for knob, schedule, peak in self._knobs:
            if peak <= budget_bytes:
                return knob, schedule
        least = min(peak for _, _, peak in self._knobs) / self.graph.store_all_peak_bytes
        raise NothingToMeasure(f"no knob's peak is as low; the lowest is at {least:.1%}")
