"""Plans of whole blocks by dynamic programming, repaired to fit."""

from __future__ import annotations

from hcb_opt.chains.search import block_schedules
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.schedule import schedule_from_computes


@method(
    "block_programme",
    kind="heuristic",
    graphs="any DAG; made for training steps",
    cites="Beaumont et al. 2019, arXiv:1911.13214 (Rotor), with more ways to keep a block",
)
def block_programme(problem: Problem, progress: Progress) -> None:
    """Dynamic programme over blocks of the forward: keep a frontier, or all, part or nothing of a block.

    `hcb_opt.chains` holds its parts. Several partitions are tried; for each, one
    programme gives the cheapest plan for every amount of memory, and the plans
    around the budget are repaired and freed of needless recomputes.
    """
    for computes in block_schedules(problem.graph, problem.budget_bytes, lambda: progress.done):
        if computes is not None:
            progress.offer(schedule_from_computes(problem.graph, computes))
        if progress.done:
            return
    if progress.schedule is None:
        progress.give_up(f"no plan of blocks could be made to fit {problem.budget_bytes} bytes")
