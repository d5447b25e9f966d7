"""What the experiments on chains share: rows, their files, and a figure of curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.machine import machine_facts
from hcb_opt.experiments.row_files import Row, facts_block, save_rows, save_text
from hcb_opt.figure_style import FIGURE_STYLE, save_figure
from hcb_opt.files import require_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("black", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
MARKERS = "os^vDPX*"


@dataclass(frozen=True)
class DataRow:
    """A row whose columns are its fields."""

    def record(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Curve:
    """A line of a panel.

    Attributes
    ----------
    label : str
    places, heights : sequence of float
    """

    label: str
    places: Sequence[float]
    heights: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """A panel of a figure.

    Attributes
    ----------
    title, x_label, y_label : str
    curves : sequence of Curve
        The same curve keeps its look from panel to panel, by its label.
    logarithmic : str
        The axes that are: "", "x", "y" or "xy".
    x_ticks : sequence of float
        Ticks, if not the usual ones.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    logarithmic: str = ""
    x_ticks: Sequence[float] = ()


def write_report(
    directory: Path, name: str, rows: Sequence[Row], text: str, panels: Sequence[Panel], settings: Mapping[str, Any]
) -> None:
    """Write ``NAME.csv``, ``.json``, ``.md``, ``.png`` and ``.pdf``, and print the Markdown.

    Parameters
    ----------
    directory : Path
        Made if missing.
    name : str
    rows : sequence of Row
        At least one.
    text : str
        Title and tables; machine and settings are added.
    panels : sequence of Panel
        Drawn from the rows.
    settings : mapping
    """
    require_folder(directory)
    facts = {**machine_facts(), **settings}
    save_rows(rows, directory, name, facts)
    whole = f"{text}\n\n## Machine and settings\n\n{facts_block(facts)}\n"
    save_text(whole, directory / f"{name}.md")
    _save_panels(panels, [directory / f"{name}.png", directory / f"{name}.pdf"])
    print(whole)


def _save_panels(panels: Sequence[Panel], paths: Sequence[Path]) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
    looks = {
        label: {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        for place, label in enumerate(labels)
    }
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(0.9 + 3.0 * len(panels), 3.4), layout="constrained")
        found: dict[str, Any] = {}
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axes, panel, looks)
            handles, names = axes.get_legend_handles_labels()
            found |= dict(zip(names, handles, strict=True))
        place: Any = "outside lower center"
        figure.legend([found[label] for label in labels], labels, loc=place, ncols=4)
    save_figure(figure, paths)


def _draw(axes: Axes, panel: Panel, looks: Mapping[str, Mapping[str, str]]) -> None:
    for curve in panel.curves:
        look: dict[str, Any] = dict(looks[curve.label])
        axes.plot(curve.places, curve.heights, **look, label=curve.label, markersize=3.5, linewidth=1.0)
    if "x" in panel.logarithmic:
        axes.set_xscale("log")
    if "y" in panel.logarithmic:
        axes.set_yscale("log")
    if panel.x_ticks:
        axes.set_xticks(panel.x_ticks, [f"{tick:g}" for tick in panel.x_ticks])
        axes.set_xticks([], minor=True)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.grid(True)
