"""Kusumoto's lower sets: keep the boundaries of a sequence of lower sets, recompute the blocks between them."""

from __future__ import annotations

from collections.abc import Iterator

from hcb_opt.blocks import turn_position
from hcb_opt.lower_sets import LowerSetProgramme, all_lower_sets, ancestor_sets
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.replay import replay
from hcb_opt.reversal import keep_every_cut, offer_cheapest, reversal_computes
from hcb_opt.schedule import schedule_from_computes

CITES = "Kusumoto et al., NeurIPS 2019"
MOST_LOWER_SETS = 1000
HALVINGS = 8


@method(
    "kusumoto_exact",
    kind="heuristic",
    graphs=f"any DAG of at most {MOST_LOWER_SETS} lower sets",
    cites=CITES,
)
def kusumoto_exact(problem: Problem, progress: Progress) -> None:
    """Kusumoto's dynamic programme over all lower sets of the forward; blocks are recomputed once.

    Least overhead in the paper's model of memory, which takes every value of a
    block and its gradient to be held at once. What a schedule really holds is
    replayed, and the model's limit is bisected for the largest whose schedule
    fits.
    """
    turn = turn_position(problem.graph)
    members = all_lower_sets(problem.graph, turn, MOST_LOWER_SETS)
    if members is None:
        progress.give_up(f"the forward has more than {MOST_LOWER_SETS} lower sets; kusumoto_approximate takes fewer")
        return
    _offer(problem, progress, LowerSetProgramme(problem.graph, turn, members))


@method("kusumoto_approximate", kind="heuristic", graphs="any DAG of at most 3000 ops", cites=CITES, max_ops=3000)
def kusumoto_approximate(problem: Problem, progress: Progress) -> None:
    """Kusumoto's dynamic programme over the lower sets that single ops span; blocks are recomputed once.

    As `kusumoto_exact`, with one lower set for each forward op, the op and all it
    depends on: the paper's approximation for large networks.
    """
    turn = turn_position(problem.graph)
    _offer(problem, progress, LowerSetProgramme(problem.graph, turn, ancestor_sets(problem.graph, turn)))


def _offer(problem: Problem, progress: Progress, programme: LowerSetProgramme) -> None:
    offer_cheapest(problem, progress, _candidates(problem, programme), "sequences of lower sets")


def _candidates(problem: Problem, programme: LowerSetProgramme) -> Iterator[list[int]]:
    """Schedules of plans for limits around the largest at which that of least overhead fits."""
    graph, most = problem.graph, programme.most_bytes
    low, high, limit = 0, most, most
    fitting: dict[tuple[int, ...], bool] = {}
    while True:
        plans = programme.plans(limit)
        for plan in plans:
            if plan not in fitting:
                computes = reversal_computes(programme.blocks(plan), keep_every_cut)
                yield computes
                peak_bytes = replay(graph, schedule_from_computes(graph, computes)).peak_bytes
                fitting[plan] = peak_bytes <= problem.budget_bytes
        # A limit without a plan is too small too.
        low, high = (limit, high) if not plans or fitting[plans[0]] else (low, limit)
        limit = (low + high) // 2
        if limit - low <= most >> HALVINGS:
            return
