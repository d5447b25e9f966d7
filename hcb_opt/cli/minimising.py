"""The command ``minimum``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hcb_opt.cli.parsing import DONE, GRAPH_HELP, add_command, add_limits

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands


def add_commands(commands: Commands) -> None:
    """Add ``minimum``."""
    minimum = add_command(
        commands,
        "minimum",
        _minimum,
        "find the smallest budget a step can be run in, with a proven lower bound",
        "hcb-opt minimum gpt2.json --time-limit 60 -o schedule.json",
    )
    minimum.add_argument("graph", metavar="GRAPH", help=GRAPH_HELP)
    add_limits(minimum, limited="in all")
    minimum.add_argument("-o", "--output", metavar="FILE", help="write the schedule with the smallest peak here")
    minimum.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _minimum(arguments: argparse.Namespace) -> int:
    from hcb_opt.budget import format_bytes
    from hcb_opt.files import require_writable
    from hcb_opt.io import load_graph, save_schedule
    from hcb_opt.minimum import minimum_budget

    if arguments.output is not None:
        require_writable(arguments.output)
    graph = load_graph(arguments.graph)
    store_all = graph.store_all_peak_bytes

    def share(size_bytes: int) -> str:
        return f"{format_bytes(size_bytes)}, {100 * size_bytes / max(1, store_all):.3f} % of the store-all peak"

    def show(lower_bytes: int, peak_bytes: int) -> None:
        print(f"    at least {format_bytes(lower_bytes)}, at most {format_bytes(peak_bytes)}", file=sys.stderr)

    found = minimum_budget(
        graph,
        time_limit=arguments.time_limit,
        seed=arguments.seed,
        workers=arguments.workers,
        on_step=show,
        memory_limit=arguments.memory_limit,
    )
    if arguments.output:
        save_schedule(found.schedule, graph, arguments.output)
    if arguments.json:
        fields = {
            "graph": graph.name,
            "peak_bytes": found.peak_bytes,
            "lower_bound_bytes": found.lower_bound_bytes,
            "store_all_peak_bytes": store_all,
            "proven": found.proven,
            "interrupted": found.interrupted,
            "seconds": round(found.seconds, 6),
        }
        print(json.dumps(fields))
        return DONE
    print(f"{graph.name}: smallest peak {'proven' if found.proven else 'found'} in {found.seconds:.2f} s")
    print(f"peak         {share(found.peak_bytes)}")
    print(f"lower bound  {share(found.lower_bound_bytes)} (fixed-order)")
    if found.interrupted:
        print("reason       interrupted")
    if arguments.output:
        print(f"schedule     {arguments.output}")
    return DONE
