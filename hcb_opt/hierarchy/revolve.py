"""Revolve's reversal as actions, each snapshot named by its depth on a stack.

Griewank and Walther (2000), "Algorithm 799: revolve", ACM Transactions on
Mathematical Software 26(1).
"""

from __future__ import annotations

from hcb_opt.binomial import best_split
from hcb_opt.hierarchy.actions import Action, Backward, Forward, Read, Write


def stack_moves(steps: int, snapshots: int, *, base: int = 0, held: bool = False) -> list[Action]:
    """A reversal by the fewest forward steps, without its discards.

    The snapshot at depth d is written while d others are held; depths stand in
    the place of levels.

    Parameters
    ----------
    steps, snapshots : int
        n and s, at least 1.
    base : int
        The first state, which the buffer holds.
    held : bool
        Whether a snapshot of it, at depth 0, is held already.
    """
    moves: list[Action] = []
    # What is left, the next at the end: a state to read, or a stretch by its first state, the number of
    # steps, the depth of the first state, and whether that is held.
    pending: list[Read | tuple[int, int, int, bool]] = [(base, steps, 0, held)]
    while pending:
        stretch = pending.pop()
        if isinstance(stretch, Read):
            moves.append(stretch)
            continue
        first, length, depth, written = stretch
        if length == 1:
            moves.append(Backward(first))
            continue
        if not written:
            moves.append(Write(depth, first))
        free = snapshots - depth
        advance = best_split(length, free) if free > 1 else length - 1
        moves.append(Forward(first, first + advance))
        pending.append((first, advance, depth, True))
        pending.append(Read(depth, first))
        pending.append((first + advance, length - advance, depth + 1, False))
    return moves
