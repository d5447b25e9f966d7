"""All kernel families compile for sm_90 without spills; fused layers and compression equal their references."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("triton", reason="Triton kernels need triton: pip install 'hcb-opt[triton]'")

import torch
from kernel_comparisons import COMPARISONS

from hcb_opt.capture.torch_shim import fake_tensors
from hcb_opt.experiments import kernels
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.runtime.kernels.benchmark_cases import Sizes, benchmark_cases
from hcb_opt.runtime.kernels.catalogue import families, kernel_cases
from hcb_opt.runtime.kernels.choice import kernels_for
from hcb_opt.runtime.kernels.compilation import KernelCase, compile_case

SOME = [family.cases()[-1] for name, family in families().items() if name not in ("semicrf", "instance")]


def test_kernels_equal_their_references() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, str(ROOT / "tests" / "interpreted_fused.py")]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == sum(len(shapes) + 2 for _, _, shapes in COMPARISONS)
    for what, shares in found.items():
        assert shares and max(shares) <= 1, (what, shares)


def test_every_family_is_found_and_compared() -> None:
    assert {*families()} == {"semicrf", "instance", *(name for name, _, _ in COMPARISONS)}
    names = [case.name for case in kernel_cases()]
    assert len(set(names)) == len(names)
    assert {name.partition(":")[0] for name in names} == {*families()}


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_kernels_compile_without_spills(case: KernelCase) -> None:
    assert compile_case(case).faults == []


@pytest.mark.slow
@pytest.mark.parametrize("case", kernel_cases(), ids=lambda case: case.name)
def test_every_kernel_compiles_without_spills(case: KernelCase) -> None:
    assert compile_case(case).faults == []


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "kernels" in experiments()
    monkeypatch.setattr("hcb_opt.runtime.kernels.catalogue.families", lambda: {"dropout": families()["dropout"]})
    kernels.run_default(tmp_path, quick=True)
    printed = capsys.readouterr().out
    assert "| dropout: fp32" in printed
    assert (tmp_path / "kernels.md").read_text() == printed


def test_committed_report_lists_every_kernel() -> None:
    text = (ROOT / "docs" / "results" / "kernels.md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:] == [case.name for case in kernel_cases()]


def test_the_device_and_dtype_choose() -> None:
    with fake_tensors():
        on_cuda = {dtype: torch.empty(1, dtype=dtype, device="cuda") for dtype in (torch.bfloat16, torch.float64)}
    assert kernels_for(torch.ones(1), "norms").__name__.endswith(".norms_reference")
    assert kernels_for(on_cuda[torch.bfloat16], "norms").__name__.endswith(".norms")
    assert kernels_for(on_cuda[torch.float64], "norms").__name__.endswith(".norms_reference")


def test_benchmark_cases_run_and_agree() -> None:
    """On a CPU kernels are their references; both sides of a row compute the same."""
    torch.manual_seed(0)
    seen = set()
    for case in benchmark_cases(torch.device("cpu"), (torch.float32,), Sizes(16, 32, 130)):
        found, expected = (_leaves(each()) for each in (case.kernels, case.eager))
        if not case.name.startswith("dropout"):  # eager draws other elements
            for one, other in zip(found, expected, strict=False):
                torch.testing.assert_close(one.flatten(), other.flatten(), rtol=1e-4, atol=1e-4, check_dtype=False)
        assert case.moved_bytes > 0
        seen.add(case.name)
    assert {name.partition(":")[0] for name in seen} == {name for name, _, _ in COMPARISONS}


def _leaves(result: object) -> list[torch.Tensor]:
    """The tensors that both sides return; of a forward and a backward, those of the backward."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, tuple):
        last = result[-1] if isinstance(result[-1], tuple) else result
        return [each for each in last if isinstance(each, torch.Tensor)]
    return []
