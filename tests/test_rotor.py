"""Rotor: its recursion, its plans by replay, and where it meets other exact methods."""

from __future__ import annotations

import random
import time
from functools import cache

import pytest

from hcb_opt import OpSpec, Phase, build_graph
from hcb_opt.binomial import extra_forward_steps
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.rotor_chains import unequal_chain
from hcb_opt.generators import chain, random_training, tape_chain
from hcb_opt.graph import Graph
from hcb_opt.replay import replay
from hcb_opt.result import Status
from hcb_opt.rotor import Release, Reverse, Rotor, Run, Stage, classical_stage
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule


def random_stages(rng: random.Random, count: int) -> list[Stage]:
    """Classical ones, and ones whose every need differs."""
    stages = []
    for _ in range(count):
        output, forward, backward = rng.randint(0, 5), rng.randint(0, 9), rng.randint(0, 9)
        tape = output + rng.randint(0, 6)
        overhead = (rng.randint(0, 2), rng.randint(0, 2))
        stage = classical_stage(forward, backward, output, tape, overhead_bytes=overhead)
        if rng.random() < 0.5:
            run, record, again, gradient, whole = (rng.randint(0, 15) for _ in range(5))
            stage = Stage(forward, backward, output, tape, run, record, forward // 2, again, gradient, whole)
        stages.append(stage)
    return stages


def least_by_recursion(stages: tuple[Stage, ...], budget: int) -> int | None:
    """The recursion as the report writes it, memory in bytes."""
    never = 10**9

    @cache
    def least(first: int, last: int, memory: int) -> int:
        stage, after = stages[first], stages[last].gradient_bytes
        if memory < 0:
            return never
        if first == last:
            fits = memory >= max(after + stage.again_bytes, stage.backward_bytes)
            return stage.again_cost + stage.backward_cost if fits else never
        best = never
        if memory >= max(after + stage.record_bytes, stage.backward_bytes):
            rest = least(first + 1, last, memory - stage.tape_bytes)
            best = stage.forward_cost + stage.backward_cost + rest
        between = range(first + 1, last)
        need = max([stage.run_bytes, *(stages[k - 1].output_bytes + stages[k].run_bytes for k in between)])
        if memory >= after + need:
            for k in range(first + 1, last + 1):
                run = sum(each.forward_cost for each in stages[first:k])
                rest = least(k, last, memory - stages[k - 1].output_bytes) + least(first, k - 1, memory)
                best = min(best, run + rest)
        return min(best, never)

    cost = least(0, len(stages) - 1, budget)
    return None if cost == never else cost


def test_tables_hold_the_recursion_and_plans_cost_what_they_say() -> None:
    rng = random.Random(0)
    fitting = 0
    for _ in range(120):
        stages = random_stages(rng, rng.randint(1, 6))
        ceiling = rng.randint(5, 50)
        tables = Rotor(stages, ceiling, slots=ceiling)
        assert tables.slot_bytes == 1
        for budget in range(0, ceiling + 1, 2):
            cost = tables.least_cost(budget)
            assert cost == least_by_recursion(tuple(stages), budget)
            if cost is not None:
                fitting += 1
                assert plan_cost(stages, tables, budget) == cost
    assert fitting > 500


def plan_cost(stages: list[Stage], tables: Rotor, slots: int) -> int:
    """Cost of a plan; what must be held for each move is."""
    cost, left = 0, len(stages)
    outputs, tapes = {-1}, set[int]()
    for move in tables.moves(slots):
        if isinstance(move, Run):
            assert move.stage - 1 in outputs
            stage = stages[move.stage]
            cost += stage.forward_cost if move.output else stage.again_cost
            outputs |= {move.stage} if move.output else set()
            tapes |= {move.stage} if move.tape else set()
        elif isinstance(move, Release):
            outputs.remove(move.stage)
        else:
            left -= 1
            assert move.stage == left and left - 1 in outputs
            tapes.remove(move.stage)
            outputs.discard(move.stage)
            cost += stages[move.stage].backward_cost
    assert not left and not tapes and outputs == {-1}
    return cost


def test_slots_larger_than_a_byte_never_promise_too_much() -> None:
    rng = random.Random(1)
    for _ in range(40):
        stages, ceiling = random_stages(rng, 5), rng.randint(30, 60)
        exact, rough = Rotor(stages, ceiling, slots=ceiling), Rotor(stages, ceiling, slots=8)
        for budget in range(ceiling + 1):
            cost, least = rough.least_cost(budget), exact.least_cost(budget)
            assert cost is None or (least is not None and least <= cost)


@pytest.mark.parametrize("slots", range(1, 8))
def test_equal_stages_that_save_their_input_are_revolves(slots: int) -> None:
    """The initial state takes no slot here, and the one that is reversed from does: as many as snapshots."""
    stage = Stage(1, 0, 1, 1, 0, 0, 0, 0, 0, 0)
    for steps in range(1, 41):
        assert Rotor([stage] * steps, slots, slots).least_cost(slots) == extra_forward_steps(steps, slots), steps


def taped_graph(sizes: list[tuple[int, int]], costs: list[tuple[int, int]]) -> Graph:
    """A chain whose forward writes state and tape, and whose backward reads both and the state before."""
    count = len(sizes)
    specs = []
    for step, ((state, tape), (forward, _)) in enumerate(zip(sizes, costs, strict=True)):
        reads = (f"x{step - 1}",) if step else ()
        specs.append(OpSpec(f"f{step}", forward, reads, ((f"x{step}", state), (f"t{step}", tape))))
    for step in range(count - 1, -1, -1):
        reads = (f"t{step}", f"x{step}", *((f"x{step - 1}",) if step else ()))
        gradient = (f"g{step + 1}",) if step + 1 < count else ()
        size = sizes[step - 1][0] if step else 1
        specs.append(
            OpSpec(f"b{step}", costs[step][1], (*reads, *gradient), ((f"g{step}", size),), phase=Phase.BACKWARD)
        )
    return build_graph(specs, ["g0"])


def stages_of_taped_graph(sizes: list[tuple[int, int]], costs: list[tuple[int, int]]) -> list[Stage]:
    stages = []
    for step, ((state, tape), (forward, backward)) in enumerate(zip(sizes, costs, strict=True)):
        both = state + tape
        # The forward writes its tape in any case; the last backward has no gradient to read.
        gradient = state if step + 1 < len(sizes) else 0
        running = both + gradient + (sizes[step - 1][0] if step else 1)
        stages.append(Stage(forward, backward, state, both, both, both, forward, both, gradient, running))
    return stages


def test_plans_keep_to_their_memory_and_no_exact_method_is_dearer() -> None:
    """On chains of unequal stages, by replay; the optimum may be cheaper, as it keeps and drops single values."""
    rng = random.Random(2)
    equal = cheaper = 0
    for _ in range(40):
        count = rng.randint(2, 5)
        sizes = [(rng.randint(1, 4), rng.randint(0, 5)) for _ in range(count)]
        costs = [(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(count)]
        graph, stages = taped_graph(sizes, costs), stages_of_taped_graph(sizes, costs)
        most = graph.store_all_peak_bytes
        tables = Rotor(stages, most, slots=most)
        for budget in range(most // 3, most + 1):
            cost = tables.least_cost(budget)
            if cost is None:
                continue
            computes = []
            for move in tables.moves(budget):
                if isinstance(move, Run):
                    computes.append(move.stage)
                elif isinstance(move, Reverse):
                    computes.append(2 * count - 1 - move.stage)
            judged = replay(graph, schedule_from_computes(graph, computes))
            assert judged.cost == cost and judged.peak_bytes <= budget and judged.fixed_order
            optimum = solve_schedule(graph, budget, "exhaustive").cost
            assert optimum is not None and optimum <= cost
            equal += optimum == cost
            cheaper += optimum < cost
    assert equal > 100 and cheaper > 10, (equal, cheaper)


def test_the_method_finds_the_optimum_of_every_unit_chain() -> None:
    for steps in range(2, 16):
        graph = chain(steps)
        for budget in range(3, steps + 2):
            proven = solve_schedule(graph, budget)
            assert proven.status is Status.OPTIMAL
            assert solve_schedule(graph, budget, "rotor").cost == proven.cost, (steps, budget)


def test_the_method_beside_the_optimum() -> None:
    """A tape counts with the state beside it, which on tape chains need not be held; skips are counted twice."""
    for graph in (tape_chain(6), random_training(5, 3), random_training(6, 8)):
        found = 0
        for budget in range(1, graph.store_all_peak_bytes + 1, 2):
            best, rotor = (solve_schedule(graph, budget, method) for method in ("exhaustive", "rotor"))
            if rotor.cost is not None:
                found += 1
                assert best.cost is not None and best.cost <= rotor.cost
        assert found > 1


def test_cuts_that_leave_the_loss_a_stage_by_itself_are_not_the_only_ones_tried() -> None:
    """Of these 20 unequal steps: 21.6 % if they were."""
    overhead = solve_schedule(unequal_chain(20, seed=1), 0.4, "rotor").overhead
    assert overhead is not None and overhead < 0.2


def test_it_says_when_nothing_fits() -> None:
    graph = tape_chain(30)
    result = solve_schedule(graph, 3, "rotor")
    assert result.cost is None and "no plan of Rotor's fits" in result.reason


@pytest.mark.slow
def test_300_stages_in_500_slots_take_less_than_ten_seconds() -> None:
    rng = random.Random(3)
    stages = [
        classical_stage(
            rng.randint(1, 10**6), rng.randint(1, 10**6), rng.randint(10**6, 10**7), rng.randint(10**7, 4 * 10**7)
        )
        for _ in range(300)
    ]
    started = time.process_time()
    tables = Rotor(stages, 2 * 10**9)
    assert len(tables.moves(tables.slots)) > 600
    assert time.process_time() - started < 10


def test_one_of_each_is_wanted() -> None:
    for stages, ceiling, slots in (
        ([], 5, 5),
        ([classical_stage(1, 1, 1, 1)], 0, 5),
        ([classical_stage(1, 1, 1, 1)], 5, 0),
    ):
        with pytest.raises(InvalidInput, match="at least one of each"):
            Rotor(stages, ceiling, slots)
