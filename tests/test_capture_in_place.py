"""Which captured ops may write over which inputs, and that they then read no element but the one they write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from training_steps import autocast, lstm, unet  # noqa: E402

from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.step import CapturedStep  # noqa: E402


class Scaled(nn.Module):
    """A parameter, and what is made of it and of a square batch before it is summed up."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(3, 3))

    def forward(self, batch: Tensor) -> Tensor:
        return self.function(batch @ self.weight).double().sum()


def captured(function: Callable[[Tensor], Tensor]) -> CapturedStep:
    return capture_step(Scaled(function), lambda model, batch: model(batch), torch.randn(3, 3))


def overwritten(step: CapturedStep, name: str) -> list[str]:
    """Names of the inputs that the op of this name may write over."""
    (op,) = (op for op in step.graph.ops if op.name == name)
    return [step.graph.values[value].name for value in op.in_place]


@pytest.mark.parametrize(
    ("function", "name", "expected"),
    [
        (lambda x: x.exp(), "exp", ["mm"]),
        (lambda x: x.exp() * x, "mul", ["exp", "mm"]),
        (lambda x: x * x, "mul", ["mm"]),
        (lambda x: x + x.t(), "add", []),  # reads other elements of what it would write over
        (lambda x: x.exp() + x.t(), "add", ["exp"]),
        (lambda x: x.view(9).exp(), "exp", ["mm"]),
        (lambda x: x.view(9)[1:].exp(), "exp", []),  # smaller than the storage
        (lambda x: x.t().exp(), "exp", ["mm"]),
        (lambda x: x.exp() + x.sum(0), "add", ["exp"]),
        (lambda x: torch.where(x > 0, x.exp(), x), "where", ["exp", "mm"]),  # the mask has elements of another size
        (lambda x: x.exp() + x.double(), "add", ["_to_copy"]),
        (lambda x: x.softmax(0), "_softmax", []),
        (lambda x: x @ x, "mm_1", []),
        (lambda x: x.exp() + x[:0].sum(), "add", ["exp"]),
        (lambda x: x[:0].exp().sum() + x, "add", ["mm"]),
    ],
)
def test_only_inputs_read_element_by_element(
    function: Callable[[Tensor], Tensor], name: str, expected: list[str]
) -> None:
    assert sorted(overwritten(captured(function), name)) == sorted(expected)


def test_parameters_and_batch_are_never_written_over() -> None:
    step = capture_step(Scaled(lambda x: x), lambda model, batch: (model.weight * batch).sum(), torch.randn(3, 3))
    assert overwritten(step, "mul") == []


class Probing(torch.fx.Interpreter):
    """Runs a step; every op that may write over an input runs again with some of that input's elements changed."""

    def __init__(self, step: CapturedStep) -> None:
        super().__init__(step.module)
        self.step, self.probed = step, 0
        self.ops = dict(zip(step.nodes, step.graph.ops, strict=True))

    def run_node(self, node: torch.fx.Node) -> Any:
        result = super().run_node(node)
        for value in self.ops[node].in_place if node in self.ops else ():
            slot = self.step.value_slots[value]
            arguments, keywords = self.fetch_args_kwargs_from_env(node)
            chosen = torch.rand(result.shape) < 0.5
            sharing = [self.env[each] for each in node.all_input_nodes if self.step.slots[each] == slot]
            changed = {id(each): torch.where(chosen, (~each.bool()).to(each.dtype), each) for each in sharing}
            arguments = [changed.get(id(each), each) for each in arguments]
            again = self.call_function(node.target, tuple(arguments), keywords)
            assert torch.equal(again[~chosen], result[~chosen]), node
            assert result.untyped_storage().nbytes() == self.step.graph.sizes[value]
            self.probed += 1
        return result


@pytest.mark.parametrize("make", [unet, lstm, autocast], ids=lambda each: each.__name__)
def test_no_op_reads_another_element_of_what_it_may_write_over(make: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    model, loss_fn, batch = make()
    step = capture_step(model, loss_fn, batch)
    owned = [*model.parameters(), *model.buffers()]
    probing = Probing(step)
    with torch.no_grad():
        probing.run(*owned, *batch)
    assert probing.probed > 5
