"""The gap plot: overhead of every method against the budget, beside the proven optimum.

``run`` is the whole experiment on any graphs; ``run_default`` is the one behind
``make gap``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.budget import parse_budget
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.gap_report import format_table, save_rows
from hcb_opt.files import require_folder
from hcb_opt.gap_row import GapRow
from hcb_opt.graph import Graph
from hcb_opt.plot import LEAD_METHOD, save_gap_figure
from hcb_opt.registry import Method, get_method, methods_for
from hcb_opt.result import Status
from hcb_opt.solve import solve_schedule

NAME = "gap"
SUMMARY = "overhead against budget for GPT-2, ResNet-50 and U-Net: exact curve, lower bound, baselines"

BUDGETS = (0.9, 0.75, 0.6, 0.45, 0.35, 0.25)
COMPARED = (
    *("frontier_cuts", "block_programme", "rotor", "revolve", "interval_tree", "chen_sqrt", "ap_greedy"),
    *("kusumoto_approximate", "dtr_eq", "keep_costly_ops", "store_all", "retention_intervals", "checkmate_milp"),
)
LARGEST_PART = 12
LEAST_SECONDS = 0.5

Budget = int | float | str
OnRow = Callable[[GapRow, int, int], None]


def run(
    graphs: Mapping[str, Graph] | Sequence[Graph],
    budgets: Sequence[Budget] = BUDGETS,
    method_names: Sequence[str] | None = None,
    directory: str | Path | None = None,
    *,
    time_limit: float = 60.0,
    total_limit: float | None = None,
    seed: int = 0,
    workers: int = 1,
    memory_limit: int | str | None = None,
    on_row: OnRow | None = None,
) -> list[GapRow]:
    """Solve every graph at every budget with every method; write the rows and the figure.

    Every solve starts from nothing: no method sees what another found.
    `frontier_cuts` comes first; the other exact methods, which take all the time
    they get, come last.

    Parameters
    ----------
    graphs : mapping of str to Graph, or sequence of Graph
        A mapping's keys are the labels of the panels; else the graphs' names.
    budgets : sequence of int, float or str
        As in `solve_schedule`.
    method_names : sequence of str, optional
        `COMPARED`, one of each family, if not given; ``all`` for every registered
        method of the fixed order.
    directory : str or Path, optional
        Made if missing; gets ``gap.png``, ``gap.pdf``, ``gap.csv`` and
        ``gap.json``. Nothing is written if not given.
    time_limit : float
        Seconds per solve.
    total_limit : float, optional
        Seconds for all solves together: each gets at most a dozen equal parts of
        what is left, but always half a second.
    seed, workers, memory_limit
        As in `solve_schedule`.
    on_row : callable, optional
        Called as ``on_row(row, done, total)`` after each solve; `print_progress`
        writes a line to stderr.

    Returns
    -------
    list of GapRow
        One per graph, budget and method, in that order.

    Raises
    ------
    InvalidInput
        If a budget or method cannot be used, or the folder not be made, before
        anything is solved.
    KeyboardInterrupt
        If a solve was interrupted; what was solved until then is written first.
    """
    labelled = _labelled(graphs)
    if method_names is not None and "auto" in method_names:
        raise InvalidInput("methods", "auto only chooses among the others", "name those to compare")
    names = dict.fromkeys(COMPARED if method_names is None else method_names)
    if "all" in names:
        names = dict.fromkeys(methods_for("fixed"))
    chosen = [get_method(name, "fixed") for name in names]
    plan = _plan(labelled, budgets, chosen)
    if directory is not None:
        require_folder(directory)
    started = time.perf_counter()
    rows: dict[_Solve, GapRow] = {}
    interrupted = False
    for solve, seconds in _with_limits(plan, time_limit, total_limit):
        result = solve_schedule(
            labelled[solve.graph],
            solve.budget_bytes,
            solve.method.name,
            time_limit=seconds,
            seed=seed,
            workers=workers,
            memory_limit=memory_limit,
        )
        if interrupted := result.reason == "interrupted":
            break
        ops, kind = len(labelled[solve.graph].ops), solve.method.kind
        rows[solve] = GapRow.of(result, graph=solve.graph, ops=ops, kind=kind, declined=solve.declined)
        if on_row is not None:
            on_row(rows[solve], len(rows), len(plan))
    ordered = [rows[solve] for solve in sorted(rows, key=lambda each: each.place)]
    if directory is not None and ordered:
        facts = {
            "time_limit": time_limit, "total_limit": total_limit, "seed": seed, "workers": workers,
            "memory_limit": memory_limit, "seconds": round(time.perf_counter() - started, 1),
            "complete": not interrupted,
        }  # fmt: skip
        _write(ordered, Path(directory), facts)
    if interrupted:
        written = f", written to {directory}" if directory is not None and rows else ""
        raise KeyboardInterrupt(f"{len(rows)} of {len(plan)} solves done{written}")
    return ordered


def run_default(directory: Path, quick: bool = False) -> None:
    """Capture GPT-2, ResNet-50 and U-Net, solve them at six budgets with a method of each family, and report.

    Two minutes of solves on two cores; ``quick`` takes shallow models, two
    budgets and a few seconds.
    """
    # GPT-2 trains with dropout 0.1; without it half of its peak is the loss over the vocabulary.
    models: dict[str, tuple[str, dict[str, int | float]]] = {
        "GPT-2, 12 layers": ("gpt2", {"layers": 12, "batch": 8, "dropout": 0.1}),
        "ResNet-50": ("resnet50", {}),
        "U-Net": ("unet", {}),
    }
    if quick:
        models = {
            "GPT-2, 1 layer": ("gpt2", {"layers": 1, "batch": 1, "vocabulary": 512}),
            "U-Net, 1 level": ("unet", {"levels": 1, "image": 32, "batch": 1}),
        }
    rows = run(
        {label: _captured(name, flags) for label, (name, flags) in models.items()},
        (0.9, 0.8) if quick else BUDGETS,
        directory=directory,
        time_limit=2.0 if quick else 12.0,
        total_limit=8.0 if quick else 115.0,
        workers=2,
        on_row=print_progress,
    )
    print(format_table(rows))


def print_progress(row: GapRow, done: int, total: int) -> None:
    """One line on stderr for each solve."""
    if row.overhead is None:
        found = "declined" if row.declined else row.status.value.lower().replace("_", " ")
    else:
        found = f"{100 * row.overhead:.2f} % {'proven' if row.status is Status.OPTIMAL else 'overhead'}"
    count = f"[{done:>{len(str(total))}}/{total}]"
    print(f"{count} {row.graph} at {row.share:.0%}, {row.method}: {found}, {row.seconds:.1f} s", file=sys.stderr)


@dataclass(frozen=True)
class _Solve:
    place: tuple[int, int, int]
    graph: str
    budget_bytes: int
    method: Method
    declined: bool


def _labelled(graphs: Mapping[str, Graph] | Sequence[Graph]) -> dict[str, Graph]:
    if isinstance(graphs, Mapping):
        labelled = dict(graphs)
    else:
        labelled = {}
        for graph in graphs:
            label, copy = graph.name, 2
            while label in labelled:
                label, copy = f"{graph.name} {copy}", copy + 1
            labelled[label] = graph
    if not labelled:
        raise InvalidInput("graphs", "there are none", "give at least one graph")
    return labelled


def _plan(graphs: Mapping[str, Graph], budgets: Sequence[Budget], chosen: Sequence[Method]) -> list[_Solve]:
    """Every solve: the lead method, the heuristics, the other exact methods."""
    plan = []
    for i, (label, graph) in enumerate(graphs.items()):
        amounts = dict.fromkeys(parse_budget(budget, graph.store_all_peak_bytes) for budget in budgets)
        for j, budget_bytes in enumerate(amounts):
            for k, method in enumerate(chosen):
                declined = bool(method.declines(graph, budget_bytes))
                plan.append(_Solve((i, j, k), label, budget_bytes, method, declined))
    if not plan:
        raise InvalidInput("budgets or methods", "there are none", "give at least one of each")
    return sorted(plan, key=lambda each: (_turn(each.method), each.place[::-1]))


def _turn(method: Method) -> int:
    if method.name == LEAD_METHOD:
        return 0
    return 2 if method.kind == "exact" else 1


def _with_limits(
    plan: Sequence[_Solve], time_limit: float, total_limit: float | None
) -> Iterator[tuple[_Solve, float]]:
    """Each solve with the seconds it may take."""
    started = time.perf_counter()
    for number, solve in enumerate(plan):
        seconds = time_limit
        if total_limit is not None:
            left = total_limit - (time.perf_counter() - started)
            remaining = sum(1 for each in plan[number:] if not each.declined)
            seconds = min(time_limit, max(LEAST_SECONDS, left * min(1.0, LARGEST_PART / max(1, remaining))))
        yield solve, seconds


def _captured(name: str, flags: Mapping[str, int | float]) -> Graph:
    from hcb_opt.models import zoo

    started = time.perf_counter()
    graph = zoo()[name].capture(cost="roofline:h200", **flags)
    print(f"captured {name}: {len(graph.ops)} ops, {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return graph


def _write(rows: Sequence[GapRow], directory: Path, facts: Mapping[str, float | int | str | None]) -> None:
    save_rows(rows, directory, facts)
    save_gap_figure(rows, [directory / "gap.png", directory / "gap.pdf"])
