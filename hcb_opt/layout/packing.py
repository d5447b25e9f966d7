"""Buffers as arrays: the packing problem that heuristics and the exact model share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hcb_opt.layout.instances import Buffer

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Packing:
    """Buffers whose lifetimes are counted in sections and whose sizes in alignments.

    Sections are the times between one start of a buffer and the next: nothing
    else can raise what is held. Offsets are counted like sizes, so every one is
    aligned.

    Attributes
    ----------
    starts, ends : ndarray of int64, one per buffer
        Held in the sections ``starts <= section < ends``.
    sizes : ndarray of int64, one per buffer
        In alignments, rounded up; at least 1.
    """

    starts: Whole
    ends: Whole
    sizes: Whole

    @property
    def count(self) -> int:
        """How many buffers there are."""
        return len(self.sizes)

    @cached_property
    def section_count(self) -> int:
        """How many sections there are."""
        return int(self.ends.max(initial=0))

    @cached_property
    def profile(self) -> Whole:
        """What is held in each section, in alignments."""
        change = np.zeros(self.section_count + 1, dtype=np.int64)
        np.add.at(change, self.starts, self.sizes)
        np.add.at(change, self.ends, -self.sizes)
        profile: Whole = np.cumsum(change)[:-1]
        return profile

    @cached_property
    def lower_bound(self) -> int:
        """Most held at once, in alignments: no arena is smaller."""
        return int(self.profile.max(initial=0))

    @cached_property
    def densest_sections(self) -> NDArray[np.bool_]:
        """Which buffers are held, by section; a section that holds nothing but what the next one does is left out."""
        sections = np.arange(self.section_count)[:, None]
        held = (self.starts <= sections) & (self.ends > sections)
        ended = (held[:-1] & ~held[1:]).any(axis=1)
        densest: NDArray[np.bool_] = held[np.append(ended, True)]
        return densest

    def arena(self, offsets: Whole) -> int:
        """The end of the highest buffer, in alignments."""
        return int((offsets + self.sizes).max(initial=0))


def pack(buffers: Sequence[Buffer], alignment_bytes: int) -> tuple[Packing, Whole]:
    """The packing problem of buffers, and which of them take part: those that are not empty.

    Parameters
    ----------
    buffers : sequence of Buffer
    alignment_bytes : int
        Every offset is to be a multiple of it.

    Returns
    -------
    Packing
    ndarray of int64
        For each buffer of the packing, its position in ``buffers``.
    """
    chosen = np.array([index for index, each in enumerate(buffers) if each.size_bytes], dtype=np.int64)
    starts = np.array([buffers[index].start for index in chosen], dtype=np.int64)
    ends = np.array([buffers[index].end for index in chosen], dtype=np.int64)
    sizes = np.array([-(-buffers[index].size_bytes // alignment_bytes) for index in chosen], dtype=np.int64)
    times = np.unique(starts)
    return Packing(np.searchsorted(times, starts), np.searchsorted(times, ends), sizes), chosen
