"""What `make gpu` measures, in its small version on a CPU; and how its sections fail."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from hcb_opt.build import OpSpec, build_graph  # noqa: E402
from hcb_opt.cli import main  # noqa: E402
from hcb_opt.errors import InvalidInput  # noqa: E402
from hcb_opt.experiments import gpu, gpu_schedules  # noqa: E402
from hcb_opt.experiments.catalogue import experiments  # noqa: E402
from hcb_opt.experiments.gpu import sections  # noqa: E402
from hcb_opt.experiments.gpu.batches import Search, at_batch, largest  # noqa: E402
from hcb_opt.experiments.gpu.instances import layered_instance  # noqa: E402
from hcb_opt.experiments.gpu.networks import NETWORKS, blocks, checkpointed, make, networks  # noqa: E402
from hcb_opt.experiments.gpu.report import table  # noqa: E402
from hcb_opt.experiments.gpu.schedules import Chosen, choose, keep  # noqa: E402
from hcb_opt.experiments.gpu.sections import Outcome, Section, Settings, run_apart, run_here  # noqa: E402
from hcb_opt.experiments.gpu.steps import Bench  # noqa: E402
from hcb_opt.generators import chain  # noqa: E402
from hcb_opt.io import load_graph  # noqa: E402
from hcb_opt.models import zoo  # noqa: E402
from hcb_opt.replay import replay  # noqa: E402
from hcb_opt.schedule import schedule_from_computes  # noqa: E402

torch.set_num_threads(1)
NOWHERE = Settings("cpu", True, Path())


def sample(*names: str, seconds: float = 20.0) -> Section:
    return Section("sample", seconds, "sample_sections", names)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """All kinds of sections, of one network."""
    directory = tmp_path_factory.mktemp("gpu") / "results"
    chosen = [each for each in gpu.planned(quick=True) if "unet" not in each.name]
    gpu.run(Settings("cpu", True, directory), chosen)
    return directory, json.loads((directory / "gpu.json").read_text())


def rows(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    (section,) = (each for each in document["sections"] if each["name"] == name)
    return [each for each in section["rows"] if "reason" not in each]


def test_the_small_version_measures_everything(measured: tuple[Path, dict[str, Any]]) -> None:
    _, document = measured
    assert document["complete"], [each["failed"] or each["skipped"] for each in document["sections"]]
    kinds = ["device", "steps:gpt2", "kernels", "semicrf", "instances", "batches:gpt2"]
    assert [each["name"] for each in document["sections"]] == kinds
    steps = {row["way"]: row for row in rows(document, "steps:gpt2")}
    assert {"eager", "checkpointed blocks", "graph", "ours", "torch's budget"} == set(steps)
    for way in ("ours", "torch's budget"):
        row = steps[way]
        assert row["bit_equal"] and row["eager_repeats_itself"] and row["max_abs_difference"] == 0
        assert abs(row["measured_peak_bytes"] / row["predicted_peak_bytes"] - 1) < 0.01
        assert row["predicted_peak_bytes"] <= row["budget_bytes"] < steps["eager"]["measured_peak_bytes"]
    assert steps["checkpointed blocks"]["measured_peak_bytes"] < steps["eager"]["measured_peak_bytes"]
    assert all(row["bit_equal"] for row in rows(document, "instances"))
    assert all(row["gradient_relative_difference"] < 1e-5 for row in rows(document, "semicrf"))
    assert len(rows(document, "kernels")) > 10
    batches = {row["way"]: row["batch"] for row in rows(document, "batches:gpt2")}
    assert 0 < batches["eager"] <= batches["checkpointed blocks"]


def test_table_and_figure_come_from_the_json_alone(
    measured: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gpu.json").write_text(json.dumps(measured[1]))
    if torch.cuda.is_available():
        gpu.report(tmp_path)
    else:
        assert main(["reproduce", "gpu", "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# Measured on ") and ", complete" in printed
    assert (tmp_path / "gpu.md").read_text() in printed
    assert (tmp_path / "gpu.png").stat().st_size > 10_000


def test_schedules_solved_elsewhere_are_taken(measured: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    directory, _ = measured
    (tmp_path / "graphs").symlink_to(directory / "graphs")
    graph = load_graph(tmp_path / "graphs" / "gpt2.json")
    assert choose(graph, 0.8, tmp_path, 5.0).method == "block_programme"
    gpu_schedules.run_default(tmp_path, quick=True, time_limit=2.0)
    chosen = choose(graph, 0.8, tmp_path, 5.0)
    assert chosen.method == "frontier_cuts" and chosen.lower_bound_overhead is not None
    assert replay(graph, chosen.schedule).peak_bytes <= 0.8 * graph.store_all_peak_bytes
    # What is measured of scratch memory may differ from run to run.
    measured_otherwise = replace(graph, ops=(replace(graph.ops[0], workspace_bytes=1), *graph.ops[1:]))
    assert choose(measured_otherwise, 0.8, tmp_path, 5.0).method == "frontier_cuts"


def test_a_kept_schedule_that_fits_no_more_is_passed_over(tmp_path: Path) -> None:
    graph = chain(4)
    storing = schedule_from_computes(graph, range(len(graph.ops)))
    keep(graph, 0.9, Chosen(storing, "kept", None, 0.0), tmp_path)
    assert replay(graph, storing).peak_bytes > 0.9 * graph.store_all_peak_bytes
    assert choose(graph, 0.9, tmp_path, 5.0).method == "block_programme"


def test_without_captured_graphs_the_layered_one_is_solved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu_schedules.run_default(tmp_path, quick=True, time_limit=2.0)
    assert "no graphs in" in capsys.readouterr().err
    assert choose(layered_instance(quick=True), 0.8, tmp_path, 0.1).method == "frontier_cuts"


def test_the_committed_schedule_is_of_the_layered_graph() -> None:
    graph = layered_instance(quick=False)
    chosen = choose(graph, 0.8, Path("elsewhere"), 0.1)
    assert chosen.method == "frontier_cuts"
    assert replay(graph, chosen.schedule).peak_bytes <= 0.8 * graph.store_all_peak_bytes


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "gpu", "-o", str(tmp_path)]) == 2
    assert "gpu: torch sees no CUDA device here" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="device 'tpu': unknown"):
        gpu.run_default(tmp_path, device="tpu")
    assert {"gpu", "gpu-schedules"} <= set(experiments())


def test_what_fails_is_named_and_the_others_go_on() -> None:
    found = run_here(sample("good", "failing", "empty", "slow", "good", seconds=0.3), NOWHERE, 0.3)
    assert found.failed == {"half good": "KeyError: one", "failing": "RuntimeError: out of luck"}
    assert found.skipped == ["good"]
    assert found.rows == [
        {"case": "good", "left": True, "limit": None, "nested": {"nan": None}},
        {"case": "failing", "begun": True},
        {"case": "empty", "reason": "nothing fits"},
        {"case": "slow", "slept": True},
    ]
    assert run_here(sample("unmade"), NOWHERE, 1.0).failed == {"start": "ValueError: no such device"}


def test_a_process_that_dies_or_is_stuck_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    died = run_apart(sample("good", "dying", "slow"), NOWHERE, 20.0)
    assert died.failed["dying"] == "the process ended: code 7" and died.skipped == ["slow"]
    assert died.rows[-1] == {"case": "dying", "begun": True}
    monkeypatch.setattr(sections, "GRACE_SECONDS", 0.0)
    started = time.monotonic()
    stuck = run_apart(sample("good", "stuck", "good"), NOWHERE, 3.0)
    assert stuck.failed["stuck"] == "did not end within 3 s" and stuck.skipped == ["good"]
    assert time.monotonic() - started < 20
    ended = run_apart(sample("good"), NOWHERE, 20.0)
    assert [row["case"] for row in ended.rows] == ["good"] and ended.skipped == []


def test_no_section_runs_beyond_the_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "TOTAL_SECONDS", sections.GRACE_SECONDS + gpu.LEAST_SECONDS + 0.2)
    document = gpu.run(Settings("cpu", True, tmp_path), [sample("slow", seconds=0.3), sample("good")])
    assert [each["skipped"] for each in document["sections"]] == [[], ["all of it"]]
    assert not document["complete"]
    assert "skipped, no time left: all of it" in table(document) and "NOT complete" in table(document)
    outcome = Outcome("steps:gpt2", failed={"ours at 60%": "RuntimeError: no"}, skipped=["capture"])
    shown = table(document | {"sections": [outcome.record()]})
    assert "**failed**, ours at 60%: RuntimeError: no" in shown and "no time left: capture" in shown


@pytest.mark.parametrize(("name", "count"), [("gpt2", 24), ("resnet50", 16), ("unet", 9)])
def test_blocks_are_what_one_would_checkpoint(name: str, count: int) -> None:
    network = NETWORKS[name]
    with torch.device("meta"):
        model, _, _ = zoo()[name].make(**network.sizes, batch=1)
    parts = blocks(network, model)
    assert len(parts) == count
    with checkpointed(parts):
        assert all("forward" in vars(each) for each in parts)
    assert not any("forward" in vars(each) for each in parts)
    if name == "gpt2":
        assert 350e6 < sum(each.numel() for each in model.parameters()) < 360e6


def test_batches_are_of_the_networks_dtype_and_classes() -> None:
    for network in networks(quick=True).values():
        training = make(network, "cpu")
        assert {each.dtype for each in training.model.parameters()} == {getattr(torch, network.dtype)}
        assert all(each.shape[0] == network.batch for each in training.batch)
        assert torch.isfinite(training.loss_fn(training.model, training.batch))


def test_what_no_kernel_repeats_is_compared_as_well_as_it_can_be() -> None:
    bench = Bench(NOWHERE, "gpt2")
    own = bench.training.loss_fn

    def loss_fn(model: Any, batch: Any) -> Any:
        unrepeatable = torch.zeros(1).put_(torch.zeros(1, dtype=torch.int64), torch.zeros(1))
        return own(model, batch) + unrepeatable.sum()

    assert bench.strict
    bench = Bench(NOWHERE, "gpt2")
    bench.training = replace(bench.training, loss_fn=loss_fn)
    assert not bench.strict
    assert not torch.are_deterministic_algorithms_enabled()
    assert all(each.grad is None for each in bench.training.model.parameters())


def test_a_convolution_without_memory_does_not_fit() -> None:
    search = Search(NOWHERE, "unet")

    def failing(message: str) -> None:
        raise RuntimeError(message)

    assert not search._fits(lambda: failing("GET was unable to find an engine to execute this computation"))
    with pytest.raises(RuntimeError, match="illegal"):
        search._fits(lambda: failing("an illegal memory access"))


@given(st.integers(0, 500))
def test_the_largest_batch_is_found(limit: int) -> None:
    fitting, refused = largest(lambda batch: batch <= limit, lambda: 1.0)
    assert fitting <= limit < refused
    assert refused - fitting <= max(1, fitting // 50)
    assert largest(lambda batch: True, lambda: 0.0) == (0, 1)


def test_bytes_are_linear_in_the_batch() -> None:
    def graph(batch: int) -> Any:
        return build_graph([OpSpec("op", 1, (), (("grown", 3 * batch), ("fixed", 7)))], name="linear")

    assert at_batch(graph(2), graph(4), 2, 11).sizes == graph(11).sizes
    assert at_batch(graph(4), graph(8), 4, 1).sizes == graph(1).sizes


@pytest.mark.slow
def test_torch_compile_is_measured(tmp_path: Path) -> None:
    bench = Bench(Settings("cpu", True, tmp_path), "gpt2")
    (row,) = bench.compiled(0.8, lambda: 60.0)
    assert row["way"] == "torch.compile" and row["measured_peak_bytes"] > 0


@pytest.mark.gpu
def test_all_is_measured_on_cuda(tmp_path: Path) -> None:
    document = gpu.run(Settings("cuda", True, tmp_path), gpu.planned(quick=True))
    assert document["complete"], [each["failed"] or each["skipped"] for each in document["sections"]]
