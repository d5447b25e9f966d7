"""The process that runs HiGHS; started by `hcb_opt.highs`, never imported by it.

It reads pickled `hcb_opt.highs.Model` messages on standard input and answers
with pickled `hcb_opt.highs.Report` messages, the last of each solve marked.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import Any, BinaryIO

import highspy
import numpy as np

from hcb_opt.highs import Model, Report


def serve(requests: BinaryIO, reports: BinaryIO) -> None:
    """Solve models until standard input ends."""
    while True:
        try:
            model: Model = pickle.load(requests)
        except EOFError:
            return

        def send(report: Report) -> None:
            pickle.dump(report, reports, protocol=pickle.HIGHEST_PROTOCOL)
            reports.flush()

        send(_solve(model, send))


def _solve(model: Model, send: Any) -> Report:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", model.seed)
    solver.setOptionValue("time_limit", model.seconds)
    solver.setOptionValue("mip_rel_gap", model.relative_gap)
    solver.setOptionValue("mip_abs_gap", 1e-7)
    solver.passModel(_lp(model))
    if model.start is not None:
        start = highspy.HighsSolution()
        start.col_value = model.start.tolist()
        solver.setSolution(start)
    bound: float | None = None

    def improved(event: Any) -> None:
        data = event.data_out
        send(Report(np.array(data.mip_solution), float(data.objective_function_value), bound))

    def logged(event: Any) -> None:
        nonlocal bound
        dual = float(event.data_out.mip_dual_bound)
        if np.isfinite(dual) and (bound is None or dual > bound):
            bound = dual
            send(Report(None, None, bound))

    if model.integral:
        solver.cbMipImprovingSolution.subscribe(improved)
        solver.cbMipLogging.subscribe(logged)
    solver.run()
    return _last_report(solver, model, bound)


def _last_report(solver: Any, model: Model, bound: float | None) -> Report:
    status = solver.getModelStatus()
    kinds = highspy.HighsModelStatus
    info = solver.getInfo()
    infeasible = status in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible)
    found = not infeasible and info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    optimal = status == kinds.kOptimal
    if model.integral:
        dual = float(info.mip_dual_bound)
        if np.isfinite(dual) and not infeasible:
            bound = dual if bound is None else max(bound, dual)
    else:
        bound = float(info.objective_function_value) if optimal else None
    return Report(
        np.array(solver.getSolution().col_value) if found else None,
        float(info.objective_function_value) if found else None,
        bound,
        infeasible=infeasible,
        optimal=optimal,
        last=True,
        message="" if optimal or infeasible else solver.modelStatusToString(status),
    )


def _lp(model: Model) -> Any:
    lp = highspy.HighsLp()
    rows, columns = model.shape
    lp.num_col_, lp.num_row_ = columns, rows
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = model.costs, model.lower, model.upper
    lp.row_lower_, lp.row_upper_ = model.row_lower, np.full(rows, highspy.kHighsInf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = (
        model.row_starts,
        model.row_columns,
        model.row_coefficients,
    )
    if model.integral:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * columns
    return lp


def main() -> None:
    """Serve on standard input and output; whatever HiGHS prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, reports)


if __name__ == "__main__":
    main()
