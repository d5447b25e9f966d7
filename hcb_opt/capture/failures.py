"""From whatever a trace raised to one line: what, on which line of the user's, and the fix."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from hcb_opt.errors import CaptureError

_KERNEL_FIX = "register one with torch.library.register_fake, or write the step without this op"

# What torch raises, known by its type's name or a part of its message; what to say; the fix.
_KNOWN = (
    (
        ("DataDependentOutputException", "_local_scalar_dense"),
        "the step reads a tensor's number in Python (.item(), if, float(): op aten._local_scalar_dense)",
        "keep the choice in tensors (torch.where) or pass the number in as an argument",
    ),
    (
        ("DynamicOutputShapeException",),
        "the shape of the result of op {op} depends on the data",
        "give it a fixed shape (a mask in place of the selected rows)",
    ),
    (
        ("torch._C.Generator",),
        "an op is given a Generator of its own",
        "let it draw from torch's default generator",
    ),
    (("UnsupportedOperatorException",), "op {op} has no fake kernel", _KERNEL_FIX),
    (("no fake impl", "NotImplementedError"), "an op has no fake kernel: {message}", _KERNEL_FIX),
    (
        ("backward through the graph a second time",),
        "the graph was differentiated before the capture could",
        "let loss_fn return the loss without calling backward or grad",
    ),
    (
        ("dynamo-optimized function",),
        "the model is compiled",
        "pass the model as it was before torch.compile",
    ),
    (
        ("",),
        "the step failed while it was traced: {kind}: {message}",
        "check that loss_fn(model, batch) and its backward run on real tensors",
    ),
)


def user_line(error: BaseException) -> str | None:
    """Innermost ``file:line`` of the error that lies outside torch and this package.

    Returns
    -------
    str or None
        None if the error arose where no user code was running, as in autograd.
    """
    folders = [Path(__file__).parent, Path(traceback.__file__).parent]
    if "torch" in sys.modules:
        torch_file = sys.modules["torch"].__file__
        assert torch_file is not None
        folders.append(Path(torch_file).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        generated = frame.filename.startswith(("<frozen", "<eval_with_key"))
        if not generated and not any(path.is_relative_to(each) for each in folders if not _is_site(each, path)):
            return f"{path.name}:{frame.lineno} `{frame.line}`" if frame.line else f"{path.name}:{frame.lineno}"
    return None


def as_capture_error(error: Exception) -> CaptureError:
    """The one-line `CaptureError` for what a trace raised.

    Parameters
    ----------
    error : Exception
        From torch or from the user's model; a `CaptureError` is kept.
    """
    if isinstance(error, CaptureError):
        return error
    where = user_line(error) or "the backward"
    kind = type(error).__name__
    message = (str(error).strip().splitlines() or [kind])[0]
    shown = f"{kind}: {message}"
    what, fix = next((what, fix) for signs, what, fix in _KNOWN if any(sign in shown for sign in signs))
    what = what.format(op=getattr(error, "func", None), kind=kind, message=message)
    return CaptureError(f"{where}: {what}; {fix}")


def _is_site(folder: Path, path: Path) -> bool:
    # site-packages lies inside the standard library's folder but holds other people's code.
    return folder == Path(traceback.__file__).parent and "site-packages" in path.parts
