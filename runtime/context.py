"""A context in which a model whose forward returns the loss trains within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch

from hcb_opt.errors import InvalidInput
from hcb_opt.runtime.module import HCModule
from hcb_opt.runtime.optimize import optimize


@contextmanager
def within_budget(model: torch.nn.Module, budget: int | float | str, **options: Any) -> Iterator[None]:
    """Inside, ``loss = model(...)`` and ``loss.backward()`` stay within a memory budget.

    For training loops that are not to be changed. New shapes of the model's
    arguments are captured and solved when they come. Where gradients are disabled the
    model runs as it is. Afterwards, also after an error, its forward is its own
    again, and what was prepared is released.

    Parameters
    ----------
    model : torch.nn.Module
        Its forward takes tensors, and nested tuples, lists and dicts of them, and
        returns the scalar loss.
    budget : int, float or str
        As in `hcb_opt.optimize`.
    **options
        As in `hcb_opt.optimize`, but for ``scaler``: scale the loss, as in any loop.

    Raises
    ------
    InvalidInput
        If the model is in such a context already, or a scaler is given.
    CaptureError, OutOfBudget
        As `hcb_opt.optimize`, when the model is called.
    """
    if isinstance(vars(model).get("forward"), _Within):
        raise InvalidInput("model", "is within a budget already", "leave one of the two contexts out")
    if "scaler" in options:
        raise InvalidInput("scaler", "no option of within_budget", "call scaler.scale(loss).backward() in the loop")
    signature(optimize).bind(model, model, None, budget, **options)
    own = {name: each for name, each in vars(model).items() if name == "forward"}
    within = _Within(model, model.forward, budget, options)
    vars(model)["forward"] = within
    try:
        yield
    finally:
        del vars(model)["forward"]
        vars(model).update(own)
        within.release()


class _Within:
    """Stands for a model's forward."""

    def __init__(
        self, model: torch.nn.Module, forward: Callable[..., torch.Tensor], budget: Any, options: dict[str, Any]
    ) -> None:
        self._model, self._forward, self._budget, self._options = model, forward, budget, options
        self._module: HCModule | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return self._forward(*args, **kwargs)
        call = (args, kwargs)
        if self._module is None:
            step = optimize(
                self._model, lambda _, call: self._forward(*call[0], **call[1]), call, self._budget, **self._options
            )
            self._module = HCModule(step)
        return self._module.forward(call)

    def release(self) -> None:
        if self._module is not None:
            self._module.step.release()
