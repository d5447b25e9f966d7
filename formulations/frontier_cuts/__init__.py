"""The lead method: a relaxation with memory counted at a few cuts, refined until its plan fits.

For any choice of cuts the relaxation's optimum bounds every fixed-order
schedule from below; its solution, realised and repaired, is a schedule. Where
the realised plan exceeds the budget, a cut or rows for the order inside a stage
are added, until the two meet.
"""

from __future__ import annotations

from collections.abc import Sequence

from hcb_opt.bounds import integer_bound
from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.encode import encode
from hcb_opt.formulations.frontier_cuts.passage_rows import PassageBound, cost_unit, inspect_passage
from hcb_opt.formulations.frontier_cuts.plan import realise, worst_violations
from hcb_opt.highs import Report, highs
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.schedule import schedule_from_computes

_FIRST_REPAIR_SHARE = 0.05
_ROUND_SHARE = 0.1
_LEAST_ROUND_SECONDS = 2.0


@method(
    "frontier_cuts",
    kind="exact",
    graphs="any DAG, to 10,000 ops",
    cites="frontier-cut relaxation with refinement",
)
def frontier_cuts(problem: Problem, progress: Progress) -> None:
    """Proven optima and gaps: memory is counted at few cuts, refined where the plan breaks the budget."""
    graph = problem.graph
    unit = cost_unit(graph)
    highs().start()
    _improve(problem, progress, range(len(graph.ops)), problem.time_limit * _FIRST_REPAIR_SHARE)
    profile = graph.store_all_profile_bytes
    cuts = Cuts(graph, {max(range(len(profile)), key=profile.__getitem__)})
    round_seconds = max(_LEAST_ROUND_SECONDS, problem.time_limit * _ROUND_SHARE)
    while not progress.done:
        relaxation, order_rows = cuts.relaxation(problem.budget_bytes)
        scale = relaxation.scale

        def tell(report: Report, scale: float = scale) -> None:
            if report.bound is not None:
                progress.raise_bound(graph.base_cost + integer_bound(report.bound * scale, unit))

        start = None if progress.schedule is None else encode(relaxation, order_rows, progress.schedule.computes)
        seconds = min(progress.remaining_seconds, round_seconds)
        report = highs().solve(
            relaxation.model(start=start, seconds=seconds, relative_gap=0.0, seed=problem.seed), tell
        )
        tell(report)
        if report.infeasible:
            progress.prove_infeasible(
                f"the frontier-cut relaxation with {len(cuts.positions)} cuts has no solution within {problem.budget_bytes} bytes"
            )
            return
        if report.values is None:
            round_seconds *= 2
            continue
        order = realise(relaxation, report.values)
        violations = worst_violations(relaxation, order)
        _improve(problem, progress, order, progress.remaining_seconds)
        inseparable = [violation.target for violation in violations if not cuts.add(violation)]
        scripts: dict[int, Sequence[int]] = {}
        grown = len(inseparable) < len(violations)
        for target in inseparable:
            passage = inspect_passage(relaxation, report.values, target)
            if isinstance(passage, PassageBound):
                cuts.passages.append(passage)
                grown = True
            elif passage is not None:
                scripts[target] = passage.ops
        if scripts:
            _improve(problem, progress, realise(relaxation, report.values, scripts), progress.remaining_seconds)
        if violations and not grown and not scripts:
            progress.give_up("a stage is too large to be searched, and no further cut separates it")
            return
        if not grown and not report.optimal:
            round_seconds *= 2


def _improve(problem: Problem, progress: Progress, order: Sequence[int], seconds: float) -> None:
    """Repair a sequence until it fits, make it cheap, and offer it."""
    deadline = progress.seconds + seconds

    def stop() -> bool:
        return progress.seconds > deadline

    fitting = make_fit(problem.graph, order, problem.budget_bytes, stop)
    if fitting is not None:
        cheap = remove_needless(problem.graph, fitting, problem.budget_bytes, stop)
        progress.offer(schedule_from_computes(problem.graph, cheap))
