"""The command ``layout``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.cli.parsing import DONE, NO_SCHEDULE, REFUSED, add_command
from hcb_opt.errors import InvalidInput

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands
    from hcb_opt.layout import Layout

_PICTURES = (".png", ".pdf", ".svg")


def add_commands(commands: Commands) -> None:
    """Add ``layout``."""
    layout = add_command(
        commands,
        "layout",
        _layout,
        "give everything that a schedule holds an address in one arena",
        "hcb-opt layout gpt2.json schedule.json -o map.png\n  hcb-opt layout instance.csv --capacity 1048576",
    )
    layout.add_argument("graph", metavar="GRAPH", help="the graph that was solved, or a CSV file id,lower,upper,size")
    layout.add_argument("schedule", nargs="?", metavar="SCHEDULE", help="as written by hcb-opt solve -o")
    layout.add_argument(
        "--in-place",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let ops write over inputs that are dropped with them, where the graph says that they may",
    )
    layout.add_argument("--capacity", metavar="SIZE", help="an arena of this size is small enough (bytes, or 8GiB)")
    layout.add_argument("--alignment", type=int, metavar="BYTES", help="of every address (default: 256; of a CSV's, 1)")
    layout.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS", help="default: 60")
    workers_help = "threads: one for heuristics, the others, at least one, for CP-SAT (default: 2)"
    layout.add_argument("--workers", type=int, default=2, metavar="N", help=workers_help)
    layout.add_argument("--seed", type=int, default=0, metavar="N", help="of any random choice (default: 0)")
    layout.add_argument(
        "--exact",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with CP-SAT where heuristics leave a gap and buffers are few",
    )
    layout.add_argument(
        "-o", "--output", metavar="FILE", help="draw the address map here (.png, .pdf, .svg), or list offsets (.csv)"
    )
    layout.add_argument("--json", action="store_true", help="print one JSON object on stdout, with every address")


def _layout(arguments: argparse.Namespace) -> int:
    from hcb_opt.files import require_writable
    from hcb_opt.layout.csv_format import write_offsets
    from hcb_opt.layout.plot import save_address_map

    if arguments.output is not None:
        if Path(arguments.output).suffix not in (*_PICTURES, ".csv"):
            where = f"-o '{arguments.output}'"
            raise InvalidInput(where, "unknown kind of file", f"use one of {', '.join(_PICTURES)}, .csv")
        require_writable(arguments.output)
    capacity = None if arguments.capacity is None else _capacity_bytes(arguments.capacity)
    name, placed, peak = _placed(arguments, capacity)
    if arguments.output and Path(arguments.output).suffix == ".csv":
        write_offsets(placed, arguments.output)
    elif arguments.output:
        save_address_map(placed, name, [arguments.output])
    fits = capacity is None or placed.arena_bytes <= capacity
    if arguments.json:
        print(json.dumps(_to_json(name, placed, peak, capacity), allow_nan=False))
    else:
        print(_report(name, placed, peak, capacity, arguments.output))
    if fits:
        return DONE
    return REFUSED if capacity is not None and placed.lower_bound_bytes > capacity else NO_SCHEDULE


def _capacity_bytes(size: str) -> int:
    from hcb_opt.budget import parse_memory_limit

    try:
        return parse_memory_limit(size)
    except InvalidInput as error:
        raise InvalidInput(f"--capacity {size}", error.what, error.fix) from None


def _placed(arguments: argparse.Namespace, capacity_bytes: int | None) -> tuple[str, Layout, int | None]:
    """A name for the layout asked for, the layout, checked, and the schedule's peak in bytes if there is one."""
    from hcb_opt.io import load_graph, load_schedule
    from hcb_opt.layout import layout, place
    from hcb_opt.layout.address_map import DEFAULT_ALIGNMENT_BYTES
    from hcb_opt.layout.csv_format import read_buffers
    from hcb_opt.layout.validator import check_layout, check_schedule_layout
    from hcb_opt.replay import replay

    limits: dict[str, Any] = {key: getattr(arguments, key) for key in ("time_limit", "seed", "exact", "workers")}
    if Path(arguments.graph).suffix.lower() == ".csv":
        if arguments.schedule is not None:
            raise InvalidInput("SCHEDULE", "a CSV file has no schedule", "leave it out")
        alignment = 1 if arguments.alignment is None else arguments.alignment
        buffers = read_buffers(arguments.graph)
        placed = place(buffers, capacity_bytes=capacity_bytes, alignment_bytes=alignment, **limits)
        check_layout(placed)
        return Path(arguments.graph).stem, placed, None
    if arguments.schedule is None:
        raise InvalidInput("SCHEDULE", "missing", "give the schedule of the graph, or a CSV file alone")
    graph = load_graph(arguments.graph)
    schedule = load_schedule(arguments.schedule, graph)
    alignment = DEFAULT_ALIGNMENT_BYTES if arguments.alignment is None else arguments.alignment
    limits |= {"in_place": arguments.in_place, "alignment_bytes": alignment}
    placed = layout(graph, schedule, capacity_bytes=capacity_bytes, **limits)
    check_schedule_layout(graph, schedule, placed)
    return graph.name, placed, replay(graph, schedule).peak_bytes


def _to_json(name: str, placed: Layout, peak_bytes: int | None, capacity_bytes: int | None) -> dict[str, Any]:
    rows = enumerate(zip(placed.buffers, placed.offsets, strict=True))
    written_over = dict(placed.in_place)
    return {
        "name": name,
        "arena_bytes": placed.arena_bytes,
        "live_peak_bytes": placed.live_peak_bytes,
        "lower_bound_bytes": placed.lower_bound_bytes,
        "schedule_peak_bytes": peak_bytes,
        "fragmentation": placed.fragmentation,
        "proven": placed.proven,
        "persistent_bytes": placed.persistent_bytes,
        "capacity_bytes": capacity_bytes,
        "alignment_bytes": placed.alignment_bytes,
        "found_by": placed.found_by,
        "seconds": round(placed.seconds, 6),
        "buffers": [
            {
                "name": each.name,
                "kind": each.kind.value,
                "start": each.start,
                "end": each.end,
                "size_bytes": each.size_bytes,
                "offset": offset,
                "written_over": written_over.get(index),
            }
            for index, (each, offset) in rows
        ],
    }


def _report(name: str, placed: Layout, peak_bytes: int | None, capacity_bytes: int | None, output: str | None) -> str:
    from hcb_opt.budget import format_bytes

    proven = ", the smallest there is" if placed.proven else ""
    lines = [
        f"{name}: {len(placed.buffers)} buffers placed by '{placed.found_by}' in {placed.seconds:.2f} s",
        f"arena        {placed.arena_bytes} bytes ({format_bytes(placed.arena_bytes)}){proven}",
        f"live peak    {placed.live_peak_bytes} bytes ({format_bytes(placed.live_peak_bytes)}),"
        f" fragmentation {100 * placed.fragmentation:.3f} %",
    ]
    if placed.lower_bound_bytes > placed.live_peak_bytes:
        lines.append(f"lower bound  {placed.lower_bound_bytes} bytes ({format_bytes(placed.lower_bound_bytes)})")
    if placed.in_place and peak_bytes is not None:
        count = f"{len(placed.in_place)} of {len(placed.buffers)} buffers written over another one"
        lines.append(f"in place     {count}; the schedule's peak of {format_bytes(peak_bytes)} counts both")
    if placed.persistent_bytes:
        lines.append(f"persistent   {format_bytes(placed.persistent_bytes)}, in an arena of its own")
    if capacity_bytes is not None:
        excess = placed.arena_bytes - capacity_bytes
        lines.append(f"capacity     {capacity_bytes} bytes: {f'exceeded by {excess} bytes' if excess > 0 else 'kept'}")
    if output:
        lines.append(f"written to   {output}")
    return "\n".join(lines)
