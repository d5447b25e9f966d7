"""Compiles Triton kernels for a device that need not be here, and says what they take of it."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Compute capability 9.0: H100, H200.
CAPABILITY = 90
MOST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class KernelCase:
    """A kernel with the types and constants that it is compiled for.

    Attributes
    ----------
    name : str
        Of the case in reports.
    kernel : triton.JITFunction
    types : mapping of str to str
        Of every argument in order, as Triton writes them (``"*fp32"``, ``"i32"``);
        ``"constexpr"`` for constants.
    constants : mapping of str to object
        Values of the constants.
    warps : int
    """

    name: str
    kernel: Any
    types: Mapping[str, str]
    constants: Mapping[str, object] = field(default_factory=dict)
    warps: int = 4


@dataclass(frozen=True, slots=True)
class Usage:
    """What a compiled kernel takes of the device.

    Attributes
    ----------
    name : str
        Of the case.
    registers : int
        Per thread.
    stack_bytes : int
        Per thread; above 0, registers were spilled.
    shared_bytes : int
        Per block of threads.
    warps : int
    seconds : float
        Of compilation, without Triton's cache.
    """

    name: str
    registers: int
    stack_bytes: int
    shared_bytes: int
    warps: int
    seconds: float

    @property
    def faults(self) -> list[str]:
        """Why the kernel must not be shipped like that; empty if it may."""
        found = []
        if self.stack_bytes:
            found.append(f"{self.name}: spills, stack {self.stack_bytes} bytes")
        if self.seconds > MOST_SECONDS:
            found.append(f"{self.name}: compiled in {self.seconds:.1f} s, above {MOST_SECONDS:.0f} s")
        return found


def compile_case(case: KernelCase) -> Usage:
    """Compile a kernel for compute capability 9.0 and read what it takes; needs no device.

    Parameters
    ----------
    case : KernelCase

    Raises
    ------
    ImportError
        If Triton is missing.
    subprocess.CalledProcessError
        If the compiled kernel cannot be read.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    with triton.knobs.compilation.scope():
        triton.knobs.compilation.always_compile = True
        source = ASTSource(case.kernel, dict(case.types), dict(case.constants))
        started = time.perf_counter()
        options = {"num_warps": case.warps}
        compiled = triton.compile(source, target=GPUTarget("cuda", CAPABILITY, 32), options=options)
        seconds = time.perf_counter() - started
    registers, stack = _resources(compiled.asm["cubin"])
    return Usage(case.name, registers, stack, compiled.metadata.shared, case.warps, seconds)


def _resources(binary: bytes) -> tuple[int, int]:
    """Registers and stack bytes of a compiled kernel, by NVIDIA's ``cuobjdump``, which comes with Triton."""
    import triton

    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(binary)
        line = [str(program), "--dump-resource-usage", str(path)]
        printed = subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", printed)
    if found is None:
        raise subprocess.CalledProcessError(0, line, printed)
    return int(found[1]), int(found[2])
