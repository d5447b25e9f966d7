"""The tables and the figure of the experiment on height compression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hcb_opt.blocks import frontier_bytes
from hcb_opt.experiments.chain_report import Curve, Panel
from hcb_opt.experiments.row_files import markdown_table, percent
from hcb_opt.experiments.skip_network import Shape
from hcb_opt.experiments.solve_row import SolveRow
from hcb_opt.plot import LEAD_METHOD

METHODS = ("interval_tree", "block_checkpoints", "chen_sqrt", "revolve")
DRAWN_SHARE = 0.5
_AXIS_LABELS = {"depth": "layers", "width": "ops per layer", "skip": "layers skipped"}


@dataclass(frozen=True)
class Case:
    """What all methods found for one network at one budget.

    Attributes
    ----------
    shape : Shape
    share : float
        The budget as a share of the store-all peak.
    rows : dict of str to SolveRow
        By method.
    """

    shape: Shape
    share: float
    rows: dict[str, SolveRow]

    @property
    def bound(self) -> int | None:
        """The best lower bound; None if nothing fits."""
        return max((row.lower_bound for row in self.rows.values() if row.lower_bound is not None), default=None)

    @property
    def best(self) -> int | None:
        """The least cost."""
        return min((row.cost for row in self.rows.values() if row.cost is not None), default=None)

    def above(self, method: str) -> float | None:
        """A method's cost over the bound, less 1; None without both."""
        row = self.rows.get(method)
        return None if row is None or row.cost is None or self.bound is None else row.cost / self.bound - 1


def cases_of(rows: Sequence[SolveRow]) -> list[Case]:
    """The rows, sorted by network and budget."""
    found: dict[tuple[str, int], Case] = {}
    for row in rows:
        case = found.setdefault((row.instance, row.budget_bytes), Case(Shape.of(row.instance), row.share, {}))
        case.rows[row.method] = row
    return list(found.values())


def report(rows: Sequence[SolveRow]) -> str:
    """The tables as Markdown."""
    cases = cases_of(rows)
    header = ["depth", "width", "skip", "w", "budget", "best", "gap", *(f"`{each}`" for each in METHODS)]
    return "\n\n".join(
        [
            "# Height compression beside the optimum",
            "Networks of `depth` layers of `width` ops, with skips over `skip` layers; w: bytes of the widest frontier "
            "of the forward, where a value is one byte. `best`: overhead of the cheapest schedule of all methods; "
            "`gap`: how far that is above the best lower bound, 0 where it is proven optimal. Then each method's cost "
            "over that bound. A dash: no schedule within the budget. Budgets are shares of the store-all peak.",
            _means(cases),
            markdown_table(header, [_line(case) for case in cases]),
        ]
    )


def _line(case: Case) -> list[str]:
    shape, best, bound = case.shape, case.best, case.bound
    base_cost = next(iter(case.rows.values())).base_cost
    widest = max(frontier_bytes(shape.graph(), shape.depth * shape.width))
    line = [*map(str, (shape.depth, shape.width, shape.skip, widest)), f"{case.share:.0%}"]
    if best is None:
        line += ["infeasible" if bound is None else "-", "-"]
    else:
        line += [percent(best / base_cost - 1, 1), "-" if bound is None else percent(best / bound - 1, 2)]
    return line + [percent(case.above(method), 1) for method in METHODS]


def _means(cases: Sequence[Case]) -> str:
    """Each method's geometric mean of cost over bound, on what it solves and on what all solve."""
    lines = []
    methods = (LEAD_METHOD, *METHODS)
    common = [case for case in cases if all(case.above(method) is not None for method in methods)]
    for method in methods:
        solved = [case for case in cases if case.above(method) is not None]
        means = (percent(_mean([case.above(method) or 0.0 for case in each]), 1) for each in (solved, common))
        lines.append([f"`{method}`", f"{len(solved)} of {len(cases)}", *means])
    header = ["method", "solved", "mean cost over bound", f"on the {len(common)} that all solve"]
    return markdown_table(header, lines)


def _mean(shares: Sequence[float]) -> float | None:
    return math.expm1(sum(map(math.log1p, shares)) / len(shares)) if shares else None


def panels(rows: Sequence[SolveRow]) -> list[Panel]:
    """Cost over the bound against depth, width and skip length, at one budget."""
    cases = cases_of(rows)
    centre = _centre([case.shape for case in cases])
    shown = min((case.share for case in cases), key=lambda share: abs(share - DRAWN_SHARE))
    made = []
    for axis, label in _AXIS_LABELS.items():
        drawn = {
            getattr(case.shape, axis): case
            for case in cases
            if abs(case.share - shown) < 0.05 and replace(case.shape, **{axis: getattr(centre, axis)}) == centre
        }
        places = sorted(drawn)
        above = {method: [drawn[place].above(method) for place in places] for method in (LEAD_METHOD, *METHODS)}
        curves = [
            Curve(method, places, [math.nan if each is None else 100 * each for each in heights])
            for method, heights in above.items()
        ]
        made.append(Panel(f"budget {shown:.0%}", label, "cost over lower bound, %", curves, "x", places))
    return made


def _centre(shapes: Sequence[Shape]) -> Shape:
    """The shape of which the others vary one measure."""

    def commonest(axis: str) -> int:
        values: list[int] = [getattr(shape, axis) for shape in shapes]
        return max(values, key=values.count)

    return Shape(*map(commonest, _AXIS_LABELS))
