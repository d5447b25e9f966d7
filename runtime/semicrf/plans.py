"""Which plan each sequence of a batch gets: by memory budget, by extra forwards, or by a uniform rule."""

from __future__ import annotations

from collections.abc import Sequence

from hcb_opt.budget import format_bytes, parse_memory_limit
from hcb_opt.errors import InvalidInput, did_you_mean
from hcb_opt.ring_chains import RingPlan, ring_plan, square_root_interval, uniform_plan
from hcb_opt.ring_reach import fewest_slots

RULES = {
    "sqrt(TK)": lambda steps, ring: square_root_interval(steps, ring),
    "sqrt(T)": lambda steps, ring: square_root_interval(steps),
}


def choose_plans(
    lengths: Sequence[int],
    counts: Sequence[int],
    ring: int,
    column_bytes: int,
    *,
    budget: int | str | None = None,
    extra_forwards: int | None = None,
    rule: str | None = None,
) -> list[RingPlan]:
    """A plan for each length.

    Parameters
    ----------
    lengths : sequence of int
        Numbers of steps T, different ones.
    counts : sequence of int
        Sequences of each length.
    ring : int
        K.
    column_bytes : int
        Of one column of one sequence.
    budget : int or str, optional
        Bytes for the forward columns of all sequences, and the ring of backward
        columns of those that are reversed together: as `buffer_bytes` counts.
        Every plan then runs its steps as often as the others at most, and as
        seldom as possible.
    extra_forwards : int, optional
        How often a step may run again; 0 stores everything.
    rule : {"sqrt(TK)", "sqrt(T)"}, optional
        Keep a ring every so many steps instead.

    Returns
    -------
    list of RingPlan
        All columns are stored if none of the three is given.

    Raises
    ------
    InvalidInput
        If more than one is given, or nothing fits the budget.
    """
    if sum(choice is not None for choice in (budget, extra_forwards, rule)) > 1:
        raise InvalidInput("budget, extra_forwards, rule", "more than one is given", "choose the plan by one of them")
    rings = [min(ring, steps) for steps in lengths]
    if rule is not None:
        if rule not in RULES:
            raise InvalidInput(f"rule {rule!r}", "unknown", did_you_mean(rule, RULES))
        return [uniform_plan(steps, ring, RULES[rule](steps, ring)) for steps, ring in zip(lengths, rings, strict=True)]
    if extra_forwards is not None and extra_forwards < 0:
        raise InvalidInput(f"extra_forwards {extra_forwards!r}", "below zero", "give 0 to store everything, or more")
    runs = 1 + (extra_forwards or 0)
    slots = _slots(lengths, rings, runs)
    if budget is not None:
        limit = parse_memory_limit(budget)
        while _bytes(slots, counts, rings, column_bytes) > limit:
            if slots == rings:
                least = _bytes(slots, counts, rings, column_bytes)
                what = f"the smallest plan takes {least} bytes ({format_bytes(least)})"
                raise InvalidInput(f"budget {budget!r}", what, "give at least that")
            runs += 1
            slots = _slots(lengths, rings, runs)
        if len(slots) == 1:
            # What the number of runs leaves over saves some of them.
            slots = [max(slots[0], min(lengths[0], limit // (column_bytes * counts[0]) - rings[0]))]
    return [ring_plan(steps, ring, held) for steps, ring, held in zip(lengths, rings, slots, strict=True)]


def buffer_bytes(plans: Sequence[RingPlan], counts: Sequence[int], column_bytes: int) -> int:
    """Bytes of all forward columns, and of the largest ring of backward columns.

    Parameters
    ----------
    plans : sequence of RingPlan
    counts : sequence of int
        Sequences that share each plan.
    column_bytes : int
        Of one column of one sequence.
    """
    return _bytes([plan.slots for plan in plans], counts, [plan.ring for plan in plans], column_bytes)


def _bytes(slots: Sequence[int], counts: Sequence[int], rings: Sequence[int], column_bytes: int) -> int:
    held = sum(each * count for each, count in zip(slots, counts, strict=True))
    return column_bytes * (held + max(ring * count for ring, count in zip(rings, counts, strict=True)))


def _slots(lengths: Sequence[int], rings: Sequence[int], runs: int) -> list[int]:
    return [fewest_slots(steps, ring, runs) for steps, ring in zip(lengths, rings, strict=True)]
