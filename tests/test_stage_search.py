"""The cheapest passage through a stage against a blind search straight from the rules."""

from __future__ import annotations

import random
from functools import cache

from strategies import random_graph

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.formulations.frontier_cuts.stage_search import Passage, cheapest_passage
from hcb_opt.generators import random_training
from hcb_opt.graph import Graph


def least_cost(graph: Graph, target: int, available: set[int], kept: set[int], budget_bytes: int) -> int | None:
    """Bellman-Ford over every subset of the values written before the target."""
    old = [value for value, each in enumerate(graph.values) if each.producer < target]
    needs = graph.ops[target].inputs if target < len(graph.ops) else graph.outputs
    wanted = {value for value in (*kept, *needs) if value in old}
    infinite = 1 << 60
    cost = {sum(1 << value for value in subset): infinite for subset in subsets(tuple(old))}
    cost[sum(1 << value for value in available)] = 0
    changed = True
    while changed:
        changed = False
        for state, reached in list(cost.items()):
            if reached == infinite:
                continue
            nexts = [(state & ~(1 << value), 0) for value in old if state >> value & 1]
            for op in graph.ops[:target]:
                after = state | sum(1 << value for value in op.outputs)
                held = sum(graph.sizes[value] for value in old if after >> value & 1)
                if all(state >> value & 1 for value in op.inputs) and held + op.workspace_bytes <= budget_bytes:
                    nexts.append((after, op.cost))
            for after, more in nexts:
                if reached + more < cost[after]:
                    cost[after] = reached + more
                    changed = True
    found = min(reached for state, reached in cost.items() if all(state >> value & 1 for value in wanted))
    return None if found == infinite else found


@cache
def subsets(values: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    if not values:
        return ((),)
    rest = subsets(values[1:])
    return rest + tuple((values[0], *each) for each in rest)


def test_equals_a_blind_search() -> None:
    compared = blocked = paid = twice = ends = 0
    for seed in range(1200):
        graph = random_graph(seed, max_ops=6)
        if len(graph.values) > 7:
            continue
        rng = random.Random(seed)
        target = rng.randint(max(0, len(graph.ops) - 2), len(graph.ops))
        old = [value for value, each in enumerate(graph.values) if each.producer < target]
        available = {value for value in old if rng.random() < 0.3}
        kept = {value for value, each in enumerate(graph.values) if each.producer <= target and rng.random() < 0.3}
        budget = rng.randint(max(graph.workset_bytes), max(max(graph.workset_bytes), graph.store_all_peak_bytes))
        passage = cheapest_passage(graph, target, available, kept, budget)
        assert passage is not None
        cost = least_cost(graph, target, available, kept, budget)
        assert passage.cost == cost, f"{graph.name} at {target}: {available} to {kept} in {budget}"
        assert sum(graph.ops[op].cost for op in passage.ops) == (cost or 0)
        compared += 1
        blocked += cost is None
        paid += bool(cost)
        twice += len(set(passage.ops)) < len(passage.ops)
        ends += target == len(graph.ops)
    assert compared > 500
    assert min(paid, ends) > 200
    assert blocked > 20
    assert twice > 0


def bottleneck() -> Graph:
    """Both wide values need ``a``; in 8 bytes it fits beside neither while that is narrowed."""
    return build_graph(
        [
            OpSpec("a", 3, (), (("a", 2),)),
            OpSpec("widen_b", 1, ("a",), (("wide_b", 6),)),
            OpSpec("b", 1, ("wide_b",), (("b", 1),)),
            OpSpec("widen_c", 1, ("a",), (("wide_c", 5),)),
            OpSpec("c", 1, ("wide_c",), (("c", 1),), workspace_bytes=1),
            OpSpec("join", 1, ("b", "c"), (("d", 1),)),
        ],
        ["d"],
    )


def test_an_op_runs_twice_where_its_value_cannot_stay() -> None:
    graph = bottleneck()
    assert cheapest_passage(graph, 5, (), (), 9).cost == 7  # type: ignore[union-attr]
    tight = cheapest_passage(graph, 5, (), (), 8)
    assert tight == Passage(10, (0, 1, 2, 0, 3, 4))
    assert cheapest_passage(graph, 5, (), (0,), 8) == Passage(13, (0, 1, 2, 0, 3, 4, 0))


def test_no_way_through() -> None:
    assert cheapest_passage(bottleneck(), 5, (), (), 7).cost is None  # type: ignore[union-attr]


def test_what_is_there_already_costs_nothing() -> None:
    assert cheapest_passage(bottleneck(), 5, (2, 4), (4,), 1) == Passage(0)


def test_free_ops_are_run_all_the_same() -> None:
    graph = build_graph([OpSpec("a", 0, (), (("x", 1),)), OpSpec("b", 0, ("x",), (("y", 0),))], ["y"])
    assert cheapest_passage(graph, 2, (), (), 1) == Passage(0, (0, 1))


def test_one_output_of_several_may_be_absent() -> None:
    split = OpSpec("split", 2, (), (("x", 4), ("y", 4)))
    graph = build_graph([split, OpSpec("use", 1, ("x",), (("z", 3),)), OpSpec("end", 1, ("y", "z"), ())])
    assert cheapest_passage(graph, 2, (0, 1), (), 11) == Passage(1, (1,))
    assert cheapest_passage(graph, 2, (0,), (), 11).cost == 3  # type: ignore[union-attr]
    # x, y and z do not fit together: z first, then y, whose run writes x again beside z.
    assert cheapest_passage(graph, 2, (0,), (), 10) == Passage(None)


def test_the_search_gives_up_at_its_limit() -> None:
    assert cheapest_passage(bottleneck(), 5, (), (), 9, most_moves=10) is None


def test_a_search_of_many_moves_ends_when_told() -> None:
    graph = random_training(14, 1)
    budget_bytes = int(0.7 * graph.store_all_peak_bytes)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    assert cheapest_passage(graph, len(graph.ops), (), (), budget_bytes, 10**9, begun=0, stop=stop) is None
    assert len(asked) == 3
