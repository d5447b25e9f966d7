"""Dynamic tensor rematerialization: schedules, evicted neighbourhoods, and what each heuristic evicts."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_budget, random_graph

from hcb_opt import Graph, OpSpec, Status, build_graph, replay, schedule_from_computes, solve_schedule
from hcb_opt.baselines.dtr.components import EvictedComponents
from hcb_opt.baselines.dtr.neighbourhood import EvictedNeighbourhood
from hcb_opt.baselines.dtr.online import OnlineFailure, OnlineRun
from hcb_opt.baselines.dtr.residency import Residency
from hcb_opt.baselines.dtr.scores import (
    Equivalence,
    Full,
    Largest,
    LeastRecent,
    Local,
    Msps,
    Random,
    Score,
)
from hcb_opt.generators import chain, random_training, u_shape
from hcb_opt.layered import random_layered
from hcb_opt.registry import methods

METHODS = [name for name in methods() if name.startswith("dtr")]
SCORES = [Full, Equivalence, Local, Msps, LeastRecent, Largest, Random]


def online(graph: Graph, budget_bytes: int, score: type[Score] = Full) -> OnlineRun:
    return OnlineRun(graph, budget_bytes, score, seed=0, stop=lambda: False)


def test_there_is_a_method_for_every_score() -> None:
    assert len(METHODS) == len(SCORES) == 7


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=40, deadline=None)
def test_schedules_are_legal_within_budget_and_no_cheaper_than_the_optimum(method: str, seed: int) -> None:
    graph = random_graph(seed, 9)
    budget_bytes = random_budget(graph, seed)
    result = solve_schedule(graph, budget_bytes, method=method, seed=seed)
    if result.schedule is None:
        assert result.reason
        return
    judged = replay(graph, result.schedule)
    assert judged.fixed_order
    assert judged.peak_bytes <= budget_bytes
    optimum = solve_schedule(graph, budget_bytes, method="exhaustive").cost
    assert optimum is not None
    assert optimum <= judged.cost
    assert solve_schedule(graph, budget_bytes, method=method, seed=seed).schedule == result.schedule


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("graph", [chain(12), u_shape(4), random_layered(40), random_training(10, 3)])
def test_nothing_is_recomputed_where_everything_fits(method: str, graph: Graph) -> None:
    result = solve_schedule(graph, graph.store_all_peak_bytes, method=method)
    assert result.schedule is not None
    assert result.schedule.computes == tuple(range(len(graph.ops)))


@pytest.mark.parametrize("score", SCORES)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=25, deadline=None)
def test_the_run_counts_what_it_holds(score: type[Score], seed: int) -> None:
    """Its own account keeps the budget and is that of its resident values; nothing stays locked but outputs."""
    graph = random_graph(seed, 14)
    run = online(graph, random_budget(graph, seed), score)
    try:
        run.run()
    except OnlineFailure:
        return
    resident = {value for value in range(len(graph.values)) if run.state.resident[value]}
    assert run.held_bytes == sum(graph.sizes[value] for value in resident) <= run.budget_bytes
    assert replay(graph, schedule_from_computes(graph, run.order)).peak_bytes <= run.budget_bytes
    assert {value for value in resident if run.locks[value]} == graph.required
    assert set(run.pool) == resident - graph.required
    assert run.state.clock == sum(graph.ops[op].cost for op in run.order)


class Watched(Full):
    """Checks every neighbourhood it is asked for, and every union-find component, against a search from scratch."""

    checks = 0

    def __init__(self, state: Residency, rng: random.Random) -> None:
        super().__init__(state, rng)
        self.components = EvictedComponents(state)
        self.classes: list[set[int]] = []
        self.only_evictions = True

    def evicted(self, value: int) -> None:
        super().evicted(value)
        self.components.evict(value)
        joined = {value}
        for each in [each for each in self.classes if each & neighbours(self.state, value)]:
            joined |= each
            self.classes.remove(each)
        self.classes.append(joined)

    def restored(self, value: int) -> None:
        super().restored(value)
        self.components.restore(value)
        self.only_evictions = False
        for each in self.classes:
            each.discard(value)

    def of(self, value: int) -> float:
        state = self.state
        above, below = (reached(state, value, step) for step in (state.parents, state.children))
        assert self._neighbourhood.ancestors_cost(value) == cost(state, above)
        assert self._neighbourhood.descendants_cost(value) == cost(state, below)
        near = [each for each in self.classes if each & neighbours(state, value)]
        assert self.components.cost_around(value) == sum(cost(state, each) for each in near)
        if self.only_evictions:
            assert self.components.cost_around(value) == cost(state, connected(state, value))
        Watched.checks += 1
        return super().of(value)


def neighbours(state: Residency, value: int) -> set[int]:
    return {*state.parents[value], *state.children[value]}


def cost(state: Residency, values: set[int]) -> int:
    return sum(state.local_cost[value] for value in values)


def reached(state: Residency, value: int, step: list[tuple[int, ...]]) -> set[int]:
    """All evicted values that lie on paths of evicted values from one, by closure."""
    found: set[int] = set()
    while True:
        edge = {each for at in {value, *found} for each in step[at] if is_evicted(state, each)}
        if edge <= found:
            return found
        found |= edge


def connected(state: Residency, value: int) -> set[int]:
    """All evicted values that are connected with one through evicted values, whatever the direction."""
    both = [(*up, *down) for up, down in zip(state.parents, state.children, strict=True)]
    return reached(state, value, both)


def is_evicted(state: Residency, value: int) -> bool:
    return state.computed[state.graph.values[value].producer] and not state.resident[value]


@given(seed=st.integers(0, 100_000))
@settings(max_examples=60, deadline=None)
def test_neighbourhoods_are_those_of_a_search_from_scratch(seed: int) -> None:
    graph = random_graph(seed, 16)
    with suppress(OnlineFailure):
        online(graph, random_budget(graph, seed), Watched).run()


def test_neighbourhoods_are_checked_on_a_layered_graph() -> None:
    graph = random_layered(40, seed=2)
    Watched.checks = 0
    online(graph, int(0.85 * graph.store_all_peak_bytes), Watched).run()
    assert Watched.checks > 100


@given(seed=st.integers(0, 100_000))
@settings(max_examples=80, deadline=None)
def test_neighbourhoods_after_random_evictions_and_recomputes(seed: int) -> None:
    """Values come and go at random, whatever a budget would do."""
    rng = random.Random(seed)
    graph = random_graph(seed, 14)
    state = Residency(graph)
    state.computed = [True] * len(graph.ops)
    state.resident = [True] * len(graph.values)
    neighbourhood, components = EvictedNeighbourhood(state), EvictedComponents(state)
    only_evictions = True
    for _ in range(30 if graph.values else 0):
        value = rng.randrange(len(graph.values))
        state.resident[value] = not state.resident[value]
        if state.resident[value]:
            components.restore(value)
            only_evictions = False
        else:
            components.evict(value)
        neighbourhood.changed(value)
        for each in (each for each in range(len(graph.values)) if state.resident[each]):
            assert neighbourhood.ancestors_cost(each) == cost(state, reached(state, each, state.parents))
            assert neighbourhood.descendants_cost(each) == cost(state, reached(state, each, state.children))
            if only_evictions:
                assert components.cost_around(each) == cost(state, connected(state, each))


def test_components_do_not_split() -> None:
    """On a chain of five, the middle one of three evicted values is restored: its ends still count as one."""
    graph = build_graph([OpSpec(f"f{i}", 10**i, (f"x{i - 1}",) if i else (), ((f"x{i}", 1),)) for i in range(5)])
    state = Residency(graph)
    state.computed, state.resident = [True] * 5, [True] * 5
    components = EvictedComponents(state)
    for value in (1, 3, 2):
        state.resident[value] = False
        components.evict(value)
    assert components.cost_around(0) == components.cost_around(4) == 1110
    state.resident[2] = True
    components.restore(2)
    assert components.cost_around(0) == components.cost_around(4) == components.cost_around(2) == 1010
    assert EvictedNeighbourhood(state).ancestors_cost(4) == 1000


FIRST_EVICTED = {
    # x0 is large, x1 is cheap, x2 was used before x1, and only x0 has an evicted neighbour.
    Local: "x1", Full: "x1", Equivalence: "x1", Msps: "x1", LeastRecent: "x0", Largest: "x0",
}  # fmt: skip


@pytest.mark.parametrize("score", FIRST_EVICTED)
def test_each_score_evicts_what_it_should(score: type[Score]) -> None:
    graph = build_graph(
        [
            OpSpec("f0", 60, (), (("x0", 6),)),
            OpSpec("f1", 1, (), (("x1", 4),)),
            OpSpec("f2", 50, (), (("x2", 4),)),
            OpSpec("f3", 1, (), (("x3", 4),)),
            OpSpec("f4", 1, ("x0", "x1", "x2", "x3"), (("x4", 1),)),
        ]
    )
    run = online(graph, 14, score)
    evicted: list[str] = []
    plain = run.score.evicted

    def note(value: int) -> None:
        evicted.append(graph.values[value].name)
        plain(value)

    run.score.evicted = note  # type: ignore[method-assign]
    with pytest.raises(OnlineFailure, match=r"op 'f4' needs 1 bytes|op 'f\d' needs"):
        run.run()
    assert evicted[0] == FIRST_EVICTED[score]


def test_the_neighbourhood_keeps_what_others_need() -> None:
    """Two equal values; one leads to evicted ones, so that `dtr` keeps it where `dtr_local` cannot tell."""
    graph = build_graph(
        [
            OpSpec("a", 4, (), (("a", 4),)),
            OpSpec("b", 4, ("a",), (("b", 4),)),
            OpSpec("c", 4, (), (("c", 4),)),
            OpSpec("d", 4, ("a", "b", "c"), (("d", 4),)),
        ],
    )
    state = Residency(graph)
    state.computed, state.clock = [True] * 3 + [False], 10
    state.resident = [False, True, True, False]
    full, ancestors, local = (score(state, random.Random(0)) for score in (Full, Msps, Local))
    assert full.of(1) == (4 + 4) / (4 * 10) > full.of(2) == 4 / (4 * 10)
    assert ancestors.of(1) == 2 > ancestors.of(2) == 1
    assert local.of(1) == local.of(2)


def test_the_seed_decides_what_is_evicted_at_random() -> None:
    graph = chain(20)
    runs = {seed: solve_schedule(graph, 0.7, "dtr_random", seed=seed).schedule for seed in range(8)}
    assert len(set(runs.values())) > 1
    assert runs[3] == solve_schedule(graph, 0.7, "dtr_random", seed=3).schedule


def test_a_run_that_thrashes_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = chain(60)
    assert solve_schedule(graph, 5, method="dtr_lru").schedule is not None
    monkeypatch.setattr("hcb_opt.baselines.dtr.online.MOST_RUNS_PER_OP", 2)
    result = solve_schedule(graph, 5, method="dtr_lru")
    assert result.schedule is None
    assert result.reason == f"evictions thrash: {2 * len(graph.ops)} computes for {len(graph.ops)} ops"


def test_a_run_that_does_not_fit_says_where() -> None:
    """It lets go of y, the newest of two equal values, and has no room to compute it again."""
    specs = [
        OpSpec("a", 1, (), (("x", 4),)),
        OpSpec("b", 1, ("x",), (("y", 4),)),
        OpSpec("c", 1, (), (("z", 4),)),
        OpSpec("d", 1, ("y", "z"), (("w", 2),)),
        OpSpec("e", 1, ("x", "w"), (("v", 1),)),
    ]
    graph = build_graph(specs)
    result = solve_schedule(graph, 10, method="dtr_size")
    assert result.status == Status.NO_SCHEDULE
    assert result.reason == "op 'b' needs 4 bytes beside the 8 that are locked; the budget is 10"
    assert solve_schedule(graph, 10, method="exhaustive").cost == 6


def test_depth_does_not_matter() -> None:
    """Ten thousand values in a row are recomputed without recursion."""
    steps = 10_000
    specs = [OpSpec(f"f{i}", 1, (f"x{i - 1}",) if i else (), ((f"x{i}", 1),)) for i in range(steps)]
    specs.append(OpSpec("last", 1, (f"x{steps - 1}",), (("end", 1),)))
    graph = build_graph(specs, [f"x{steps // 2}", "end"])
    run = online(graph, 3, Largest)
    assert len(run.run()) > steps
