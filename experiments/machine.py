"""The machine and the versions that measured figures belong to."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hcb_opt.version import __version__

PACKAGES = ("highspy", "ortools", "scipy", "numpy", "networkx", "pulp", "matplotlib", "torch")

_PROCESSORS = Path("/proc/cpuinfo")


def machine_facts() -> dict[str, str | int | None]:
    """Versions of the toolkit, Python, solvers and libraries; processor, cores and memory.

    Returns
    -------
    dict
        None where a package is not installed or the system does not tell.
    """
    facts: dict[str, str | int | None] = {
        "hcb_opt": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
    }
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = None
    return facts


def _processor() -> str | None:
    with suppress(OSError):
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            name, _, model = line.partition(":")
            if name.strip() == "model name":
                return model.strip()
    return platform.processor() or None


def _memory_bytes() -> int | None:
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None
