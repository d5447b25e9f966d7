"""Constraint programmes for tests, in a module that a solver process can import."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hcb_opt.formulations.retention_intervals.programme import RetentionIntervals

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar


@dataclass(frozen=True)
class Cover:
    """Minimise ``costs @ x`` with ``rows @ x >= least``; x is 0 or 1."""

    costs: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]
    least: tuple[int, ...]

    def build(self, model: CpModel) -> Sequence[IntVar]:
        columns = [model.new_bool_var("") for _ in self.costs]
        for row, least in zip(self.rows, self.least, strict=True):
            model.add(sum(each * column for each, column in zip(row, columns, strict=True)) >= least)
        model.minimize(sum(cost * column for cost, column in zip(self.costs, columns, strict=True)))
        return columns


@dataclass(frozen=True)
class MarketSplit:
    """Takes far longer than any test (Cornuejols & Dawande, 1998); solutions are easy to find."""

    def build(self, model: CpModel) -> Sequence[IntVar]:
        rng = random.Random(3)
        columns = [model.new_bool_var("") for _ in range(50)]
        excesses = []
        for _ in range(6):
            row = [rng.randrange(100) for _ in columns]
            excess = model.new_int_var(0, 10_000, "")
            split = sum(each * column for each, column in zip(row, columns, strict=True))
            model.add_abs_equality(excess, split - sum(row) // 2)
            excesses.append(excess)
        model.minimize(sum(excesses))
        return columns


@dataclass(frozen=True)
class Broken:
    """Cannot be built."""

    def build(self, model: CpModel) -> Sequence[IntVar]:
        raise ValueError("no such programme")


@dataclass(frozen=True)
class Hinted:
    """Another programme with every hint made a constraint: has a solution if, and only if, the hint is one."""

    programme: RetentionIntervals

    def build(self, model: CpModel) -> Sequence[IntVar]:
        variables = self.programme.build(model)
        hint = model.proto.solution_hint
        for index, value in zip(hint.vars, hint.values, strict=True):
            model.add(model.get_int_var_from_proto_index(index) == value)
        return variables
