"""The lead method: a relaxation with memory counted at a few cuts, refined until its plan fits.

For any choice of cuts the relaxation's optimum bounds every fixed-order
schedule from below; its solution, realised and repaired, is a schedule. Where
the realised plan exceeds the budget, a cut or rows for the order inside a stage
are added, until the two meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd

from hcb_opt.bounds import integer_bound
from hcb_opt.formulations.frontier_cuts.order_rows import OrderRows
from hcb_opt.formulations.frontier_cuts.plan import Violation, realise, worst_violations
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.repair import make_fit, remove_needless
from hcb_opt.schedule import schedule_from_computes

_FIRST_REPAIR_SHARE = 0.05
_ROUND_SHARE = 0.25
_LEAST_ROUND_SECONDS = 2.0
_SLOW_ROUND_SECONDS = 1.0
_COARSE_GAP = 0.005


@dataclass
class _Cuts:
    """Where memory is counted so far.

    Attributes
    ----------
    last_op : int
        Position of the graph's last op.
    positions : set of int
        The cuts.
    recomputes : dict of int to set of int
        For cut -> the recomputed ops with order rows in the stage it ends; the
        number of ops stands for the last stage.
    """

    last_op: int
    positions: set[int]
    recomputes: dict[int, set[int]] = field(default_factory=dict)

    def relaxation(self, problem: Problem) -> Relaxation:
        """The relaxation with all these cuts and rows."""
        relaxation = Relaxation(problem.graph, problem.budget_bytes, self.positions)
        for target, ops in self.recomputes.items():
            OrderRows(relaxation, relaxation.stage_of(target), ops)
        return relaxation

    def add(self, violation: Violation) -> bool:
        """Separate a violation; whether anything was left to add."""
        target = violation.target
        if target not in self.positions and target <= self.last_op:
            self.positions.add(target)
            return True
        rows = self.recomputes.setdefault(target, set())
        if not rows.issuperset(violation.recomputes):
            rows.update(violation.recomputes)
            return True
        if target > 0 and target - 1 not in self.positions:
            self.positions.add(target - 1)
            return True
        return False


@method(
    "frontier_cuts",
    kind="exact",
    graphs="any DAG, to 10,000 ops",
    cites="frontier-cut relaxation and refinement; repair as local search",
)
def frontier_cuts(problem: Problem, progress: Progress) -> None:
    """Proven optima and gaps: memory is counted at few cuts, refined where the plan breaks the budget."""
    graph = problem.graph
    _improve(problem, progress, range(len(graph.ops)), problem.time_limit * _FIRST_REPAIR_SHARE)
    profile = graph.store_all_profile_bytes
    cuts = _Cuts(len(graph.ops) - 1, {max(range(len(profile)), key=profile.__getitem__)})
    coarse = False
    while not progress.done:
        started = progress.seconds
        relaxation = cuts.relaxation(problem)
        seconds = min(progress.remaining_seconds, max(_LEAST_ROUND_SECONDS, progress.remaining_seconds * _ROUND_SHARE))
        answer = relaxation.solve(seconds, _COARSE_GAP if coarse else 0.0)
        if answer.proven_infeasible:
            progress.prove_infeasible(f"no choice of recomputes fits the {len(cuts.positions)} cuts of the frontier-cut relaxation")
            return
        if answer.bound is not None:
            progress.raise_bound(graph.base_cost + integer_bound(answer.bound, gcd(*(op.cost for op in graph.ops))))
        if answer.values is None:
            continue
        order = realise(relaxation, answer.values)
        violations = worst_violations(relaxation, order)
        _improve(problem, progress, order, progress.remaining_seconds)
        if progress.done:
            return
        if not violations:
            if not coarse and answer.optimal:
                progress.give_up("")
            coarse = False
            continue
        if not any([cuts.add(violation) for violation in violations]):
            progress.give_up("no further cut separates the relaxation from the schedules")
            return
        coarse = progress.seconds - started > _SLOW_ROUND_SECONDS


def _improve(problem: Problem, progress: Progress, order: Sequence[int], seconds: float) -> None:
    """Repair a sequence until it fits, make it cheap, and offer it."""
    deadline = progress.seconds + seconds

    def stop() -> bool:
        return progress.seconds > deadline

    fitting = make_fit(problem.graph, order, problem.budget_bytes, stop)
    if fitting is not None:
        cheap = remove_needless(problem.graph, fitting, problem.budget_bytes, stop)
        progress.offer(schedule_from_computes(problem.graph, cheap))
