"""What a layout is: an address for every buffer, and how much of the arena is wasted."""

from __future__ import annotations

from dataclasses import dataclass

from hcb_opt.layout.instances import Buffer

DEFAULT_ALIGNMENT_BYTES = 256


@dataclass(frozen=True, slots=True)
class Layout:
    """Addresses of buffers in one arena.

    Attributes
    ----------
    buffers : tuple of Buffer
        Of a schedule: in the order in which a run needs them.
    offsets : tuple of int
        For each buffer its first byte, from the start of the arena.
    alignment_bytes : int
        Every offset is a multiple of it.
    arena_bytes : int
        Where the highest buffer ends, rounded up to the alignment.
    live_peak_bytes : int
        Most bytes held at once, sizes rounded up to the alignment: no arena is
        smaller. Where ops may write over their inputs, that is counted as if all did.
    lower_bound_bytes : int
        No arena is smaller: the live peak, or more where the exact model proved more.
    persistent_bytes : int
        Size of the other arena, of what is never dropped (parameters, buffers, batch).
    found_by : str
        Which rule or search found it.
    seconds : float
    in_place : tuple of (int, int)
        Buffers that lie where another one lies, which they are written over, and
        that other one. Its bytes count once.
    """

    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    alignment_bytes: int
    arena_bytes: int
    live_peak_bytes: int
    lower_bound_bytes: int
    persistent_bytes: int
    found_by: str
    seconds: float
    in_place: tuple[tuple[int, int], ...] = ()

    @property
    def ends(self) -> tuple[int, ...]:
        """For each buffer, the first step at which its bytes are not its own any more."""
        taken = {giver: self.buffers[taker].start for taker, giver in self.in_place}
        return tuple(taken.get(index, buffer.end) for index, buffer in enumerate(self.buffers))

    @property
    def fragmentation(self) -> float:
        """Arena bytes / live peak, minus 1."""
        return (self.arena_bytes - self.live_peak_bytes) / max(1, self.live_peak_bytes)

    @property
    def proven(self) -> bool:
        """Whether no arena can be smaller."""
        return self.arena_bytes == self.lower_bound_bytes
