"""The command ``pareto``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hcb_opt.cli.parsing import DONE, GRAPH_HELP, add_command, add_limits

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands


def add_commands(commands: Commands) -> None:
    """Add ``pareto``."""
    pareto = add_command(
        commands,
        "pareto",
        _pareto,
        "trace cost against peak from the store-all peak down to the smallest, with proven lower bounds",
        "hcb-opt pareto gpt2.json -n 20 --time-limit 120 -o pareto",
    )
    pareto.add_argument("graph", metavar="GRAPH", help=GRAPH_HELP)
    pareto.add_argument("-n", "--count", type=int, default=20, metavar="N", help="budgets at most (default: 20)")
    pareto.add_argument("--method", default="auto", metavar="NAME", help="see hcb-opt methods (default: auto)")
    pareto.add_argument("--order", default="fixed", metavar="ORDER", help="as in hcb-opt solve (default: fixed)")
    add_limits(pareto, limited="for all budgets together")
    pareto.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write pareto.png, pareto.pdf, pareto.csv and pareto.json here"
    )
    pareto.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _pareto(arguments: argparse.Namespace) -> int:
    from hcb_opt.budget import format_bytes
    from hcb_opt.experiments.pareto_report import FILES, format_front, front_to_json, save_front
    from hcb_opt.files import require_folder
    from hcb_opt.io import load_graph
    from hcb_opt.pareto import pareto
    from hcb_opt.pareto_front import ParetoPoint
    from hcb_opt.result import Status, relative_gap

    graph = load_graph(arguments.graph)
    if arguments.output:
        require_folder(arguments.output)
    seen: list[int] = []

    def show(point: ParetoPoint) -> None:
        again = point.budget_bytes in seen
        if not again:
            seen.append(point.budget_bytes)
        found = point.status.lower().replace("_", " ")
        if point.cost is not None:
            proven = "proven" if point.status is Status.OPTIMAL else f"gap {100 * (point.gap or 0.0):.3f} %"
            found = f"overhead {100 * relative_gap(point.cost, graph.base_cost):.3f} %, {proven}"
        number = seen.index(point.budget_bytes) + 1
        count = f"[{number:>{len(str(arguments.count))}}/{arguments.count}]{' again' if again else ''}"
        share = point.budget_bytes / max(1, graph.store_all_peak_bytes)
        where = f"{format_bytes(point.budget_bytes)} ({share:.1%})"
        print(f"{count} {where}: {found}, {point.seconds:.1f} s", file=sys.stderr, flush=True)

    front = pareto(
        graph,
        arguments.count,
        time_limit=arguments.time_limit,
        method=arguments.method,
        order=arguments.order,
        seed=arguments.seed,
        workers=arguments.workers,
        on_point=show,
        memory_limit=arguments.memory_limit,
    )
    facts = {name: getattr(arguments, name) for name in ("count", "time_limit", "seed", "workers", "memory_limit")}
    if arguments.output:
        save_front(front, graph, arguments.output, facts)
    if arguments.json:
        print(json.dumps(front_to_json(front, graph, facts), allow_nan=False))
        return DONE
    print(format_front(front, graph))
    if arguments.output:
        print(f"written to {arguments.output}: {', '.join(FILES)}")
    return DONE
