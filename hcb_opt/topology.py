"""Whether ops come after what they read: cycles told apart from a wrong order."""

from __future__ import annotations

from collections.abc import Sequence

from hcb_opt.build import OpSpec
from hcb_opt.errors import InvalidInput


def require_order(specs: Sequence[OpSpec]) -> None:
    """Refuse ops that read what later ops write.

    Parameters
    ----------
    specs : sequence of OpSpec
        Names that no op writes, and repeated ones, are for
        `hcb_opt.build_graph` to refuse.

    Raises
    ------
    InvalidInput
        Naming the ops of a cycle or, if there is none, an op and the later one
        it reads from.
    """
    producer: dict[str, int] = {}
    for position, spec in enumerate(specs):
        for value, _ in spec.outputs:
            producer.setdefault(value, position)
    reads = [[producer[value] for value in spec.inputs if value in producer] for spec in specs]
    late = next(((position, each) for position, row in enumerate(reads) for each in row if each >= position), None)
    if late is None:
        return
    cycle = _find_cycle(reads)
    if cycle:
        names = " -> ".join(specs[position].name for position in cycle[:6]) + (" -> ..." if len(cycle) > 6 else "")
        raise InvalidInput(f"op '{specs[cycle[0]].name}'", f"lies on a cycle ({names})", "remove an edge of the cycle")
    reader, writer = (specs[position].name for position in late)
    raise InvalidInput(
        f"op '{reader}'",
        f"reads a value of op '{writer}', which comes later in the order",
        "put every op after those it reads from",
    )


def _find_cycle(reads: list[list[int]]) -> list[int]:
    """Positions along one cycle, first repeated at the end; empty if there is none."""
    waiting = [len(row) for row in reads]
    readers: list[list[int]] = [[] for _ in reads]
    for position, row in enumerate(reads):
        for each in row:
            readers[each].append(position)
    ready = [position for position, count in enumerate(waiting) if not count]
    while ready:
        for reader in readers[ready.pop()]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    stuck = next((position for position, count in enumerate(waiting) if count), None)
    if stuck is None:
        return []
    # Every stuck op reads from another stuck op: walking back must come round.
    trail: list[int] = []
    seen: dict[int, int] = {}
    while stuck not in seen:
        seen[stuck] = len(trail)
        trail.append(stuck)
        stuck = next(each for each in reads[stuck] if waiting[each])
    return [*trail[seen[stuck] :], stuck][::-1]
