"""What is measured on a CUDA device: training steps under budgets, kernels, long sequences, largest batches.

Needs torch and Triton, and neither a solver nor matplotlib; see `docs/gpu.md`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.catalogue import NotHere
from hcb_opt.experiments.gpu.report import save_gpu_figure, table
from hcb_opt.experiments.gpu.sections import GRACE_SECONDS, Outcome, Section, Settings, run_apart, run_here
from hcb_opt.experiments.machine import machine_facts
from hcb_opt.experiments.row_files import save_text
from hcb_opt.files import read_json, write_json

NAME = "gpu"
SUMMARY = (
    "on a CUDA device: peaks, step times and gradients under budgets, kernels, semi-Markov chains, largest batches"
)

TOTAL_SECONDS = 570.0
LEAST_SECONDS = 10.0
VERSION = 1
_MODULE = "hcb_opt.experiments.gpu"

_FULL = (
    Section("device", 20, f"{_MODULE}.device"),
    Section("steps:gpt2", 120, f"{_MODULE}.steps", ("gpt2",)),
    Section("steps:unet", 60, f"{_MODULE}.steps", ("unet",)),
    Section("steps:resnet50", 65, f"{_MODULE}.steps", ("resnet50",)),
    Section("kernels", 55, f"{_MODULE}.kernels"),
    Section("semicrf", 55, f"{_MODULE}.semicrf"),
    Section("instances", 40, f"{_MODULE}.instances"),
    Section("batches:gpt2", 75, f"{_MODULE}.batches", ("gpt2",)),
    Section("batches:unet", 30, f"{_MODULE}.batches", ("unet",)),
    Section("batches:resnet50", 40, f"{_MODULE}.batches", ("resnet50",)),
)


def planned(quick: bool) -> Sequence[Section]:
    """What is measured, in the order of its worth; the quick version has no ResNet-50."""
    return [each for each in _FULL if not (quick and "resnet50" in each.name)]


def run_default(directory: Path, quick: bool = False, *, device: str | None = None) -> None:
    """Measure, print the table, and write ``gpu.json``, ``gpu.md``, graphs and, where matplotlib is, ``gpu.png``.

    Without a CUDA device, an earlier measurement in the folder is tabulated and
    drawn again.

    Parameters
    ----------
    directory : Path
        Made if missing; schedules for the graphs are looked for in its folder ``schedules``.
    quick : bool
        Tiny models, in this process.
    device : str, optional
        ``cuda`` or ``cpu``, the latter to see that everything works; CUDA if not given.

    Raises
    ------
    InvalidInput
        If the device is none of the two.
    NotHere
        If there is no CUDA device and nothing to draw.
    """
    started = time.monotonic()
    if device not in (None, "cpu", "cuda"):
        raise InvalidInput(f"device {device!r}", "unknown", "give cuda or cpu")
    if device == "cpu" or _has_cuda():
        # The first import of torch may have taken half a minute.
        run(Settings(device or "cuda", quick, directory), planned(quick), started)
    elif device == "cuda" or not (directory / f"{NAME}.json").is_file():
        raise NotHere("gpu: torch sees no CUDA device here; run it where there is one, or with --device cpu --quick")
    else:
        print(f"no CUDA device here: {directory / f'{NAME}.json'} is shown", file=sys.stderr)
    report(directory)


def run(settings: Settings, chosen: Sequence[Section], started: float | None = None) -> dict[str, Any]:
    """Run sections and write ``gpu.json`` after each: in processes of their own, the quick version in this one.

    Parameters
    ----------
    settings : Settings
    chosen : sequence of Section
    started : float, optional
        By `time.monotonic`, from when on the time for all sections counts; now if not given.

    Returns
    -------
    dict
        What was written.
    """
    started = time.monotonic() if started is None else started
    settings.directory.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "format": "hcb-opt gpu",
        "version": VERSION,
        "quick": settings.quick,
        "complete": False,
        "seconds": 0.0,
        "machine": machine_facts(),
        "sections": [],
    }
    for section in chosen:
        print(f"{section.name} ...", file=sys.stderr, flush=True)
        left = TOTAL_SECONDS - (time.monotonic() - started) - GRACE_SECONDS
        if left < LEAST_SECONDS:
            outcome = Outcome(section.name, skipped=["all of it"])
        else:
            outcome = (run_here if settings.quick else run_apart)(section, settings, min(section.seconds, left))
        document["sections"].append(outcome.record())
        document["seconds"] = round(time.monotonic() - started, 1)
        whole = len(document["sections"]) == len(chosen)
        document["complete"] = whole and not any(each["failed"] or each["skipped"] for each in document["sections"])
        write_json(settings.directory / f"{NAME}.json", document, rows=("sections",))
    return document


def report(directory: Path) -> None:
    """Table and figure from the JSON alone."""
    document = read_json(directory / f"{NAME}.json")
    text = table(document)
    print(text)
    save_text(text, directory / f"{NAME}.md")
    if find_spec("matplotlib") is None:
        print(f"matplotlib is missing: run 'hcb-opt reproduce gpu -o {directory}' where it is", file=sys.stderr)
    else:
        save_gpu_figure(document, [directory / f"{NAME}.png"])


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
