"""Slowdowns by the simulator of dynamic tensor rematerialization itself, to stand beside ours.

Kirisame et al., "Dynamic Tensor Rematerialization", ICLR 2021 (arXiv 2006.09616),
show simulated slowdowns against budget as curves, without numbers. These are
from running their public simulator (uwsampl/dtr-prototype) on the logs published
with it. Budgets are shares of the log's peak, constants included.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedLog:
    """A log that the simulator was run on.

    Attributes
    ----------
    name : str
    ops, total_peak_bytes : int
        What tells it from other graphs; constants count.
    """

    name: str
    ops: int
    total_peak_bytes: int


LOGS = (
    PublishedLog("ResNet-32", 286, 10_061_177_400),
    PublishedLog("U-Net", 247, 8_409_694_648),
)

# By log and method: slowdown by budget in percent; None where it ran out of memory.
_SLOWDOWNS: dict[tuple[str, str], dict[int, float | None]] = {
    ("ResNet-32", "dtr_eq"): {30: 1.179, 50: 1.107, 70: 1.046},
    ("ResNet-32", "dtr_msps"): {30: 1.209, 50: 1.106, 70: 1.037},
    ("U-Net", "dtr_eq"): {30: None, 50: 1.159, 70: 1.085},
    ("U-Net", "dtr_msps"): {30: 1.585, 50: 1.133, 70: 1.049},
}


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """What the simulator found: a slowdown, or None where it ran out of memory."""

    slowdown: float | None


def simulated_run(ops: int, total_peak_bytes: int, method: str, share: float) -> SimulatedRun | None:
    """What the simulator found on the log of this size; None if it was not asked.

    Parameters
    ----------
    ops, total_peak_bytes : int
        As in `PublishedLog`.
    method : str
        A name from the registry.
    share : float
        Budget as a share of the peak.
    """
    for log in LOGS:
        if (log.ops, log.total_peak_bytes) == (ops, total_peak_bytes):
            found = _SLOWDOWNS.get((log.name, method), {})
            return SimulatedRun(found[round(100 * share)]) if round(100 * share) in found else None
    return None
