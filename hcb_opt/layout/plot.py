"""The address map: which bytes of the arena hold what, over time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hcb_opt.figure_style import BYTE_UNITS, FIGURE_STYLE, save_figure
from hcb_opt.layout.address_map import Layout
from hcb_opt.layout.instances import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Distinct in lightness and for colour-blind readers (after Okabe and Ito 2008).
_FACES = {Kind.FIRST: "#56B4E9", Kind.AGAIN: "#E69F00", Kind.WORKSPACE: "#009E73", Kind.OTHER: "#56B4E9"}


def address_map_figure(layout: Layout, title: str) -> Figure:
    """Draw every buffer as a rectangle: the steps that hold it, by its bytes of the arena.

    The line below the arena's end is the live peak; what is white below it is
    not in use.

    Parameters
    ----------
    layout : Layout
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        panel = figure.add_subplot()
        _draw(panel, layout)
        panel.set_title(title)
        place: Any = "outside lower center"
        figure.legend(loc=place, ncols=5)
    return figure


def save_address_map(layout: Layout, title: str, paths: Iterable[str | Path]) -> None:
    """Write the figure of `address_map_figure` to files.

    Parameters
    ----------
    layout : Layout
    title : str
    paths : iterable of str or Path
        Their suffixes choose the formats: ``.png``, ``.pdf``, ``.svg``.

    Raises
    ------
    InvalidInput
        If a file cannot be written.
    """
    save_figure(address_map_figure(layout, title), paths)


def _draw(panel: Axes, layout: Layout) -> None:
    from matplotlib.collections import PolyCollection

    unit, name = next(each for each in BYTE_UNITS if each[0] <= max(1, layout.arena_bytes))
    for kind in Kind:
        corners = [
            _corners(buffer.start, end, offset / unit, (offset + buffer.size_bytes) / unit)
            for buffer, end, offset in zip(layout.buffers, layout.ends, layout.offsets, strict=True)
            if buffer.kind is kind and buffer.size_bytes
        ]
        if corners:
            rectangles = PolyCollection(
                corners, facecolors=_FACES[kind], edgecolors="white", linewidths=0.2, label=kind.value
            )
            panel.add_collection(rectangles)
    arena, peak = layout.arena_bytes / unit, layout.live_peak_bytes / unit
    panel.axhline(arena, color="black", linewidth=1.0, label="arena")
    panel.axhline(peak, color="#D55E00", linewidth=1.0, linestyle="--", label="live peak")
    first = min((each.start for each in layout.buffers), default=0)
    panel.set_xlim(first, max((each.end for each in layout.buffers), default=first + 1))
    panel.set_ylim(0, 1.04 * max(arena, 1 / unit))
    panel.set_xlabel("step")
    panel.set_ylabel(f"address, {name}")


def _corners(left: float, right: float, bottom: float, top: float) -> np.ndarray:
    return np.array([(left, bottom), (left, top), (right, top), (right, bottom)])
