"""The judge: whether a schedule is legal, what it costs and how much it holds."""

from __future__ import annotations

from dataclasses import dataclass

from hcb_opt.errors import HcbOptError
from hcb_opt.graph import Graph
from hcb_opt.schedule import Compute, Drop, Schedule, action_word


class IllegalSchedule(HcbOptError, ValueError):
    """A schedule that breaks a rule of the game.

    Parameters
    ----------
    step : int
        Position of the offending action; the number of actions if the fault
        shows only at the end.
    reason : str
        Which rule is broken, naming the op or value.
    """

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(f"step {step}: {reason}")
        self.step, self.reason = step, reason


@dataclass(frozen=True, slots=True)
class Replay:
    """What happened when a schedule was replayed.

    Attributes
    ----------
    peak_bytes : int
        Most bytes resident at once: values and the running op's workspace.
    peak_step : int
        The action at which that first happens.
    cost : int
        Summed cost of all computes, in the graph's ``cost_unit``.
    timeline_bytes : tuple of int
        Resident bytes during each action (workspace included in a compute;
        after the release, for a drop).
    compute_counts : tuple of int
        How often each op ran.
    fixed_order : bool
        Whether the ops' first computes come in the graph's order.
    """

    peak_bytes: int
    peak_step: int
    cost: int
    timeline_bytes: tuple[int, ...]
    compute_counts: tuple[int, ...]
    fixed_order: bool


def replay(graph: Graph, schedule: Schedule) -> Replay:
    """Play a schedule on a graph by the rules of the game.

    A compute needs all its inputs resident and makes all its outputs resident
    (an output that was still resident is replaced); a drop needs its value
    resident. In the end every op has been computed and every output is
    resident. Schedules with transfers are `hcb_opt.replay_transfers`'s to judge.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule

    Returns
    -------
    Replay

    Raises
    ------
    IllegalSchedule
        At the first step that breaks a rule, saying which.
    """
    ops, sizes = graph.ops, graph.sizes
    resident = [False] * len(sizes)
    counts = [0] * len(ops)
    held = peak = cost = 0
    peak_step = 0
    first_computes = 0
    fixed_order = True
    timeline: list[int] = []
    for step, action in enumerate(schedule.actions):
        if isinstance(action, Compute):
            if not 0 <= action.op < len(ops):
                raise IllegalSchedule(step, f"there is no op {action.op}")
            op = ops[action.op]
            for value in op.inputs:
                if not resident[value]:
                    raise IllegalSchedule(
                        step, f"op '{op.name}' reads value '{graph.values[value].name}', which is not resident"
                    )
            for value in op.outputs:
                if not resident[value]:
                    resident[value] = True
                    held += sizes[value]
            if not counts[action.op]:
                fixed_order = fixed_order and action.op == first_computes
                first_computes += 1
            counts[action.op] += 1
            cost += op.cost
            during = held + op.workspace_bytes
            if during > peak:
                peak, peak_step = during, step
        elif isinstance(action, Drop):
            if not 0 <= action.value < len(sizes):
                raise IllegalSchedule(step, f"there is no value {action.value}")
            if not resident[action.value]:
                raise IllegalSchedule(step, f"value '{graph.values[action.value].name}' is dropped but not resident")
            resident[action.value] = False
            held -= sizes[action.value]
            during = held
        else:
            raise IllegalSchedule(step, f"'{action_word(action)}' is not known here, only computes and drops are")
        timeline.append(during)
    end = len(schedule.actions)
    for position, count in enumerate(counts):
        if not count:
            raise IllegalSchedule(end, f"op '{ops[position].name}' is never computed")
    for value in graph.outputs:
        if not resident[value]:
            raise IllegalSchedule(end, f"output '{graph.values[value].name}' is not resident at the end")
    return Replay(peak, peak_step, cost, tuple(timeline), tuple(counts), fixed_order)
