"""What the Triton kernels of semi-Markov recursions and of instances take of an H100 or H200, without needing one."""

from __future__ import annotations

from pathlib import Path

from hcb_opt.experiments.row_files import markdown_table, save_text

NAME = "semicrf-kernels"
SUMMARY = "registers, stack, shared memory and compile time of the Triton kernels for compute capability 9.0"


def run_default(directory: Path, quick: bool = False) -> None:
    """Compile every case, print the table and write ``semicrf-kernels.md``.

    ``quick`` takes the first two cases.

    Raises
    ------
    RuntimeError
        If a kernel spills registers or compiles too slowly.
    ImportError
        If Triton is missing.
    """
    from hcb_opt.runtime.kernels import instance, semicrf
    from hcb_opt.runtime.kernels.compilation import compile_case

    cases = [*semicrf.cases(), *instance.cases()]
    usages = [compile_case(case) for case in (cases[:2] if quick else cases)]
    header = ["kernel", "warps", "registers", "stack, bytes", "shared, bytes", "compiled in"]
    lines = [
        [
            usage.name, f"{usage.warps}", f"{usage.registers}", f"{usage.stack_bytes}", f"{usage.shared_bytes}",
            f"{usage.seconds:.2f} s",
        ]
        for usage in usages
    ]  # fmt: skip
    text = markdown_table(header, lines)
    print(text)
    directory.mkdir(parents=True, exist_ok=True)
    save_text(text + "\n", directory / f"{NAME}.md")
    faults = [fault for usage in usages for fault in usage.faults]
    if faults:
        raise RuntimeError("; ".join(faults))
