"""What a block may keep of its forward for its backward: bytes against recomputation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hcb_opt.chains.block import Available, Block
from hcb_opt.chains.peaks import backward_peak, forward_peak

_MOST_OPTIONS = 8
_ROUNDS = 24


@dataclass(frozen=True, slots=True)
class Option:
    """One way to save a block for its backward.

    Attributes
    ----------
    kept : frozenset of int
        Values of the block that are kept from its forward to its backward.
    lean : bool
        Whether the backward keeps nothing of what it computes again from one op to the next.
    kept_bytes : int
        Bytes of ``kept``.
    recompute_cost : int
        Of what the backward computes again of the block.
    rerun_cost : int
        Of a forward run that leaves these values and all that later blocks read.
    forward_bytes : int
        Peak of the block's own values while its forward runs.
    backward_bytes : int
        Peak while its backward runs, without what crosses into the block, above
        `Partition.base_bytes` where it begins.
    """

    kept: frozenset[int]
    lean: bool
    kept_bytes: int
    recompute_cost: int
    rerun_cost: int
    forward_bytes: int
    backward_bytes: int


@dataclass(frozen=True, slots=True)
class Front:
    """The options of one block.

    Attributes
    ----------
    held : tuple of Option
        While all that crosses into the block is resident.
    transient : tuple of Option
        While only what its backward reads of that is resident.
    pass_cost : int
        Of a forward run that leaves only what later blocks read.
    pass_bytes : int
        Peak of such a run, beside what crosses into the block.
    dying_bytes : int
        The same, while what crosses into the block is dropped after its last
        use; may be negative.
    """

    held: tuple[Option, ...]
    transient: tuple[Option, ...]
    pass_cost: int
    pass_bytes: int
    dying_bytes: int


def block_front(block: Block) -> Front:
    """Rate what a block may drop, and measure what that does."""
    passing = block.closure(block.leaving, (), lambda value: True)
    assert passing is not None
    return Front(
        _options(block, lambda value: True),
        _options(block, block.saved),
        block.cost(passing),
        forward_peak(block, block.leaving, dying=False),
        forward_peak(block, block.leaving, dying=True),
    )


def _options(block: Block, available: Available) -> tuple[Option, ...]:
    """Drop values one by one, most bytes per added cost first; measure some of what is left."""
    kept = set(block.saveable | block.left_over)
    ops = block.closure(block.needed, kept, available)
    if ops is None:
        return ()
    path = [frozenset(kept)]
    together = max(1, len(kept) // _ROUNDS)
    while droppable := kept - block.left_over:
        rated = []
        for value in droppable:
            more = block.closure([value], kept - {value}, available, ops)
            if more is not None:
                rated.append(((block.cost(more) + 1e-3) / (block.graph.sizes[value] + 1e-3), value))
        if not rated:
            break
        for _, value in sorted(rated)[:together]:
            more = block.closure([value], kept - {value}, available, ops)
            if more is not None:
                kept.remove(value)
                ops |= more
        path.append(frozenset(kept))
    return _undominated([option for kept in _spread(path) for option in _measured(block, kept, available)])


def _measured(block: Block, kept: frozenset[int], available: Available) -> Iterator[Option]:
    """What is kept as options: not lean, and lean if the backward computes anything again."""
    wanted = {*kept, *block.leaving}
    rerun = block.closure(wanted, frozenset(), lambda value: True)
    assert rerun is not None
    kept_bytes = sum(block.graph.sizes[value] for value in kept)
    rerun_cost, forward_bytes = block.cost(rerun), forward_peak(block, wanted, dying=False)
    for lean in (False, True):
        backward_bytes, recompute_cost = backward_peak(block, kept, available, lean=lean)
        yield Option(kept, lean, kept_bytes, recompute_cost, rerun_cost, forward_bytes, backward_bytes)
        if not recompute_cost:
            return


def _spread(path: list[frozenset[int]]) -> list[frozenset[int]]:
    """At most so many of them, both ends included."""
    count = min(len(path), _MOST_OPTIONS)
    places = {round(step * (len(path) - 1) / max(1, count - 1)) for step in range(count)}
    return [path[place] for place in sorted(places)]


def _undominated(options: list[Option]) -> tuple[Option, ...]:
    """Those that are better than each other one in bytes, cost or peak."""
    best: list[Option] = []
    for option in sorted(options, key=lambda each: (each.kept_bytes, each.recompute_cost, each.lean)):
        if not any(
            other.recompute_cost <= option.recompute_cost
            and other.backward_bytes <= option.backward_bytes
            and other.forward_bytes <= option.forward_bytes
            for other in best
        ):
            best.append(option)
    return tuple(best)
