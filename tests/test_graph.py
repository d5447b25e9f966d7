"""Graphs: validation, liveness and the store-all profile."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from strategies import graphs

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph, Op, Value
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes


def test_build_resolves_names(step: Graph) -> None:
    assert [value.name for value in step.values] == ["x1", "mask", "x2", "x3", "loss", "g3", "g2", "g1"]
    assert step.ops[0].outputs == (0, 1)
    assert step.ops[5].inputs == (5, 0)
    assert step.outputs == (4, 7)
    assert step.values[3].producer == 2


def test_liveness(step: Graph) -> None:
    assert step.consumers[0] == (1, 5)
    assert step.last_needed == (5, 6, 4, 4, 7, 5, 6, 7)
    assert step.base_cost == 27
    assert step.workset_bytes == (12, 30, 40, 30, 48, 26, 18)


def test_store_all_profile_by_hand(step: Graph) -> None:
    assert step.store_all_profile_bytes == (12, 32, 52, 62, 64, 32, 22)
    assert step.store_all_peak_bytes == 64


def test_a_value_nobody_reads_is_freed_at_once() -> None:
    graph = build_graph([OpSpec("a", 1, (), (("x", 5), ("unread", 7))), OpSpec("b", 1, ("x",), (("y", 1),))])
    assert graph.store_all_profile_bytes == (12, 6)


@given(graphs(max_ops=12))
def test_profile_is_what_replay_finds(graph: Graph) -> None:
    judged = replay(graph, schedule_from_computes(graph, range(len(graph.ops))))
    assert judged.peak_bytes == graph.store_all_peak_bytes
    assert judged.cost == graph.base_cost
    assert judged.fixed_order


SIMPLE = (OpSpec("a", 1, (), (("x", 1),)), OpSpec("b", 1, ("x",), (("y", 1),)))


@pytest.mark.parametrize(
    ("specs", "outputs", "message"),
    [
        ((), (), "no ops"),
        ((SIMPLE[0], replace(SIMPLE[1], name="a")), (), "op name 'a' is used twice"),
        ((SIMPLE[0], replace(SIMPLE[1], outputs=(("x", 1),))), (), "'x' is written twice"),
        ((SIMPLE[1], SIMPLE[0]), (), "'x' is written by op 'a', which does not come before"),
        ((replace(SIMPLE[0], inputs=("x",)), SIMPLE[1]), (), "does not come before"),
        ((replace(SIMPLE[0], inputs=("q",)), SIMPLE[1]), (), "no op writes value 'q'"),
        ((SIMPLE[0], replace(SIMPLE[1], inputs=("x", "x"))), (), "listed twice"),
        (SIMPLE, ("z",), "no op writes value 'z'"),
        (SIMPLE, ("y", "y"), "listed twice"),
        ((replace(SIMPLE[0], cost=-1), SIMPLE[1]), (), "'a'.cost: -1"),
        ((replace(SIMPLE[0], cost=math.nan), SIMPLE[1]), (), "'a'.cost: nan"),
        ((replace(SIMPLE[0], cost=1.5), SIMPLE[1]), (), "'a'.cost: 1.5"),
        ((replace(SIMPLE[0], cost=True), SIMPLE[1]), (), "'a'.cost: True"),
        ((replace(SIMPLE[0], workspace_bytes=-8), SIMPLE[1]), (), "workspace_bytes: -8"),
        ((replace(SIMPLE[0], outputs=(("x", -1),)), SIMPLE[1]), (), "'x'.size_bytes: -1"),
        ((replace(SIMPLE[0], outputs=(("x", 1.0),)), SIMPLE[1]), (), "'x'.size_bytes: 1.0"),
    ],
)
def test_what_is_no_graph(specs: tuple[OpSpec, ...], outputs: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        build_graph(specs, outputs)
    assert "\n" not in str(caught.value)


def test_values_and_producers_must_agree() -> None:
    op = Op("a", 1, (), (0,))
    with pytest.raises(InvalidInput, match="no op's output"):
        Graph((op,), (Value("x", 1, 0), Value("y", 1, 0)))
    with pytest.raises(InvalidInput, match="another producer"):
        Graph((op, Op("b", 1, (), (1,))), (Value("x", 1, 1), Value("y", 1, 0)))


def test_negative_persistent_bytes() -> None:
    with pytest.raises(InvalidInput, match="persistent_bytes: -1"):
        build_graph(SIMPLE, persistent_bytes=-1)


def test_an_output_is_listed_once() -> None:
    with pytest.raises(InvalidInput, match=r"ops\[0\] 'a'.outputs: a value is listed twice"):
        Graph((Op("a", 1, (), (0, 0)),), (Value("x", 1, 0), Value("y", 1, 0)))
