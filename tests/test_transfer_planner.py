"""Planned transfers: within budget, never dearer than the start, and cheaper where moving is."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs, random_budget
from test_transfers import LINKS
from transfer_schedules import with_dtypes
from walks import random_walk

import hcb_opt
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.generators import random_training
from hcb_opt.graph import Graph
from hcb_opt.io import load_schedule, save_graph, save_schedule
from hcb_opt.replay import replay
from hcb_opt.result import Status
from hcb_opt.schedule import Compress, Compute, Decompress, Discard, Drop, Offload, Schedule
from hcb_opt.solve import solve_schedule
from hcb_opt.transfers.link import INSTANT, Link
from hcb_opt.transfers.placement import place_trips
from hcb_opt.transfers.planner import plan_transfers
from hcb_opt.transfers.replay import replay_transfers
from hcb_opt.transfers.schemes import SCHEMES
from hcb_opt.transfers.search import Planner
from hcb_opt.transfers.trips import Trips

FAST = INSTANT
SLOW = Link(1, 1, 10**6, 1)


@given(graphs(max_ops=10), st.integers(0, 10**6), LINKS)
def test_any_trips_of_any_sequence_are_placed_within_budget(graph: Graph, seed: int, link: Link) -> None:
    rng = random.Random(seed)
    graph = with_dtypes(graph, seed)
    fitting = Planner(graph, 0, link, tuple(SCHEMES)).fitting
    schemes = {value: rng.choice(each) for value, each in fitting.items() if rng.random() < 0.5}
    trips = Trips(graph, tuple(random_walk(graph, seed)), schemes)
    chosen = [trip for trip in trips.possible if rng.random() < 0.4]
    needed = max(int(trips.profile_bytes(chosen).max(initial=0)), sum(graph.sizes[each] for each in graph.outputs))
    for budget_bytes in (needed, needed + rng.randint(1, 20)):
        schedule = place_trips(trips, chosen, budget_bytes, link)
        assert schedule is not None
        assert schedule.computes == trips.order
        assert replay_transfers(graph, schedule, link).peak_bytes <= budget_bytes
        assert schedule.lossy == any(schemes.get(trip.value, "bits") != "bits" for trip in chosen)
    assert not chosen or place_trips(trips, chosen, needed - 1, link) is None


@given(graphs(max_ops=10), st.integers(0, 10**6))
def test_chosen_trips_fit(graph: Graph, seed: int) -> None:
    budget_bytes = random_budget(graph, seed)
    trips = Trips(graph, tuple(random_walk(graph, seed)))
    chosen = trips.choose(budget_bytes)
    if chosen is None:
        assert trips.profile_bytes(trips.possible).max() > budget_bytes
    else:
        assert trips.profile_bytes(chosen).max(initial=0) <= budget_bytes


def test_outputs_meet_at_the_end() -> None:
    graph = build_graph([OpSpec("a", 1, (), (("x", 10),)), OpSpec("b", 1, (), (("y", 10),))], ["x", "y"])
    trips = Trips(graph, (0, 1))
    assert [int(each) for each in trips.profile_bytes(trips.possible)] == [10, 10]
    assert place_trips(trips, trips.possible, 19, INSTANT) is None
    assert place_trips(trips, trips.possible, 20, INSTANT) is not None


@settings(max_examples=15, deadline=None)
@given(graphs(max_ops=9), st.integers(0, 10**6), LINKS)
def test_plans_fit_and_cost_no_more_than_their_start(graph: Graph, seed: int, link: Link) -> None:
    graph = with_dtypes(graph, seed)
    start = solve_schedule(graph, random_budget(graph, seed), method="block_programme", time_limit=5)
    result = plan_transfers(
        graph, start.budget_bytes, link, time_limit=5, initial=start.schedule, schemes=tuple(SCHEMES)
    )
    assert result.claim == "transfers"
    if result.schedule is None:
        assert start.schedule is None
        assert result.status is Status.NO_SCHEDULE or result.lower_bound is None
        return
    judged = replay_transfers(graph, result.schedule, link)
    assert judged.peak_bytes == result.peak_bytes <= result.budget_bytes
    assert graph.base_cost == result.lower_bound <= result.cost == judged.cost
    assert (result.status is Status.OPTIMAL) == (result.cost == graph.base_cost)
    assert start.cost is None or result.cost <= start.cost


def step_of_layers() -> Graph:
    return replace(random_training(6, seed=3), cost_unit="ns", facts={"cost_model": "roofline:h200"})


def test_moves_where_copies_are_cheap_and_recomputes_where_they_are_dear() -> None:
    graph = step_of_layers()
    proven = solve_schedule(graph, 0.75, time_limit=30)
    assert proven.status is Status.OPTIMAL and proven.cost > graph.base_cost
    moved = hcb_opt.plan_transfers(graph, 0.75, FAST, time_limit=20)
    # A bound of schedules without transfers would be wrong here.
    assert moved.status is Status.OPTIMAL and moved.cost == graph.base_cost < proven.lower_bound
    recomputed = plan_transfers(graph, 0.75, SLOW, time_limit=20, initial=proven.schedule)
    assert recomputed.cost == proven.cost
    assert not any(isinstance(each, Offload) for each in recomputed.schedule.actions)
    assert replay(graph, recomputed.schedule).cost == proven.cost


def test_compresses_what_is_lossless_and_the_rest_only_if_asked() -> None:
    """A mask of 64 bytes over an op that is dear; the link to the host is slow."""
    graph = build_graph(
        [
            OpSpec("dropout", 1000, (), (("mask", 64), ("x", 64)), dtypes=("bool", "float32")),
            OpSpec("first", 1, ("x",), (("w", 8),)),
            OpSpec("middle", 1, ("w",), (("y", 8),), workspace_bytes=100),
            OpSpec("back", 1, ("y", "mask"), (("g", 8),)),
            OpSpec("last", 1, ("g", "x"), (("h", 8),)),
        ],
        ["h"],
    )
    link = Link(1, 1, 0, 1000, 10**6)
    enough = graph.store_all_peak_bytes
    plain = plan_transfers(graph, enough - 40, link, time_limit=5, method="store_all", schemes=())
    assert plain.cost >= graph.base_cost + 1000
    found = plan_transfers(graph, enough - 40, link, time_limit=5, method="store_all")
    assert found.cost == graph.base_cost + 2
    assert [each for each in found.schedule.actions if isinstance(each, Compress)] == [Compress(0, "bits")]
    assert not found.schedule.lossy
    tighter = plan_transfers(graph, enough - 60, link, time_limit=5, method="store_all", schemes=("bits", "bf16"))
    judged = replay_transfers(graph, tighter.schedule, link)
    assert tighter.schedule.lossy and judged.deviating == (1, 5)
    with pytest.raises(InvalidInput, match="scheme 'zip': unknown"):
        plan_transfers(graph, enough, link, schemes=("zip",))


def test_infeasible_and_refused() -> None:
    graph = step_of_layers()
    small = plan_transfers(graph, 1, FAST)
    assert small.status is Status.INFEASIBLE and small.lower_bound is None and "the budget is 1" in small.reason
    with pytest.raises(InvalidInput, match="does not say which device"):
        plan_transfers(random_training(3, seed=0), 0.9)
    with pytest.raises(InvalidInput, match="not above zero"):
        plan_transfers(graph, 0.9, FAST, time_limit=0)
    with pytest.raises(InvalidInput, match=r"initial: actions\[1\] is 'offload'"):
        plan_transfers(graph, 0.9, FAST, initial=Schedule((Compute(0), Offload(0))))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = step_of_layers()
    files = [str(tmp_path / name) for name in ("graph.json", "schedule.json")]
    save_graph(graph, files[0])
    options = ["--host-bandwidth", "2GB", "--time-limit", "5"]
    assert main(["offload", files[0], "--budget", "0.75", "--json", "-o", files[1], *options]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    _validate_schema(printed)
    link = Link(2 * 10**9, 2 * 10**9, 4000, device_bytes_per_second=4800 * 10**9)
    judged = replay_transfers(graph, load_schedule(files[1], graph), link)
    assert (printed["cost"], printed["host_peak_bytes"], printed["waited"]) == (
        judged.cost,
        judged.host_peak_bytes,
        judged.waited,
    )
    assert main(["check", *files, "--budget", "0.75", "--host-bandwidth", "2GB"]) == 0
    shown = capsys.readouterr().out
    if judged.host_peak_bytes:
        assert f"host   {judged.host_peak_bytes} bytes" in shown and f"waits  {judged.waited} ns" in shown
    assert main(["offload", files[0], "--budget", "0.75", "--host-bandwidth", "fast"]) == 2
    assert "--host-bandwidth fast: not a size" in capsys.readouterr().err


def test_check_tells_what_is_lossy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = [OpSpec("a", 9, (), (("x", 1024),), dtypes=("float32",)), OpSpec("b", 9, ("x",), (("y", 4),))]
    graph = build_graph(specs, ["y"], cost_unit="ns")
    actions = (Compute(0), Compress(0, "int8"), Drop(0), Decompress(0), Discard(0), Compute(1))
    files = [str(tmp_path / name) for name in ("graph.json", "schedule.json")]
    save_graph(graph, files[0])
    save_schedule(Schedule(actions, lossy=True), graph, files[1])
    assert main(["check", *files, "--link", "h200"]) == 0
    shown = capsys.readouterr().out
    assert "lossy  2 values deviate from what their ops compute (int8 loses up to 1/254 of the largest" in shown
    assert "cost   8020 ns" in shown  # two copies of 4000 ns, and 0.3 ns rounded up
    save_schedule(Schedule(actions), graph, files[1])
    assert main(["check", *files, "--link", "h200"]) == 3
    assert "illegal at step 1: scheme 'int8' loses something" in capsys.readouterr().out
    assert main(["check", *files]) == 2
    assert "does not say which device's costs it has" in capsys.readouterr().err


def _validate_schema(document: dict[str, Any]) -> None:
    from importlib.resources import files

    import jsonschema

    schema = json.loads(files("hcb_opt.schemas").joinpath("result.schema.json").read_text())
    jsonschema.validate(document, schema)
