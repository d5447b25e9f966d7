"""What this machine offers: versions, solvers, devices, and the fix for what is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hcb_opt.version import __version__

TORCH_VERSIONS = ((2, 11), (2, 14))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    name : str
    state : str
        Its version, or what is wrong.
    fix : str
        What to do; empty if nothing needs doing.
    """

    name: str
    state: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything the toolkit can use, one finding at a time.

    Yields
    ------
    Finding
        Cheap ones first; torch is imported to look for devices.
    """
    yield Finding("hcb-opt", __version__)
    yield _python()
    for package in ("numpy", "scipy", "networkx", "pulp", "ortools", "matplotlib"):
        yield _package(package, f"pip install {package}")
    yield _solver("HiGHS", _try_highs, "pip install 'scipy>=1.15'")
    yield _solver("CBC", _try_cbc, "pip install 'pulp>=3.1,<4', which brings it")
    torch = _package("torch", "to capture models: pip install 'hcb-opt[torch]'")
    yield torch
    if not torch.fix:
        yield from _torch(torch.state)
    yield _package("triton", "to run GPU kernels: pip install 'hcb-opt[triton]'")


def _python() -> Finding:
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding("python", platform.python_version(), "" if supported else "use Python 3.11, 3.12 or 3.13")


def _package(name: str, fix: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed", fix)


def _solver(name: str, attempt: Callable[[], bool], fix: str) -> Finding:
    try:
        solved = attempt()
    except Exception as error:  # a broken binary may fail in any way; the finding says how
        return Finding(name, f"fails ({' '.join(str(error).split())})", fix)
    return Finding(name, "solves", "") if solved else Finding(name, "does not solve a trivial problem", fix)


def _try_highs() -> bool:
    from scipy.optimize import milp

    return bool(milp([1.0], bounds=([1.0], [2.0]), integrality=[1]).success)


def _try_cbc() -> bool:
    import pulp

    problem = pulp.LpProblem("trivial", pulp.LpMinimize)
    problem += pulp.LpVariable("x", 1, 2, cat="Integer")
    return bool(problem.solve(pulp.PULP_CBC_CMD(msg=False)) == pulp.LpStatusOptimal)


def _torch(version: str) -> Iterator[Finding]:
    major, minor = (int(part) for part in version.split(".")[:2])
    if not TORCH_VERSIONS[0] <= (major, minor) < TORCH_VERSIONS[1]:
        yield Finding("torch range", f"{version} is untested", "pip install 'torch>=2.11,<2.14'")
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count()))
        yield Finding("cuda", f"{torch.version.cuda}: {names}")
    else:
        yield Finding("cuda", "no device", "to measure on a GPU, use a CUDA machine and build of torch")
