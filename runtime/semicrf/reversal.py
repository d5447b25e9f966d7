"""Executes a ring plan on a semi-Markov chain: the forward run, and later the reversal."""

from __future__ import annotations

import torch
from torch import Tensor

from hcb_opt.ring_chains import Advance, Reverse, RingPlan, Store
from hcb_opt.runtime.semicrf.backward import BackwardScan, Posteriors
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
        while not isinstance(self._left[-1], Reverse):
            self._run_next()
        last = self._left[-1]
        assert isinstance(last, Reverse)
        place = last.slot + last.stop - last.start - 1
        alpha = self._forward.restore(self._columns[..., place : place + 1], chain.steps)[..., 0]
        return torch.logsumexp(alpha + chain.end, dim=-1)

    def backward(self, log_z: Tensor) -> Posteriors:
        """Reverse all steps; the columns are released. Without columns, runs forward first.

        Parameters
        ----------
        log_z : Tensor
            What `forward` returned.
        """
        if self._columns is None:
            self.forward()
        self._backward = BackwardScan(self.chain, log_z)
        while self._left:
            self._run_next()
        posteriors = self._backward.finish()
        self._columns = None
        return posteriors

    def _run_next(self) -> None:
        assert self._columns is not None
        action, ring = self._left.pop(), self.chain.ring
        before = self._forward.steps_run
        if isinstance(action, Reverse):
            length = action.stop - action.start
            # Few columns at a time are restored to double precision.
            for stop in range(length, 0, -self.chain.block):
                start = max(0, stop - self.chain.block)
                kept = self._columns[..., action.slot + start : action.slot + stop]
                self._backward.take(self._forward.restore(kept, action.start + stop))
            self.steps_reversed += length
            return
        source = action.source if isinstance(action, Advance) else action.slot
        from_ring = self._columns[..., source : source + ring] if action.start else None
        length = ring if isinstance(action, Advance) else action.stop - action.start
        assert isinstance(action, Advance | Store)
        self._forward.advance(
            action.start, action.stop, from_ring, self._columns[..., action.slot : action.slot + length]
        )
        self.steps_run += self._forward.steps_run - before
