"""Scratch memory measured at the capture: the peak predicted from files is the measured one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from walks import random_walk

from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.io import load_graph, load_schedule, save_schedule
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes

torch = pytest.importorskip("torch")

from training_steps import gpt2, mlp, resnet18  # noqa: E402

from hcb_opt.capture import capture_step  # noqa: E402
from hcb_opt.capture.program_json import load_program  # noqa: E402
from hcb_opt.capture.record import record_program  # noqa: E402
from hcb_opt.runtime import workspaces  # noqa: E402
from hcb_opt.runtime.device_cache import CACHE_VARIABLE, default_cache, device_label  # noqa: E402
from hcb_opt.runtime.executor import Executor  # noqa: E402
from hcb_opt.runtime.measure import peak_bytes  # noqa: E402
from hcb_opt.runtime.validate import random_arguments  # noqa: E402
from hcb_opt.runtime.workspaces import measured_workspaces  # noqa: E402

CPU = torch.device("cpu")

# Large enough that the generator's states, of 5 kB each, are little beside them.
ZOO = {
    "mlp": "--layers 4 --width 64 --batch 512",
    "gpt2": "--layers 2 --width 64 --heads 2 --vocabulary 101 --sequence 64 --batch 8 --dropout 0.1",
    "unet": "--levels 2 --width 8 --image 64 --batch 4",
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.mark.parametrize("model", ZOO)
def test_predicted_peaks_of_files_are_the_measured_ones(model: str, tmp_path: Path) -> None:
    path, chosen = tmp_path / "graph.json", tmp_path / "schedule.json"
    assert main(["capture", model, *ZOO[model].split(), "--workspaces", "measured", "-o", str(path)]) == 0
    graph = load_graph(path)
    assert graph.facts["workspaces"] == f"measured on {device_label(CPU)}"
    save_schedule(schedule_from_computes(graph, random_walk(graph, 3)), graph, chosen)
    schedule = load_schedule(chosen, graph)
    program = load_program(path, graph)
    executor, arguments = Executor(graph, program, schedule), random_arguments(program)
    measured = peak_bytes(lambda: executor.run(arguments), CPU)
    assert measured == pytest.approx(replay(graph, schedule).peak_bytes, rel=0.01)
    if model == "unet":
        assert sum(op.workspace_bytes > 0 for op in graph.ops) > 5


def test_what_is_known_is_not_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    step = capture_step(*resnet18())
    program = record_program(step)
    first = measured_workspaces(step, program)
    assert any(op.workspace_bytes for op in first.ops)
    assert [replaced.workspace_bytes for replaced in step.graph.ops] == [0] * len(step.graph.ops)
    other = capture_step(*mlp())
    elsewhere = measured_workspaces(other, record_program(other), tmp_path / "elsewhere")
    assert len(list((tmp_path / "elsewhere").iterdir())) == len(list(default_cache().iterdir())) == 1

    def refused(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(workspaces, "with_measured_workspaces", refused)
    assert measured_workspaces(step, program) == first
    assert measured_workspaces(other, record_program(other), tmp_path / "elsewhere") == elsewhere
    with pytest.raises(AssertionError, match="measured again"):
        measured_workspaces(other, record_program(other))


def test_measuring_draws_nothing_from_the_users_generators() -> None:
    step = capture_step(*gpt2())
    assert any(op.seeded for op in step.graph.ops)
    state = torch.get_rng_state()
    measured_workspaces(step, record_program(step))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("text", ["{}", '{"workspace_bytes": {"a": -1}}', '{"workspace_bytes": {"a": true}}', "oops"])
def test_a_broken_cache_is_named(text: str) -> None:
    step = capture_step(*mlp())
    measured_workspaces(step, record_program(step))
    (path,) = default_cache().iterdir()
    assert json.loads(path.read_text())["device"] == device_label(CPU)
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        measured_workspaces(step, record_program(step))
    assert str(caught.value).startswith(f"{path}: ")


def test_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "hcb-opt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "hcb-opt"
