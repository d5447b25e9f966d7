"""Bad input: every case is a one-line error that names the file, the field and the fix, with exit code 2 or 3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph
from hcb_opt.io import load_graph, load_schedule, save_schedule
from hcb_opt.schedule import schedule_from_computes

Document = dict[str, Any]
NAN = float("nan")


def own() -> Document:
    """A valid graph of two ops in the toolkit's own format."""
    ops = [
        {"name": "a", "cost": 1, "inputs": [], "outputs": [{"name": "x", "size_bytes": 4}]},
        {"name": "b", "cost": 2, "inputs": ["x"], "outputs": [{"name": "y", "size_bytes": 8}]},
    ]
    return {"format": "hcb-opt/graph", "version": 1, "ops": ops, "outputs": ["y"], "persistent_bytes": 0}


def with_field(*keys: str | int, to: object) -> Callable[[Document], None]:
    """A change of one field."""

    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


def without(*keys: str | int) -> Callable[[Document], None]:
    """A missing field."""

    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


def refusal(path: Path, text: str) -> str:
    """The error that loading this text gives; one line, beginning with the file."""
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_graph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.fix
    return message.removeprefix(f"{path}: ")


OWN_CASES = [
    (with_field("ops", 0, "inputs", to=["y"]), "op 'a': lies on a cycle (a -> b -> a); remove an edge"),
    (with_field("ops", 0, "inputs", to=["x"]), "op 'a': lies on a cycle (a -> a)"),
    (lambda document: document["ops"].reverse(), "op 'b': reads a value of op 'a', which comes later in the order"),
    (with_field("ops", 1, "inputs", to=["q"]), "ops[1] 'b'.inputs: no op writes value 'q'"),
    (with_field("outputs", to=["q"]), "outputs: no op writes value 'q'"),
    (with_field("ops", 1, "name", to="a"), "ops[1].name: op name 'a' is used twice"),
    (with_field("ops", 1, "outputs", 0, "name", to="x"), "ops[1] 'b'.outputs: value 'x' is written twice"),
    (with_field("ops", 1, "inputs", to=["x", "x"]), "ops[1] 'b'.inputs: a value is listed twice"),
    (
        with_field("ops", 1, "outputs", 0, "size_bytes", to=-8),
        "ops[1] 'b'.outputs[0].size_bytes: -8 is not a whole number",
    ),
    (
        with_field("ops", 1, "outputs", 0, "size_bytes", to=8.5),
        "ops[1] 'b'.outputs[0].size_bytes: 8.5 is not a whole number",
    ),
    (
        with_field("ops", 1, "outputs", 0, "size_bytes", to="8"),
        "ops[1] 'b'.outputs[0].size_bytes: \"8\" is not a whole number",
    ),
    (with_field("ops", 1, "workspace_bytes", to=-1), "ops[1] 'b'.workspace_bytes: -1 is not a whole number"),
    (with_field("ops", 1, "cost", to=NAN), "ops[1] 'b'.cost: NaN is not a whole number"),
    (with_field("ops", 1, "cost", to=float("inf")), "ops[1] 'b'.cost: Infinity is not a whole number"),
    (with_field("ops", 1, "cost", to=-1), "ops[1] 'b'.cost: -1 is not a whole number"),
    (with_field("ops", 1, "cost", to=True), "ops[1] 'b'.cost: true is not a whole number"),
    (with_field("ops", 1, "cost", to=None), "ops[1] 'b'.cost: null is not a whole number"),
    (without("ops", 1, "cost"), "ops[1] 'b'.cost: missing; add this field"),
    (without("ops", 1, "name"), "ops[1].name: missing"),
    (without("ops", 1, "outputs", 0, "size_bytes"), "ops[1] 'b'.outputs[0].size_bytes: missing"),
    (
        with_field("ops", 1, "phase", to="sideways"),
        "ops[1] 'b'.phase: \"sideways\" is no phase; write forward or backward",
    ),
    (with_field("ops", 1, "seeded", to=1), "ops[1] 'b'.seeded: 1 is not true or false"),
    (with_field("ops", 1, "workspace", to=1), "ops[1].workspace: unknown field; did you mean 'workspace_bytes'?"),
    (with_field("ops", 1, "inputs", to="x"), "ops[1] 'b'.inputs: \"x\" is not a list"),
    (with_field("ops", 1, "inputs", to=[0]), "ops[1] 'b'.inputs[0]: 0 is not a string"),
    (with_field("ops", 1, to=7), "ops[1]: 7 is no JSON object"),
    (lambda document: document.update(ops=[], outputs=[]), "ops: the graph has no ops"),
    (with_field("persistent_bytes", to=-1), "persistent_bytes: -1 is not a whole number"),
    (with_field("facts", to={"when": 1.5}), "facts.when: 1.5 is no fact"),
    (with_field("outputs", to=["y", "y"]), "outputs: a value is listed twice"),
    (with_field("version", to=2), "version: 2 is not 1"),
    (with_field("version", to="1"), 'version: "1" is not 1'),
    (without("version"), "version: missing"),
    (with_field("format", to="hcb-opt/schedule"), 'format: "hcb-opt/schedule" is not "hcb-opt/graph"'),
    (without("format"), "format: missing"),
]


@pytest.mark.parametrize(("change", "message"), OWN_CASES, ids=[message for _, message in OWN_CASES])
def test_own_format(change: Callable[[Document], None], message: str, tmp_path: Path) -> None:
    document = own()
    change(document)
    assert message in refusal(tmp_path / "graph.json", json.dumps(document))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON at line 1, column 1"),
        (json.dumps(own())[:120], "the file may be truncated"),
        ("[1, 2]", "holds no JSON object"),
        ("null", "holds no JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"cost": ' + "9" * 5000 + "}", "not JSON"),
    ],
    ids=["empty", "truncated", "list", "null", "nested", "digits"],
)
def test_what_is_no_graph_file(text: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path / "graph.json", text)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing.json: cannot be read \(No such file"):
        load_graph(tmp_path / "missing.json")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_graph(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InvalidInput, match=r"binary.json: not JSON"):
        load_graph(tmp_path / "binary.json")


CHECKMATE_CASES = [
    (with_field("nodes", to=[]), "nodes: the graph has no ops"),
    (with_field("nodes", 0, to={"id": 7}), "nodes[0]: neither a Checkmate node (cost_cpu, cost_ram) nor a Moccasin"),
    (without("nodes", 1, "cost_ram"), "nodes[1].cost_ram: missing"),
    (with_field("nodes", 1, "cost_cpu", to=NAN), "nodes[1].cost_cpu: NaN is not a number >= 0"),
    (with_field("nodes", 1, "cost_cpu", to=-1.5), "nodes[1].cost_cpu: -1.5 is not a number >= 0"),
    (with_field("nodes", 1, "cost_cpu", to=1e-30), "nodes[1].cost_cpu: too fine to be made whole exactly"),
    (with_field("nodes", 1, "cost_ram", to=2.5), "nodes[1].cost_ram: 2.5 is not a whole number"),
    (with_field("nodes", 1, "id", to=7), "nodes[1].id: 7 is used twice"),
    (with_field("nodes", 1, "id", to="a"), 'nodes[1].id: "a" is not an integer'),
    (with_field("nodes", 1, "id", to=[]), "nodes[1].id: [] is no node's name"),
    (with_field("links", 0, "source", to=99), "links[0].source: there is no node 99"),
    (without("links", 0, "target"), "links[0].target: missing"),
    (without("links"), "links: missing"),
    (with_field("links", 0, to={"source": 7, "target": 0}), "op 'a': lies on a cycle (a -> c -> a)"),
    (with_field("links", to=[{"source": 7, "target": 0}]), "op 'a': reads a value of op 'c', which comes later"),
]


@pytest.mark.parametrize(("change", "message"), CHECKMATE_CASES, ids=[message for _, message in CHECKMATE_CASES])
def test_checkmate(change: Callable[[Document], None], message: str, tmp_path: Path, checkmate: Document) -> None:
    change(checkmate)
    assert message in refusal(tmp_path / "checkmate.json", json.dumps(checkmate))


MOCCASIN_CASES = [
    (without("graph"), "graph: missing"),
    (without("graph", "order"), "graph.order: missing"),
    (with_field("graph", "order", to=[0, 3, 2]), "graph.order: node 1 is not in it"),
    (with_field("graph", "order", to=[0, 3, 2, 2, 1]), "graph.order: a node is listed twice"),
    (with_field("graph", "order", 1, to=9), "graph.order[1]: there is no node 9"),
    (with_field("nodes", 2, "duration", to="fast"), 'nodes[2].duration: "fast" is not a number >= 0'),
    (without("nodes", 2, "out_cost"), "nodes[2].out_cost: missing"),
    (with_field("links", 0, to={"source": 0, "target": 2}), "links[0].0: missing"),
]


@pytest.mark.parametrize(("change", "message"), MOCCASIN_CASES, ids=[message for _, message in MOCCASIN_CASES])
def test_moccasin(change: Callable[[Document], None], message: str, tmp_path: Path, moccasin: Document) -> None:
    change(moccasin)
    assert message in refusal(tmp_path / "moccasin.json", json.dumps(moccasin))


SCHEDULE_CASES = [
    (with_field("version", to=0), "version: 0 is not 1"),
    (with_field("format", to="hcb-opt/graph"), 'format: "hcb-opt/graph" is not "hcb-opt/schedule"'),
    (with_field("graph_digest", to="sha256:0"), 'graph_digest: made for another graph (named "step")'),
    (without("graph_digest"), "graph_digest: missing"),
    (without("actions"), "actions: missing"),
    (with_field("actions", 2, to=["compute", "layer9"]), "actions[2]: the graph has no op 'layer9'"),
    (with_field("actions", 2, to=["drop", "layer1"]), "actions[2]: the graph has no value 'layer1'"),
    (with_field("actions", 2, to=["forget", "x1"]), 'actions[2]: ["forget", "x1"] is no action'),
    (with_field("actions", 2, to=["compute"]), 'actions[2]: ["compute"] is no action'),
    (with_field("actions", 2, to=["compute", 3]), 'actions[2]: ["compute", 3] is no action'),
]


@pytest.mark.parametrize(("change", "message"), SCHEDULE_CASES, ids=[message for _, message in SCHEDULE_CASES])
def test_schedules(change: Callable[[Document], None], message: str, tmp_path: Path, step: Graph) -> None:
    path = tmp_path / "schedule.json"
    save_schedule(schedule_from_computes(step, range(7)), step, path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidInput) as caught:
        load_schedule(path, step)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("budget", ["0", "-1", "12 parsecs", "5.0", "", "nan", "0.0", "-0.5", "101%"])
def test_budgets(budget: str, step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "schedule.json"
    assert main(["solve", str(step_file), f"--budget={budget}", "-o", str(output)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"hcb-opt: error: budget '{budget}': ")
    assert printed.err.count("\n") == 1
    assert not output.exists()


def test_budget_under_the_mandatory_minimum(
    step_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "schedule.json"
    assert main(["solve", str(step_file), "--budget", "47", "-o", str(output)]) == 3
    printed = capsys.readouterr().out
    assert "INFEASIBLE" in printed
    assert "op 'grad3' needs 48 bytes at once" in printed
    assert "x3: 20" in printed
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "store_al"], "method 'store_al': unknown; did you mean 'store_all'?"),
        (["--order", "any"], "order 'any': unknown"),
        (["--time-limit", "0"], "time limit 0.0: not above zero"),
        (["--time-limit", "nan"], "time limit nan: not above zero"),
        (["--time-limit", "soon"], "argument --time-limit: invalid float value: 'soon'"),
        (["--gap", "-1"], "gap -1.0: not a share"),
        (["--workers", "0"], "workers 0: not above zero"),
        (["--wrokers", "1"], "unrecognized arguments: --wrokers 1"),
        (["-o", "missing/folder/schedule.json"], "its folder does not exist"),
        (["-o", "/dev/null"], "not a regular file"),
    ],
)
def test_arguments(arguments: list[str], message: str, step_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", str(step_file), "--budget", "0.9", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hcb-opt: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_missing_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["solve"]) == 2
    assert main(["slove", "x.json"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "COMMAND" in lines[0]
    assert "GRAPH, --budget" in lines[1]
    assert "invalid choice: 'slove'" in lines[2]


def test_bad_files_exit_2_without_a_traceback(tmp_path: Path, command: Callable[..., Any]) -> None:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(own())[:100])
    done = command("solve", path, "--budget", "0.5", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hcb-opt: error: {path}: not JSON at line 1")
    assert done.stderr.count("\n") == 1
