"""Small inputs that several test files share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.graph import Graph, Phase
from hcb_opt.io import save_graph

ROOT = Path(__file__).parents[1]


@pytest.fixture
def step() -> Graph:
    """A three-layer training step: one op with two outputs, a workspace, gradients as outputs.

    Store-all peak 64 bytes at ``grad3``: x1 10, mask 2, x2 20, x3 20, loss 4 and g3 8.
    """
    backward = {"phase": Phase.BACKWARD}
    return build_graph(
        [
            OpSpec("layer1", 3, (), (("x1", 10), ("mask", 2)), seeded=True),
            OpSpec("layer2", 5, ("x1",), (("x2", 20),)),
            OpSpec("layer3", 5, ("x2",), (("x3", 20),)),
            OpSpec("loss", 1, ("x3",), (("loss", 4),), workspace_bytes=6),
            OpSpec("grad3", 5, ("x3", "x2"), (("g3", 8),), **backward),
            OpSpec("grad2", 5, ("g3", "x1"), (("g2", 8),), **backward),
            OpSpec("grad1", 3, ("g2", "mask"), (("g1", 8),), mutates=True, **backward),
        ],
        ["loss", "g1"],
        persistent_bytes=100,
        name="step",
        facts={"device": "none", "batch": 2},
    )


@pytest.fixture
def step_file(step: Graph, tmp_path: Path) -> Path:
    """The step, saved."""
    path = tmp_path / "step.json"
    save_graph(step, path)
    return path


@pytest.fixture
def checkmate() -> dict[str, Any]:
    """A published instance in Checkmate's form: nodes out of order, a skip edge."""
    return {
        "directed": True,
        "multigraph": False,
        "graph": {"name": "three"},
        "nodes": [
            {"id": 7, "name": "c", "backward": True, "cost_cpu": 4, "cost_ram": 30},
            {"id": 0, "name": "a", "backward": False, "cost_cpu": 1, "cost_ram": 10},
            {"id": 2, "name": "b", "backward": False, "cost_cpu": 2, "cost_ram": 20},
        ],
        "links": [{"source": 0, "target": 2}, {"source": 2, "target": 7}, {"source": 0, "target": 7}],
    }


@pytest.fixture
def moccasin() -> dict[str, Any]:
    """A published instance in Moccasin's form: node 1 comes last in the order."""
    return {
        "graph": {"name": "diamond", "order": [0, 3, 2, 1]},
        "nodes": [{"name": name, "duration": 10 * name, "out_cost": 1 + name, "param_cost": 0} for name in range(4)],
        "links": [{"0": 0, "1": 2}, {"0": 0, "1": 3}, {"0": 2, "1": 1}, {"0": 3, "1": 1}],
    }


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``hcb-opt`` in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "hcb_opt", *map(str, arguments)]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)

    return run
