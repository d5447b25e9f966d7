"""Checkmate's mixed-integer programme, by two solvers."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hcb_opt.budget import format_bytes
from hcb_opt.highs import Report, highs
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.schedule import schedule_from_computes
from hcb_opt.stage_model import StageModel

CLAIM = "checkmate-stages"
CITES = "Jain et al., MLSys 2020"
# By their own tolerances; an absolute error in the scaled objective.
_HIGHS_ERROR = 1e-5
_CBC_ERROR = 1e-4


@method("checkmate_milp", kind="exact", graphs="any DAG of at most 300 ops", cites=CITES, max_ops=300, claim=CLAIM)
def checkmate_milp(problem: Problem, progress: Progress) -> None:
    """Checkmate's MILP by HiGHS: each op at most once per stage, in index order.

    Optimum and bound speak of that class, which lacks schedules that run an op
    twice within one stage. The model grows with the square of the number of ops.
    """
    model = StageModel(problem.graph, problem.budget_bytes)
    programme = model.programme(progress.remaining_seconds, problem.gap, problem.memory_limit_bytes)
    answer = highs("hcb_opt.scipy_worker").solve(programme)
    progress.note_solver_memory(answer.peak_memory_bytes)
    _report(model, answer, _HIGHS_ERROR, problem, progress)


@method("checkmate_milp_cbc", kind="exact", graphs="any DAG of at most 100 ops", cites=CITES, max_ops=100, claim=CLAIM)
def checkmate_milp_cbc(problem: Problem, progress: Progress) -> None:
    """Checkmate's MILP by CBC through PuLP: the same model, for comparison.

    CBC is slower than HiGHS, but another program entirely: their agreement is a
    check on both.
    """
    model = StageModel(problem.graph, problem.budget_bytes)
    _report(model, _minimise_by_cbc(model, problem, progress), _CBC_ERROR, problem, progress)


def _report(model: StageModel, answer: Report, error: float, problem: Problem, progress: Progress) -> None:
    if answer.infeasible:
        progress.give_up(f"proven: no schedule of class {CLAIM} fits {problem.budget_bytes} bytes")
        return
    if answer.values is not None:
        fits = progress.offer(schedule_from_computes(model.graph, model.computes(answer.values)))
        if not fits and progress.schedule is None:
            progress.give_up("the solver's schedule misses the budget by a rounding error; try a slightly smaller one")
    if answer.bound is not None:
        bound = model.bound(answer.bound, error)
        # A warm start may lie outside the class, and below its optimum.
        progress.raise_bound(bound if progress.cost is None else min(bound, progress.cost))
    if answer.died:
        progress.give_up(answer.message)
    elif not answer.optimal and not progress.closed:
        progress.give_up(f"time limit reached with {len(model.costs)} columns and {len(model.row_lower)} rows")


def _minimise_by_cbc(model: StageModel, problem: Problem, progress: Progress) -> Report:
    import pulp

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # PuLP 3.3 warns of names that it keeps until 4.0; the newer ones are not in 3.1.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _solve_with_pulp(pulp, Path(folder), model, problem, progress)


def _solve_with_pulp(pulp: Any, folder: Path, model: StageModel, problem: Problem, progress: Progress) -> Report:
    whole = {0: pulp.LpContinuous, 1: pulp.LpInteger}
    columns = [
        pulp.LpVariable(f"x{column}", lower, None if np.isinf(upper) else upper, whole[int(integral)])
        for column, (lower, upper, integral) in enumerate(zip(model.lower, model.upper, model.integrality, strict=True))
    ]
    programme = pulp.LpProblem("checkmate", pulp.LpMinimize)
    programme += pulp.LpAffineExpression(zip(columns, model.costs.tolist(), strict=True))
    rows = model.rows
    for row, (lower, upper) in enumerate(zip(model.row_lower, model.row_upper, strict=True)):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        coefficients = rows.data[entries].tolist()
        terms = [(columns[each], value) for each, value in zip(rows.indices[entries], coefficients, strict=True)]
        sense = pulp.LpConstraintEQ if lower == upper else pulp.LpConstraintLE
        programme += pulp.LpConstraint(pulp.LpAffineExpression(terms), sense, rhs=float(upper))
    log = folder / "cbc.log"
    solver = pulp.PULP_CBC_CMD(
        msg=False, timeLimit=max(1e-3, progress.remaining_seconds), gapRel=problem.gap, threads=1, logPath=str(log)
    )
    solver.tmpDir = str(folder)
    if problem.memory_limit_bytes is not None:
        solver.path = _within_limit(solver.path, problem.memory_limit_bytes, folder)
    try:
        status = programme.solve(solver)
    except pulp.PulpSolverError:
        return Report(None, None, None, last=True, died=True, message=_why_it_failed(problem.memory_limit_bytes))
    bound = _cbc_lower_bound(log.read_text(encoding="utf-8", errors="replace"))
    if status == pulp.LpStatusInfeasible:
        # CBC says so too when its time runs out while it preprocesses.
        return Report(None, None, None, infeasible=progress.remaining_seconds > 0, last=True)
    # PuLP says Optimal also of a solution that the time limit cut short.
    optimal = programme.sol_status == pulp.LpSolutionOptimal
    if not optimal and programme.sol_status != pulp.LpSolutionIntegerFeasible:
        return Report(None, None, bound, last=True)
    solution = np.array([column.value() or 0.0 for column in columns])
    objective = float(model.costs @ solution)
    return Report(solution, objective, objective if optimal and not problem.gap else bound, optimal=optimal, last=True)


def _within_limit(program: str, limit_bytes: int, folder: Path) -> str:
    """A program that runs the given one with no more memory than this."""
    script = folder / "limited"
    script.write_text(f'#!/bin/sh\nulimit -S -d {limit_bytes // 1024}\nexec {shlex.quote(program)} "$@"\n')
    script.chmod(0o700)
    return str(script)


def _why_it_failed(limit_bytes: int | None) -> str:
    perhaps = "" if limit_bytes is None else f"; if the memory limit of {format_bytes(limit_bytes)} is why, raise it"
    return f"the CBC process failed{perhaps}"


def _cbc_lower_bound(log: str) -> float | None:
    """The bound in CBC's closing summary, which it prints when it stops early; None without."""
    found = re.findall(r"^Lower bound:\s+(\S+)$", log, re.MULTILINE)
    return float(found[-1]) if found else None
