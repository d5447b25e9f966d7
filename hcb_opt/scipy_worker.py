"""The process that runs SciPy's build of HiGHS; started by `hcb_opt.highs`, never imported by it.

It takes no start and reports only at the end.
"""

from __future__ import annotations

import math

from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from hcb_opt.highs import Model, Report
from hcb_opt.worker import Send, serve, trivial_report

_OPTIMAL, _TIME_LIMIT, _INFEASIBLE = 0, 1, 2
_UNBOUNDED_OR_INFEASIBLE = "HiGHS Status 9"


def _solve(model: Model, send: Send) -> Report:
    if not len(model.costs):
        return trivial_report(model)
    rows = csr_array((model.row_coefficients, model.row_columns, model.row_starts), shape=model.shape)
    answer = milp(
        model.costs,
        constraints=LinearConstraint(rows, model.row_lower, model.row_upper) if rows.shape[0] else None,
        bounds=Bounds(model.lower, model.upper),
        integrality=model.integrality,
        options={"time_limit": model.seconds, "mip_rel_gap": model.relative_gap},
    )
    # Columns are bounded, so that what may be unbounded is infeasible.
    infeasible = answer.status == _INFEASIBLE or _UNBOUNDED_OR_INFEASIBLE in str(answer.message)
    optimal = answer.status == _OPTIMAL
    bound = answer.mip_dual_bound if model.integrality.any() else answer.fun if optimal else None
    return Report(
        None if infeasible else answer.x,
        None if infeasible or answer.x is None else float(answer.fun),
        float(bound) if bound is not None and math.isfinite(bound) and not infeasible else None,
        infeasible=infeasible,
        optimal=optimal,
        last=True,
        message="" if optimal or infeasible else str(answer.message),
    )


if __name__ == "__main__":
    serve(_solve)
