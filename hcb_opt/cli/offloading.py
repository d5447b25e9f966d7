"""The command ``offload``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hcb_opt.cli.parsing import (
    DONE,
    GRAPH_HELP,
    NO_SCHEDULE,
    REFUSED,
    add_command,
    add_limits,
    add_link,
    link_asked,
    words,
)
from hcb_opt.cli.solving import BUDGET_HELP, report

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands


def add_commands(commands: Commands) -> None:
    """Add ``offload``."""
    offload = add_command(
        commands,
        "offload",
        _offload,
        "find a cheap schedule within a memory budget that may move values to host memory and back",
        "hcb-opt offload gpt2.json --budget 0.6 --host-bandwidth 50GB -o schedule.json",
    )
    offload.add_argument("graph", metavar="GRAPH", help=f"{GRAPH_HELP}; costs in ns")
    offload.add_argument("--budget", required=True, metavar="B", help=f"of the device: {BUDGET_HELP}")
    add_link(offload)
    compress_help = (
        "schemes for copies in fewer bytes: bits loses nothing, bf16 and int8 do; '' for none (default: bits)"
    )
    offload.add_argument("--compress", type=words, default=["bits"], metavar="SCHEME,...", help=compress_help)
    method_help = "solves for the schedules to start from (default: auto)"
    offload.add_argument("--method", default="auto", metavar="NAME", help=method_help)
    add_limits(offload, limited="in all")
    offload.add_argument("--total", action="store_true", help="count persistent bytes into budget and peak")
    offload.add_argument("-o", "--output", metavar="FILE", help="write the schedule here")
    offload.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _offload(arguments: argparse.Namespace) -> int:
    from hcb_opt.build import counting_persistent
    from hcb_opt.certificate import result_to_json
    from hcb_opt.cli.live import LiveLine
    from hcb_opt.files import require_writable
    from hcb_opt.io import load_graph, save_schedule
    from hcb_opt.result import Status
    from hcb_opt.transfers.planner import plan_transfers
    from hcb_opt.transfers.replay import replay_transfers
    from hcb_opt.transfers.schemes import used_bounds

    if arguments.output is not None:
        require_writable(arguments.output)
    graph = load_graph(arguments.graph)
    link = link_asked(arguments, graph)
    with LiveLine(sys.stderr, graph.base_cost) as live:
        result = plan_transfers(
            counting_persistent(graph) if arguments.total else graph,
            arguments.budget,
            link,
            method=arguments.method,
            time_limit=arguments.time_limit,
            seed=arguments.seed,
            workers=arguments.workers,
            on_event=live.show,
            schemes=arguments.compress,
            memory_limit=arguments.memory_limit,
        )
    certificate = result_to_json(result, graph, arguments.total)
    if result.schedule is not None:
        judged = replay_transfers(graph, result.schedule, link)
        certificate |= {
            "host_peak_bytes": judged.host_peak_bytes,
            "waited": judged.waited,
            "deviating": len(judged.deviating),
            "error_bounds": used_bounds(result.schedule),
        }
        if arguments.output:
            save_schedule(result.schedule, graph, arguments.output, certificate)
    if arguments.json:
        print(json.dumps(certificate, allow_nan=False))
    else:
        print(report(certificate, arguments.output))
    return {Status.INFEASIBLE: REFUSED, Status.NO_SCHEDULE: NO_SCHEDULE}.get(result.status, DONE)
