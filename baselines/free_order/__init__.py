"""Reorder and rematerialize: annealing over sequences, and exact solves in the orders it finds.

The idea of annealing over sequences of runs, with memory over budget allowed
on the way, is that of FastSA (Imanishi, Xu, Takagi, Wang and Castillo, "A fast
heuristic to optimize time-space tradeoff for large models", NeurIPS 2023). Here
each move is drawn from all its places at once, and the order of the best
sequence is handed to the fixed-order solver.
"""

from __future__ import annotations

from hcb_opt.baselines.free_order.search import Search
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method


@method(
    "free_order",
    kind="heuristic",
    graphs="any DAG",
    cites="after FastSA: Imanishi et al., NeurIPS 2023",
    claim="free-order",
    orders=("free",),
)
def free_order(problem: Problem, progress: Progress) -> None:
    """Reorder and recompute by simulated annealing, then solve the best orders with frontier_cuts."""
    Search(problem, progress).run()
