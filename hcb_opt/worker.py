"""What the solver processes share: questions in, reports out."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from hcb_opt.budget import format_bytes
from hcb_opt.highs import Model
from hcb_opt.process_memory import allocated_memory_bytes, forget_peak_memory, limited_memory, peak_memory_bytes
from hcb_opt.solver_process import Question, Report

Asked = TypeVar("Asked", bound=Question)
Send = Callable[[Report], None]


def serve(solve: Callable[[Asked, Send], Report]) -> None:
    """Solve the pickled questions on standard input until it ends.

    Reports go to standard output, pickled, the last of each solve marked;
    whatever the solver itself prints goes to standard error. Ctrl-C is the
    parent's to handle. A solve that runs out of memory, or into the question's
    limit of it, ends with a report that says so.

    Parameters
    ----------
    solve : callable
        Takes a question and a function that sends reports on the way; returns
        the last report.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as reports:
        os.dup2(2, 1)

        def send(report: Report) -> None:
            report = replace(report, peak_memory_bytes=peak_memory_bytes())
            # Whole or not at all: memory may run out while it is pickled.
            reports.write(pickle.dumps(report, protocol=pickle.HIGHEST_PROTOCOL))
            reports.flush()

        while True:
            try:
                question: Asked = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            send(_solve_within_limit(solve, question, send))


def _solve_within_limit(solve: Callable[[Asked, Send], Report], question: Asked, send: Send) -> Report:
    forget_peak_memory()
    taken = allocated_memory_bytes()
    try:
        with limited_memory(question.memory_limit_bytes):
            report = solve(question, send)
    except MemoryError:
        return _out_of_memory(question.memory_limit_bytes, taken)
    # HiGHS handles some failed allocations itself, and says so.
    return _out_of_memory(question.memory_limit_bytes, taken) if "Memory limit" in report.message else report


def _out_of_memory(limit_bytes: int | None, taken_bytes: int | None) -> Report:
    message = "the solver process ran out of memory; give the machine more"
    if limit_bytes is not None:
        before = "" if taken_bytes is None else f" ({format_bytes(taken_bytes)} of it taken before the solve)"
        message = f"the solver process reached the memory limit of {format_bytes(limit_bytes)}{before}; raise it"
    return Report(None, None, None, last=True, died=True, message=message)


def trivial_report(model: Model) -> Report:
    """The answer to a model without columns, which solvers treat in ways of their own."""
    feasible = bool((model.row_lower <= 0).all() and (model.row_upper >= 0).all())
    if not feasible:
        return Report(None, None, None, infeasible=True, last=True)
    return Report(np.zeros(0), 0.0, 0.0, optimal=True, last=True)
