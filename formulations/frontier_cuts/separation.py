"""Which of a plan's violations a track separates: the wide one all of them, the narrow one the best."""

from __future__ import annotations

from hcb_opt.formulations.frontier_cuts.cuts import Cuts
from hcb_opt.formulations.frontier_cuts.plan import Violation
from hcb_opt.formulations.frontier_cuts.track import Track


def add_all(track: Track, violations: list[Violation]) -> bool:
    """Separate every violation that cuts and order rows can; whether there was one."""
    added = [track.cuts.add(violation) for violation in violations]
    return any(added)


def add_best(track: Track, violations: list[Violation]) -> bool:
    """Separate the violation whose separation lifts the linear relaxation most; whether there was one.

    None, while the solver still needs its time for the present cuts and none
    lifts the linear relaxation above what it has proven.
    """
    rated: list[tuple[float, int, Cuts]] = []
    for violation in violations:
        cuts = track.cuts.copy()
        if cuts.add(violation):
            rated.append((track.linear_bound(cuts), violation.excess_bytes, cuts))
    if not rated:
        return False
    best = max(rated, key=lambda each: each[:2])
    if not track.solved and track.bound is not None and best[0] <= track.bound:
        return False
    track.cuts = best[2]
    return True
