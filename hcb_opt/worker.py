"""What the solver processes share: models in, reports out."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable

import numpy as np

from hcb_opt.highs import Model, Report

Send = Callable[[Report], None]


def serve(solve: Callable[[Model, Send], Report]) -> None:
    """Solve the pickled models on standard input until it ends.

    Reports go to standard output, pickled, the last of each solve marked;
    whatever the solver itself prints goes to standard error. Ctrl-C is the
    parent's to handle.

    Parameters
    ----------
    solve : callable
        Takes a model and a function that sends reports on the way; returns the
        last report.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as reports:
        os.dup2(2, 1)

        def send(report: Report) -> None:
            pickle.dump(report, reports, protocol=pickle.HIGHEST_PROTOCOL)
            reports.flush()

        while True:
            try:
                model: Model = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            send(solve(model, send))


def trivial_report(model: Model) -> Report:
    """The answer to a model without columns, which solvers treat in ways of their own."""
    feasible = bool((model.row_lower <= 0).all() and (model.row_upper >= 0).all())
    if not feasible:
        return Report(None, None, None, infeasible=True, last=True)
    return Report(np.zeros(0), 0.0, 0.0, optimal=True, last=True)
