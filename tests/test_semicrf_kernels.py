"""Triton kernels of the semi-Markov recursion: equal to the reference when interpreted, compiled for sm_90."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("triton", reason="Triton kernels need triton: pip install 'hcb-opt[triton]'")

from hcb_opt.errors import InvalidInput
from hcb_opt.runtime.kernels import semicrf
from hcb_opt.runtime.kernels.compilation import KernelCase, Usage, compile_case


def test_kernels_equal_their_reference() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, str(ROOT / "tests" / "interpreted_semicrf.py")]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 11
    for shape, differences in found.items():
        # Kept columns are float32 numbers of up to about 30.
        assert max(differences) < 5 * semicrf.TOLERANCE, (shape, differences)


SOME = [case for case in semicrf.cases() if "16 times" not in case.name]


@pytest.mark.parametrize("case", SOME[:2] + SOME[-1:], ids=lambda case: case.name)
def test_kernels_compile_without_spills(case: KernelCase) -> None:
    usage = compile_case(case)
    assert usage.faults == []
    assert 16 <= usage.registers <= 255


def test_spills_are_faults() -> None:
    """One warp for a block of columns that wants eight."""
    largest = semicrf.cases()[-1]
    usage = compile_case(KernelCase("too few warps", largest.kernel, largest.types, largest.constants, warps=1))
    assert usage.stack_bytes > 0 and usage.faults[0].startswith("too few warps: spills")
    assert Usage("slow", 32, 0, 0, 4, 21.0).faults == ["slow: compiled in 21.0 s, above 20 s"]


def test_numbers_and_durations_do_not_split_launches() -> None:
    """Of all numbers only the sign is compiled in, and blocks of many durations are as long as of few."""
    import torch

    from hcb_opt.runtime.kernels import semicrf_reference
    from hcb_opt.runtime.semicrf.chain import Chain

    for kernel, types in {case.kernel: case.types for case in semicrf.cases()}.items():
        compiled_in = {each.name for each in kernel.params if types[each.name] == "i32" and not each.do_not_specialize}
        assert compiled_in <= {"sign"}, kernel
    weights, labels = torch.zeros(1, 24, 3000), torch.zeros(24)
    chain = [
        Chain(torch.zeros(1, 9, 24), weights, torch.zeros(24, 24), weights[0], labels, kernels)
        for kernels in (semicrf, semicrf_reference)
    ]
    assert [each.block for each in chain] == [64, 16]
    more = Chain(torch.zeros(1, 9, 33), torch.zeros(1, 33, 9), torch.zeros(33, 33), torch.zeros(33, 9), labels, semicrf)
    assert more.block == 32  # columns of so many labels stay in registers


def test_transitions_by_duration_are_refused() -> None:
    import torch

    from hcb_opt.runtime.semicrf import log_partition

    with pytest.raises(InvalidInput, match="no Triton kernels"):
        log_partition(torch.zeros(1, 3, 2), torch.zeros(2, 2, 2), torch.zeros(2, 2), kernels=semicrf)
