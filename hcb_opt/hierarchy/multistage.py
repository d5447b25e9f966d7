"""Multistage checkpointing: Revolve's schedule, its least used snapshots on disk.

Stumm and Walther (2009), "MultiStage approaches for optimal offline
checkpointing", SIAM Journal on Scientific Computing 31(3). Snapshots of Revolve lie
on a stack: the one at depth d is written only while d others are held. How often
each depth is written and read in the whole schedule is counted, and the depths
with the fewest accesses go to disk. So the forward steps are the fewest, t(n, s), for
all s slots together; the cost with the disk's is not, which
`hcb_opt.hierarchy.h_revolve` minimises.
"""

from __future__ import annotations

from dataclasses import dataclass

from hcb_opt.errors import InvalidInput
from hcb_opt.hierarchy.actions import Action, Read, Write, with_discards
from hcb_opt.hierarchy.platform import Platform, require_steps
from hcb_opt.hierarchy.revolve import stack_moves


@dataclass(frozen=True, slots=True)
class Accesses:
    """How often the snapshots at one depth of the stack are written and read."""

    writes: int
    reads: int


def stack_accesses(steps: int, snapshots: int) -> list[Accesses]:
    """Accesses of each depth of Revolve's stack, the initial state at depth 0.

    Parameters
    ----------
    steps, snapshots : int
        n and s, at least 1.
    """
    moves = stack_moves(steps, snapshots)
    writes, reads = [0] * snapshots, [0] * snapshots
    for move in moves:
        if isinstance(move, Write):
            writes[move.level] += 1
        elif isinstance(move, Read):
            reads[move.level] += 1
    return [Accesses(*each) for each in zip(writes, reads, strict=True)]


def multistage_actions(steps: int, platform: Platform) -> list[Action]:
    """Revolve's reversal with every slot of two levels, the least used depths in the second.

    Parameters
    ----------
    steps : int
        n, at least 1.
    platform : Platform
        Of two levels with a slot at least between them.

    Raises
    ------
    InvalidInput
        If the platform is another, or there is no step.
    """
    require_steps(steps)
    if len(platform.levels) != 2:
        raise InvalidInput("platform", f"has {len(platform.levels)} levels", "give memory and disk")
    near, far = (steps if level.slots is None else min(level.slots, steps) for level in platform.levels)
    snapshots = min(near + far, steps)
    if not snapshots:
        raise InvalidInput("platform", "the initial state must be held", "give a slot to a level")
    accesses = stack_accesses(steps, snapshots)
    memory, disk = platform.levels

    def saving(depth: int) -> int:
        used = accesses[depth]
        dearer_reads = used.reads * (disk.read_cost - memory.read_cost)
        return used.writes * (disk.write_cost - memory.write_cost) + dearer_reads

    in_memory = set(sorted(range(snapshots), key=lambda depth: (-saving(depth), -depth))[:near])
    return with_discards([_at_level(move, in_memory) for move in stack_moves(steps, snapshots)])


def _at_level(move: Action, in_memory: set[int]) -> Action:
    if isinstance(move, Write | Read):
        return type(move)(0 if move.level in in_memory else 1, move.state)
    return move
