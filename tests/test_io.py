"""Files: round trips, published instances, schemas, atomic writes."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from referencing import Registry, Resource
from strategies import graphs

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.certificate import result_to_json
from hcb_opt.errors import InvalidInput
from hcb_opt.files import replacing, write_json
from hcb_opt.graph import Graph, Phase
from hcb_opt.io import graph_digest, load_graph, load_schedule, save_graph, save_schedule
from hcb_opt.schedule import Schedule, schedule_from_computes
from hcb_opt.solve import solve_schedule

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def validate(document: object, name: str) -> None:
    folder = resources.files("hcb_opt.schemas")
    schemas = {
        each: json.loads((folder / f"{each}.schema.json").read_text())
        for each in ("graph", "schedule", "result", "published")
    }
    registry = Registry().with_resources([(each["$id"], Resource.from_contents(each)) for each in schemas.values()])
    jsonschema.Draft202012Validator.check_schema(schemas[name])
    jsonschema.Draft202012Validator(schemas[name], registry=registry).validate(document)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def store_all(graph: Graph) -> Schedule:
    return schedule_from_computes(graph, range(len(graph.ops)))


def test_graph_keeps_everything(step: Graph, step_file: Path) -> None:
    loaded = load_graph(step_file)
    assert loaded == step
    assert loaded.facts == {"device": "none", "batch": 2}
    assert loaded.ops[0].seeded
    assert loaded.ops[6].mutates
    assert loaded.ops[6].phase is Phase.BACKWARD
    assert loaded.persistent_bytes == 100
    validate(read(step_file), "graph")


@same_folder
@given(graph=graphs(max_ops=12))
def test_round_trips(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    save_graph(graph, path)
    validate(read(path), "graph")
    loaded = load_graph(path)
    assert loaded == graph
    assert graph_digest(loaded) == graph_digest(graph)
    save_schedule(store_all(graph), graph, path)
    validate(read(path), "schedule")
    assert load_schedule(path, loaded) == store_all(graph)


def test_only_the_needed_fields(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    op = {"name": "a", "cost": 1, "inputs": [], "outputs": [{"name": "x", "size_bytes": 2}]}
    document = {"format": "hcb-opt/graph", "version": 1, "ops": [op]}
    path.write_text(json.dumps(document))
    validate(document, "graph")
    assert load_graph(path) == build_graph([OpSpec("a", 1, (), (("x", 2),))])


def test_saving_twice_gives_the_same_bytes(step: Graph, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    save_graph(step, first)
    save_graph(load_graph(first), second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("budget", [0.9, 1.0, 10])
def test_result_fits_its_schema(step: Graph, tmp_path: Path, budget: float) -> None:
    result = solve_schedule(step, budget, method="store_all")
    certificate = result_to_json(result, step)
    validate(json.loads(json.dumps(certificate, allow_nan=False)), "result")
    if result.schedule is not None:
        save_schedule(result.schedule, step, tmp_path / "schedule.json", certificate)
        validate(read(tmp_path / "schedule.json"), "schedule")
        assert read(tmp_path / "schedule.json")["result"]["cost"] == result.cost


def test_gap_above_a_bound_of_zero_is_null(step: Graph) -> None:
    result = replace(solve_schedule(step, 1.0, method="store_all"), lower_bound=0)
    assert result_to_json(result, step)["gap"] is None


def test_digest_is_of_the_structure_only(step: Graph) -> None:
    dearer = replace(step, ops=tuple(replace(op, cost=op.cost + 1) for op in step.ops), name="other", facts={})
    assert graph_digest(dearer) == graph_digest(step)
    larger = replace(step, values=tuple(replace(value, size_bytes=value.size_bytes + 1) for value in step.values))
    fewer_outputs = replace(step, outputs=step.outputs[:1])
    more_workspace = replace(step, ops=tuple(replace(op, workspace_bytes=9) for op in step.ops))
    assert len({graph_digest(each) for each in (step, larger, fewer_outputs, more_workspace)}) == 4


def test_checkmate_instance(checkmate: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "checkmate.json"
    path.write_text(json.dumps(checkmate))
    validate(checkmate, "published")
    graph = load_graph(path)
    assert [op.name for op in graph.ops] == ["a", "b", "c"]
    assert [op.cost for op in graph.ops] == [1, 2, 4]
    assert [op.phase for op in graph.ops] == [Phase.FORWARD, Phase.FORWARD, Phase.BACKWARD]
    assert graph.sizes == (10, 20, 30)
    assert [set(op.inputs) for op in graph.ops] == [set(), {0}, {0, 1}]
    assert (graph.outputs, graph.store_all_peak_bytes) == ((), 60)
    assert (graph.name, graph.cost_unit) == ("three", "cost_cpu")


def test_checkmate_edges_under_their_newer_name(checkmate: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "instance.json"
    path.write_text(json.dumps(checkmate))
    before = load_graph(path)
    checkmate["edges"] = checkmate.pop("links")
    validate(checkmate, "published")
    path.write_text(json.dumps(checkmate))
    assert load_graph(path) == before


def test_moccasin_instance(moccasin: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "moccasin.json"
    path.write_text(json.dumps(moccasin))
    validate(moccasin, "published")
    graph = load_graph(path)
    assert [op.name for op in graph.ops] == ["0", "3", "2", "1"]
    assert [op.cost for op in graph.ops] == [0, 30, 20, 10]
    assert graph.sizes == (1, 4, 3, 2)
    assert [set(op.inputs) for op in graph.ops] == [set(), {0}, {0}, {1, 2}]
    assert graph.store_all_peak_bytes == 9  # values of 3, 2 and 1, while 1 runs


def test_repeated_names_and_edges(checkmate: dict[str, Any], tmp_path: Path) -> None:
    for node in checkmate["nodes"]:
        node["name"] = "layer"
    checkmate["links"].append(checkmate["links"][0])
    path = tmp_path / "instance.json"
    path.write_text(json.dumps(checkmate))
    graph = load_graph(path)
    assert [op.name for op in graph.ops] == ["layer#0", "layer#2", "layer#7"]
    assert graph.ops[1].inputs == (0,)


def test_fractional_costs_become_whole_exactly(checkmate: dict[str, Any], tmp_path: Path) -> None:
    for node, cost in zip(checkmate["nodes"], (0.1, 0.25, 3), strict=True):
        node["cost_cpu"] = cost
        node["cost_ram"] = float(node["cost_ram"])
    path = tmp_path / "instance.json"
    path.write_text(json.dumps(checkmate))
    graph = load_graph(path)
    assert [op.cost for op in graph.ops] == [5, 60, 2]
    assert graph.cost_unit == "cost_cpu/20"
    assert graph.sizes == (10, 20, 30)


def test_ten_thousand_ops_load_in_a_second(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    specs = [
        OpSpec(
            f"op{index}",
            index,
            tuple(f"v{each}" for each in range(max(0, index - 3), index)),
            ((f"v{index}", 8), (f"w{index}", 8)),
        )
        for index in range(10_000)
    ]
    graph = build_graph(specs, ["v5"])
    save_graph(graph, path)
    start = time.process_time()
    assert load_graph(path) == graph
    assert time.process_time() - start < 1.0
    save_schedule(store_all(graph), graph, path)
    start = time.process_time()
    load_schedule(path, graph)
    assert time.process_time() - start < 1.0


def write_half_and_stop(path: Path) -> None:
    with replacing(path) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"cost": float("nan")})
    with pytest.raises(KeyboardInterrupt):
        write_half_and_stop(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_through_a_symlink_keeps_the_link(step: Graph, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real.json")
    save_graph(step, link)
    assert link.is_symlink()
    assert load_graph(tmp_path / "real.json") == step


def test_no_device_is_replaced(step: Graph) -> None:
    with pytest.raises(InvalidInput, match="not a regular file"):
        save_graph(step, "/dev/null")
    assert Path("/dev/null").is_char_device()
