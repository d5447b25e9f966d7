"""Operator logs as graphs: storages, views, mutations, references, and files that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph, Phase
from hcb_opt.io import load_graph, save_graph
from hcb_opt.operator_log import OperatorLog, is_operator_log, read_operator_log

Instruction = dict[str, Any]


def annotate(what: str) -> list[Instruction]:
    return [{"INSTRUCTION": "ANNOTATE", "ANNOTATION": what}]


def constant(name: str, size_bytes: int) -> list[Instruction]:
    return [{"INSTRUCTION": "CONSTANT", "NAME": name}, memory(name, size_bytes)]


def memory(name: str, size_bytes: int) -> Instruction:
    return {"INSTRUCTION": "MEMORY", "NAME": name, "MEMORY": str(size_bytes)}


def call(name: str, reads: list[str], nanoseconds: int, **results: tuple[int, int]) -> list[Instruction]:
    """An operator; each result has its bytes and the argument it is a view of, or -1."""
    listed: list[Instruction] = [
        {"INSTRUCTION": "CALL", "NAME": name, "ARGS": reads, "RESULT": list(results), "TIME": str(nanoseconds)}
    ]
    for result, (size_bytes, alias) in results.items():
        listed += [memory(result, size_bytes), {"INSTRUCTION": "ALIAS", "NAME": result, "ALIAS": str(alias)}]
    return listed


def mutate(name: str, reads: list[str], written: list[int], nanoseconds: int) -> list[Instruction]:
    return [{"INSTRUCTION": "MUTATE", "NAME": name, "ARGS": reads, "MUTATE": written, "TIME": str(nanoseconds)}]


def copy(name: str, of: str) -> list[Instruction]:
    return [{"INSTRUCTION": "COPY", "DST": name, "SRC": of}]


def copy_from(name: str, of: str) -> list[Instruction]:
    return [{"INSTRUCTION": "COPY_FROM", "DST": name, "SRC": of}]


def release(*names: str) -> list[Instruction]:
    return [{"INSTRUCTION": "RELEASE", "NAME": name} for name in names]


STEP = [
    *constant("before", 1000),
    *annotate("START"),
    *release("before"),
    *constant("weight", 16),
    *call("mm", ["weight"], 50, x=(100, -1)),
    *copy("kept", "x"),
    *mutate("relu_", ["x"], [0], 5),
    *call("view", ["x"], 1, flat=(100, 0)),
    *call("split", ["flat"], 7, left=(40, -1), right=(60, -1)),
    *annotate("BACKWARD"),
    *call("backward", ["left", "right", "kept", "weight"], 80, grad=(16, -1)),
    *release("x", "kept", "flat", "left", "right", "unheard_of"),
]


def read(instructions: list[Instruction]) -> OperatorLog:
    return read_operator_log(json.dumps(each) for each in instructions)


def written(path: Path, instructions: list[Instruction]) -> Path:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in instructions))
    return path


@pytest.fixture
def step(tmp_path: Path) -> Graph:
    return load_graph(written(tmp_path / "step.log", STEP))


def test_a_step_becomes_a_graph(step: Graph) -> None:
    names = [value.name for value in step.values]
    reads = {op.name: [names[value] for value in op.inputs] for op in step.ops}
    writes = {op.name: [names[value] for value in op.outputs] for op in step.ops}
    assert reads == {
        "mm/0": [], "relu_/1": ["x"], "view/2": ["x$"], "split/3": ["x$"], "backward/4": ["left", "right", "x"],
    }  # fmt: skip
    assert writes == {
        "mm/0": ["x"], "relu_/1": ["x$"], "view/2": [], "split/3": ["left", "right"], "backward/4": ["grad"],
    }  # fmt: skip
    assert [op.cost for op in step.ops] == [50, 5, 1, 7, 80]
    assert [op.phase for op in step.ops] == [Phase.FORWARD] * 4 + [Phase.BACKWARD]
    assert dict(zip(names, step.sizes, strict=True)) == {"x": 100, "x$": 100, "left": 40, "right": 60, "grad": 16}
    assert [names[value] for value in step.outputs] == ["grad"]
    assert (step.persistent_bytes, step.cost_unit, step.name) == (16, "ns", "step")


def test_what_is_still_referred_to_is_required() -> None:
    ending = call("sum", ["x"], 1, loss=(4, -1))
    assert read([*STEP[:-6], *ending]).outputs == ("x", "x$", "left", "right", "grad", "loss")
    view = [*constant("w", 4), *call("mm", ["w"], 9, x=(8, -1)), *call("view", ["x"], 1, flat=(8, 0))]
    assert read([*view, *release("x")]).outputs == ("x",)
    assert read([*view, *release("x", "flat")]).outputs == ()


def test_references_can_move_to_another_tensor() -> None:
    start = [*call("a", [], 1, x=(8, -1)), *call("b", [], 1, y=(8, -1))]
    assert read([*start, *copy_from("x", "y")]).outputs == ("y",)
    assert read([*start, *copy_from("x", "y"), *release("x", "y")]).outputs == ()


def test_a_mutated_constant_is_a_new_value() -> None:
    log = read([*constant("w", 12), *mutate("add_", ["w", "w"], [0], 3), *mutate("add_", ["w"], [0], 3)])
    assert log.persistent_bytes == 12
    assert [(spec.inputs, spec.outputs) for spec in log.specs] == [((), (("w$", 12),)), (("w$",), (("w$$", 12),))]
    assert log.outputs == ("w$$",)


def test_mutating_two_views_of_a_storage_writes_two_values() -> None:
    log = read(
        [*call("a", [], 1, x=(8, -1)), *call("view", ["x"], 1, v=(8, 0)), *mutate("f_", ["x"], [0], 1),
         *mutate("f_", ["v"], [0], 1)]
    )  # fmt: skip
    assert [spec.outputs for spec in log.specs] == [(("x", 8),), (), (("x$", 8),), (("x$$", 8),)]


def test_logs_are_told_by_content(tmp_path: Path, step: Graph) -> None:
    path = written(tmp_path / "renamed.json", STEP)
    assert is_operator_log(path)
    assert load_graph(path).ops == step.ops
    save_graph(step, tmp_path / "own.json")
    assert not is_operator_log(tmp_path / "own.json")
    assert load_graph(tmp_path / "own.json").ops == step.ops
    assert not is_operator_log(tmp_path / "missing.log")
    (tmp_path / "list.log").write_text("[1]\n")
    assert not is_operator_log(tmp_path / "list.log")


def test_the_command_line_solves_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "step.log", STEP)
    assert main(["solve", str(path), "--budget", "1.0", "--method", "dtr_eq", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["cost"], result["ops"]) == ("OPTIMAL", 143, 5)


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        ([{"INSTRUCTION": "JUMP"}], 'line 1.INSTRUCTION: "JUMP" is not expected here'),
        ([*constant("w", 4), {"NAME": "w"}], "line 3.INSTRUCTION: missing"),
        (call("a", ["w"], 1, x=(8, -1)), "line 1.ARGS: there is no tensor 'w'"),
        (constant("w", 4)[:1], "line 1: the log ends before MEMORY of 'w'"),
        (call("a", [], 1, x=(8, -1))[:2], "line 2: the log ends before ALIAS of 'x'"),
        ([*constant("w", 4)[:1], memory("v", 4)], "line 2: is not MEMORY of 'w'"),
        (constant("w", -4), 'line 2.MEMORY: "-4" is not a whole number >= 0'),
        (call("a", [], 1, x=(8, 0)), "line 1: 'x' aliases argument 0 of 0"),
        (call("a", [], 1, x=(8, -2)), 'line 3.ALIAS: "-2" is not a whole number >= -1'),
        ([*constant("w", 4), *constant("w", 4)], "line 3: tensor 'w' is there already"),
        ([*constant("w", 4), *mutate("add_", ["w"], [1], 1)], "line 3.MUTATE: 1 is no argument"),
        ([{**call("a", [], 1)[0], "TIME": "soon"}], 'line 1.TIME: "soon" is not a whole number >= 0'),
        (annotate("START"), "ops: the graph has no ops"),
    ],
)
def test_unusable_logs_are_refused_by_line(
    tmp_path: Path, instructions: list[Instruction], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "bad.log", instructions)
    if "INSTRUCTION" in instructions[0]:
        with pytest.raises(InvalidInput) as caught:
            load_graph(path)
        assert str(caught.value).startswith(f"{path}: {message}")
    assert main(["solve", str(path), "--budget", "0.5"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_truncated_log_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "cut.log", STEP)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InvalidInput, match=f"cut.log: line {len(STEP)}: not JSON"):
        load_graph(path)
    path.write_bytes(path.read_bytes() + b"\n\xff")
    with pytest.raises(InvalidInput, match="not JSON lines"):
        load_graph(path)
