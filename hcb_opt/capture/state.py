"""Leaving a user's model and the generators as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch


@contextmanager
def restored(model: torch.nn.Module) -> Iterator[None]:
    """Undo what runs inside: attributes of all submodules, and generator states.

    Restored are the attributes themselves and the contents of those that are
    dicts or lists (parameters, buffers, caches); nothing deeper.
    """
    before = [(module, dict(vars(module)), _contents(module)) for module in model.modules()]
    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    uses_cuda = any(each.device.type == "cuda" for each in [*model.parameters(), *model.buffers()])
    try:
        with torch.random.fork_rng(devices=None if uses_cuda else []):
            yield
    finally:
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)
        for module, attributes, contents in before:
            vars(module).clear()
            vars(module).update(attributes)
            for name, content in contents.items():
                _refill(attributes[name], content)


def _contents(module: torch.nn.Module) -> dict[str, Any]:
    return {name: each.copy() for name, each in vars(module).items() if isinstance(each, dict | list)}


def _refill(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(container, dict):
        container.update(content)
    else:
        container.extend(content)
