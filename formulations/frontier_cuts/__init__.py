"""The lead method: a relaxation with memory counted at a few cuts, refined until its plan fits.

For any choice of cuts the relaxation's optimum bounds every fixed-order
schedule from below; its solution, realised and repaired, is a schedule. Where
the realised plan exceeds the budget, a cut, rows for the order inside a stage
or a bound of a stage's passage is added, until the two meet.
"""

from __future__ import annotations

from hcb_opt.formulations.frontier_cuts.refinement import Refinement
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method


@method(
    "frontier_cuts",
    kind="exact",
    graphs="any DAG, to 10,000 ops",
    cites="frontier-cut relaxation with refinement",
)
def frontier_cuts(problem: Problem, progress: Progress) -> None:
    """Proven optima and gaps: memory is counted at few cuts, refined where the plan breaks the budget."""
    Refinement(problem, progress).run()
