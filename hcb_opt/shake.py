"""Large-neighbourhood search on a sequence of computes that fits the budget."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hcb_opt.graph import Graph
from hcb_opt.repair import make_fit, remove_needless

_TOGETHER = (1, 2, 4, 8, 16, 32)
_SCATTERED_SHARE = 0.3


def shake(
    graph: Graph, order: Sequence[int], budget_bytes: int, rng: random.Random, stop: Callable[[], bool]
) -> list[int] | None:
    """Leave out some recomputes, repair what no longer fits, and keep what is no dearer.

    The recomputes are neighbours in the sequence or, less often, scattered over
    it; the copies before them are held instead, until the repair finds other
    values to evict (Shaw, CP 1998: destroy and repair).

    Parameters
    ----------
    graph : Graph
    order : sequence of int
        Positions of ops; fits the budget.
    budget_bytes : int
    rng : random.Random
        Chooses what is left out.
    stop : callable
        Asked between moves; True ends the search.

    Returns
    -------
    list of int or None
        Another sequence that fits and costs no more; None if there came none.
    """
    seen: set[int] = set()
    repeats = []
    for step, op in enumerate(order):
        if op in seen:
            repeats.append(step)
        seen.add(op)
    if not repeats:
        return None
    count = min(len(repeats), rng.choice(_TOGETHER))
    if rng.random() < _SCATTERED_SHARE:
        left_out = set(rng.sample(repeats, count))
    else:
        first = rng.randrange(len(repeats) - count + 1)
        left_out = set(repeats[first : first + count])
    rest = [op for step, op in enumerate(order) if step not in left_out]
    fitting = make_fit(graph, rest, budget_bytes, stop, kicks=0)
    if fitting is None:
        return None
    cheap = remove_needless(graph, fitting, budget_bytes, stop)
    return cheap if sum(graph.ops[op].cost for op in cheap) <= sum(graph.ops[op].cost for op in order) else None
