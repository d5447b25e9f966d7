"""Training steps that are chains of equal steps, for which the fewest forward steps are known.

The form of `hcb_opt.generators.chain` and `hcb_opt.generators.tape_chain`: forward
ops f_1 .. f_n in a row, a loss, and one backward op for each forward op. The
state before step 1 is persistent, so that f_1 may run at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hcb_opt.graph import Graph, Op


@dataclass(frozen=True, slots=True)
class UnitChain:
    """A chain of n >= 2 equal steps.

    Its ops, with x_i for states, g_i for gradients and t_i for tapes::

        f_i   reads x_{i-1} (f_1 nothing)             writes x_i
        loss  reads x_n                               writes g_n
        b_i   reads g_i and x_{i-1} (b_1 g_1 alone)   writes g_{i-1}

    On a taped chain f_i also writes t_i, and b_i reads g_i and t_i. The last
    value, g_0, is the only output, and may have any size.

    Attributes
    ----------
    steps : int
        n.
    taped : bool
        Whether the backward reads tapes, instead of states.
    step_cost : int
        Of every forward op. Loss and backward ops may have any cost, since no
        cheapest schedule repeats one.
    state_bytes : int
        Of every state and tape, at least 1.
    gradient_bytes : int
        Of g_1 .. g_n.
    forward_workspace_bytes, backward_workspace_bytes, loss_workspace_bytes : int
        Of every f_i, of every b_i but the last, which may have any, and of the loss.
    """

    steps: int
    taped: bool
    step_cost: int
    state_bytes: int
    gradient_bytes: int
    forward_workspace_bytes: int
    backward_workspace_bytes: int
    loss_workspace_bytes: int

    def held(self, budget_bytes: int, gradients: int, workspace_bytes: int) -> int:
        """How many states and tapes fit beside gradients and a workspace; negative if those alone do not."""
        return (budget_bytes - gradients * self.gradient_bytes - workspace_bytes) // self.state_bytes


def recognise(graph: Graph) -> UnitChain | None:
    """The chain of equal steps that a graph is, by its structure alone; None if it is none.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    UnitChain or None
        In time linear in the ops. Names, phases and flags do not matter.
    """
    steps, odd = divmod(len(graph.ops), 2)
    taped = len(graph.values) == 3 * steps + 1
    if not odd or steps < 2 or not (taped or len(graph.values) == len(graph.ops)):
        return None
    states, tapes = _forward_values(graph, steps)
    gradients = [op.outputs[0] for op in graph.ops[steps:] if len(op.outputs) == 1]
    if len(states) != steps or len(tapes) != taped * steps or len(gradients) != steps + 1:
        return None
    backward = graph.ops[steps + 1 :]
    for step, op, gradient in zip(range(steps, 0, -1), backward, gradients, strict=False):
        saved = tapes[step - 1 : step] if taped else states[step - 2 : step - 1]
        if sorted(op.inputs) != sorted([gradient, *saved]):
            return None
    sizes = graph.sizes
    equal = (
        _equal(op.cost for op in graph.ops[:steps])
        and _equal(op.workspace_bytes for op in graph.ops[:steps])
        and _equal(op.workspace_bytes for op in backward[:-1])
        and _equal(sizes[value] for value in [*states, *tapes])
        and _equal(sizes[value] for value in gradients[:-1])
    )
    if not equal or not sizes[states[0]] or graph.outputs != (gradients[-1],):
        return None
    first, loss = graph.ops[0], graph.ops[steps]
    return UnitChain(
        steps,
        taped,
        first.cost,
        sizes[states[0]],
        sizes[gradients[0]],
        first.workspace_bytes,
        backward[0].workspace_bytes,
        loss.workspace_bytes,
    )


def _forward_values(graph: Graph, steps: int) -> tuple[list[int], list[int]]:
    """States and tapes in order, as far as each forward op reads nothing but the state before it."""
    states: list[int] = []
    tapes: list[int] = []
    for position, op in enumerate(graph.ops[:steps]):
        state = _only_input(graph.ops[position + 1])
        if op.inputs != tuple(states[-1:]) or state not in op.outputs or len(op.outputs) > 2:
            break
        states.append(state)
        tapes.extend(value for value in op.outputs if value != state)
    return states, tapes


def _only_input(op: Op) -> int | None:
    return op.inputs[0] if len(op.inputs) == 1 else None


def _equal(numbers: Iterable[int]) -> bool:
    return len(set(numbers)) == 1


def snapshots(chain: UnitChain, budget_bytes: int) -> int | None:
    """The number s for which t(n, s) is the fewest forward steps beside the n-th, on a chain without tapes.

    At the instant that b_i first runs (i >= 2), two gradients and b_i's
    workspace are resident, so that p states are at most. Whatever happens in
    between, f_1 .. f_{n-1} then run t(n, p) times in all or more (Griewank and
    Walther 2000, with the persistent initial state as one of p snapshots and the
    state that b_i reads beside them). Revolve's schedule takes no more if
    a forward step, or the loss, has room while p states beside its output,
    and one gradient, are held.

    Parameters
    ----------
    chain : UnitChain
        Not taped.
    budget_bytes : int
        At least the mandatory memory of the graph.

    Returns
    -------
    int or None
        Between 1 and n - 1; None if forward step or loss has not that room, in
        which case the fewest steps are not known.
    """
    fitting = min(chain.steps - 1, chain.held(budget_bytes, 2, chain.backward_workspace_bytes))
    workspace_bytes = max(chain.forward_workspace_bytes, chain.loss_workspace_bytes)
    if fitting < 1 or chain.held(budget_bytes, 1, workspace_bytes) < fitting + 1:
        return None
    return fitting


@dataclass(frozen=True, slots=True)
class TapeSlots:
    """What a taped chain can hold beside a running step.

    Attributes
    ----------
    slots : int
        States and tapes, while the forward is run again: s. -1 if no schedule
        fits.
    ahead : int
        Tapes that the first forward run can hold beyond those, as no gradient
        takes room yet.
    """

    slots: int
    ahead: int


def tape_slots(chain: UnitChain, budget_bytes: int) -> TapeSlots | None:
    """The slots s for which `hcb_opt.mixed` gives the fewest forward steps, on a taped chain.

    Once a gradient is held, f_i runs with three states and tapes of its own (two
    states, one tape) and b_i with one: s others fit beside either. The first
    forward run has no gradient to hold, and up to the instant that b_n runs it
    may hold h others, of which the last h - s are best the tapes of the steps
    before n: they cost nothing, and leave a chain of n - (h - s) steps.

    Parameters
    ----------
    chain : UnitChain
        Taped.
    budget_bytes : int
        At least the mandatory memory of the graph.

    Returns
    -------
    TapeSlots or None
        None if the loss leaves less room than the later steps do, in which case
        the fewest steps are not known.
    """
    steps = chain.steps
    again = chain.held(budget_bytes, 1, chain.forward_workspace_bytes)
    backward = chain.held(budget_bytes, 2, chain.backward_workspace_bytes) - 1
    first = min(
        chain.held(budget_bytes, 0, chain.forward_workspace_bytes) - 3,
        chain.held(budget_bytes, 1, chain.loss_workspace_bytes) - 2,
        backward,
    )
    slots = min(again - 3, backward)
    if first >= steps - 1:
        return TapeSlots(0, steps - 1)
    if slots < 0:
        # f_1 reads nothing: it alone may still run, for the last backward step.
        return TapeSlots(0, first) if first == steps - 2 and again == 2 else TapeSlots(-1, 0)
    return TapeSlots(slots, first - slots) if first >= slots else None
