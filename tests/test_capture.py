"""Captured graphs against the steps they come from, run on real tensors."""

from __future__ import annotations

import copy
import random
import subprocess
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy
import pytest

import hcb_opt
from hcb_opt.bounds import mandatory_memory
from hcb_opt.capture import capture, capture_step, load_user_step
from hcb_opt.errors import CaptureError, InvalidInput
from hcb_opt.graph import Graph, Phase

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from hcb_opt.capture.step import CapturedStep  # noqa: E402
from hcb_opt.capture.storages import find_slots, live_nodes  # noqa: E402
from hcb_opt.capture.torch_shim import elementary_recurrence, has_alias_schema, storage_key, tree_leaves  # noqa: E402

Step = tuple[nn.Module, Callable[[Any, Any], Tensor], Any]


class Calls(nn.Module):
    """A linear layer, a plain tensor, a buffer, and a forward given from outside."""

    def __init__(self, forward: Callable[[Any, Any], Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.plain = torch.ones(4)
        self.register_buffer("average", torch.zeros(4))
        self.calls, self.seen = 0, []
        self.given = forward

    def forward(self, batch: Any) -> Tensor:
        return self.given(self, batch)


def total(model: nn.Module, batch: Any) -> Tensor:
    return model(batch).sum()


def mean_square(model: nn.Module, batch: Any) -> Tensor:
    return model(batch).square().mean()


def perceptron() -> Step:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))
    return (
        model,
        lambda model, batch: functional.cross_entropy(model(batch[0]), batch[1]),
        (
            torch.randn(5, 6),
            torch.tensor([0, 1, 2, 0, 1]),
        ),
    )


def convolutions() -> Step:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(4, 2, 2, stride=2),
    )
    return model, mean_square, torch.randn(2, 3, 8, 8)


class Language(nn.Module):
    """One attention layer between tied embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.norm, self.project = nn.Embedding(11, 8), nn.LayerNorm(8), nn.Linear(8, 24)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.tokens(tokens)
        heads = [each.unflatten(2, (2, 4)).transpose(1, 2) for each in self.project(self.norm(hidden)).chunk(3, dim=2)]
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=True)
        return self.head(hidden + mixed.transpose(1, 2).flatten(2))


def language() -> Step:
    return Language(), mean_square, torch.randint(0, 11, (3, 5))


def recurrent() -> Step:
    return nn.LSTM(4, 4, 2), lambda model, batch: model(batch)[0].square().sum(), torch.randn(3, 2, 4)


def averaging() -> Step:
    def forward(model: Any, batch: Tensor) -> Tensor:
        model.average = 0.9 * model.average + 0.1 * batch.mean(0)
        model.plain.mul_(2)
        return model.linear(batch) * model.plain + model.average

    return Calls(forward), mean_square, torch.randn(2, 4)


def dropping() -> Step:
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 4)), mean_square, torch.randn(3, 4)


STEPS = (perceptron, convolutions, language, recurrent, averaging, dropping)


@pytest.fixture(params=STEPS, ids=lambda each: each.__name__)
def training_step(request: pytest.FixtureRequest) -> Step:
    torch.manual_seed(0)
    return request.param()


def real_arguments(step: CapturedStep, model: nn.Module, batch: Any) -> list[Tensor]:
    """Copies of the tensors that the traced module takes."""
    held = [attrgetter(name)(model) for name in (*step.parameters, *step.buffers)]
    fed = batch if isinstance(batch, tuple) else (batch,)
    return [each.detach().clone() for each in (*held, *fed)]


def run_counting_bytes(step: CapturedStep, arguments: list[Tensor]) -> tuple[list[Any], int]:
    """Run the traced module node by node; the most bytes of storages it held at once, arguments aside."""
    persistent = {storage_key(each) for each in arguments}
    kept = [*step.slots, step.module.graph.output_node()]
    last_use = {argument: node for node in kept for argument in node.all_input_nodes}
    results: dict[Any, Any] = {}
    feed = iter(arguments)
    peak = 0
    for node in kept:
        if node.op == "placeholder":
            results[node] = next(feed)
        elif node.op == "get_attr":
            results[node] = getattr(step.module, node.target)
            persistent.add(storage_key(results[node]))
        elif node.op == "call_function":
            values, keywords = torch.fx.node.map_arg((node.args, dict(node.kwargs)), results.__getitem__)
            results[node] = node.target(*values, **keywords)
            leaves = tree_leaves(list(results.values()))
            held = {storage_key(each): each.untyped_storage().nbytes() for each in leaves if isinstance(each, Tensor)}
            peak = max(peak, sum(size for key, size in held.items() if key not in persistent))
        else:
            return list(torch.fx.node.map_arg(node.args[0], results.__getitem__)), peak
        for argument in (node, *node.all_input_nodes):
            if last_use.get(argument, node) is node:
                results.pop(argument, None)
    raise AssertionError("the graph has no output node")


def test_traced_step_computes_what_eager_does(training_step: Step) -> None:
    model, loss_fn, batch = training_step
    step = capture_step(model, loss_fn, batch)
    arguments = real_arguments(step, model, batch)
    torch.manual_seed(7)
    with elementary_recurrence(), torch.no_grad():
        loss, *rest = step.module(*arguments)
    torch.manual_seed(7)
    with elementary_recurrence():
        expected = loss_fn(model, batch)
        expected.backward()
    gradients, after = rest[: len(step.parameters)], rest[len(step.parameters) :]
    assert torch.equal(loss, expected)
    for name, gradient in zip(step.parameters, gradients, strict=True):
        assert torch.equal(gradient, attrgetter(name)(model).grad), name
    for name, buffer in zip((*step.parameters, *step.buffers), after, strict=False):
        assert torch.equal(buffer, attrgetter(name)(model)), name


def test_store_all_peak_is_what_an_interpreter_holds(training_step: Step) -> None:
    model, loss_fn, batch = training_step
    step = capture_step(model, loss_fn, batch)
    arguments = real_arguments(step, model, batch)
    with torch.no_grad():
        _, peak_bytes = run_counting_bytes(step, arguments)
    assert peak_bytes == step.graph.store_all_peak_bytes
    held = {storage_key(each): each.untyped_storage().nbytes() for each in arguments}
    assert step.graph.persistent_bytes == sum(held.values())


def test_flops_are_those_of_flop_counter_mode(training_step: Step) -> None:
    model, loss_fn, batch = training_step
    graph = capture(model, loss_fn, batch, cost="flops")
    with FlopCounterMode(display=False) as counter, elementary_recurrence():
        loss_fn(model, batch).backward()
    assert graph.facts["flop_counter_flops"] == counter.get_total_flops()
    assert graph.cost_unit == "flop"
    assert graph.base_cost > counter.get_total_flops()


def named(graph: Graph, values: tuple[int, ...]) -> list[tuple[str, int]]:
    return [(graph.values[each].name, graph.values[each].size_bytes) for each in values]


def test_graph_of_two_linear_layers() -> None:
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Tanh(), nn.Linear(3, 2, bias=False))
    graph = capture(model, total, torch.randn(5, 4), name="two")
    assert [op.name for op in graph.ops] == [
        "mm", "tanh", "mm_1", "sum_1", "ones_like", "mm_2", "mm_3", "tanh_backward", "mm_4",
    ]  # fmt: skip
    assert [op.phase for op in graph.ops] == [Phase.FORWARD] * 4 + [Phase.BACKWARD] * 5
    by_name = {op.name: op for op in graph.ops}
    assert named(graph, by_name["mm"].inputs) == []
    assert named(graph, by_name["mm"].outputs) == [("mm", 60)]
    assert named(graph, by_name["mm_2"].inputs) == [("ones_like", 4), ("tanh", 60)]
    assert named(graph, by_name["mm_3"].inputs) == [("ones_like", 4)]
    assert named(graph, by_name["tanh_backward"].inputs) == [("mm_3", 60), ("tanh", 60)]
    assert named(graph, graph.outputs) == [("sum_1", 4), ("mm_4", 48), ("mm_2", 24)]
    assert graph.persistent_bytes == 4 * (12 + 6 + 20)
    assert (graph.name, graph.cost_unit) == ("two", "ns")
    assert graph.facts["torch"] == torch.__version__
    assert {key: graph.facts[key] for key in ("model", "batch", "device", "cost_model", "parameters")} == {
        "model": "Sequential",
        "batch": 5,
        "device": "cpu",
        "cost_model": "roofline:h200",
        "parameters": 18,
    }


def test_views_are_their_base() -> None:
    def forward(model: Any, batch: Tensor) -> Tensor:
        left, right = model.linear(batch).view(2, 2, 2, 4).transpose(0, 1).split(2, dim=3)
        return left[0].unsqueeze(0).expand(3, 2, 2, 2).detach() + right[1].permute(1, 0, 2)

    graph = capture(Calls(forward), total, torch.randn(8, 4))
    add = next(op for op in graph.ops if op.name == "add")
    assert named(graph, add.inputs) == [("addmm", 128)]
    assert named(graph, add.outputs) == [("add", 96)]
    assert not any(op.name.startswith(("view", "transpose", "split", "getitem", "expand")) for op in graph.ops)


def test_outputs_of_one_op_are_values_of_their_own() -> None:
    graph = capture(nn.LayerNorm(4), mean_square, torch.randn(8, 4))
    assert named(graph, graph.ops[0].outputs) == [
        ("native_layer_norm.0", 128),
        ("native_layer_norm.1", 32),
        ("native_layer_norm.2", 32),
    ]


def test_batch_norm_returns_its_running_statistics() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
    graph = capture(model, mean_square, torch.randn(8, 4))
    norm = next(op for op in graph.ops if "batch_norm" in op.name)
    statistics = {f"{norm.name}.3", f"{norm.name}.4"}
    assert statistics < {graph.values[each].name for each in graph.outputs}
    assert [size for _, size in named(graph, norm.outputs)] == [192, 24, 24, 24, 24]
    assert not any(op.mutates for op in graph.ops)


@pytest.mark.parametrize(("training", "statistics"), [(True, True), (True, False), (False, True)])
def test_a_batch_norm_that_writes_its_statistics_is_refused(training: bool, statistics: bool) -> None:
    def norm(batch: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        running = (mean, variance) if statistics else (None, None)
        return torch.ops.aten.native_batch_norm(batch, None, None, *running, training, 0.1, 1e-5)[0]

    nodes = live_nodes(make_fx(norm)(torch.randn(8, 4), torch.zeros(4), torch.ones(4)).graph)
    if training and statistics:
        with pytest.raises(CaptureError, match=r"op aten.native_batch_norm.default .* writes"):
            find_slots(nodes)
    else:
        assert len(find_slots(nodes)) == len(nodes) - 1  # all but the output


@pytest.mark.parametrize("op", ["_unsafe_view", "_reshape_alias", "view", "t", "detach", "split"])
def test_ops_that_are_views(op: str) -> None:
    packet = getattr(torch.ops.aten, op)
    assert has_alias_schema(getattr(packet, packet.overloads()[0]))
    assert not has_alias_schema(torch.ops.aten.clone.default)


def test_batch_norm_in_eval_mode_updates_nothing() -> None:
    graph = capture(nn.BatchNorm1d(4).eval(), mean_square, torch.randn(8, 4))
    assert len(graph.outputs) == 3


def test_random_draws_are_seeded_and_kept() -> None:
    def forward(model: Any, batch: Tensor) -> Tensor:
        torch.rand(3)  # moves the generator on, though nothing reads it
        torch.tanh(batch)
        return functional.dropout(model.linear(batch), 0.5) + torch.empty(4).normal_()

    graph = capture(Calls(forward), total, torch.randn(2, 4))
    assert [op.name for op in graph.ops if op.seeded] == ["rand", "bernoulli", "normal_functional"]
    assert not any(op.name == "tanh" for op in graph.ops)


def test_a_tied_parameter_has_one_gradient() -> None:
    model, loss_fn, batch = language()
    graph = capture(model, loss_fn, batch)
    assert len(graph.outputs) == 1 + len(list(model.parameters()))


def test_frozen_and_unused_parameters_have_no_gradient() -> None:
    model = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4).requires_grad_(False), nn.Linear(9, 9)])
    graph = capture(model, lambda model, batch: model[1](model[0](batch)).sum(), torch.randn(2, 4))
    assert len(graph.outputs) == 3
    assert graph.persistent_bytes == 4 * (20 + 20 + 90 + 8)


def test_a_checkpointed_block_is_recomputed_in_the_backward() -> None:
    def forward(model: Any, batch: Tensor) -> Tensor:
        return checkpoint(lambda hidden: torch.tanh(model.linear(hidden)), batch, use_reentrant=False)

    graph = capture(Calls(forward), total, torch.randn(2, 4))
    phases = [op.phase for op in graph.ops if op.name.startswith("addmm")]
    assert phases == [Phase.FORWARD, Phase.BACKWARD]


def test_autocast_computes_in_half_precision() -> None:
    def loss_fn(model: nn.Module, batch: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(batch).float().sum()

    graph = capture(nn.Linear(4, 4, bias=False), loss_fn, torch.randn(8, 4))
    assert named(graph, next(op for op in graph.ops if op.name == "mm").outputs) == [("mm", 64)]
    assert [size for _, size in named(graph, graph.outputs)] == [4, 64]


def test_nested_batches_and_other_objects_in_them() -> None:
    batch = {"pair": (torch.randn(2, 4), [torch.randn(2, 4)]), "scale": 3, "mode": "sum"}

    def loss_fn(model: nn.Module, batch: Any) -> Tensor:
        assert batch["mode"] == "sum"
        return functional.mse_loss(model(batch["pair"][0]), batch["pair"][1][0]) * batch["scale"]

    assert capture(nn.Linear(4, 4), loss_fn, batch).persistent_bytes == 4 * (20 + 16)


def test_batch_tensors_that_share_storage_count_once() -> None:
    whole = torch.randn(4, 4)
    graph = capture(nn.Linear(4, 4), lambda model, batch: model(batch[0] + batch[1]).sum(), (whole[:2], whole[2:]))
    assert graph.persistent_bytes == 4 * (20 + 16)


def test_meta_models_give_the_same_graph() -> None:
    batch = torch.randn(2, 4)
    assert capture(nn.Linear(4, 4, device="meta"), total, batch.to("meta")) == capture(nn.Linear(4, 4), total, batch)


def test_same_step_same_graph(training_step: Step) -> None:
    assert capture(*training_step) == capture(*training_step)


def test_mandatory_memory_is_within_the_peak(training_step: Step) -> None:
    graph = capture(*training_step)
    assert mandatory_memory(graph).size_bytes <= graph.store_all_peak_bytes


def intrusive(model: Any, batch: Tensor) -> Tensor:
    model.calls += 1
    model.seen.append(batch)
    model.cache = batch
    model.plain.add_(1)
    model.average.add_(1)
    model.eval()
    torch.manual_seed(3), random.seed(3), numpy.random.seed(3)
    return model.linear(functional.dropout(batch, 0.5)) * model.plain


def failing(model: Any, batch: Tensor) -> Tensor:
    return intrusive(model, batch) * batch.sum().item()


@pytest.mark.parametrize("forward", [intrusive, failing])
def test_the_users_state_stays_as_it_was(forward: Callable[[Any, Tensor], Tensor]) -> None:
    model, batch = Calls(forward), torch.randn(2, 4)
    model.linear(batch).sum().backward()
    gradient = model.linear.weight.grad
    before, batch_before = copy.deepcopy(model.state_dict()), batch.clone()
    tensors = [*model.parameters(), *model.buffers(), model.plain]
    states = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
    try:
        capture(model, total, batch)
    except CaptureError:
        assert forward is failing
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(
        now is then for now, then in zip([*model.parameters(), *model.buffers(), model.plain], tensors, strict=True)
    )
    assert torch.equal(batch, batch_before)
    assert torch.equal(model.plain, torch.ones(4))
    assert model.linear.weight.grad is gradient
    assert (model.training, model.calls, model.seen, hasattr(model, "cache")) == (True, 0, [], False)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), numpy.random.get_state()[1].tolist()) == states[1:]


outside = nn.Linear(4, 4)
counter = torch.zeros(4)


@torch.library.custom_op("hcb_opt_test::twice", mutates_args=())
def twice(tensor: Tensor) -> Tensor:
    return tensor * 2


ERRORS = {
    "branch": (lambda model, batch: batch if model.linear(batch).sum() > 0 else -batch, "reads a tensor's number"),
    "item": (lambda model, batch: model.linear(batch) * batch.sum().item(), "aten._local_scalar_dense"),
    "shape": (lambda model, batch: model.linear(batch)[batch > 0], "op aten.nonzero.default depends on the data"),
    "kernel": (lambda model, batch: twice(model.linear(batch)), "no fake kernel.*twice"),
    "control flow": (
        lambda model, batch: torch.cond(batch.sum() > 0, torch.sin, torch.cos, (model.linear(batch),)),
        "op cond",
    ),
    "no backward": (lambda model, batch: model.linear(batch).detach(), "the loss has no backward"),
    "other model": (lambda model, batch: outside(batch), "depends on no trainable parameter of model"),
    "mixed models": (lambda model, batch: outside(model.linear(batch)), "not the model's"),
    "outside write": (lambda model, batch: model.linear(batch) + counter.add_(0), "op aten.add_.Tensor .* writes"),
    "mismatch": (lambda model, batch: model.linear(batch[:, :3]), "RuntimeError: a and b must have same reduction dim"),
    "own backward": (lambda model, batch: own_backward(model.linear(batch).sum()), "without calling backward"),
}  # fmt: skip


def own_backward(loss: Tensor) -> Tensor:
    loss.backward()
    return loss


@pytest.mark.parametrize("name", ERRORS)
def test_steps_that_cannot_be_captured(name: str) -> None:
    forward, message = ERRORS[name]
    with pytest.raises(CaptureError, match=message) as caught:
        capture(Calls(forward), total, torch.randn(2, 4))
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize("name", ["branch", "item", "shape", "kernel", "mismatch"])
def test_errors_name_the_users_line(name: str) -> None:
    forward = ERRORS[name][0]
    with pytest.raises(CaptureError, match=rf"^test_capture\.py:{forward.__code__.co_firstlineno} `"):
        capture(Calls(forward), total, torch.randn(2, 4))


def test_errors_name_a_line_that_was_typed_in() -> None:
    typed: dict[str, Any] = {}
    exec(compile("def forward(model, batch):\n    return batch * batch.sum().item()", "<stdin>", "exec"), typed)
    with pytest.raises(CaptureError, match=r"^<stdin>:2: the step reads"):
        capture(Calls(typed["forward"]), total, torch.randn(2, 4))


def test_sparse_gradients_are_refused() -> None:
    with pytest.raises(CaptureError, match="returns a sparse tensor"):
        capture(nn.Embedding(9, 4, sparse=True), total, torch.tensor([1, 2]))


@pytest.mark.parametrize(
    ("loss_fn", "message"),
    [(lambda model, batch: 3, "returned a int"), (lambda model, batch: model(batch), r"shape \(2, 4\).*scalar")],
)
def test_losses_that_are_none(loss_fn: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        capture(nn.Linear(4, 4), loss_fn, torch.randn(2, 4))


def test_a_model_without_trainable_parameters() -> None:
    with pytest.raises(CaptureError, match="no parameter is trainable"):
        capture(nn.Linear(4, 4).requires_grad_(False), total, torch.randn(2, 4))


def test_unusable_arguments() -> None:
    with pytest.raises(InvalidInput, match=r"model: a int is no torch.nn.Module"):
        capture(3, total, None)
    with pytest.raises(InvalidInput, match="loss_fn: a int cannot be called"):
        capture(nn.Linear(4, 4), 3, None)
    with pytest.raises(InvalidInput, match="cost 'watts': unknown"):
        capture(nn.Linear(4, 4), total, torch.randn(2, 4), cost="watts")


def test_importing_needs_no_torch_and_the_name_stays_callable() -> None:
    program = (
        "import sys, hcb_opt.capture, hcb_opt.models; assert 'torch' not in sys.modules; "
        "assert callable(hcb_opt.capture); assert callable(hcb_opt.capture.capture)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert hcb_opt.capture(nn.Linear(4, 4), total, torch.randn(2, 4)).name == "linear"


STEP_FILE = """
from torch import nn, randn
from neighbour import WIDTH
def make(): return nn.Linear(WIDTH, WIDTH), lambda model, batch: model(batch).sum(), randn(2, WIDTH)
def pair(): return 1, 2
def broken(): return 1 / 0
"""


@pytest.fixture
def step_file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("WIDTH = 4")
    path = tmp_path / "mystep.py"
    path.write_text(STEP_FILE)
    return path


def test_a_users_step_from_a_file(step_file: Path) -> None:
    path_before = list(sys.path)
    graph = capture(*load_user_step(f"{step_file}:make"))
    assert graph.facts["parameters"] == 20
    assert sys.path == path_before


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("", InvalidInput, "not of the form path.py:function"),
        (":absent", InvalidInput, "has no function 'absent'; it defines broken, make, pair"),
        (":pair", InvalidInput, r"pair\(\) returned 2 things; return \(model, loss_fn, batch\)"),
        (":broken", CaptureError, r"^mystep\.py:6 `.*`: ZeroDivisionError: division by zero"),
    ],
)
def test_unusable_step_files(step_file: Path, function: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_user_step(f"{step_file}{function}")


def test_a_missing_step_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no file"):
        load_user_step(f"{tmp_path / 'absent.py'}:make")


def test_a_step_file_with_a_syntax_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("def make(:\n")
    with pytest.raises(CaptureError, match=r"wrong\.py: SyntaxError"):
        load_user_step(f"{path}:make")
