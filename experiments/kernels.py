"""What the Triton kernels take of an H100 or H200, without needing one."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from hcb_opt.experiments.row_files import markdown_table, save_text

NAME = "kernels"
SUMMARY = "registers, stack, shared memory and compile time of all Triton kernels for compute capability 9.0"


def run_default(directory: Path, quick: bool = False) -> None:
    """Compile every case of every family, print the table and write ``kernels.md``.

    ``quick`` takes the first case of each family.

    Raises
    ------
    RuntimeError
        If a kernel spills registers or compiles too slowly.
    ImportError
        If Triton is missing.
    """
    from hcb_opt.runtime.kernels.catalogue import families, kernel_cases
    from hcb_opt.runtime.kernels.compilation import MOST_SECONDS, compile_case

    cases = [family.cases()[0] for family in families().values()] if quick else kernel_cases()
    usages = [compile_case(case) for case in cases]
    header = ["kernel", "warps", "registers", "stack, bytes", "shared, bytes", "compiled in"]
    lines = [
        [
            usage.name, f"{usage.warps}", f"{usage.registers}", f"{usage.stack_bytes}", f"{usage.shared_bytes}",
            f"{usage.seconds:.2f} s",
        ]
        for usage in usages
    ]  # fmt: skip
    text = (
        f"Compiled for compute capability 9.0 (H100, H200) by Triton {version('triton')}. The run fails if a kernel\n"
        f"spills registers (stack above 0) or takes {MOST_SECONDS:.0f} s to compile.\n\n{markdown_table(header, lines)}"
    )
    print(text)
    directory.mkdir(parents=True, exist_ok=True)
    save_text(text + "\n", directory / f"{NAME}.md")
    faults = [fault for usage in usages for fault in usage.faults]
    if faults:
        raise RuntimeError("; ".join(faults))
