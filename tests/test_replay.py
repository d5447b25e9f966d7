"""The judge: every rule, and the figures of schedules worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from strategies import graphs

from hcb_opt.graph import Graph
from hcb_opt.replay import IllegalSchedule, replay
from hcb_opt.schedule import Action, Compute, Drop, Schedule, schedule_from_computes

ALL = tuple(Compute(position) for position in range(7))


def test_figures_by_hand(step: Graph) -> None:
    judged = replay(step, Schedule((*ALL[:3], Drop(2), *ALL[3:4], Drop(4), ALL[3], Compute(1), *ALL[4:])))
    assert judged.timeline_bytes == (12, 32, 52, 32, 42, 32, 42, 56, 64, 72, 80)
    assert (judged.peak_bytes, judged.peak_step) == (80, 10)
    assert judged.cost == 27 + 1 + 5
    assert judged.compute_counts == (1, 2, 1, 2, 1, 1, 1)
    assert judged.fixed_order


def test_a_recompute_replaces_what_is_still_resident(step: Graph) -> None:
    judged = replay(step, Schedule((ALL[0], ALL[0], *ALL[1:])))
    assert judged.timeline_bytes[:2] == (12, 12)
    assert judged.cost == 27 + 3


def test_first_of_equal_peaks_is_named(step: Graph) -> None:
    judged = replay(step, Schedule((*ALL, ALL[6])))
    assert judged.peak_step == 6


def test_another_order_is_legal_and_said_so() -> None:
    from hcb_opt.build import OpSpec, build_graph

    graph = build_graph([OpSpec("a", 1, (), (("x", 1),)), OpSpec("b", 1, (), (("y", 1),))])
    assert replay(graph, Schedule((Compute(0), Compute(1)))).fixed_order
    assert not replay(graph, Schedule((Compute(1), Compute(0)))).fixed_order


@pytest.mark.parametrize(
    ("actions", "illegal_step", "reason"),
    [
        ((Compute(1),), 0, "op 'layer2' reads value 'x1', which is not resident"),
        ((Compute(0), Drop(0), Compute(1)), 2, "reads value 'x1', which is not resident"),
        ((Drop(0),), 0, "value 'x1' is dropped but not resident"),
        ((Compute(0), Drop(0), Drop(0)), 2, "value 'x1' is dropped but not resident"),
        ((Compute(7),), 0, "there is no op 7"),
        ((Compute(-1),), 0, "there is no op -1"),
        ((Drop(8),), 0, "there is no value 8"),
        ((Drop(-1),), 0, "there is no value -1"),
        (ALL[:-1], 6, "op 'grad1' is never computed"),
        ((*ALL, Drop(7)), 8, "output 'g1' is not resident at the end"),
        ((), 0, "op 'layer1' is never computed"),
    ],
)
def test_illegal_steps(step: Graph, actions: tuple[Action, ...], illegal_step: int, reason: str) -> None:
    with pytest.raises(IllegalSchedule) as caught:
        replay(step, Schedule(actions))
    assert caught.value.step == illegal_step
    assert reason in caught.value.reason
    assert str(caught.value) == f"step {illegal_step}: {caught.value.reason}"


@given(graphs(max_ops=10))
def test_keeping_everything_holds_every_byte(graph: Graph) -> None:
    judged = replay(graph, Schedule(tuple(Compute(position) for position in range(len(graph.ops)))))
    assert judged.timeline_bytes[-1] == sum(graph.sizes) + graph.ops[-1].workspace_bytes
    assert judged.peak_bytes >= replay(graph, schedule_from_computes(graph, range(len(graph.ops)))).peak_bytes
