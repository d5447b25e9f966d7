"""A training step from a user's own file, named ``path.py:function``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hcb_opt.errors import CaptureError, InvalidInput

if TYPE_CHECKING:
    import torch

_FORM = "write path.py:function, where function() returns (model, loss_fn, batch)"


def load_user_step(spec: str) -> tuple[torch.nn.Module, Callable[[Any, Any], torch.Tensor], Any]:
    """Run a user's function that makes a training step.

    Parameters
    ----------
    spec : str
        ``path.py:function``; the function takes no arguments and returns
        ``(model, loss_fn, batch)`` as `hcb_opt.capture.capture` takes them. The
        file may import its neighbours.

    Raises
    ------
    InvalidInput
        If the file or function is not there, or returns something else.
    CaptureError
        If the file or function fails; the message carries its error and line.
    """
    path_text, colon, function_name = spec.rpartition(":")
    path = Path(path_text)
    if not colon or not function_name.isidentifier() or path.suffix != ".py":
        raise InvalidInput(f"step {spec!r}", "not of the form path.py:function", _FORM)
    if not path.is_file():
        raise InvalidInput(f"step {spec!r}", f"there is no file '{path}'", "check the path")
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        module = _guarded(path, lambda: _load_module(path))
        function = getattr(module, function_name, None)
        if not callable(function):
            own = (key for key, each in vars(module).items() if getattr(each, "__module__", None) == module.__name__)
            what = f"'{path}' has no function '{function_name}'"
            raise InvalidInput(f"step {spec!r}", what, f"it defines {', '.join(sorted(own)) or 'nothing'}")
        step = _guarded(path, function)
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    if not isinstance(step, tuple) or len(step) != 3:
        what = f"{function_name}() returned {_describe(step)}"
        raise InvalidInput(f"step {spec!r}", what, "return (model, loss_fn, batch)")
    model, loss_fn, batch = step
    return model, loss_fn, batch


def _load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hcb_opt_user_step_{path.stem}", path)
    assert spec is not None, "the suffix is .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look a class's module up here.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _guarded(path: Path, action: Callable[[], Any]) -> Any:
    from hcb_opt.capture.failures import user_line

    try:
        return action()
    except (Exception, SystemExit) as error:
        first_line = (str(error).splitlines() or [""])[0]
        where = user_line(error) or str(path)
        what = f"{type(error).__name__}: {first_line}"
        raise CaptureError(f"{where}: {what}; mend the file, it fails before the capture starts") from error


def _describe(thing: object) -> str:
    return f"{len(thing)} things" if isinstance(thing, tuple) else f"a {type(thing).__name__}"
