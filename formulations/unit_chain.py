"""Chains of equal steps, whose cheapest schedules are known."""

from __future__ import annotations

from collections.abc import Iterable

from hcb_opt.binomial import extra_forward_steps, reversal
from hcb_opt.graph import Graph
from hcb_opt.mixed import mixed_table
from hcb_opt.progress import Problem, Progress
from hcb_opt.registry import method
from hcb_opt.schedule import Schedule, schedule_from_computes
from hcb_opt.unit_chains import recognise, snapshots, tape_slots

_NO_ROOM = "the {} leaves less room for states than the backward steps do; the fewest steps are not known"


def _refuses_states(graph: Graph, budget_bytes: int) -> str:
    chain = recognise(graph)
    if chain is None or chain.taped:
        return "the graph is no chain of equal steps whose backward reads states"
    return _NO_ROOM.format("forward or the loss") if snapshots(chain, budget_bytes) is None else ""


def _refuses_tapes(graph: Graph, budget_bytes: int) -> str:
    chain = recognise(graph)
    if chain is None or not chain.taped:
        return "the graph is no chain of equal steps whose backward reads tapes"
    return _NO_ROOM.format("loss") if tape_slots(chain, budget_bytes) is None else ""


@method(
    "unit_chain",
    kind="exact",
    graphs="chains of equal steps whose backward reads states",
    cites="Griewank and Walther 2000, Algorithm 799",
    refuses=_refuses_states,
)
def unit_chain(problem: Problem, progress: Progress) -> None:
    """Revolve's schedule and closed form, proven optimal on chains of equal steps.

    With s snapshots as `hcb_opt.unit_chains.snapshots` counts them, the first n - 1
    forward steps run t(n, s) times in all, `hcb_opt.binomial.extra_forward_steps`,
    and the last one, the loss and every backward step once.
    """
    graph = problem.graph
    chain = recognise(graph)
    held = snapshots(chain, problem.budget_bytes) if chain is not None else None
    if chain is None or held is None:
        return
    repeated = extra_forward_steps(chain.steps, held) - (chain.steps - 1)
    progress.raise_bound(graph.base_cost + repeated * chain.step_cost)
    moves = list(reversal(chain.steps, held))
    # The state that the first reversal reads leads on to the last step and the loss.
    turn = moves.index(-chain.steps)
    progress.offer(_schedule(graph, [*moves[:turn], chain.steps, *moves[turn:]]))


@method(
    "mixed",
    kind="exact",
    graphs="chains of equal steps whose backward reads tapes",
    cites="Maddison 2024",
    refuses=_refuses_tapes,
)
def mixed(problem: Problem, progress: Progress) -> None:
    """Mixed checkpointing: a slot holds a state or a tape; optimal on chains of equal steps.

    With s slots, and h more in the first forward run, as
    `hcb_opt.unit_chains.tape_slots` counts them, M(n - h, s) + h forward steps run,
    by the recursion of `hcb_opt.mixed`; the loss and every backward step once.
    """
    graph = problem.graph
    chain = recognise(graph)
    room = tape_slots(chain, problem.budget_bytes) if chain is not None else None
    if chain is None or room is None:
        return
    if room.slots < 0:
        progress.prove_infeasible(
            f"no forward step but the first can run beside a gradient within {problem.budget_bytes} bytes, "
            f"and {chain.steps} steps need one to"
        )
        return
    turn = chain.steps - room.ahead
    slots = min(room.slots, turn - 1)
    table = mixed_table(turn)
    while table.slots_covered < slots and not progress.done:
        table.extend()
    covered = min(slots, table.slots_covered)
    if covered == slots:
        repeated = table.fewest(turn, slots) - turn
        progress.raise_bound(graph.base_cost + repeated * chain.step_cost)
    else:
        progress.give_up(f"time limit reached with {covered + 1} of {slots + 1} rows of the recursion")
    if covered >= 0:
        progress.offer(_schedule(graph, table.reversal(chain.steps, covered, room.ahead)))


def _schedule(graph: Graph, moves: Iterable[int]) -> Schedule:
    """From forward steps i and backward steps -i to ops: f_1 .. f_n, loss, b_n .. b_1."""
    steps = len(graph.ops) // 2
    computes: list[int] = []
    for move in moves:
        if move == -steps:
            computes.append(steps)
        computes.append(move - 1 if move > 0 else len(graph.ops) + move)
    return schedule_from_computes(graph, computes)
