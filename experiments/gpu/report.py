"""The measurement as a table and a figure, made from its JSON alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.budget import format_bytes
from hcb_opt.experiments.row_files import markdown_table, percent
from hcb_opt.figure_style import BYTE_UNITS, FIGURE_STYLE, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
Document = Mapping[str, Any]

COLOURS = {
    "eager": "#555555", "checkpointed blocks": "#D55E00", "torch's budget": "#E69F00", "torch.compile": "#CC79A7",
    "ours": "#0072B2", "ours, CUDA graph": "#56B4E9",
}  # fmt: skip


def table(document: Document) -> str:
    """All that was measured, section by section, as Markdown; failed and skipped cases stand by name."""
    parts = [_heading(document)]
    for section in document["sections"]:
        kind, _, name = section["name"].partition(":")
        parts.append(f"## {kind}{f', {name}' if name else ''} ({section['seconds']:.0f} s)")
        rows = [each for each in section["rows"] if "reason" not in each]
        if rows:
            parts.append(TABLES.get(kind, _plain)(rows))
        parts += [f"- {each['case']}: {each['reason']}" for each in section["rows"] if "reason" in each]
        parts += [f"- **failed**, {case}: {error}" for case, error in section["failed"].items()]
        if section["skipped"]:
            parts.append(f"- skipped, no time left: {', '.join(section['skipped'])}")
    return "\n\n".join(parts) + "\n"


def _heading(document: Document) -> str:
    facts = {**document["machine"], **_device(document)}
    told = [facts.get("name") or facts.get("processor"), f"torch {facts.get('torch')}"]
    state = "complete" if document["complete"] else "NOT complete"
    return f"# Measured on {', '.join(str(each) for each in told)}; {document['seconds']:.0f} s, {state}"


def _device(document: Document) -> Row:
    rows = (row for section in document["sections"] if section["name"] == "device" for row in section["rows"])
    return next((row for row in rows if row["case"] == "facts"), {})


def _steps(rows: Sequence[Row]) -> str:
    eager = next((row["seconds"] for row in rows if row["case"] == "eager"), None)
    lines = []
    for row in rows:
        if row["way"] == "graph":
            continue
        predicted, peak = row.get("predicted_peak_bytes"), row.get("measured_peak_bytes", row.get("reserved_bytes"))
        requested = row.get("requested_peak_bytes")
        equal = row.get("bit_equal")
        lines.append([
            row["way"] + (f" {row['knob']:g}" if "knob" in row else ""),
            percent(row.get("share"), 0),
            "-" if predicted is None else format_bytes(predicted),
            "-" if peak is None else format_bytes(peak) + (" reserved" if "reserved_bytes" in row else ""),
            _error(peak, predicted),
            _error(requested, predicted),
            f"{1000 * row['seconds']:.1f}",
            "-" if eager is None else f"{100 * (row['seconds'] / eager - 1):+.1f} %",
            percent(row.get("predicted_overhead"), 1),
            "-" if equal is None else "bit-equal" if equal else f"differ by {row['max_abs_difference']}",
        ])  # fmt: skip
    header = ["way", "budget", "predicted peak", "measured peak", "error", "as requested", "ms", "to eager", "planned"]
    return markdown_table([*header, "gradients"], lines)


def _error(found: int | None, predicted: int | None) -> str:
    return "-" if found is None or predicted is None else f"{100 * (found / predicted - 1):+.2f} %"


def _batches(rows: Sequence[Row]) -> str:
    lines = [
        [row["way"], str(row["batch"]), str(row["refused_batch"]), format_bytes(row["memory_bytes"])] for row in rows
    ]
    return markdown_table(["way", "largest batch", "too large", "memory"], lines)


def _semicrf(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["case"], f"{row['seconds']:.3f}", format_bytes(row["measured_peak_bytes"]),
            f"{row['gradient_relative_difference']:.1e}" if "gradient_relative_difference" in row else "-",
        ]
        for row in rows
    ]  # fmt: skip
    return markdown_table(["size", "s, with gradients", "peak", "gradient against float64"], lines)


def _instances(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["case"], str(row["launches"]), "right" if row["bit_equal"] else "WRONG",
            format_bytes(row["arena_bytes"]), format_bytes(row["measured_arena_bytes"]),
            percent(row["predicted_overhead"], 1), percent(row["measured_overhead"], 1),
            "-" if row["time_fit"]["r_squared"] is None else f"{row['time_fit']['r_squared']:.3f}",
        ]
        for row in rows
    ]  # fmt: skip
    header = ["graph", "launches", "checksums", "arena", "written", "planned overhead", "measured", "R^2 of times"]
    return markdown_table(header, lines)


def _kernels(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["case"], f"{1e6 * row['seconds']:.1f}", f"{1e6 * row['eager_seconds']:.1f}",
            f"{row['eager_seconds'] / row['seconds']:.2f}", percent(row["roofline_share"], 0),
            percent(row["eager_roofline_share"], 0), format_bytes(row["peak_bytes"]),
            format_bytes(row["eager_peak_bytes"]),
        ]
        for row in rows
    ]  # fmt: skip
    header = ["kernel", "us", "eager, us", "times as fast", "of roofline", "eager's", "peak", "eager's peak"]
    return markdown_table(header, lines)


def _plain(rows: Sequence[Row]) -> str:
    """Each row's fields, but for its case, in one cell."""
    lines = [[row["case"], ", ".join(f"{name} {_shown(each)}" for name, each in _fields(row))] for row in rows]
    return markdown_table(["case", "found"], lines)


def _fields(row: Row) -> Iterator[tuple[str, Any]]:
    return ((name.replace("_", " "), each) for name, each in row.items() if name != "case" and each is not None)


def _shown(fact: Any) -> str:
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)


TABLES = {"steps": _steps, "batches": _batches, "semicrf": _semicrf, "instances": _instances, "kernels": _kernels}


def save_gpu_figure(document: Document, paths: Iterable[Path]) -> None:
    """Draw, for each network, step time against measured peak, and how far predictions were off.

    Parameters
    ----------
    document : mapping
        The JSON.
    paths : iterable of Path
        Their suffixes choose the formats.
    """
    import matplotlib
    from matplotlib.figure import Figure

    networks = [
        each
        for each in document["sections"]
        if each["name"].startswith("steps:") and any("seconds" in row for row in each["rows"])
    ]
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(2.6 * max(1, len(networks)), 2.9), layout="constrained")
        handles: dict[str, Any] = {}
        panels = figure.subplots(1, max(1, len(networks)), squeeze=False)[0]
        for panel, section in zip(panels, networks, strict=False):
            handles |= _draw(panel, section)
        if handles:
            figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    save_figure(figure, paths)


def _draw(panel: Axes, section: Row) -> dict[str, Any]:
    handles: dict[str, Any] = {}
    drawn = [
        (row, row.get("measured_peak_bytes", row.get("reserved_bytes"))) for row in section["rows"] if "seconds" in row
    ]
    size, unit = next((size, unit) for size, unit in BYTE_UNITS if size <= max(peak for _, peak in drawn))
    for row, peak in drawn:
        filled = "reserved_bytes" not in row
        (handle,) = panel.plot(
            peak / size, 1000 * row["seconds"], "o", color=COLOURS[row["way"]], markersize=5,
            markerfacecolor=COLOURS[row["way"]] if filled else "white",
        )  # fmt: skip
        handles[row["way"]] = handle
        if "predicted_peak_bytes" in row:
            panel.plot(row["predicted_peak_bytes"] / size, 1000 * row["seconds"], "|", color="black", markersize=9)
    panel.set(
        title=section["name"].removeprefix("steps:"), xlabel=f"peak, {unit} (bar: predicted)", ylabel="ms per step"
    )
    panel.set_ylim(bottom=0)
    panel.grid(color="#DDDDDD", linewidth=0.4)
    panel.set_axisbelow(True)
    return handles
