"""Executes a ring plan on a semi-Markov chain: the forward run, and later the reversal."""

from __future__ import annotations

import torch
from torch import Tensor

from hcb_opt.ring_chains import Advance, Reverse, RingPlan, Store
from hcb_opt.runtime.semicrf.backward import BackwardScan, Counts
from hcb_opt.runtime.semicrf.boundaries import Boundaries
from hcb_opt.runtime.semicrf.chain import Chain
from hcb_opt.runtime.semicrf.forward import ForwardScan


class Reversal:
    """log Z of a chain, and its posteriors within the storage of a plan.

    Parameters
    ----------
    chain : Chain
    plan : RingPlan
        For the chain's number of steps and its ring.

    Attributes
    ----------
    steps_run, steps_reversed : int
        Counts of what was executed so far.
    """

    def __init__(self, chain: Chain, plan: RingPlan) -> None:
        self.chain, self.plan = chain, plan
        self.steps_run = self.steps_reversed = 0
        self._columns: Tensor | None = None

    @property
    def column_bytes(self) -> int:
        """Bytes of the forward columns that are held now."""
        return 0 if self._columns is None else self._columns.numel() * self._columns.element_size()

    def forward(self) -> Tensor:
        """Run up to the last step, keeping what the plan keeps.

        Returns
        -------
        Tensor
            log Z, (B,) float64.
        """
        chain = self.chain
        self._forward = ForwardScan(chain)
        self._columns = chain.scores.new_zeros(chain.batch, chain.labels, self.plan.slots)
        self._left = list(reversed(self.plan.actions))
        while not isinstance(last := self._left[-1], Reverse):
            self._run(last)
            self._left.pop()
        place = last.slot + last.stop - last.start - 1
        alpha = self._forward.restore(self._columns[..., place : place + 1], chain.steps)[..., 0]
        return torch.logsumexp(alpha + chain.end, dim=-1)

    def backward(self, log_z: Tensor, boundaries: Boundaries) -> Counts:
        """Reverse all steps; the columns are released. Without columns, runs forward first.

        Parameters
        ----------
        log_z : Tensor
            What `forward` returned.
        boundaries : Boundaries
            Gets the posteriors of starts and ends.
        """
        if self._columns is None:
            self.forward()
        # Nothing of the scan stays here: it holds on to what the posteriors went to.
        scan = BackwardScan(self.chain, log_z, boundaries)
        while self._left:
            action = self._left.pop()
            if isinstance(action, Reverse):
                self._reverse(action, scan)
            else:
                self._run(action)
        self._columns = None
        return scan.finish()

    def _reverse(self, action: Reverse, scan: BackwardScan) -> None:
        assert self._columns is not None
        length = action.stop - action.start
        # Few columns at a time are restored to double precision.
        for stop in range(length, 0, -self.chain.block):
            start = max(0, stop - self.chain.block)
            kept = self._columns[..., action.slot + start : action.slot + stop]
            scan.take(self._forward.restore(kept, action.start + stop))
        self.steps_reversed += length

    def _run(self, action: Advance | Store) -> None:
        assert self._columns is not None
        ring, before = self.chain.ring, self._forward.steps_run
        source = action.source if isinstance(action, Advance) else action.slot
        from_ring = self._columns[..., source : source + ring] if action.start else None
        length = ring if isinstance(action, Advance) else action.stop - action.start
        self._forward.advance(
            action.start, action.stop, from_ring, self._columns[..., action.slot : action.slot + length]
        )
        self.steps_run += self._forward.steps_run - before
