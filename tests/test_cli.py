"""The command line: output contracts, exit codes, Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from hcb_opt.cli import main
from hcb_opt.cli.live import LiveLine
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.catalogue import Experiment
from hcb_opt.generators import random_layered
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph, load_schedule, save_graph, save_schedule
from hcb_opt.replay import replay
from hcb_opt.result import Event
from hcb_opt.schedule import Compute, Schedule, schedule_from_computes

Command = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = (
    "capture",
    "solve",
    "check",
    "certify",
    "verify",
    "minimum",
    "pareto",
    "gap",
    "methods",
    "reproduce",
    "doctor",
)
CONTRACT = {
    "status", "method", "claim", "ops", "values", "budget_bytes", "peak_bytes", "store_all_peak_bytes", "cost",
    "base_cost", "overhead", "lower_bound", "gap", "seconds",
}  # fmt: skip
NUMBERS = CONTRACT - {"status", "method", "claim"}


def solve_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and the one JSON object that ``solve --json`` prints."""
    code = main(["solve", *map(str, arguments), "--json"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return code, json.loads(lines[0])


def test_help_is_quick_and_lists_all_commands(command: Command) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = command("--help")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 0.5
    assert done.returncode == 0
    for name in COMMANDS:
        assert re.search(rf"^    {name}\s", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"example:\n  hcb-opt {name}" in capsys.readouterr().out


def test_solve_json_contract(step_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = solve_json(capsys, step_file, "--budget", "1.0")
    assert code == 0
    assert set(printed) >= CONTRACT
    assert all(isinstance(printed[name], int | float) for name in NUMBERS)
    assert (printed["status"], printed["ops"], printed["values"]) == ("OPTIMAL", 7, 8)
    assert (printed["peak_bytes"], printed["store_all_peak_bytes"], printed["budget_bytes"]) == (64, 64, 64)
    assert (printed["cost"], printed["base_cost"], printed["lower_bound"]) == (27, 27, 27)
    assert (printed["overhead"], printed["gap"]) == (0.0, 0.0)


def test_solve_json_is_all_of_stdout(step_file: Path, command: Command) -> None:
    done = command("solve", step_file, "--budget", "0.9", "--method", "exhaustive", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "OPTIMAL"
    assert all(line.endswith("%") for line in done.stderr.splitlines())


def test_exit_code_3_when_infeasible(step_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = solve_json(capsys, step_file, "--budget", "47")
    assert code == 3
    assert (printed["status"], printed["cost"], printed["lower_bound"], printed["gap"]) == (
        "INFEASIBLE",
        None,
        None,
        None,
    )
    assert "op 'grad3' needs 48 bytes" in printed["reason"]


def test_exit_code_4_without_a_schedule(step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "schedule.json"
    code, printed = solve_json(capsys, step_file, "--budget", "0.9", "--method", "store_all", "-o", output)
    assert code == 4
    assert (printed["status"], printed["cost"], printed["peak_bytes"]) == ("NO_SCHEDULE", None, None)
    assert printed["lower_bound"] >= 27
    assert not output.exists()


def test_solve_then_check(step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "schedule.json"
    code, printed = solve_json(capsys, step_file, "--budget", "0.9", "--method", "exhaustive", "-o", output)
    assert code == 0
    judged = replay(load_graph(step_file), load_schedule(output, load_graph(step_file)))
    assert (judged.cost, judged.peak_bytes) == (printed["cost"], printed["peak_bytes"])
    assert judged.peak_bytes <= 57
    assert main(["check", str(step_file), str(output), "--budget", "0.9"]) == 0
    shown = capsys.readouterr().out
    assert "legal: " in shown
    assert f"cost   {judged.cost} unit" in shown
    assert "budget 57 bytes: kept" in shown


def test_solve_in_words(step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "schedule.json"
    assert main(["solve", str(step_file), "--budget", "1.0", "-o", str(output)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("step: OPTIMAL by store_all in ")
    assert "lower bound  27 unit (fixed-order), gap 0.000 %" in shown
    assert "persistent   100 B, not counted above" in shown
    assert f"schedule     {output}" in shown


def test_total_counts_persistent_bytes(step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "schedule.json"
    code, printed = solve_json(capsys, step_file, "--budget", "1.0", "--total", "-o", output)
    assert code == 0
    assert (printed["budget_bytes"], printed["peak_bytes"], printed["store_all_peak_bytes"]) == (164, 164, 164)
    assert (printed["total"], printed["persistent_bytes"]) == (True, 100)
    assert main(["check", str(step_file), str(output), "--total", "--budget", "164"]) == 0
    assert main(["check", str(step_file), str(output), "--total", "--budget", "163"]) == 3
    capsys.readouterr()
    code, printed = solve_json(capsys, step_file, "--budget", "147", "--total")
    assert (code, printed["status"]) == (3, "INFEASIBLE")
    assert "needs 148 bytes" in printed["reason"]


def test_check_says_what_is_illegal(
    step: Graph, step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schedule.json"
    save_schedule(Schedule((Compute(0), Compute(2))), step, path)
    assert main(["check", str(step_file), str(path)]) == 3
    assert capsys.readouterr().out == "illegal at step 1: op 'layer3' reads value 'x2', which is not resident\n"


def test_check_over_budget(step: Graph, step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "schedule.json"
    save_schedule(schedule_from_computes(step, range(7)), step, path)
    assert main(["check", str(step_file), str(path)]) == 0
    assert main(["check", str(step_file), str(path), "--budget", "60"]) == 3
    assert "budget 60 bytes: exceeded by 4 bytes" in capsys.readouterr().out


def test_check_another_graph(step: Graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = tmp_path / "schedule.json", tmp_path / "other.json"
    save_schedule(schedule_from_computes(step, range(7)), step, path)
    save_graph(random_layered(20, seed=3), other)
    assert main(["check", str(other), str(path)]) == 2
    assert f"{path}: graph_digest: made for another graph" in capsys.readouterr().err


def test_published_instances_solve(
    moccasin: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "moccasin.json"
    path.write_text(json.dumps(moccasin))
    code, printed = solve_json(capsys, path, "--budget", "100%")
    assert (code, printed["status"], printed["peak_bytes"]) == (0, "OPTIMAL", 9)


def test_methods(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"store_all", "exhaustive", "frontier_cuts"} <= {each["name"] for each in listed}
    for each in listed:
        assert each["kind"] in {"exact", "heuristic"}
        assert all(each[field] for field in ("claim", "graphs", "cites", "summary"))
        assert each["max_ops"] is None or f"at most {each['max_ops']} ops" in each["graphs"]
    assert main(["methods"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{each['name']}  (" in f"\n{shown}" for each in listed)


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["HiGHS"].endswith("solves")
    assert lines["CBC"].endswith("solves")
    assert {"hcb-opt", "python", "scipy", "torch", "triton"} <= set(lines)


def test_capture_a_zoo_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    output = tmp_path / "mlp.json"
    assert (
        main(["capture", "mlp", "--layers", "2", "--width", "8", "--batch", "4", "--cost", "flops", "-o", str(output)])
        == 0
    )
    graph = load_graph(output)
    assert graph.cost_unit == "flop"
    assert f"{len(graph.ops)} ops, {len(graph.values)} values" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gtp2"], "model 'gtp2': not in the zoo; did you mean 'gpt2'?"),
        (["missing.py:step"], "missing.py"),
        (["gpt2", "--layers", "many"], "argument --layers: invalid int value: 'many'"),
        (["train.py:step", "--layers", "2"], "--layers: of the zoo's models only"),
        (["train.py:step", "--device", "cpu"], "--device: of the zoo's models only"),
        (["mlp", "--device", "gpu"], "argument --device: invalid choice: 'gpu'"),
    ],
)
def test_capture_refuses(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "graph.json"
    assert main(["capture", *arguments, "-o", str(output)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("hcb-opt: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not output.exists()


def test_gap(step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new" / "gap"
    line = ["gap", str(step_file), "--budgets", "1.0, 0.9", "--methods", "exhaustive,store_all", "-o", str(output)]
    assert main(line) == 0
    printed = capsys.readouterr()
    assert "exhaustive" in printed.out
    assert len(printed.err.splitlines()) == 4
    assert {each.name for each in output.iterdir()} == {"gap.png", "gap.pdf", "gap.csv", "gap.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budgets", "0.9,5.0"], "budget '5.0': ambiguous"),
        (["--methods", "exhaustiv"], "did you mean 'exhaustive'?"),
        (["--budgets", ","], "there are none"),
    ],
)
def test_gap_refuses(
    arguments: list[str], message: str, step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gap", str(step_file), *arguments, "-o", str(tmp_path / "gap")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "gap").exists()


@pytest.mark.parametrize("command", [["gap"], ["pareto"], ["reproduce", "revolve-table", "--quick"]])
def test_a_folder_that_cannot_be_made_is_refused_before_any_work(
    command: list[str], step_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = [] if command[0] == "reproduce" else [str(step_file)]
    assert main([*command, *graph, "-o", str(step_file / "results")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"hcb-opt: error: {step_file}/results: cannot be made (Not a directory); give a writable folder\n"
    )


@pytest.mark.parametrize("command", [["solve", "--budget", "0.9"], ["minimum"], ["certify", "--budget", "0.9"]])
def test_an_empty_output_is_refused(command: list[str], step_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, str(step_file), "-o", ""]) == 2
    assert capsys.readouterr().err == (
        "hcb-opt: error: '': cannot be written (not a regular file); give the path of a file\n"
    )


def test_reproduce_lists_and_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce"]) == 0
    assert "gap  " in capsys.readouterr().out
    assert main(["reproduce", "gapp"]) == 2
    assert "experiment 'gapp': unknown; did you mean 'gap'?" in capsys.readouterr().err


def test_reproduce_all_goes_on_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(directory: Path, quick: bool = False) -> None:
        raise InvalidInput("a file", "is not there", "make it")

    def runs(directory: Path, quick: bool = False, *, time_limit: float = 9.0) -> None:
        (directory / "done").write_text(f"{quick} {time_limit}")

    made = {name: Experiment(name, "made up", run) for name, run in (("first", fails), ("second", runs))}
    monkeypatch.setattr("hcb_opt.experiments.catalogue.experiments", lambda: made)
    assert main(["reproduce", "--all", "--quick", "--time-limit", "2", "-o", str(tmp_path)]) == 2
    assert (tmp_path / "second" / "done").read_text() == "True 2.0"
    assert "failed: first" in capsys.readouterr().err
    assert main(["reproduce", "second", "--all"]) == 2


def test_a_closed_pipe_is_no_error() -> None:
    line = f"{sys.executable} -m hcb_opt methods | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_the_output_is_an_error_of_one_line() -> None:
    with open("/dev/full", "w") as full:
        line = [sys.executable, "-m", "hcb_opt", "methods"]
        done = subprocess.run(line, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "hcb-opt: error: the output cannot be written: No space left on device; make room\n"


def test_a_line_per_improvement_away_from_a_terminal() -> None:
    stream = io.StringIO()
    with LiveLine(stream, 100) as live:
        live.show(Event(0.5, None, 100))
        live.show(Event(1.5, 110, 105))
    assert stream.getvalue().splitlines() == [
        "    0.5 s  overhead none yet  bound 0.000 %",
        "    1.5 s  overhead 10.000 %  bound 5.000 %  gap 4.762 %",
    ]


def read_to_the_end(terminal: int) -> bytes:
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as reader, suppress(OSError):  # EIO is a terminal's end of file
        while chunk := reader.read(1000):
            shown += chunk
    return shown


def test_one_live_line_on_a_terminal() -> None:
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as stream, LiveLine(stream, 100) as live:
        live.show(Event(1.5, 110, 105))
        time.sleep(0.7)
    shown = read_to_the_end(reader).decode()
    assert "\n" not in shown
    assert shown.count("overhead 10.000 %  bound 5.000 %  gap 4.762 %") >= 2
    assert shown.endswith("\r\x1b[K")


def test_ctrl_c_leaves_the_incumbent(tmp_path: Path) -> None:
    """Interrupt a solve that would run for a minute once it has a schedule."""
    graph = random_layered(400, seed=1)
    path, output = tmp_path / "graph.json", tmp_path / "schedule.json"
    save_graph(graph, path)
    line = [
        sys.executable,
        "-m",
        "hcb_opt",
        "solve",
        path,
        "--budget",
        "0.8",
        "--method",
        "frontier_cuts",
        "-o",
        output,
        "--json",
    ]
    # Background shells start their children with SIGINT ignored; a terminal does not.
    with subprocess.Popen(
        line,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for shown in process.stderr:
            if "gap" in shown:
                break
        time.sleep(0.5)
        sent = time.perf_counter()
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
        assert time.perf_counter() - sent < 5
    assert process.returncode == 0
    assert "Traceback" not in errors
    certificate = json.loads(printed)
    assert certificate["status"] == "FEASIBLE"
    assert certificate["reason"] == "interrupted"
    assert certificate["base_cost"] < certificate["lower_bound"] < certificate["cost"]
    judged = replay(graph, load_schedule(output, graph))
    assert (judged.cost, judged.peak_bytes) == (certificate["cost"], certificate["peak_bytes"])
    assert judged.peak_bytes <= certificate["budget_bytes"]
    assert [each.name for each in tmp_path.iterdir() if "partial" in each.name] == []
