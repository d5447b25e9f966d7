"""Steps that are recorded and replayed: on a CPU by a recording that runs op by op, on CUDA by CUDA graphs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from training_steps import Step, gpt2, resnet18, tied  # noqa: E402

import hcb_opt  # noqa: E402
from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.errors import InvalidInput  # noqa: E402
from hcb_opt.experiments.gpu.measuring import deterministic  # noqa: E402
from hcb_opt.runtime.cuda_graph import MeasuredDraws, RecordedDraws, record_cuda_graph  # noqa: E402
from hcb_opt.runtime.errors import ExecutionError, StepMismatch  # noqa: E402
from hcb_opt.runtime.executor import Executed, Executor  # noqa: E402
from hcb_opt.runtime.generators import KeptDraws  # noqa: E402
from hcb_opt.runtime.module import HCModule  # noqa: E402
from hcb_opt.runtime.optimize import OptimizedStep  # noqa: E402
from hcb_opt.runtime.recorded import RecordedExecutor  # noqa: E402
from hcb_opt.schedule import schedule_from_computes  # noqa: E402

LIMITS = {"method": "chen_greedy", "time_limit": 5, "gap": 0.0, "seed": 0, "workers": 1}


class RunAgain:
    """A recording whose replay runs the step op by op and overwrites the results of the first run."""

    def __init__(self, executor: Executor, arguments: Sequence[Tensor]) -> None:
        self.replays = 0
        self._executor, self._arguments = executor, arguments
        self.executed = executor.run_drawing(arguments, KeptDraws())

    def replay(self) -> None:
        self.replays += 1
        fresh = self._executor.run_drawing(self._arguments, KeptDraws())
        for old, new in zip(tensors(self.executed), tensors(fresh), strict=True):
            if old.data_ptr() != new.data_ptr():
                old.copy_(new)


def tensors(executed: Executed) -> list[Tensor]:
    found = [executed.loss, *(each for each in executed.gradients if each is not None)]
    return [*found, *(each for _, each in executed.updates)]


def recorded(step: Step, made: list[RunAgain], budget: float = 0.8) -> OptimizedStep:
    def recorder(executor: Executor, arguments: Sequence[Tensor]) -> RunAgain:
        made.append(RunAgain(executor, arguments))
        return made[-1]

    model, loss_fn, batch = step
    found = OptimizedStep(model, loss_fn, budget, "flops", False, False, LIMITS, recorder)
    found.prepare(batch)
    return found


def twins(make: Callable[[], Step]) -> tuple[Step, Step]:
    torch.manual_seed(0)
    model, loss_fn, batch = make()
    return (model, loss_fn, batch), (copy.deepcopy(model), loss_fn, batch)


def eager(step: Step, batch: Any) -> Tensor:
    loss = step[1](step[0], batch)
    loss.backward()
    return loss.detach()


def everything(model: nn.Module) -> list[Tensor]:
    gradients = [each.grad.clone() for each in model.parameters() if each.grad is not None]
    return [*(each.clone() for each in model.state_dict().values()), *gradients, torch.get_rng_state()]


def require_same(first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
    assert len(first) == len(second)
    assert all(map(torch.equal, first, second))


def shuffled(batch: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(each.flip(0).clone() for each in batch)


@pytest.mark.parametrize(("make", "to_none"), [(gpt2, True), (resnet18, False)])
def test_replays_train_like_eager(make: Callable[[], Step], to_none: bool) -> None:
    """Two batches in turn, gradients accumulated over both, dropout and batch norm's buffers."""
    ours, theirs = twins(make)
    made: list[RunAgain] = []
    step = recorded(ours, made)
    batches = [ours[2], shuffled(ours[2])]
    ends = []
    for (model, _, _), run in ((ours, step), (theirs, lambda batch: eager(theirs, batch))):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(1)
        seen = []
        for _ in range(3):
            optimizer.zero_grad(set_to_none=to_none)
            seen += [run(batch) for batch in batches]
            optimizer.step()
        ends.append([*seen, *everything(model)])
    require_same(*ends)
    assert [each.replays for each in made] == [6]


def test_gradients_come_without_a_copy_and_survive_the_next_run() -> None:
    ours, theirs = twins(tied)
    step = recorded(ours, [])
    step(ours[2])
    places = [each.grad.data_ptr() for each in ours[0].parameters()]
    ours[0].zero_grad()
    step(ours[2])
    assert [each.grad.data_ptr() for each in ours[0].parameters()] == places
    step(shuffled(ours[2]))
    eager(theirs, theirs[2])
    eager(theirs, shuffled(theirs[2]))
    require_same(everything(ours[0]), everything(theirs[0]))


def test_other_shapes_and_other_memory_are_recorded_anew() -> None:
    ours, theirs = twins(tied)
    made: list[RunAgain] = []
    step = recorded(ours, made, 1.0)
    tokens = torch.randint(0, 13, (4, 2))
    for batch, recordings in ((ours[2], 1), ((tokens, tokens.flatten()), 2), (ours[2], 2)):
        assert torch.equal(step(batch), eager(theirs, batch))
        assert len(made) == recordings
    first = next(ours[0].parameters())
    first.data = first.data.clone()
    step(ours[2])
    eager(theirs, theirs[2])
    assert len(made) == 3
    step.release()
    require_same(everything(ours[0]), everything(theirs[0]))
    step(ours[2])
    assert len(made) == 4


def test_a_batch_of_any_layout_is_read_where_it_was_recorded() -> None:
    def make() -> Step:
        def loss(model: nn.Module, batch: Any) -> Tensor:
            return (model(batch[0].as_strided((3, 4), (8, 2), 1)) * batch[1]).sum() + model(batch[2]).sum()

        wide = torch.randn(40)
        return nn.Linear(4, 4), loss, (wide[3:35], torch.randn(1, 4).expand(3, 4), torch.randn(4, 3).t())

    ours, theirs = twins(make)
    made: list[RunAgain] = []
    step = recorded(ours, made, 1.0)
    assert torch.equal(step(ours[2]), eager(theirs, theirs[2]))
    for size, recordings in ((40, 1), (43, 2)):
        other = (torch.randn(size)[3:35], torch.randn(1, 4).expand(3, 4), torch.randn(4, 3).t())
        assert torch.equal(step(other), eager(theirs, other))
        assert len(made) == recordings
    require_same(everything(ours[0]), everything(theirs[0]))


def test_a_module_may_run_twice_before_a_backward() -> None:
    ours, theirs = twins(tied)
    module = HCModule(recorded(ours, []))
    for run in (module, lambda batch: theirs[1](theirs[0], batch)):
        first, second = run(ours[2]), run(shuffled(ours[2]))
        (2 * first + second).backward()
    for mine, eagers in zip(ours[0].parameters(), theirs[0].parameters(), strict=True):
        torch.testing.assert_close(mine.grad, eagers.grad)


def test_a_failing_recording_changes_nothing() -> None:
    def failing(executor: Executor, arguments: Sequence[Tensor]) -> RunAgain:
        RunAgain(executor, arguments)
        raise ExecutionError("cuda_graph: no room")

    torch.manual_seed(0)
    model, loss_fn, batch = resnet18()
    step = OptimizedStep(model, loss_fn, 1.0, "flops", False, False, LIMITS, failing)
    step.prepare(batch)
    before = everything(model)
    with pytest.raises(ExecutionError, match="no room"):
        step(batch)
    require_same(before, everything(model))


def test_without_cuda_it_says_so() -> None:
    model, loss_fn, batch = tied()
    with pytest.raises(InvalidInput, match="cuda_graph: the model is on cpu; move model and batch to a CUDA device"):
        hcb_opt.optimize(model, loss_fn, batch, 1.0, cuda_graph=True)
    captured = capture_step(model, loss_fn, batch, cost="flops")
    schedule = schedule_from_computes(captured.graph, range(len(captured.graph.ops)))
    executor = RecordedExecutor(captured.graph, record_program(captured), schedule, record_cuda_graph)
    with pytest.raises(StepMismatch, match=r"tokens.weight: is on cpu, but a CUDA graph reads tensors of one CUDA"):
        executor.run([*model.parameters(), *batch])


class Philox:
    """What CUDA's generators do, by the book: draws are told by seed and offset; while a graph is recorded only
    offsets since the recording began are known, and each replay starts from where the host has set the state."""

    def __init__(self, state: dict[str, int] | None = None) -> None:
        self.state = state or {"seed": 0, "offset": 0, "recorded": -1}

    def get_state(self) -> Tensor:
        assert self.state["recorded"] < 0, "a state was read while recording"
        return torch.tensor([self.state["seed"], self.state["offset"]]).view(torch.uint8)

    def set_state(self, state: Tensor) -> None:
        assert self.state["recorded"] < 0, "a state was set while recording"
        self.state["seed"], self.state["offset"] = state.view(torch.int64).tolist()

    def get_offset(self) -> int:
        assert self.state["recorded"] < 0, "a state was read while recording"
        return self.state["offset"]

    def set_offset(self, offset: int) -> None:
        assert self.state["recorded"] < 0 and offset % 4 == 0
        self.state["offset"] = offset

    def clone_state(self) -> Philox:
        return Philox(dict(self.state))

    def graphsafe_get_state(self) -> Philox:
        return Philox(self.state)

    def graphsafe_set_state(self, other: Philox) -> None:
        self.state = other.state

    def draw(self, increment: int) -> tuple[dict[str, int], int]:
        """The state drawn from, and the offset: from the recording's start while there is one."""
        counter = "recorded" if self.state["recorded"] >= 0 else "offset"
        offset = self.state[counter]
        self.state[counter] += increment
        return self.state, offset


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=25),
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
)
def test_replays_draw_what_eager_draws(calls: list[tuple[int, int]], between: list[int]) -> None:
    """Calls by position, each with its own size of draws; between replays others draw, or seed anew."""
    sizes = dict(reversed(calls))
    repeated = {position for position, _ in calls if sum(each == position for each, _ in calls) > 1}
    generator: Any = Philox()

    def run(draws: Any) -> list[tuple[dict[str, int], int]]:
        seen: set[int] = set()
        drawn = []
        for position, _ in calls:
            if position not in repeated:
                drawn.append(generator.draw(4 * sizes[position]))
                continue
            around = draws.again if position in seen else draws.first
            seen.add(position)
            with around(generator, position):
                drawn.append(generator.draw(4 * sizes[position]))
        return drawn

    generator.draw(8)
    start = generator.get_offset()
    measured = MeasuredDraws()
    run(measured)
    spans = [(first - start, last - start) for first, last in measured.again_spans]
    draws = RecordedDraws(generator, spans, generator.get_offset() - start)
    states = [each.state for each in draws.generators]
    before = generator.get_state()
    for each in states:
        each["recorded"] = 0
    with draws.recording():
        recording = run(draws)
    for each in states:
        each["recorded"] = -1
    assert torch.equal(generator.get_state(), before)
    for seed in between:
        if seed:
            generator.set_state(torch.tensor([seed, 4 * seed]).view(torch.uint8))
        begin = generator.get_state()
        draws.place()
        replayed = [(state["seed"], state["offset"] + offset) for state, offset in recording]
        end = generator.get_state()
        generator.set_state(begin)
        eagers = [(generator.state["seed"], offset) for _, offset in run(KeptDraws())]
        assert replayed == eagers
        assert torch.equal(end, generator.get_state())


def on_cuda(make: Callable[[], Step]) -> tuple[Step, Step]:
    (model, loss_fn, batch), _ = twins(make)
    moved = tuple(each.cuda() for each in batch)
    return (model.cuda(), loss_fn, moved), (copy.deepcopy(model), loss_fn, moved)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [gpt2, tied])
def test_cuda_graphs_train_like_eager(make: Callable[[], Step], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    ours, theirs = on_cuda(make)
    batches = [ours[2], shuffled(ours[2])]
    ends = []
    with deterministic():
        # So small a step's scratch memory outweighs what it keeps.
        step = hcb_opt.optimize(*ours, 0.8, method="chen_greedy", cuda_graph=True, measure_workspaces=False)
        for (model, _, _), run in ((ours, step), (theirs, lambda batch: eager(theirs, batch))):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            torch.manual_seed(1)
            seen = []
            for _ in range(3):
                optimizer.zero_grad()
                seen += [run(batch) for batch in batches]
                optimizer.step()
            ends.append([*seen, *everything(model), torch.cuda.get_rng_state()])
    require_same(*ends)


@pytest.mark.gpu
def test_a_failed_recording_leaves_others_as_they_were() -> None:
    """Two shapes, of which the second waits for the device; the first draws the same dropout before and after."""

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        return model(batch).square().sum() * (batch.sum().cpu() if len(batch) == 5 else 1)

    model = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 3)).cuda()
    good, bad = torch.randn(4, 3, device="cuda"), torch.randn(5, 3, device="cuda")
    step = hcb_opt.optimize(model, loss, good, 1.0, cuda_graph=True)
    losses = []
    for between in (good, bad):
        torch.manual_seed(3)
        losses.append(step(good))
        if between is bad:
            with pytest.raises(ExecutionError):
                step(bad)
        losses.append(step(good))
    assert torch.equal(losses[0], losses[2]) and not torch.equal(losses[0], losses[1])
    assert torch.equal(losses[1], losses[3])


@pytest.mark.gpu
def test_a_step_that_waits_for_the_device_is_refused_and_changes_nothing() -> None:
    def waiting(model: nn.Module, batch: Any) -> Tensor:
        return model(batch).square().sum() * batch.sum().cpu()

    model, batch = nn.Linear(3, 3).cuda(), torch.randn(4, 3, device="cuda")
    step = hcb_opt.optimize(model, waiting, batch, 1.0, cuda_graph=True)
    before = [*everything(model), torch.cuda.get_rng_state()]
    with pytest.raises(ExecutionError, match=r"cuda_graph: .* leave cuda_graph out"):
        step(batch)
    require_same(before, [*everything(model), torch.cuda.get_rng_state()])
    torch.rand(3, device="cuda")
