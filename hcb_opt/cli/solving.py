"""The commands ``solve`` and ``check``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from hcb_opt.cli.parsing import DONE, GRAPH_HELP, NO_SCHEDULE, REFUSED, add_command, add_limits, add_link, link_asked

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands

BUDGET_HELP = "bytes, a size (8GiB), or a share of the store-all peak (0.6 or 60%%)"


def add_commands(commands: Commands) -> None:
    """Add ``solve`` and ``check``."""
    solve = add_command(
        commands,
        "solve",
        _solve,
        "find a cheap schedule within a memory budget, with a proven lower bound",
        "hcb-opt solve gpt2.json --budget 0.6 -o schedule.json",
    )
    solve.add_argument("graph", metavar="GRAPH", help=GRAPH_HELP)
    solve.add_argument("--budget", required=True, metavar="B", help=BUDGET_HELP)
    solve.add_argument("--method", default="auto", metavar="NAME", help="see hcb-opt methods (default: auto)")
    order_help = "of first computes: fixed, the graph's (default), or free, any topological order"
    solve.add_argument("--order", default="fixed", metavar="ORDER", help=order_help)
    solve.add_argument("--gap", type=float, default=0.0, metavar="SHARE", help="stop at this gap (default: 0)")
    add_limits(solve)
    solve.add_argument("--total", action="store_true", help="count persistent bytes into budget and peak")
    solve.add_argument("-o", "--output", metavar="FILE", help="write the schedule here")
    solve.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    check = add_command(
        commands,
        "check",
        _check,
        "replay a schedule: legal or not, its peak and cost",
        "hcb-opt check gpt2.json schedule.json --budget 0.6",
    )
    check.add_argument("graph", metavar="GRAPH", help="the graph that was solved")
    check.add_argument("schedule", metavar="SCHEDULE", help="as written by hcb-opt solve -o")
    check.add_argument("--budget", metavar="B", help=BUDGET_HELP)
    check.add_argument("--total", action="store_true", help="count persistent bytes into budget and peak")
    add_link(check)


def _solve(arguments: argparse.Namespace) -> int:
    from hcb_opt.build import counting_persistent
    from hcb_opt.certificate import result_to_json
    from hcb_opt.cli.live import LiveLine
    from hcb_opt.files import require_writable
    from hcb_opt.io import load_graph, save_schedule
    from hcb_opt.result import Status
    from hcb_opt.solve import solve_schedule

    if arguments.output is not None:
        require_writable(arguments.output)
    graph = load_graph(arguments.graph)
    with LiveLine(sys.stderr, graph.base_cost) as live:
        result = solve_schedule(
            counting_persistent(graph) if arguments.total else graph,
            arguments.budget,
            method=arguments.method,
            order=arguments.order,
            time_limit=arguments.time_limit,
            gap=arguments.gap,
            seed=arguments.seed,
            workers=arguments.workers,
            on_event=live.show,
            memory_limit=arguments.memory_limit,
        )
    certificate = result_to_json(result, graph, arguments.total)
    if result.schedule is not None and arguments.output:
        save_schedule(result.schedule, graph, arguments.output, certificate)
    if arguments.json:
        print(json.dumps(certificate, allow_nan=False))
    else:
        print(report(certificate, arguments.output))
    return {Status.INFEASIBLE: REFUSED, Status.NO_SCHEDULE: NO_SCHEDULE}.get(result.status, DONE)


def _check(arguments: argparse.Namespace) -> int:
    from hcb_opt.budget import format_bytes, parse_budget
    from hcb_opt.build import counting_persistent
    from hcb_opt.io import load_graph, load_schedule
    from hcb_opt.replay import IllegalSchedule, Replay, replay
    from hcb_opt.result import relative_gap
    from hcb_opt.transfers.replay import TransferReplay, replay_transfers
    from hcb_opt.transfers.schemes import used_bounds

    graph = load_graph(arguments.graph)
    schedule = load_schedule(arguments.schedule, graph)
    if arguments.total:
        graph = counting_persistent(graph)
    budget_bytes = None
    if arguments.budget is not None:
        budget_bytes = parse_budget(arguments.budget, graph.store_all_peak_bytes)
    try:
        judged: Replay = (
            replay_transfers(graph, schedule, link_asked(arguments, graph))
            if schedule.has_transfers
            else replay(graph, schedule)
        )
    except IllegalSchedule as error:
        print(f"illegal at step {error.step}: {error.reason}")
        return REFUSED
    computes = sum(judged.compute_counts)
    order = "the graph's order" if judged.fixed_order else "another order"
    print(f"legal: {computes} computes, {computes - len(graph.ops)} of them repeated; first computes in {order}")
    print(f"peak   {judged.peak_bytes} bytes ({format_bytes(judged.peak_bytes)}) at step {judged.peak_step}")
    overhead = relative_gap(judged.cost, graph.base_cost)
    print(f"cost   {judged.cost} {graph.cost_unit}, overhead {_percent(overhead)}")
    if isinstance(judged, TransferReplay):
        print(f"host   {judged.host_peak_bytes} bytes ({format_bytes(judged.host_peak_bytes)})")
        print(f"waits  {judged.waited} {graph.cost_unit} for copies, counted in the cost")
        if judged.deviating:
            print(_lossy(len(judged.deviating), used_bounds(schedule)))
    if budget_bytes is None:
        return DONE
    excess = judged.peak_bytes - budget_bytes
    print(f"budget {budget_bytes} bytes: {f'exceeded by {excess} bytes' if excess > 0 else 'kept'}")
    return REFUSED if excess > 0 else DONE


def report(certificate: dict[str, Any], output: str | None) -> str:
    """A certificate in words; figures that are null are left out."""
    from hcb_opt.budget import format_bytes

    unit = certificate["cost_unit"]
    share = certificate["budget_bytes"] / max(1, certificate["store_all_peak_bytes"])
    lines = [
        f"{certificate['graph']}: {certificate['status']} by {certificate['method']} in {certificate['seconds']:.2f} s",
        f"size         {certificate['ops']} ops, {certificate['values']} values",
        f"budget       {format_bytes(certificate['budget_bytes'])}, {_percent(share)} of the store-all peak",
    ]
    if certificate["cost"] is not None:
        lines += [
            f"peak         {format_bytes(certificate['peak_bytes'])}",
            f"cost         {certificate['cost']} {unit}, overhead {_percent(certificate['overhead'])}",
        ]
    if certificate.get("host_peak_bytes") is not None:
        lines.append(f"host         {format_bytes(certificate['host_peak_bytes'])}")
        lines.append(f"waits        {certificate['waited']} {unit} for copies, counted in the cost")
    if certificate.get("deviating"):
        lines.append(_lossy(certificate["deviating"], certificate["error_bounds"]))
    if certificate["lower_bound"] is not None:
        gap = "" if certificate["gap"] is None else f", gap {_percent(certificate['gap'])}"
        lines.append(f"lower bound  {certificate['lower_bound']} {unit} ({certificate['claim']}){gap}")
    held = certificate["persistent_bytes"]
    if held:
        counted = "counted above, as workspace" if certificate["total"] else "not counted above"
        lines.append(f"persistent   {format_bytes(held)}, {counted}")
    if certificate["reason"]:
        lines.append(f"reason       {certificate['reason']}")
    if certificate["cost"] is not None and output:
        lines.append(f"schedule     {output}")
    return "\n".join(lines)


def _lossy(deviating: int, bounds: dict[str, str]) -> str:
    each = "; ".join(f"{scheme} loses up to {bound}" for scheme, bound in bounds.items())
    return f"lossy  {deviating} values deviate from what their ops compute ({each})"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.3f} %"
