"""A training loop that knows nothing of budgets, within one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

import hcb_opt  # noqa: E402
from hcb_opt.errors import CaptureError, InvalidInput  # noqa: E402

OPTIONS: dict[str, Any] = {"method": "chen_greedy", "time_limit": 5, "measure_workspaces": False}


class Losing(nn.Module):
    """Returns its loss, as models that are given their targets do."""

    def __init__(self) -> None:
        super().__init__()
        layers = [each for _ in range(3) for each in (nn.Linear(6, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Dropout(0.2))]
        self.body = nn.Sequential(*layers)

    def forward(self, examples: Tensor, *, targets: Tensor | None = None) -> Tensor:
        scores = self.body(examples)
        return scores if targets is None else (scores - targets).square().mean()


def train(model: Losing, batches: list[Tensor]) -> list[Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(1)
    found = []
    for batch in batches:
        optimizer.zero_grad()
        loss = model(batch, targets=batch)
        loss.backward()
        optimizer.step()
        found.append(loss.detach())
    model.eval()
    with torch.no_grad():
        found.append(model(batches[0]))
    model.train()
    return [*found, *(each.clone() for each in model.state_dict().values()), torch.get_rng_state()]


def test_an_unchanged_loop_trains_as_ever() -> None:
    torch.manual_seed(0)
    ours = Losing()
    theirs = copy.deepcopy(ours)
    batches = [torch.randn(8, 6), torch.randn(8, 6), torch.randn(5, 6)]
    with hcb_opt.within_budget(ours, 0.8, **OPTIONS):
        found = train(ours, batches)
    assert "forward" not in vars(ours)
    expected = train(theirs, batches)
    assert all(map(torch.equal, found, expected)) and len(found) == len(expected)
    assert all(map(torch.equal, train(ours, batches), train(theirs, batches)))


def test_the_step_runs_under_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    from hcb_opt.runtime import context

    made = []
    monkeypatch.setattr(
        context, "optimize", lambda *given, **told: made.append(hcb_opt.optimize(*given, **told)) or made[-1]
    )
    torch.manual_seed(0)
    model, batch = Losing(), torch.randn(8, 6)
    with hcb_opt.within_budget(model, 0.8, **OPTIONS):
        model(batch, targets=batch).backward()
        (prepared,) = made[0]._prepared.values()
        assert prepared.result.overhead > 0
    assert not made[0]._prepared


def test_errors_put_the_model_back() -> None:
    model, batch = Losing(), torch.randn(8, 6)
    model.forward = model.forward  # an own one, to be kept
    own = model.forward
    with pytest.raises(CaptureError, match="returned a tensor of shape"), hcb_opt.within_budget(model, 1.0, **OPTIONS):
        model(batch)
    assert model.forward is own
    with hcb_opt.within_budget(model, 1.0, **OPTIONS):
        with pytest.raises(InvalidInput, match="within a budget already"), hcb_opt.within_budget(model, 1.0):
            pass
        model(batch, targets=batch).backward()
    with pytest.raises(InvalidInput, match="scaler: no option"), hcb_opt.within_budget(model, 1.0, scaler=None):
        pass
    with pytest.raises(TypeError, match="speed"), hcb_opt.within_budget(model, 1.0, speed=2):
        pass
    assert model.forward is own
