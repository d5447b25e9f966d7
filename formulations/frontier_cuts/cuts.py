"""Where memory is counted so far, and how that grows."""

from __future__ import annotations

from dataclasses import dataclass, field

from hcb_opt.formulations.frontier_cuts.order_rows import OrderRows
from hcb_opt.formulations.frontier_cuts.passage_rows import PassageBound, add_passage_row
from hcb_opt.formulations.frontier_cuts.plan import Violation
from hcb_opt.formulations.frontier_cuts.relaxation import Relaxation
from hcb_opt.formulations.frontier_cuts.tail_rows import add_tail_rows
from hcb_opt.graph import Graph

_FEW_RECOMPUTES = 8


@dataclass
class Cuts:
    """The cuts, and the recomputes inside stages at which memory is counted too.

    Attributes
    ----------
    graph : Graph
    positions : set of int
        The cuts.
    recomputes : dict of int to set of int
        For a cut, the recomputed ops with order rows in the stage it ends; the
        number of ops stands for the last stage.
    passages : list of PassageBound
        Bounds of what stages with one new op cost.
    """

    graph: Graph
    positions: set[int]
    recomputes: dict[int, set[int]] = field(default_factory=dict)
    passages: list[PassageBound] = field(default_factory=list)

    def copy(self) -> Cuts:
        """A copy that grows by itself."""
        rows = {target: set(ops) for target, ops in self.recomputes.items()}
        return Cuts(self.graph, set(self.positions), rows, list(self.passages))

    def relaxation(self, budget_bytes: int) -> tuple[Relaxation, list[OrderRows]]:
        """The relaxation with all these cuts and rows."""
        relaxation = Relaxation(self.graph, budget_bytes, self.positions)
        add_tail_rows(relaxation)
        for bound in self.passages:
            add_passage_row(relaxation, bound, self.passages)
        return relaxation, [
            OrderRows(relaxation, relaxation.stage_of(target), ops) for target, ops in sorted(self.recomputes.items())
        ]

    def add(self, violation: Violation) -> bool:
        """Separate a violation; whether anything was left to add.

        A cut at the op that the violation serves comes first. Inside its stage
        a few recomputes get order rows; many are first told apart from the op
        before by a cut there.
        """
        target = violation.target
        many = len(violation.recomputes) > _FEW_RECOMPUTES
        return (
            self._add_cut(target)
            or (many and self._add_cut(target - 1))
            or self._add_rows(target, violation.recomputes)
            or self._add_cut(target - 1)
        )

    def _add_cut(self, position: int) -> bool:
        if not 0 <= position < len(self.graph.ops) or position in self.positions:
            return False
        self.positions.add(position)
        return True

    def _add_rows(self, target: int, ops: tuple[int, ...]) -> bool:
        rows = self.recomputes.setdefault(target, set())
        if rows.issuperset(ops):
            return False
        rows.update(ops)
        return True
