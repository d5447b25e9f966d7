"""Keep every value until its last use; recompute nothing."""

from __future__ import annotations

from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.schedule import schedule_from_computes


@method(
    "store_all",
    kind="heuristic",
    graphs="any DAG",
    cites="plain backpropagation",
    orders=("fixed", "free"),
)
def store_all(problem: Problem, progress: Progress) -> None:
    """Compute every op once, freeing each value after its last use.

    Optimal whenever it fits: no schedule computes less.
    """
    if not progress.offer(schedule_from_computes(problem.graph, range(len(problem.graph.ops)))):
        progress.give_up(f"storing everything needs {problem.graph.store_all_peak_bytes} bytes")
