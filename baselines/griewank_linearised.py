"""Revolve's plan on the ops of the forward in topological order, as if they were a chain."""

from __future__ import annotations

from hcb_opt.blocks import turn_position
from hcb_opt.checkpoints import CheckpointChain
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.reversal import binomial_reversals, offer_cheapest


@method(
    "griewank_linearised",
    kind="heuristic",
    graphs="any DAG",
    cites="Griewank and Walther 2000, Algorithm 799, as in Jain et al., MLSys 2020",
)
def griewank_linearised(problem: Problem, progress: Progress) -> None:
    """Binomial checkpointing of single ops: Revolve's plan as if the forward were a chain of unit steps.

    Every op is a step, whatever it costs, and a snapshot keeps one op's outputs;
    what skips over it is recomputed for the backward. Several numbers of
    snapshots are tried, the most first; the cheapest schedule within budget
    counts. `revolve` keeps whole frontiers, and cuts the forward by cost.
    """
    turn = turn_position(problem.graph)
    chain = CheckpointChain(problem.graph, tuple(range(turn + 1)))
    offer_cheapest(problem, progress, binomial_reversals(chain), "binomial schedules of single ops")
