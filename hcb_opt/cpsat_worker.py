"""The process that runs CP-SAT; started by `hcb_opt.cpsat`, never imported by it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from ortools.sat.python import cp_model

from hcb_opt.cpsat import Search
from hcb_opt.solver_process import Report, Vector
from hcb_opt.worker import Send, serve


class _Solutions(cp_model.CpSolverSolutionCallback):
    """Tells of every better solution."""

    def __init__(self, variables: Sequence[cp_model.IntVar], send: Send) -> None:
        super().__init__()
        self._variables = variables
        self._send = send

    def on_solution_callback(self) -> None:
        values = np.array([self.value(each) for each in self._variables], dtype=np.float64)
        self._send(Report(values, self.objective_value, None))


def _solve(search: Search, send: Send) -> Report:
    model = cp_model.CpModel()
    variables = search.programme.build(model)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = search.seconds
    solver.parameters.relative_gap_limit = search.relative_gap
    solver.parameters.random_seed = search.seed
    solver.parameters.num_workers = search.workers
    solver.parameters.cp_model_probing_level = 0  # it takes longer than most solves
    if search.memory_limit_bytes is not None:
        solver.parameters.max_memory_in_mb = max(1, search.memory_limit_bytes >> 20)
    turn = threading.Lock()  # callbacks come from several threads

    def tell(report: Report) -> None:
        with turn:
            send(report)

    solver.best_bound_callback = lambda bound: tell(Report(None, None, bound))
    status = solver.solve(model, _Solutions(variables, tell))
    return _last_report(solver, status, variables)


def _last_report(
    solver: cp_model.CpSolver, status: cp_model.CpSolverStatus, variables: Sequence[cp_model.IntVar]
) -> Report:
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    values: Vector | None = None
    if found:
        values = np.array([solver.value(each) for each in variables], dtype=np.float64)
    return Report(
        values,
        solver.objective_value if found else None,
        None if status == cp_model.INFEASIBLE else solver.best_objective_bound,
        infeasible=status == cp_model.INFEASIBLE,
        optimal=status == cp_model.OPTIMAL,
        last=True,
        message="" if status in (cp_model.OPTIMAL, cp_model.INFEASIBLE) else solver.status_name(status),
    )


if __name__ == "__main__":
    serve(_solve)
