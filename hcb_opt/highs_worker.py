"""The process that runs HiGHS; started by `hcb_opt.highs`, never imported by it.

It runs highspy's build, which takes starts and reports on the way.
"""

from __future__ import annotations

import time
from typing import Any

import highspy
import numpy as np

from hcb_opt.highs import COARSE_GAP, Model, Report
from hcb_opt.worker import Send, serve, trivial_report


def _solve(model: Model, send: Send) -> Report:
    if not len(model.costs):
        return trivial_report(model)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", model.seed)
    solver.setOptionValue("time_limit", model.seconds)
    solver.setOptionValue("mip_rel_gap", model.relative_gap)
    solver.setOptionValue("mip_abs_gap", 1e-7)
    # A budget of 8 GiB is met to the byte only with tolerances below the defaults.
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("mip_feasibility_tolerance", 1e-9)
    solver.setOptionValue("small_matrix_value", 1e-12)
    solver.passModel(_lp(model))
    if model.start is not None:
        start = highspy.HighsSolution()
        start.col_value = model.start.tolist()
        solver.setSolution(start)
    bound: float | None = None
    began = time.perf_counter()

    def improved(event: Any) -> None:
        data = event.data_out
        send(Report(np.array(data.mip_solution), float(data.objective_function_value), bound))

    def logged(event: Any) -> None:
        nonlocal bound
        dual = float(event.data_out.mip_dual_bound)
        if np.isfinite(dual) and (bound is None or dual > bound):
            bound = dual
            send(Report(None, None, bound))

    def checked(event: Any) -> None:
        data = event.data_out
        primal = data.mip_primal_bound  # infinite while there is no solution
        near = np.isfinite(primal) and primal - data.mip_dual_bound <= COARSE_GAP * abs(primal)
        event.interrupt(bool(near and time.perf_counter() - began > model.patience_seconds))

    if model.integrality.any():
        solver.cbMipInterrupt.subscribe(checked)
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
    if model.integrality.any():
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
    lp.row_lower_, lp.row_upper_ = model.row_lower, model.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = (
        model.row_starts,
        model.row_columns,
        model.row_coefficients,
    )
    if model.integrality.any():
        kinds = highspy.HighsVarType
        lp.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in model.integrality]
    return lp


if __name__ == "__main__":
    serve(_solve)
