"""The kernel families there are, found by walking this folder."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import hcb_opt.runtime.kernels
from hcb_opt.runtime.kernels.compilation import KernelCase


def families() -> dict[str, ModuleType]:
    """The Triton modules by name: those beside which there is a module of that name with ``_reference``.

    Raises
    ------
    ImportError
        If Triton is missing.
    """
    names = {each.name for each in pkgutil.iter_modules(hcb_opt.runtime.kernels.__path__)}
    named = sorted(name for name in names if f"{name}_reference" in names)
    return {name: importlib.import_module(f"hcb_opt.runtime.kernels.{name}") for name in named}


def kernel_cases() -> list[KernelCase]:
    """What is compiled for the report, of all families: what their ``cases()`` list."""
    return [case for family in families().values() for case in family.cases()]
