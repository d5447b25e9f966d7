"""Chains of equal steps: proven optima at every slot count, against the closed form and exhaustive searches."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcb_opt.binomial import extra_forward_steps, reversal
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput
from hcb_opt.generators import GENERATORS, ForwardOp, chain, random_training, tape_chain, training_step, u_shape
from hcb_opt.graph import Graph, Phase
from hcb_opt.mixed import mixed_table
from hcb_opt.registry import get_method
from hcb_opt.replay import replay
from hcb_opt.result import Result, Status
from hcb_opt.solve import solve_schedule
from hcb_opt.unit_chains import UnitChain, recognise

MOST_STEPS = 64


@cache
def fewest_from_lost(steps: int, slots: int) -> float:
    """m(n, s), as `hcb_opt.mixed` states it."""
    if steps == 1:
        return 1
    if not slots:
        return float("inf")
    states = (k + fewest_from_lost(steps - k, slots - 1) + fewest_from_lost(k, slots) for k in range(1, steps))
    return min(1 + fewest_from_lost(steps - 1, slots - 1), *states)


@cache
def fewest_from_kept(steps: int, slots: int) -> float:
    """M(n, s), as `hcb_opt.mixed` states it."""
    if steps == 1:
        return 1
    states = (k + fewest_from_lost(steps - k, slots) + fewest_from_kept(k, slots) for k in range(1, steps))
    return min(fewest_from_lost(steps, slots), *states)


@dataclass(frozen=True)
class Shape:
    """Sizes of a chain of equal steps: see `UnitChain`."""

    steps: int
    taped: bool
    state: int = 1
    gradient: int = 1
    forward_workspace: int = 0
    backward_workspace: int = 0
    loss_workspace: int = 0

    def graph(self, cost: int = 1) -> Graph:
        n = self.steps
        specs = [
            OpSpec(
                f"f{i}", cost, (f"x{i - 1}",) if i > 1 else (),
                ((f"x{i}", self.state), *([(f"t{i}", self.state)] if self.taped else [])), self.forward_workspace,
            )
            for i in range(1, n + 1)
        ]  # fmt: skip
        specs.append(OpSpec("loss", 3, (f"x{n}",), ((f"g{n}", self.gradient),), self.loss_workspace))
        for i in range(n, 0, -1):
            saved = [f"t{i}"] if self.taped else [f"x{i - 1}"] if i > 1 else []
            size = self.gradient if i > 1 else 1
            specs.append(
                OpSpec(f"b{i}", i, (*saved, f"g{i}"), ((f"g{i - 1}", size),), self.backward_workspace, Phase.BACKWARD)
            )
        return build_graph(specs, ["g0"])


def fewest_by_search(shape: Shape, budget: int) -> int | None:
    """Forward steps of the cheapest schedule, by search of all sets of states and tapes that can be held.

    Moves are: run a forward step, drop a state or tape, run the loss, run the
    next backward step. The gradient is held from the loss on.
    """
    n, size = shape.steps, shape.state
    state, tape = (lambda i: 1 << i - 1), (lambda i: 1 << n + i - 1)

    def useful(left: int) -> int:
        """What may still matter with so many steps to reverse (n + 1 before the loss)."""
        states = range(1, min(left, n + 1)) if left <= n else range(1, n + 1)
        return sum(map(state, states)) + sum(tape(i) for i in range(1, min(left, n) + 1) if shape.taped)

    def moves(left: int, held: int) -> list[tuple[int, int, int]]:
        found = [(left, held & ~(1 << item), 0) for item in range(2 * n) if held >> item & 1]
        gradient = shape.gradient if left <= n else 0
        for i in range(1, n + 1):
            written = held | state(i) | (tape(i) if shape.taped else 0)
            fits = written.bit_count() * size + gradient + shape.forward_workspace <= budget
            if fits and (i == 1 or held & state(i - 1)):
                found.append((left, written, 1))
        here = held.bit_count() * size
        if left == n + 1:
            if held & state(n) and here + shape.gradient + shape.loss_workspace <= budget:
                found.append((n, held, 0))
        elif held & (tape(left) if shape.taped else state(left - 1)):
            written = shape.gradient if left > 1 else 1
            if here + shape.gradient + written + shape.backward_workspace <= budget:
                found.append((left - 1, held, 0))
        return [(after, kept & useful(after), cost) for after, kept, cost in found]

    start = (n + 1, 0)
    fewest = {start: 0}
    pending = deque([start])
    while pending:
        left, held = pending.popleft()
        steps = fewest[left, held]
        if left == (0 if shape.taped else 1):
            return steps
        for after, kept, cost in moves(left, held):
            if steps + cost < fewest.get((after, kept), steps + cost + 1):
                fewest[after, kept] = steps + cost
                (pending.append if cost else pending.appendleft)((after, kept))
    return None


def solved(graph: Graph, budget: int, method: str = "auto") -> Result:
    """A result that is optimal, infeasible, or declined; replayed."""
    result = solve_schedule(graph, budget, method)
    if result.schedule is not None:
        judged = replay(graph, result.schedule)
        assert result.status is Status.OPTIMAL
        assert judged.peak_bytes <= budget and judged.fixed_order
        assert judged.cost == result.cost == result.lower_bound
    return result


def test_every_unit_chain_at_every_slot_count() -> None:
    """All n + 1 budgets at which anything changes, from three bytes to the store-all peak."""
    for steps in range(2, MOST_STEPS + 1):
        graph = chain(steps)
        assert graph.store_all_peak_bytes == steps + 1
        assert solve_schedule(graph, 2).status is Status.INFEASIBLE
        for budget in range(3, steps + 2):
            result = solved(graph, budget)
            assert result.method == ("store_all" if budget == steps + 1 else "unit_chain")
            assert result.cost == steps + 2 + extra_forward_steps(steps, budget - 2), (steps, budget)


def test_every_tape_chain_at_every_slot_count() -> None:
    for steps in range(2, MOST_STEPS + 1):
        graph = tape_chain(steps)
        assert graph.store_all_peak_bytes == steps + 2
        for budget in range(4, steps + 3):
            result = solved(graph, budget)
            assert result.method == ("store_all" if budget == steps + 2 else "mixed")
            forwards = 1 + fewest_from_kept(steps - 1, budget - 4)
            assert result.cost == steps + 1 + forwards, (steps, budget)


def test_a_chain_of_one_step_has_nothing_to_recompute() -> None:
    for graph in (chain(1), tape_chain(1)):
        assert recognise(graph) is None
        peak = graph.store_all_peak_bytes
        assert solve_schedule(graph, peak).status is Status.OPTIMAL
        assert solve_schedule(graph, peak - 1).status is Status.INFEASIBLE


@pytest.mark.parametrize("make", [chain, tape_chain])
def test_equals_exhaustive_at_every_budget(make: Callable[[int], Graph]) -> None:
    for steps in range(2, 7):
        graph = make(steps)
        for budget in range(1, graph.store_all_peak_bytes + 2):
            referee = solve_schedule(graph, budget, "exhaustive")
            result = solved(graph, budget)
            assert (result.status, result.cost) == (referee.status, referee.cost), (steps, budget)


@pytest.mark.parametrize(("taped", "most"), [(False, 10), (True, 6)])
def test_equals_a_search_of_the_chain_at_every_slot_count(taped: bool, most: int) -> None:
    for steps in range(2, most + 1):
        graph = Shape(steps, taped).graph()
        for budget in range(3, steps + 3):
            fewest = fewest_by_search(Shape(steps, taped), budget)
            result = solved(graph, budget)
            assert result.cost == (None if fewest is None else graph.base_cost + fewest - steps), (steps, budget)


def random_shape(seed: int) -> Shape:
    rng = random.Random(seed)
    workspaces = (rng.choice((0, 0, 1, 2, 3)) for _ in range(3))
    return Shape(rng.randint(2, 5), seed % 2 == 0, rng.choice((1, 1, 2, 3)), rng.randint(0, 4), *workspaces)


def test_any_sizes_at_any_budget_equal_the_search_or_are_declined() -> None:
    """Budgets between slot counts too; what is declined is not claimed, what is infeasible is proven so."""
    seen = check_shapes(range(60))
    assert min(seen.values()) > 20, seen


@pytest.mark.slow
def test_any_sizes_at_any_budget_of_many_more_shapes() -> None:
    check_shapes(range(60, 600))


def check_shapes(seeds: range) -> dict[str, int]:
    seen = {"declined": 0, "infeasible": 0, "repeats": 0}
    for seed in seeds:
        shape = random_shape(seed)
        graph = shape.graph(cost=2)
        for budget in range(1, graph.store_all_peak_bytes + 1):
            result = solved(graph, budget, "mixed" if shape.taped else "unit_chain")
            fewest = fewest_by_search(shape, budget)
            if result.status is Status.NO_SCHEDULE:
                assert "not known" in result.reason
                seen["declined"] += 1
            elif fewest is None:
                assert result.status is Status.INFEASIBLE, (shape, budget)
                seen["infeasible"] += 1
            else:
                assert result.cost == graph.base_cost + 2 * (fewest - shape.steps), (shape, budget)
                seen["repeats"] += fewest > shape.steps
    return seen


@pytest.mark.slow
def test_longer_chains_equal_a_search_of_the_chain() -> None:
    for taped, most in ((False, 12), (True, 8)):
        for budget in range(3, most + 3):
            fewest = fewest_by_search(Shape(most, taped), budget)
            graph = Shape(most, taped).graph()
            assert solved(graph, budget).cost == (None if fewest is None else graph.base_cost + fewest - most)


def changed(graph: Graph, seed: int) -> tuple[Graph, str]:
    """The graph with one size, forward cost, workspace, edge or output changed, and which."""
    rng = random.Random(seed)
    ops, values, steps = list(graph.ops), list(graph.values), len(graph.ops) // 2
    what = rng.choice(("size", "cost", "workspace", "edge", "extra edge", "output", "no output"))
    if what == "size":
        value = rng.randrange(len(values) - 1)
        values[value] = replace(values[value], size_bytes=values[value].size_bytes + 1)
    elif what == "cost":
        position = rng.randrange(steps)
        ops[position] = replace(ops[position], cost=ops[position].cost + 1)
    elif what == "workspace":
        position = rng.choice([each for each in range(2 * steps) if each != steps])
        ops[position] = replace(ops[position], workspace_bytes=1)
    elif what in ("edge", "extra edge"):
        position = rng.choice([each for each, op in enumerate(ops) if each and op.inputs])
        dropped = set() if what == "extra edge" else {rng.choice(ops[position].inputs)}
        first_written = ops[position].outputs[0]
        added = [value for value in range(first_written) if value not in ops[position].inputs]
        kept = [value for value in ops[position].inputs if value not in dropped]
        ops[position] = replace(ops[position], inputs=(*kept, *([rng.choice(added)] if added else [])))
        if ops[position].inputs == graph.ops[position].inputs:
            ops[position] = replace(ops[position], inputs=ops[position].inputs[1:])
    outputs = graph.outputs
    if what == "output":
        outputs = (*outputs, rng.randrange(len(values) - 1))
    elif what == "no output":
        outputs = ()
    return Graph(tuple(ops), tuple(values), outputs), what


@settings(max_examples=400, deadline=None)
@given(steps=st.integers(3, 12), taped=st.booleans(), seed=st.integers(0, 10**6))
def test_one_change_and_it_is_no_unit_chain(steps: int, taped: bool, seed: int) -> None:
    graph = tape_chain(steps) if taped else chain(steps)
    assert recognise(graph) is not None
    other, what = changed(graph, seed)
    assert recognise(other) is None, what
    assert get_method("unit_chain").declines(other, 5) and get_method("mixed").declines(other, 5)


def test_other_graphs_are_not_recognised() -> None:
    for name, make in GENERATORS.items():
        if name not in ("chain", "tape_chain"):
            assert all(recognise(make(size, seed)) is None for size in range(3, 7) for seed in range(3)), name
    assert recognise(chain(4, [1, 2, 1, 1])) is None
    saves_output = [ForwardOp((), saves_output=True), ForwardOp((0,), saves_inputs=False, saves_output=True)]
    assert recognise(training_step(saves_output, name="outputs")) is None


def test_names_phases_and_what_runs_once_do_not_matter() -> None:
    graph = chain(6)
    ops = [replace(op, name=f"op{position}", phase=Phase.FORWARD) for position, op in enumerate(graph.ops)]
    ops[6:] = [replace(op, cost=10 + position) for position, op in enumerate(ops[6:])]
    plain = replace(graph, ops=tuple(ops), name="plain")
    assert recognise(plain) == recognise(graph) == UnitChain(6, False, 1, 1, 1, 0, 0, 0)
    result = solved(plain, 4)
    assert result.cost is not None and result.cost - plain.base_cost == extra_forward_steps(6, 2) - 5


def test_last_gradient_may_have_any_size() -> None:
    graph = tape_chain(4)
    values = (*graph.values[:-1], replace(graph.values[-1], size_bytes=5))
    large = replace(graph, values=values)
    for budget in range(6, 10):
        referee = solve_schedule(large, budget, "exhaustive")
        result = solved(large, budget, "mixed")
        assert (result.status, result.cost) == (referee.status, referee.cost), budget


def test_methods_decline_what_is_not_theirs() -> None:
    for graph in (u_shape(2), random_training(4), tape_chain(5)):
        result = solve_schedule(graph, 0.9, "unit_chain")
        assert result.status is Status.NO_SCHEDULE
        assert result.reason == "unit_chain: the graph is no chain of equal steps whose backward reads states"
    assert "whose backward reads tapes" in solve_schedule(chain(5), 0.9, "mixed").reason


def test_reversals_run_as_many_steps_as_they_should() -> None:
    for steps in range(1, 41):
        for snapshots in range(1, 9):
            moves = list(reversal(steps, snapshots))
            assert sum(move > 0 for move in moves) == extra_forward_steps(steps, snapshots)
            assert [move for move in moves if move < 0] == list(range(-steps, 0))
        for slots in range(8):
            table = mixed_table(steps)
            moves = list(table.reversal(steps, slots))
            assert sum(move > 0 for move in moves) == table.fewest(steps, slots) == fewest_from_kept(steps, slots)
            assert [move for move in moves if move < 0] == list(range(-steps, 0))


def test_mixed_takes_no_more_steps_than_revolve() -> None:
    """One slot at a time: Revolve repeats each step once more, to write the tape that it reverses from."""
    table = mixed_table(MOST_STEPS)
    for steps in range(1, MOST_STEPS + 1):
        for slots in range(12):
            assert table.fewest(steps, slots) <= steps + extra_forward_steps(steps, slots + 1)


def test_a_long_chain_is_solved_at_once() -> None:
    for graph, budget in ((chain(2000), 30), (tape_chain(500), 24)):
        result = solve_schedule(graph, budget)
        assert result.status is Status.OPTIMAL
        assert result.seconds < 20


def test_time_limit_leaves_a_schedule_with_fewer_slots() -> None:
    graph = tape_chain(1400)
    result = solve_schedule(graph, 700, time_limit=1.5)
    assert result.status is Status.FEASIBLE
    assert "rows of the recursion" in result.reason
    assert result.cost is not None and result.lower_bound is not None
    assert graph.base_cost < result.lower_bound < result.cost


def test_no_chain_has_no_step() -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        mixed_table(0)
