"""Triton kernels that stand for ops: equal to the reference when interpreted, compiled for sm_90."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("triton", reason="Triton kernels need triton: pip install 'hcb-opt[triton]'")

from hcb_opt.runtime.kernels import instance
from hcb_opt.runtime.kernels.compilation import KernelCase, compile_case


def test_kernels_equal_their_reference() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, str(ROOT / "tests" / "interpreted_instance.py")]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 14
    assert all(found.values()), found


CASES = instance.cases()


@pytest.mark.parametrize("case", [CASES[0], CASES[-2], CASES[-1]], ids=lambda case: case.name)
def test_kernels_compile_without_spills(case: KernelCase) -> None:
    usage = compile_case(case)
    assert usage.faults == []
    assert 16 <= usage.registers <= 128  # a block of 128 threads: four of them fit on a multiprocessor at least
