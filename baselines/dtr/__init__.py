"""Dynamic tensor rematerialization: evict greedily while the ops come, recompute what is missing.

Kirisame et al., "Dynamic Tensor Rematerialization", ICLR 2021 (arXiv:2006.09616):
an online method, which knows of the graph only what has run and when the program lets
go of a value. Its heuristics differ in the score by which a value is evicted
(`hcb_opt.baselines.dtr.scores`). What the run computes is offered with the best
drops, so that its peak may lie below the budget that it kept.
"""

from __future__ import annotations

from hcb_opt.baselines.dtr.online import OnlineFailure, OnlineRun
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
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.schedule import schedule_from_computes

_PAPER = "Kirisame et al., ICLR 2021"


@method("dtr", kind="heuristic", graphs="any DAG", cites=f"{_PAPER}, h_DTR")
def dtr(problem: Problem, progress: Progress) -> None:
    """Online: evict what costs least to have again, evicted neighbourhood included, per stale byte."""
    _run(problem, progress, Full)


@method("dtr_eq", kind="heuristic", graphs="any DAG", cites=f"{_PAPER}, h_DTR^eq")
def dtr_eq(problem: Problem, progress: Progress) -> None:
    """Online: as `dtr`, with the neighbourhood's cost approximated by union-find."""
    _run(problem, progress, Equivalence)


@method("dtr_local", kind="heuristic", graphs="any DAG", cites=f"{_PAPER}, h_DTR^local")
def dtr_local(problem: Problem, progress: Progress) -> None:
    """Online: as `dtr`, with the value's own cost alone."""
    _run(problem, progress, Local)


@method("dtr_lru", kind="heuristic", graphs="any DAG", cites=f"{_PAPER}, h_LRU")
def dtr_lru(problem: Problem, progress: Progress) -> None:
    """Online: evict what was used least recently."""
    _run(problem, progress, LeastRecent)


@method("dtr_msps", kind="heuristic", graphs="any DAG", cites=f"{_PAPER}, h_MSPS; Peng et al., ASPLOS 2020")
def dtr_msps(problem: Problem, progress: Progress) -> None:
    """Online: evict what costs least to have again, evicted ancestors included, per byte (Capuchin's MSPS)."""
    _run(problem, progress, Msps)


@method("dtr_random", kind="heuristic", graphs="any DAG", cites=f"{_PAPER}, h_rand")
def dtr_random(problem: Problem, progress: Progress) -> None:
    """Online: evict any value, by the seed."""
    _run(problem, progress, Random)


@method("dtr_size", kind="heuristic", graphs="any DAG", cites=f"{_PAPER}, h_size")
def dtr_size(problem: Problem, progress: Progress) -> None:
    """Online: evict the largest value."""
    _run(problem, progress, Largest)


def _run(problem: Problem, progress: Progress, score: type[Score]) -> None:
    run = OnlineRun(problem.graph, problem.budget_bytes, score, problem.seed, lambda: progress.done)
    try:
        computes = run.run()
    except OnlineFailure as failure:
        progress.give_up(str(failure))
    else:
        progress.offer(schedule_from_computes(problem.graph, computes))
