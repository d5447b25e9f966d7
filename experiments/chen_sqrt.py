"""Sublinear memory on chains: Chen's segments, Revolve and the optimum, memory against extra forwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

from hcb_opt.experiments.chain_report import Curve, DataRow, Panel, write_report
from hcb_opt.experiments.row_files import markdown_table
from hcb_opt.generators import chain
from hcb_opt.graph import Graph
from hcb_opt.solve import solve_schedule

NAME = "chen-sqrt"
SUMMARY = "chains of 16 to 1024 steps: memory of Chen's segments, of Revolve and of the optimum against extra forwards"

OPTIMUM = "unit_chain"
METHODS = (OPTIMUM, "chen_sqrt", "chen_greedy", "block_checkpoints", "revolve", "interval_tree")
STEPS = (16, 32, 64, 128, 256, 512, 1024)
QUICK_STEPS = (16, 64)
ALLOWED_FORWARDS = 1
#: Beside the states, two gradients while one is computed from the other.
GRADIENTS = 2
FEWEST_STATES = 3
_CURVE_RATIO = sqrt(2)


@dataclass(frozen=True)
class ChenRow(DataRow):
    """What one method does with one budget on one chain.

    Attributes
    ----------
    steps : int
    method : str
    least : bool
        Whether the budget is the least at which the method runs at most one
        forward more; else it is a point of the curve.
    states : int
        States that fit the budget beside the two gradients.
    extra_forwards : float or None
        Forward steps that are run again, over the steps; None without a
        schedule.
    """

    steps: int
    method: str
    least: bool
    states: int
    extra_forwards: float | None


def run_default(directory: Path, quick: bool = False) -> None:
    """Make the tables and print them.

    Parameters
    ----------
    directory : Path
        Gets ``chen-sqrt.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        Chains of 16 and 64 steps: seconds instead of minutes.
    """
    steps = QUICK_STEPS if quick else STEPS
    rows = measure(steps)
    settings = {"steps": list(steps), "methods": list(METHODS)}
    write_report(directory, NAME, rows, report(rows), panels(rows), settings)


def measure(steps: Iterable[int]) -> list[ChenRow]:
    """For every length and method the least states for one extra forward; for the longest, curves as well."""
    lengths = list(steps)
    graphs = {length: chain(length) for length in lengths}
    rows = [_least(graphs[length], length, method) for length in lengths for method in METHODS]
    longest = max(lengths)
    rows += [
        _row(graphs[longest], longest, method, states, least=False)
        for method in METHODS
        for states in _curve_states(longest)
    ]
    return rows


def _row(graph: Graph, steps: int, method: str, states: int, *, least: bool) -> ChenRow:
    cost = solve_schedule(graph, states + GRADIENTS, method).cost
    return ChenRow(steps, method, least, states, None if cost is None else (cost - graph.base_cost) / steps)


def _least(graph: Graph, steps: int, method: str) -> ChenRow:
    """By bisection: a family's cheapest schedule within a budget costs no more within a larger one."""

    def fits(row: ChenRow) -> bool:
        return row.extra_forwards is not None and row.extra_forwards <= ALLOWED_FORWARDS

    too_few = 0
    enough = _row(graph, steps, method, steps, least=True)
    while enough.states - too_few > 1:
        # What sublinear methods need is far below the middle.
        states = max(too_few + 1, min((too_few + enough.states) // 2, ceil(4 * sqrt(steps))))
        row = _row(graph, steps, method, states, least=True)
        if fits(row):
            enough = row
        else:
            too_few = states
    return enough


def _curve_states(steps: int) -> Iterator[int]:
    """All states, and a geometric grid down to a few: with one alone, extra forwards grow with the steps."""
    grid = (round(FEWEST_STATES * _CURVE_RATIO**number) for number in range(2 * steps.bit_length()))
    yield from sorted({steps, *(states for states in grid if states < steps)})


def report(rows: Sequence[ChenRow]) -> str:
    """The tables as Markdown."""
    least = {(row.steps, row.method): row for row in rows if row.least}
    steps = list(dict.fromkeys(row.steps for row in rows))
    memory = [
        [
            str(length),
            *(f"{least[length, each].states} ({least[length, each].states / sqrt(length):.2f})" for each in METHODS),
        ]
        for length in steps
    ]
    curves = [row for row in rows if not row.least]
    by_states = {(row.states, row.method): row for row in curves}
    work = [
        [str(states), *(_forwards(by_states[states, each]) for each in METHODS)]
        for states in dict.fromkeys(row.states for row in curves)
    ]
    names = [f"`{each}`" for each in METHODS]
    return "\n\n".join(
        [
            "# Sublinear memory on chains",
            f"`{OPTIMUM}` is the proven optimum of a chain of equal steps. A state is what a step writes; the two "
            "gradients beside them are not counted.",
            "## States for at most one extra forward",
            "In brackets over sqrt(n). Chen et al. (2016, section 4.1) keep k states and run n / k steps at a time: "
            "k + n / k, which is 2 sqrt(n) at k = sqrt(n). The optimum is the least s with C(s + 3, 2) > n, about "
            "sqrt(2 n) - 2.5.",
            markdown_table(["steps", *names], memory),
            f"## Extra forwards of {max(steps)} steps",
            "Steps that run again, over the steps. A dash: the method has no schedule with so few states.",
            markdown_table(["states", *names], work),
        ]
    )


def _forwards(row: ChenRow) -> str:
    return "-" if row.extra_forwards is None else f"{row.extra_forwards:.3f}"


def panels(rows: Sequence[ChenRow]) -> list[Panel]:
    """States for one extra forward against the steps; extra forwards against the states of the longest chain."""
    memory, work = [], []
    for method in METHODS:
        own = [row for row in rows if row.method == method]
        least = [row for row in own if row.least]
        memory.append(Curve(method, [row.steps for row in least], [row.states / sqrt(row.steps) for row in least]))
        curve = [row for row in own if not row.least and row.extra_forwards is not None]
        work.append(Curve(method, [row.states for row in curve], [row.extra_forwards or 0.0 for row in curve]))
    steps = sorted({row.steps for row in rows})
    longest = steps[-1]
    return [
        Panel("at most one extra forward", "steps n", "states / sqrt(n)", memory, "x", steps),
        Panel(f"{longest} steps", "states", "extra forwards", work, "x", list(_curve_states(longest))[1::2]),
    ]
