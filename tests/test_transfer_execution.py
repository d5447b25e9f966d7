"""Executed schedules with transfers: bit-equal, every allocation as planned, the ledger as judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from transfer_schedules import random_transfers

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.graph import Graph, Phase
from hcb_opt.replay import IllegalSchedule
from hcb_opt.schedule import (
    Compress,
    Compute,
    Decompress,
    Discard,
    Drop,
    Offload,
    Schedule,
    schedule_from_computes,
)
from hcb_opt.transfers.link import INSTANT
from hcb_opt.transfers.replay import replay_transfers
from hcb_opt.transfers.schemes import SCHEMES, compressed_bytes

torch = pytest.importorskip("torch")

from test_executor import SUBJECTS, Subject, require_equal, subject_of  # noqa: E402
from test_executor_dags import SIDE, STATE_BYTES, Dag  # noqa: E402
from torch.utils._pytree import tree_map  # noqa: E402
from training_steps import gpt2, mlp, resnet18  # noqa: E402

from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.capture.torch_shim import profiled_memory  # noqa: E402
from hcb_opt.runtime.errors import OutOfBudget  # noqa: E402
from hcb_opt.runtime.executor import Executor  # noqa: E402
from hcb_opt.runtime.generators import KeptDraws  # noqa: E402
from hcb_opt.runtime.instructions import Await, Run, ToHost  # noqa: E402
from hcb_opt.runtime.kernels.compression import compress  # noqa: E402
from hcb_opt.runtime.ledger import Ledger  # noqa: E402
from hcb_opt.runtime.step import ModelStep  # noqa: E402


@pytest.mark.parametrize("seed", range(24))
def test_executed_dag_is_the_straight_evaluation(seed: int) -> None:
    dag = Dag(seed)
    state = torch.get_rng_state()
    executor = Executor(dag.graph, dag.program, random_transfers(dag.graph, seed, dag.schedule(seed)))
    torch.manual_seed(seed)
    torch.rand(2 * SIDE, SIDE)  # as drawn for the arguments
    executed = executor.run(dag.arguments)
    results = [executed.loss, *(each for _, each in executed.updates)]
    for reference, result in zip(dag.kept, results, strict=True):
        assert torch.equal(result, dag.tensors[reference])
        assert result.stride() == dag.tensors[reference].stride()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("seed", range(0, 24, 4))
def test_ledger_holds_what_the_judge_counts(seed: int) -> None:
    dag = Dag(seed)
    graph = typed(dag)
    schedule = random_transfers(graph, seed, dag.schedule(seed))
    executor = Executor(graph, dag.program, schedule)
    peak_bytes = replay_transfers(graph, schedule, INSTANT).peak_bytes
    ledger = Ledger(graph, executor.plan, peak_bytes)
    executor.run_drawing(dag.arguments, KeptDraws(), ledger=ledger)
    assert ledger.peak_bytes == peak_bytes
    if peak_bytes > 1:
        with pytest.raises(OutOfBudget):
            Executor(graph, dag.program, schedule, budget_bytes=peak_bytes - 1).run(dag.arguments)


@pytest.mark.parametrize("seed", range(0, 24, 4))
def test_allocations_are_those_of_the_plan(seed: int) -> None:
    dag = Dag(seed)
    schedule = random_transfers(dag.graph, seed, dag.schedule(seed))
    executor = Executor(dag.graph, dag.program, schedule)
    kept: list[object] = []
    trace = profiled_memory(lambda: kept.append(executor.run(dag.arguments)), "none")
    changes = [each for _, each in trace if abs(each) != STATE_BYTES]
    planned, left = planned_changes(dag.graph, schedule)
    assert changes[: len(planned)] == planned
    assert sorted(changes[len(planned) :]) == left


def planned_changes(graph: Graph, schedule: Schedule) -> tuple[list[int], list[int]]:
    """Bytes allocated, and negative where freed, in order; and what is freed at the end.

    A CPU's host copies are allocations too.
    """
    changes: list[int] = []
    resident: set[int] = set()
    on_host: list[int] = []
    for action in schedule.actions:
        if isinstance(action, Compute):
            written = graph.ops[action.op].outputs
            changes += [-graph.sizes[value] for value in written if value in resident]
            changes += [graph.sizes[value] for value in written]
            resident |= {*written}
        elif isinstance(action, Drop):
            changes.append(-graph.sizes[action.value])
            resident.remove(action.value)
        else:
            changes.append(graph.sizes[action.value])
            if isinstance(action, Offload):
                on_host.append(action.value)
            else:
                resident.add(action.value)
    return changes, sorted(-graph.sizes[value] for value in (*on_host, *(resident - graph.required)))


@pytest.mark.parametrize("make", [gpt2, resnet18], ids=lambda each: each.__name__)
def test_training_steps_are_bit_equal_to_eager(make: object) -> None:
    subject = _subject(make)
    for seed in range(2):
        schedule = random_transfers(subject.graph, seed, twice(subject.graph), schemes=())
        executor = Executor(subject.graph, subject.program, schedule)
        expected = subject.iterations[seed % 3]
        torch.manual_seed(expected.seed)
        require_equal(executor.run(expected.arguments), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [gpt2, mlp], ids=lambda each: each.__name__)
def test_copies_beside_the_computes_of_cuda_are_in_time(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    model, loss_fn, batch = make()[:3]
    model, batch = model.cuda(), tree_map(lambda each: each.cuda(), batch)
    captured = capture_step(model, loss_fn, batch)
    graph, program = captured.graph, record_program(captured)
    stored = ModelStep(model, Executor(graph, program, schedule_from_computes(graph, range(len(graph.ops)))))
    arguments = stored.arguments(batch)
    torch.manual_seed(1)
    expected = stored.executor.run(arguments)
    for seed in range(5):
        executor = Executor(graph, program, random_transfers(graph, seed, twice(graph), schemes=()))
        torch.manual_seed(1)
        found = executor.run(arguments)
        results = [(expected.loss, found.loss), *zip(expected.gradients, found.gradients, strict=True)]
        assert all(one is other is None or torch.equal(one, other) for one, other in results)


def twice(graph: Graph) -> Schedule:
    """The forward again before the backward."""
    turn = sum(op.phase is Phase.FORWARD for op in graph.ops)
    return schedule_from_computes(graph, [*range(turn), *range(len(graph.ops))])


def _subject(make: object) -> Subject:
    name = make.__name__
    if name not in SUBJECTS:
        torch.manual_seed(0)
        SUBJECTS[name] = subject_of(make())
    return SUBJECTS[name]


def test_computes_wait_where_the_judge_says() -> None:
    """The plan awaits a copy before it reads, frees or replaces what the copy is from or to, and all in the end."""
    dag = Dag(3)
    for seed in range(20):
        schedule = random_transfers(dag.graph, seed, dag.schedule(seed))
        plan = Executor(dag.graph, dag.program, schedule).plan
        pending: set[int] = set()
        arriving: set[int] = set()
        registers = {register: value for value, register in enumerate(plan.value_registers)}
        for each in plan.instructions:
            if isinstance(each, Await):
                pending -= {*each.values}
                arriving -= {*each.values}
            elif isinstance(each, Run):
                assert each.op is None or not arriving & {*dag.graph.ops[each.op].inputs}
                assert each.op is None or not pending & {*dag.graph.ops[each.op].outputs}
            elif hasattr(each, "registers"):
                assert not pending & {registers[one] for one in each.registers if one in registers}
            else:
                pending.add(each.value)
                if not isinstance(each, ToHost):
                    arriving.add(each.value)
        assert not pending


def test_lossless_copies_are_bit_equal() -> None:
    """Dropout's masks as bits."""
    subject = _subject(gpt2)
    for seed in range(2):
        schedule = random_transfers(subject.graph, seed, twice(subject.graph), schemes=("bits",))
        assert any(isinstance(each, Compress) for each in schedule.actions)
        judged = replay_transfers(subject.graph, schedule, INSTANT)
        assert judged.deviating == ()
        expected = subject.iterations[seed]
        torch.manual_seed(expected.seed)
        executor = Executor(subject.graph, subject.program, schedule, budget_bytes=judged.peak_bytes)
        require_equal(executor.run(expected.arguments), expected)


@pytest.mark.parametrize("seed", range(16))
def test_what_deviates_was_said_to(seed: int) -> None:
    """Values that replay does not name are bit-equal; the others are near."""
    dag = Dag(seed)
    graph = typed(dag)
    walk = [each for each in range(len(graph.ops)) for _ in range(1 + seed % 2)]
    schedule = random_transfers(graph, seed, schedule_from_computes(graph, walk))
    judged = replay_transfers(graph, schedule, INSTANT)
    torch.manual_seed(seed)
    torch.rand(2 * SIDE, SIDE)
    executed = Executor(graph, dag.program, schedule, budget_bytes=judged.peak_bytes).run(dag.arguments)
    results = [executed.loss, *(each for _, each in executed.updates)]
    deviating = {graph.values[each].name for each in judged.deviating}
    for reference, result in zip(dag.kept, results, strict=True):
        if dag.bases[reference] not in deviating:
            assert torch.equal(result, dag.tensors[reference])


def typed(dag: Dag) -> Graph:
    """The graph with the values' dtypes."""
    dtypes = {name: dag.tensors[each].dtype for each, name in dag.bases.items() if name is not None}
    values = (replace(each, dtype=str(dtypes[each.name]).removeprefix("torch.")) for each in dag.graph.values)
    return replace(dag.graph, values=tuple(values))


def test_a_lossy_copy_is_near() -> None:
    """One activation in half the bytes, and gradients that are a little off."""
    subject = _subject(mlp)
    graph = subject.graph
    plain = list(schedule_from_computes(graph, range(len(graph.ops))).actions)
    value = max(range(len(graph.values)), key=lambda each: (len(graph.consumers[each]), graph.sizes[each]))
    used = graph.consumers[value][0]
    at = plain.index(Compute(used)) + 1
    squeezed = (Compress(value, "bf16"), Drop(value), Decompress(value), Discard(value))
    schedule = Schedule((*plain[:at], *squeezed, *plain[at:]), lossy=True)
    with pytest.raises(IllegalSchedule, match="scheme 'bf16' loses something, and the schedule does not say"):
        Executor(graph, subject.program, Schedule(schedule.actions))
    judged = replay_transfers(graph, schedule, INSTANT)
    assert value in judged.deviating and not {*graph.outputs} <= {*judged.deviating}
    expected = subject.iterations[0]
    found = Executor(graph, subject.program, schedule).run(expected.arguments)
    equal = list(map(torch.equal, found.gradients, expected.gradients))
    assert not all(equal)
    for one, other in zip(found.gradients, expected.gradients, strict=True):
        assert torch.allclose(one, other, rtol=0.05, atol=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_judge_counts_the_bytes_that_the_kernels_keep(scheme: str) -> None:
    for dtype in SCHEMES[scheme]:
        for elements in (1, 7, 8, 255, 256, 257, 1000):
            tensor = torch.zeros(elements, dtype=getattr(torch, dtype))
            graph = build_graph([OpSpec("a", 1, (), (("x", tensor.nbytes),), dtypes=(dtype,))])
            assert compressed_bytes(graph, 0, scheme) == sum(part.nbytes for part in compress(tensor, scheme))
