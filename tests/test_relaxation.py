"""The frontier-cut relaxation holds every legal schedule, and none of its optima exceeds the true one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from strategies import random_budget, random_graph
from walks import random_walk

from hcb_opt.bounds import cost_divisor, integer_bound
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.encode import encode
from hcb_opt.formulations.frontier_cuts.order_rows import OrderRows
from hcb_opt.formulations.frontier_cuts.passage_rows import inspect_passage
from hcb_opt.formulations.frontier_cuts.plan import realise
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.generators import random_layered
from hcb_opt.graph import Graph
from hcb_opt.highs import Vector, highs
from hcb_opt.replay import replay
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.solve import solve_schedule

ROUNDING = 1e-7


@dataclass(frozen=True)
class Row:
    """One row of a relaxation, as it reaches the solver."""

    terms: dict[int, float]
    lower: float

    def slack(self, point: Vector) -> float:
        return sum(coefficient * point[column] for column, coefficient in self.terms.items()) - self.lower


def rows_of(relaxation: Relaxation) -> list[Row]:
    """The rows of the model, without the coefficients that the solver would ignore."""
    model = relaxation.model(seconds=1.0, seed=0)
    rows = []
    for index, lower in enumerate(model.row_lower):
        span = slice(model.row_starts[index], model.row_starts[index + 1])
        terms: dict[int, float] = {}
        coefficients = model.row_coefficients[span].tolist()
        for column, coefficient in zip(model.row_columns[span].tolist(), coefficients, strict=True):
            assert column not in terms, "a column twice in one row"
            if abs(coefficient) > 1e-9:  # HiGHS drops what is smaller: option small_matrix_value
                terms[column] = coefficient
        rows.append(Row(terms, float(lower)))
    return rows


def random_cuts(graph: Graph, rng: random.Random) -> Cuts:
    """Random positions, the last op and all of them included, with random recomputes to order."""
    last = len(graph.ops) - 1
    share = rng.choice((0.2, 0.5, 0.8, 1.0))
    positions = {position for position in range(last + 1) if rng.random() < share} or {rng.randint(0, last)}
    cuts = Cuts(graph, positions)
    for target in sorted(positions | {last + 1}):
        if rng.random() < 0.5:
            cuts.recomputes[target] = {op for op in range(target) if rng.random() < 0.7}
    return cuts


def single_targets(cuts: Cuts) -> list[int]:
    """The targets of stages with one new op, and of a last stage with none."""
    last = len(cuts.graph.ops)
    return [each for each in sorted(cuts.positions | {last}) if each - 1 in cuts.positions and each <= last]


def uncharged(relaxation: Relaxation, point: Vector, rng: random.Random) -> Vector:
    """A point that recomputes nothing and carries about what this one does: its passages are too cheap."""
    changed = point.copy()
    for stage in relaxation.recompute:
        changed[list(stage.values())] = 0.0
    changed[list(relaxation.extra.values())] = 0.0
    flips = rng.choice((0.0, 0.0, 0.1, 0.4))
    for stage in relaxation.carry:
        for column in stage.values():
            if rng.random() < flips:
                changed[column] = 1.0 - changed[column]
    return changed


def assert_holds(relaxation: Relaxation, order_rows: list[OrderRows], graph: Graph, order: list[int]) -> Vector:
    """The sequence's point keeps to every row and bound, and costs no more than its recomputes."""
    point = encode(relaxation, order_rows, order)
    model = relaxation.model(seconds=1.0, seed=0)
    whole = model.integrality == 1
    assert (point[whole] == np.round(point[whole])).all()
    assert (model.lower <= point).all() and (point <= model.upper).all()
    for index, row in enumerate(rows_of(relaxation)):
        assert row.slack(point) >= -ROUNDING, f"{graph.name}: row {index} of {sorted(relaxation.cuts)} cuts off {order}"
    recomputes = sum(graph.ops[op].cost for op in order) - graph.base_cost
    assert sum(cost * x for cost, x in zip(relaxation.costs, point.tolist(), strict=True)) <= recomputes * (1 + 1e-12)
    return point


def check_sequence(graph: Graph, order: list[int], seed: int) -> tuple[int, int]:
    """Hold one sequence against random rows; counts passage bounds, and rows that need E."""
    rng = random.Random(seed)
    judged = replay(graph, schedule_from_computes(graph, order))
    assert judged.fixed_order
    budget = judged.peak_bytes + rng.choice((0, 0, 0, 1, 3))
    cuts = random_cuts(graph, rng)
    relaxation, order_rows = cuts.relaxation(budget)
    point = assert_holds(relaxation, order_rows, graph, order)
    add_passages(cuts, relaxation, point, rng)
    relaxation, order_rows = cuts.relaxation(budget)
    point = assert_holds(relaxation, order_rows, graph, order)
    without = point.copy()
    without[list(relaxation.extra.values())] = 0.0
    return len(cuts.passages), sum(row.slack(without) < -ROUNDING for row in rows_of(relaxation))


def add_passages(cuts: Cuts, relaxation: Relaxation, point: Vector, rng: random.Random) -> None:
    """Add the passage bounds of all stages with one new op, as a point near this one asks for them."""
    for target in single_targets(cuts):
        found = inspect_passage(relaxation, uncharged(relaxation, point, rng), target)
        if isinstance(found, list):
            cuts.passages.extend(found)


def test_every_walk_is_a_point() -> None:
    passages = 0
    for seed in range(1500):
        graph = random_graph(seed, max_ops=7)
        passages += check_sequence(graph, random_walk(graph, seed), seed)[0]
    assert passages > 1200


def test_every_tight_optimum_is_a_point() -> None:
    repeats = optima = 0
    for graph, order, seed in tight_optima(500):
        repeats += check_sequence(graph, order, seed)[1]
        optima += 1
    assert optima > 400
    assert repeats >= 5  # an op that runs twice within a stage is charged by E alone


def test_every_tight_sequence_with_huge_costs_is_a_point() -> None:
    """Costs in flop: no coefficient that a row needs is below the smallest one the solver takes."""
    for graph, order, seed in tight_optima(500):
        check_sequence(with_huge_costs(graph, seed), order, seed)


def test_larger_walks_are_points() -> None:
    for seed in range(60):
        graph = random_graph(3 * seed + 1, max_ops=25)
        order = random_walk(graph, seed)
        budget = replay(graph, schedule_from_computes(graph, order)).peak_bytes
        relaxation, order_rows = random_cuts(graph, random.Random(seed)).relaxation(budget)
        assert_holds(relaxation, order_rows, graph, order)


def test_no_optimum_exceeds_the_exhaustive_one() -> None:
    process = highs()
    tight = feasible = infeasible = 0
    for seed in range(400):
        graph = bottleneck(seed) if seed % 4 == 0 else random_graph(seed, max_ops=7)
        budget = max(random_budget(graph, seed), *graph.workset_bytes)
        true = solve_schedule(graph, budget, method="exhaustive")
        rng = random.Random(seed)
        cuts = random_cuts(graph, rng)
        relaxation, _ = cuts.relaxation(budget)
        point = np.array([rng.random() < 0.5 for _ in relaxation.costs], dtype=np.float64)
        add_passages(cuts, relaxation, point, rng)
        relaxation, _ = cuts.relaxation(budget)
        if not relaxation.costs:
            continue
        report = process.solve(relaxation.model(seconds=30.0, seed=0))
        if true.cost is None:
            infeasible += 1
            continue
        assert report.bound is not None and report.values is not None, f"{graph.name}: {report.message or 'infeasible'}"
        bound = graph.base_cost + integer_bound(report.bound * relaxation.scale, cost_divisor(graph))
        assert bound <= true.cost, f"{graph.name} at {budget}: {sorted(cuts.positions)}"
        feasible += 1
        tight += bound == true.cost > graph.base_cost
        planned = realise(relaxation, report.values)
        dearest = graph.base_cost + report.values @ np.array(relaxation.costs)
        assert sum(graph.ops[op].cost for op in planned) <= dearest + 1e-6
    assert feasible > 250
    assert infeasible > 4
    assert tight > 30


def test_rows_reach_the_last_op_and_past_it() -> None:
    """Outputs made early, and dropped by a big last op, come again after it."""
    graph = build_graph(
        [
            OpSpec("early", 5, (), (("gradient", 4), ("unread", 0))),
            OpSpec("big", 1, (), (("wide", 8),)),
            OpSpec("last", 1, ("wide",), (("thin", 1),), workspace_bytes=2),
        ],
        ["gradient", "thin"],
    )
    for positions in ({1}, {2}, {0, 1, 2}):
        relaxation, order_rows = Cuts(graph, positions, {3: {0, 1}}).relaxation(11)
        report = highs().solve(relaxation.model(seconds=10.0, seed=0))
        assert report.optimal
        assert report.objective is not None and report.objective * relaxation.scale == pytest.approx(5)
        assert realise(relaxation, report.values) == [0, 1, 2, 0]  # type: ignore[arg-type]
        assert_holds(relaxation, order_rows, graph, [0, 1, 2, 0])


def test_a_cut_counts_what_is_kept_past_it() -> None:
    # At "loss" (peak 10 + 20 + 20 + 4 + 6) 20 bytes are kept of 30: x2 for 5, or x1 and mask for 3.
    graph = build_graph(
        [
            OpSpec("layer1", 3, (), (("x1", 10),)),
            OpSpec("layer2", 5, ("x1",), (("x2", 20),)),
            OpSpec("layer3", 5, ("x2",), (("x3", 20),)),
            OpSpec("loss", 1, ("x3",), (("loss", 4),), workspace_bytes=6),
            OpSpec("grad", 5, ("x2", "x1", "loss"), (("g", 1),)),
        ],
        ["g"],
    )
    relaxation = Relaxation(graph, 50, [3])
    report = highs().solve(relaxation.model(seconds=10.0, seed=0))
    assert report.optimal
    assert report.objective == pytest.approx(3)
    assert realise(relaxation, report.values) == [0, 1, 2, 3, 0, 4]  # type: ignore[arg-type]


def tight_optima(count: int) -> Iterator[tuple[Graph, list[int], int]]:
    """Graphs, cheapest sequences at about their least budget, and seeds."""
    for seed in range(count):
        graph = bottleneck(seed)
        result = solve_schedule(graph, max(graph.workset_bytes) + seed % 2, method="exhaustive")
        if result.schedule is not None:
            yield graph, list(result.schedule.computes), seed


def bottleneck(seed: int) -> Graph:
    """Small values through wide intermediates, needed again together when little else fits."""
    rng = random.Random(seed)
    specs = [OpSpec("first", 1 + rng.randrange(5), (), (("v0", 1),))]
    thin = ["v0"]
    for index in range(rng.randint(1, 2)):
        inputs = tuple(rng.sample(thin, min(len(thin), rng.choice((1, 1, 2)))))
        specs.append(OpSpec(f"widen{index}", rng.randrange(5), inputs, ((f"wide{index}", rng.choice((4, 6))),)))
        specs.append(OpSpec(f"narrow{index}", rng.randrange(5), (f"wide{index}",), ((f"thin{index}", 1),)))
        thin.append(f"thin{index}")
    specs.append(OpSpec("join", rng.randrange(5), tuple(thin), (("joined", 1),)))
    specs.append(OpSpec("big", rng.randrange(3), (), (("big", rng.choice((5, 7, 8))),)))
    specs.append(OpSpec("end", 1, tuple(rng.sample(["big", "joined", *thin], rng.randint(1, 3))), (("e", 1),)))
    return build_graph(specs, ["joined" if rng.random() < 0.5 else "e"], name=f"bottleneck_{seed}")


def with_huge_costs(graph: Graph, seed: int) -> Graph:
    """The graph with costs of up to 1e12 without a common divisor."""
    rng = random.Random(seed)
    ops = (replace(op, cost=op.cost * 30_000_000_000 + rng.randint(0, 999)) for op in graph.ops)
    return replace(graph, ops=tuple(ops))


def test_more_cuts_never_lower_the_linear_bound_of_one() -> None:
    """What tail rows are for: without them fractions spread over the stages."""
    raised = 0
    for seed in range(40):
        graph = random_layered(60, seed=seed)
        budget = int(0.8 * graph.store_all_peak_bytes)
        over = [position for position, held in enumerate(graph.store_all_profile_bytes) if held > budget]
        positions = random.Random(seed).sample(over, min(len(over), 3))

        def linear_bound(positions: list[int], graph: Graph = graph, budget: int = budget) -> float:
            model = Cuts(graph, set(positions)).relaxation(budget)[0].model(seconds=10.0, seed=0)
            report = highs().solve(replace(model, integrality=np.zeros_like(model.integrality)))
            return np.inf if report.infeasible else float(report.bound or 0.0)

        together = linear_bound(positions)
        alone = [linear_bound([position]) for position in positions]
        assert together == np.inf or together >= max(alone) - 1e-6 * (1 + abs(together)), graph.name
        raised += together > max(alone) + 1e-6
    assert raised > 5
