"""Executed schedules against eager autograd, bit for bit, and against the peak that replay predicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter

import pytest
from walks import random_walk

import hcb_opt
from hcb_opt.capture import capture_step
from hcb_opt.graph import Graph
from hcb_opt.registry import methods, methods_for
from hcb_opt.replay import IllegalSchedule, replay
from hcb_opt.schedule import Compute, Schedule, schedule_from_computes

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from training_steps import STEPS, Step, gpt2, mlp  # noqa: E402

from hcb_opt.capture.program import Program  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.runtime.errors import ExecutionError, NondeterministicOp, OutOfBudget, StepMismatch  # noqa: E402
from hcb_opt.runtime.executor import Executed, Executor  # noqa: E402
from hcb_opt.runtime.measure import peak_bytes, with_measured_workspaces  # noqa: E402

CPU = torch.device("cpu")
# The state of the CPU's generator is read at the start and where an op draws again: much, beside steps this small.
STATE_BYTES = torch.get_rng_state().numel()


@dataclass(frozen=True)
class Subject:
    """A model, its captured step, and what eager makes of it over three iterations."""

    graph: Graph
    program: Program
    iterations: list[Iteration]


@dataclass(frozen=True)
class Iteration:
    """One step of eager: its arguments before, loss, gradients, arguments and generator state after."""

    arguments: list[Tensor]
    seed: int
    loss: Tensor
    gradients: list[Tensor | None]
    after: list[Tensor]
    state: Tensor


def subject_of(step: Step) -> Subject:
    model, loss_fn, batch = step
    captured = capture_step(model, loss_fn, batch)
    program = record_program(captured)
    return Subject(captured.graph, program, [iteration(program, step, seed) for seed in range(3)])


def iteration(program: Program, step: Step, seed: int) -> Iteration:
    """Run eager, then move its weights on."""
    model, loss_fn, batch = step
    names = (*program.parameter_names, *program.buffer_names)
    before = [attrgetter(name)(model).detach().clone() for name in names] + list(batch)
    torch.manual_seed(seed)
    loss = loss_fn(model, batch)
    loss.backward()
    state = torch.get_rng_state()
    held = [attrgetter(name)(model) for name in names]
    gradients = [None if each.grad is None else each.grad.clone() for each in held[: program.parameters]]
    after = [each.detach().clone() for each in held]
    with torch.no_grad():
        for each, gradient in zip(held, gradients, strict=False):
            each -= 0.1 * gradient
            each.grad = None
    return Iteration(before, seed, loss.detach(), gradients, after, state)


def require_equal(executed: Executed, expected: Iteration) -> None:
    assert torch.equal(executed.loss, expected.loss)
    for found, wanted in zip(executed.gradients, expected.gradients, strict=True):
        assert torch.equal(found, wanted)
    after = dict(enumerate(expected.arguments)) | dict(executed.updates)
    for position, wanted in enumerate(expected.after):
        assert torch.equal(after[position], wanted)
    assert torch.equal(torch.get_rng_state(), expected.state)


def run_and_compare(subject: Subject, schedule: Schedule, expected: Iteration) -> None:
    executor = Executor(subject.graph, subject.program, schedule, budget_bytes=subject.graph.store_all_peak_bytes * 2)
    torch.manual_seed(expected.seed)
    kept = [each.clone() for each in expected.arguments]
    require_equal(executor.run(expected.arguments), expected)
    assert all(map(torch.equal, kept, expected.arguments))


SUBJECTS: dict[str, Subject] = {}


@pytest.fixture(params=STEPS, ids=lambda each: each.__name__)
def subject(request: pytest.FixtureRequest) -> Subject:
    name = request.param.__name__
    if name not in SUBJECTS:
        torch.manual_seed(0)
        SUBJECTS[name] = subject_of(request.param())
    return SUBJECTS[name]


def test_random_schedules_are_bit_equal_to_eager(subject: Subject) -> None:
    for seed in range(5):
        schedule = schedule_from_computes(subject.graph, random_walk(subject.graph, seed))
        run_and_compare(subject, schedule, subject.iterations[seed % 3])


@pytest.mark.slow
def test_fifty_random_schedules_are_bit_equal_to_eager(subject: Subject) -> None:
    for seed in range(100, 150):
        schedule = schedule_from_computes(subject.graph, random_walk(subject.graph, seed))
        run_and_compare(subject, schedule, subject.iterations[seed % 3])


@pytest.mark.parametrize("method", ["chen_greedy"])
def test_schedules_of_methods_are_bit_equal_to_eager(subject: Subject, method: str) -> None:
    schedule = cheapest_found(subject.graph, method)
    assert schedule is not None
    for expected in subject.iterations:
        run_and_compare(subject, schedule, expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(methods_for("fixed")))
def test_schedules_of_every_method_are_bit_equal_to_eager(subject: Subject, method: str) -> None:
    if methods()[method].declines(subject.graph, subject.graph.store_all_peak_bytes):
        pytest.skip("not for such graphs")
    schedule = cheapest_found(subject.graph, method)
    if schedule is None:
        pytest.skip("finds nothing")
    for expected in subject.iterations:
        run_and_compare(subject, schedule, expected)


def cheapest_found(graph: Graph, method: str) -> Schedule | None:
    """A schedule of this method at the smallest of some budgets where it finds one in time."""
    for share in (0.6, 0.8, 0.95, 1.0):
        result = hcb_opt.solve_schedule(graph, share, method=method, time_limit=10)
        if result.schedule is not None:
            return result.schedule
    return None


def test_measured_peak_is_the_predicted_one(subject: Subject) -> None:
    arguments = subject.iterations[0].arguments
    straight = Executor(subject.graph, subject.program, straight_schedule(subject.graph))
    graph = with_measured_workspaces(straight, arguments, CPU)
    schedule = schedule_from_computes(graph, random_walk(graph, 3))
    executor = Executor(graph, subject.program, schedule)
    measured = peak_bytes(lambda: executor.run(arguments), CPU)
    predicted = replay(graph, schedule).peak_bytes
    assert predicted <= measured <= 1.01 * predicted + STATE_BYTES


def straight_schedule(graph: Graph) -> Schedule:
    return schedule_from_computes(graph, range(len(graph.ops)))


def test_without_convolutions_the_captured_graph_predicts_the_peak() -> None:
    subject = SUBJECTS.get("mlp") or subject_of(mlp())
    schedule = schedule_from_computes(subject.graph, random_walk(subject.graph, 3))
    executor = Executor(subject.graph, subject.program, schedule)
    measured = peak_bytes(lambda: executor.run(subject.iterations[0].arguments), CPU)
    assert measured == replay(subject.graph, schedule).peak_bytes


def test_a_budget_is_kept_by_real_storages() -> None:
    subject = subject_of(mlp())
    arguments = subject.iterations[0].arguments
    schedule = straight_schedule(subject.graph)
    peak = subject.graph.store_all_peak_bytes
    Executor(subject.graph, subject.program, schedule, budget_bytes=peak).run(arguments)
    with pytest.raises(OutOfBudget, match=rf"bytes are held, the budget is {peak - 1}"):
        Executor(subject.graph, subject.program, schedule, budget_bytes=peak - 1).run(arguments)


def test_a_value_larger_than_planned_is_named() -> None:
    subject = subject_of(mlp())
    values = tuple(replace(each, size_bytes=8) for each in subject.graph.values)
    graph = replace(subject.graph, values=values)
    schedule = straight_schedule(graph)
    budget = replay(graph, schedule).peak_bytes
    executor = Executor(graph, subject.program, schedule, budget_bytes=budget)
    with pytest.raises(
        OutOfBudget, match=r"op 'addmm': 512 bytes .* \(value 'addmm' holds 504 bytes more than planned"
    ):
        executor.run(subject.iterations[0].arguments)


def test_a_full_device_is_told_with_the_op() -> None:
    def huge(model: nn.Module, batch: Tensor) -> Tensor:
        return (model(batch).sum() * batch.new_ones(1 << 46)).sum()

    captured = capture_step(nn.Linear(2, 2), huge, torch.randn(1, 2))
    executor = Executor(captured.graph, record_program(captured), straight_schedule(captured.graph))
    with pytest.raises(OutOfBudget, match=r"op 'new_ones' .* the device is full"):
        executor.run([torch.randn(2, 2), torch.randn(2), torch.randn(1, 2)])


def test_a_failing_op_leaves_the_generator_as_it_was() -> None:
    def looked_up(model: nn.Module, tokens: tuple[Tensor, Tensor]) -> Tensor:
        return functional.dropout(model(tokens[0]), 0.5).sum() + model(tokens[1]).sum()

    captured = capture_step(nn.Embedding(4, 3), looked_up, (torch.tensor([1, 2]), torch.tensor([3])))
    executor = Executor(captured.graph, record_program(captured), straight_schedule(captured.graph))
    names = [op.name for op in captured.graph.ops]
    assert names.index("bernoulli") < names.index("embedding_1")
    table = torch.randn(4, 3)
    state = torch.get_rng_state()
    with pytest.raises(ExecutionError, match=r"op 'embedding_1.*index out of range"):
        executor.run([table, torch.tensor([1, 2]), torch.tensor([7])])
    assert torch.equal(torch.get_rng_state(), state)


def test_casts_and_recording_around_a_run_change_nothing() -> None:
    subject = SUBJECTS.get("mlp") or subject_of(mlp())
    expected = subject.iterations[0]
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.enable_grad():
        for each in expected.arguments[: subject.program.parameters]:
            each.requires_grad_()
        run_and_compare(subject, straight_schedule(subject.graph), expected)
        for each in expected.arguments[: subject.program.parameters]:
            each.requires_grad_(False)


def test_arguments_of_another_layout_are_refused() -> None:
    subject = subject_of(mlp())
    executor = Executor(subject.graph, subject.program, straight_schedule(subject.graph))
    arguments = subject.iterations[0].arguments
    with pytest.raises(StepMismatch, match="9 tensors given; the captured step takes 10"):
        executor.run(arguments[:9])
    with pytest.raises(StepMismatch, match=r"batch\[0\]: shape is \(9, 16\), but the step was captured with \(8, 16\)"):
        executor.run([*arguments[:-2], torch.randn(9, 16), arguments[-1]])
    with pytest.raises(StepMismatch, match=r"0.weight: dtype is float64"):
        executor.run([arguments[0].double(), *arguments[1:]])
    with pytest.raises(StepMismatch, match=r"0.weight: strides"):
        executor.run([arguments[0].t(), *arguments[1:]])


def test_a_program_of_another_graph_is_refused() -> None:
    subject, other = subject_of(mlp()), SUBJECTS.get("gpt2") or subject_of(gpt2())
    with pytest.raises(StepMismatch, match="does not belong to this graph"):
        Executor(subject.graph, other.program, straight_schedule(subject.graph))


def test_illegal_schedules_are_refused() -> None:
    subject = subject_of(mlp())
    with pytest.raises(IllegalSchedule, match="not resident"):
        Executor(subject.graph, subject.program, Schedule((Compute(3),)))


def test_draws_in_another_order_are_refused() -> None:
    def drawn(model: nn.Module, batch: Tensor) -> Tensor:
        return (model(batch) * torch.rand(2) * torch.rand(2)).sum()

    captured = capture_step(nn.Linear(2, 2), drawn, torch.randn(1, 2))
    program = record_program(captured)
    first, second = (position for position, op in enumerate(captured.graph.ops) if op.seeded)
    order = [second, first, *(each for each in range(len(captured.graph.ops)) if each not in (first, second))]
    assert replay(captured.graph, schedule_from_computes(captured.graph, order))
    with pytest.raises(StepMismatch, match="op 'rand_1' draws random numbers before op 'rand'"):
        Executor(captured.graph, program, schedule_from_computes(captured.graph, order))


def test_draws_that_nothing_reads_move_the_generator_on() -> None:
    def drawn(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        torch.rand(3)
        torch.rand(0)
        return functional.dropout(model(batch[0]), 0.5).sum()

    subject = subject_of((nn.Linear(2, 2), drawn, (torch.randn(1, 2),)))
    for seed in range(3):
        schedule = schedule_from_computes(subject.graph, random_walk(subject.graph, seed))
        run_and_compare(subject, schedule, subject.iterations[seed])


def test_strict_mode_names_an_op_without_a_deterministic_kernel() -> None:
    def put(model: nn.Module, batch: Tensor) -> Tensor:
        return model(batch).put(torch.tensor([0, 1]), torch.ones(2)).sum()

    captured = capture_step(nn.Linear(2, 2), put, torch.randn(1, 2))
    program = record_program(captured)
    arguments = [torch.randn(2, 2), torch.randn(2), torch.randn(1, 2)]
    schedule = straight_schedule(captured.graph)
    Executor(captured.graph, program, schedule).run(arguments)
    with pytest.raises(NondeterministicOp, match=r"op 'put.*does not have a deterministic implementation"):
        Executor(captured.graph, program, schedule, strict=True).run(arguments)
    assert not torch.are_deterministic_algorithms_enabled()
