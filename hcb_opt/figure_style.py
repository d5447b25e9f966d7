"""What the toolkit's figures share: style, the scale of overheads, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_STYLE: Any = {
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.titlesize": 9,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.4,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
}
BYTE_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes"))
_TICKS_PERCENT = (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def scale_overheads(panel: Axes, highest: float) -> None:
    """Overheads up a panel: logarithmic above one percent, linear below, so that zero has a place.

    Parameters
    ----------
    panel : matplotlib.axes.Axes
    highest : float
        The largest overhead shown, in percent.
    """
    panel.set_yscale("symlog", linthresh=1.0, linscale=0.6)
    ticks = [tick for tick in _TICKS_PERCENT if tick <= 1.3 * max(highest, 2)]
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_yticks([], minor=True)
    panel.set_ylim(-0.06, 1.5 * max(highest, 2))


def save_figure(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Write a figure to files, undated and with fonts as text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    paths : iterable of str or Path
        Their suffixes choose the formats: ``.png``, ``.pdf``, ``.svg``.

    Raises
    ------
    InvalidInput
        If a file cannot be written.
    """
    import matplotlib

    with matplotlib.rc_context(FIGURE_STYLE):
        for path in paths:
            undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(Path(path).suffix)
            with replacing(path) as beside:
                figure.savefig(beside, dpi=200, bbox_inches="tight", metadata=undated)
