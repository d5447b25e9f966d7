"""Online checkpointing: which states to hold while it is not known how many steps will come.

The problem of Heuveline and Walther (2006), "Online checkpointing for parallel
adjoint computation in PDEs" (Euro-Par), Wang, Moin and Iaccarino (2009), "Minimal
repetition dynamic checkpointing algorithm for unsteady adjoint calculation" (SIAM
Journal on Scientific Computing 31(4)), and Stumm and Walther (2010), "New
algorithms for optimal online checkpointing" (SIAM Journal on Scientific
Computing 32(2)). At each state it is known only whether the next step is the last.

With s snapshots, and beta as in `hcb_opt.binomial`, the rule here keeps two
promises of these papers at whatever step the chain ends:

- no step runs more often than it must (Wang et al.): at most r times beyond the run
  that it is reversed from, beta(s, r - 1) < n <= beta(s, r);
- up to n = beta(s, 2) the forward steps are t(n, s), as if n had been known (Stumm
  and Walther), and a few percent more beyond.

Let r be the repetitions that the chain needs if it goes on. Then x_p is kept for
good, as long as r does not grow, at ``p = beta(s, r - 1)`` and, further on, after
beta(s - 1, r - 1), beta(s - 2, r - 1), ... steps more: those are the stretches that i
snapshots fewer can reverse in r - 1 repetitions. Beside that, x_p is kept for a
while where the newest snapshot lies r steps back, since a stretch of r + 2 would
need r + 1 repetitions. The room comes from a snapshot that is not kept for good: of those
without which r repetitions still do, the one whose loss costs the fewest forward
steps. The oldest always is such a one, so that none is ever lacking.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate, pairwise

from hcb_opt.binomial import extra_forward_steps, longest_chain
from hcb_opt.errors import InvalidInput
from hcb_opt.hierarchy.actions import Action, Backward, Discard, Forward, Read, Write, with_discards
from hcb_opt.hierarchy.platform import require_steps
from hcb_opt.hierarchy.revolve import stack_moves

_steps = cache(extra_forward_steps)


class OnlineSnapshots:
    """The snapshots of a run whose end is not known.

    Parameters
    ----------
    snapshots : int
        s, the initial state included, at least 1.

    Attributes
    ----------
    held : list of int
        The states held, ascending; x_0 is the first.
    position : int
        The state that the run has reached.
    """

    def __init__(self, snapshots: int) -> None:
        if snapshots < 1:
            raise InvalidInput(f"snapshots {snapshots!r}", "the initial state must be held", "give at least 1")
        self.snapshots = snapshots
        self.held = [0]
        self.position = 0
        self._repetitions = 1
        self._for_good = {0}

    def advance(self) -> int | None:
        """Go on to the next state, from which another step starts that is not the last.

        Returns
        -------
        int or None
            The state whose snapshot was given up for that of the new one; the
            new state itself if it is not kept; None if there was a slot free.
        """
        self.position += 1
        if len(self.held) < self.snapshots:
            self.held.append(self.position)
            return None
        while longest_chain(self.snapshots, self._repetitions) <= self.position + 1:
            self._repetitions += 1
            self._for_good = set(self._places())
        distance = self.position - self.held[-1]
        lasting = self.position in self._for_good
        if self.snapshots == 1 or not (lasting or distance == self._repetitions):
            return self.position
        given_up = self._cheapest_loss()
        self.held.remove(given_up)
        self.held.append(self.position)
        return given_up

    def _places(self) -> list[int]:
        """The states to be kept for good while the repetitions are those of now."""
        stretches = (
            longest_chain(self.snapshots - place, self._repetitions - 1) for place in range(self.snapshots - 1)
        )
        return [0, *accumulate(stretches)]

    def _cheapest_loss(self) -> int:
        count = len(self.held)
        lengths = [after - before for before, after in pairwise([*self.held, self.position])]
        kept = [_steps(length, self.snapshots - place) for place, length in enumerate(lengths)]
        moved = [_steps(length, self.snapshots - place + 1) for place, length in enumerate(lengths)]
        best: tuple[int, int] | None = None
        for place in range(1, count):
            merged, slots = lengths[place - 1] + lengths[place], self.snapshots - place + 1
            if self.held[place] in self._for_good or merged > longest_chain(slots, self._repetitions - 1):
                continue
            steps = sum(kept[: place - 1]) + _steps(merged, slots) + sum(moved[place + 1 :])
            best = min(best, (steps, place)) if best else (steps, place)
        assert best is not None
        return self.held[best[1]]


def online_snapshots(steps: int, snapshots: int) -> list[int]:
    """The states held when it turns out that the chain has so many steps.

    Parameters
    ----------
    steps, snapshots : int
        n and s, at least 1.
    """
    require_steps(steps)
    run = OnlineSnapshots(snapshots)
    for _ in range(steps - 2):
        run.advance()
    return run.held


def online_forward_steps(steps: int, snapshots: int) -> int:
    """Forward steps of the online reversal, beside the one that each step is reversed from.

    The run up to the newest snapshot, and Revolve's t for each stretch between
    snapshots, newest first, each with the slots that are free by then. Between
    t(n, s), `hcb_opt.binomial.extra_forward_steps`, and a few percent more.

    Parameters
    ----------
    steps, snapshots : int
        n and s, at least 1.
    """
    held = online_snapshots(steps, snapshots)
    stretches = enumerate(pairwise([*held, steps]))
    return held[-1] + sum(_steps(end - first, snapshots - place) for place, (first, end) in stretches)


def online_actions(steps: int, snapshots: int) -> list[Action]:
    """The online reversal, to be played by `hcb_opt.hierarchy.play` with one level of so many slots.

    What it does before the last step would be the same for a longer chain.

    Parameters
    ----------
    steps, snapshots : int
        n and s, at least 1.
    """
    require_steps(steps)
    run = OnlineSnapshots(snapshots)
    first_run: list[Action] = [Write(0, 0)]
    for state in range(1, steps):
        first_run.append(Forward(state - 1, state))
        if state < steps - 1 and (given_up := run.advance()) != state:
            first_run += [*([] if given_up is None else [Discard(0, given_up)]), Write(0, state)]
    moves: list[Action] = [Backward(steps - 1)]
    end = steps - 1
    for place in range(len(run.held) - 1, -1, -1):
        first = run.held[place]
        if first < end:
            moves.append(Read(0, first))
            moves += stack_moves(end - first, snapshots - place, base=first, held=True)
        end = first
    return first_run + with_discards([_on_one_level(move) for move in moves])


def _on_one_level(move: Action) -> Action:
    return type(move)(0, move.state) if isinstance(move, Write | Read) else move
