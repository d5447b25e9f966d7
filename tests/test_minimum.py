"""The smallest feasible budget: against the exhaustive search, and what is promised of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from strategies import random_graph

from hcb_opt import minimum_budget
from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.generators import chain
from hcb_opt.graph import Graph
from hcb_opt.io import load_schedule, save_graph
from hcb_opt.replay import replay
from hcb_opt.result import Status
from hcb_opt.solve import solve_schedule


def feasible(graph: Graph, budget_bytes: int) -> bool:
    return budget_bytes > 0 and solve_schedule(graph, budget_bytes, "exhaustive").status is not Status.INFEASIBLE


@pytest.mark.parametrize("seed", range(40))
def test_is_the_exhaustive_one(seed: int) -> None:
    graph = random_graph(seed, 8)
    found = minimum_budget(graph, time_limit=20.0)
    judged = replay(graph, found.schedule)
    assert judged.peak_bytes == found.peak_bytes and judged.fixed_order
    assert found.proven
    assert feasible(graph, found.peak_bytes) or found.peak_bytes == 0
    assert not feasible(graph, found.peak_bytes - 1)


def test_without_time_to_decide_it_still_brackets() -> None:
    graph = chain(30)
    steps: list[tuple[int, int]] = []
    found = minimum_budget(graph, time_limit=1.0, on_step=lambda lower, peak: steps.append((lower, peak)))
    assert 0 < found.lower_bound_bytes <= found.peak_bytes < graph.store_all_peak_bytes
    assert steps == sorted(steps, key=lambda step: (step[0], -step[1]))
    assert replay(graph, found.schedule).peak_bytes == found.peak_bytes


def test_interrupted_it_keeps_what_it_has() -> None:
    graph = chain(30)
    told: list[tuple[int, int]] = []

    def interrupt(lower: int, peak: int) -> None:
        told.append((lower, peak))
        raise KeyboardInterrupt

    found = minimum_budget(graph, time_limit=20.0, on_step=interrupt)
    assert found.interrupted
    assert told == [(found.lower_bound_bytes, found.peak_bytes)]
    assert replay(graph, found.schedule).peak_bytes == found.peak_bytes


def test_a_time_limit_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="time limit"):
        minimum_budget(chain(3), time_limit=0.0)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = chain(6)
    save_graph(graph, tmp_path / "chain.json")
    line = ["minimum", str(tmp_path / "chain.json"), "-o", str(tmp_path / "schedule.json")]
    assert main([*line, "--time-limit", "10", "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["lower_bound_bytes"] <= fields["peak_bytes"] <= fields["store_all_peak_bytes"]
    judged = replay(graph, load_schedule(tmp_path / "schedule.json", graph))
    assert judged.peak_bytes == fields["peak_bytes"]
    assert main([*line, "--time-limit", "10"]) == 0
    assert "smallest peak proven" in capsys.readouterr().out
