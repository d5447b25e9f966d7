"""Published figures, typed from the papers, to stand beside measured ones.

Checkmate's MILP and Moccasin: Bartan et al., "Moccasin: Efficient Tensor
Rematerialization for Neural Networks", ICML 2023 (arXiv 2304.14463), whose
tables give both. FastSA: Imanishi et al., "A Fast Heuristic to Optimize
Time-Space Tradeoff for Large Models", NeurIPS 2023; it may reorder the graph. The
papers' machines had 16 to 36 cores.
"""

from __future__ import annotations

from dataclasses import dataclass

CHECKMATE, MOCCASIN, FASTSA = "Checkmate MILP", "Moccasin", "FastSA"
FIXED_ORDER_SOURCES = (CHECKMATE, MOCCASIN)


@dataclass(frozen=True, slots=True)
class PublishedInstance:
    """An instance of the papers' tables.

    Attributes
    ----------
    name : str
        As in Moccasin's tables.
    ops, store_all_peak_bytes : int
        What tells it from other graphs.
    """

    name: str
    ops: int
    store_all_peak_bytes: int


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """What a paper reports; None where it does not.

    Attributes
    ----------
    overhead : float or None
        As a share.
    seconds : float or None
    """

    overhead: float | None
    seconds: float | None

    def __str__(self) -> str:
        parts = [] if self.overhead is None else [f"{100 * self.overhead:g} %"]
        parts += [] if self.seconds is None else [f"{self.seconds:g} s"]
        return ", ".join(parts)


INSTANCES = (
    PublishedInstance("CM1", 73, 13_484_795_520),
    PublishedInstance("CM2", 353, 38_059_356_160),
    PublishedInstance("G1", 100, 46_319),
    PublishedInstance("G2", 250, 146_840),
    PublishedInstance("G3", 500, 284_439),
    PublishedInstance("G4", 1000, 608_619),
)

# By instance and budget in percent of the store-all peak: overhead in percent, seconds.
_FIGURES: dict[str, dict[tuple[str, int], tuple[float | None, float | None]]] = {
    CHECKMATE: {
        ("CM1", 90): (None, 6.3), ("CM1", 80): (None, 5.6), ("CM2", 90): (None, 434), ("CM2", 80): (None, 485),
        ("G1", 90): (0.8, 18.5), ("G1", 80): (2.3, 22.7), ("G2", 90): (0.9, 685),
    },
    MOCCASIN: {
        ("CM1", 90): (None, 3.1), ("CM1", 80): (None, 3.1), ("CM2", 90): (0.2, 65), ("CM2", 80): (0.3, 69),
        ("G1", 90): (0.8, 9.3), ("G1", 80): (2.3, 9.5), ("G2", 90): (0.9, 55), ("G2", 80): (4.9, 640),
        ("G3", 90): (0.7, 1803), ("G3", 80): (3.4, 1805), ("G4", 90): (0.7, 3613), ("G4", 80): (3.4, 3612),
    },
    FASTSA: {
        ("G1", 90): (0.0, 11.7), ("G1", 80): (0.3, 11.5), ("G2", 90): (0.0, None), ("G2", 80): (0.0, 15.0),
        ("G3", 90): (0.03, 21), ("G3", 80): (2.3, 20.9), ("G4", 90): (0.4, 36), ("G4", 80): (2.5, 36.3),
    },
}  # fmt: skip


def published_figure(source: str, instance: str | None, share: float) -> PublishedFigure | None:
    """What a source reports on an instance at a budget, a share of the store-all peak; None if nothing."""
    if instance is None:
        return None
    found = _FIGURES[source].get((instance, round(100 * share)))
    if found is None:
        return None
    overhead, seconds = found
    return PublishedFigure(None if overhead is None else overhead / 100, seconds)


def same_size(ops: int, store_all_peak_bytes: int) -> str | None:
    """The published instance with so many ops and this store-all peak, by name."""
    for each in INSTANCES:
        if (each.ops, each.store_all_peak_bytes) == (ops, store_all_peak_bytes):
            return each.name
    return None


def same_family(ops: int) -> str | None:
    """The published random layered graph with so many ops, by name."""
    return next((each.name for each in INSTANCES if each.name[0] == "G" and each.ops == ops), None)
