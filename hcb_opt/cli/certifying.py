"""The commands ``certify`` and ``verify``."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from hcb_opt.cli.parsing import DONE, GRAPH_HELP, NO_SCHEDULE, REFUSED, add_command, add_limits
from hcb_opt.cli.solving import BUDGET_HELP

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands
    from hcb_opt.verify import Verified


def add_commands(commands: Commands) -> None:
    """Add ``certify`` and ``verify``."""
    certify = add_command(
        commands,
        "certify",
        _certify,
        "find a schedule and a proof of its lower bound that can be checked without trust in any solver",
        "hcb-opt certify gpt2.json --budget 0.6 -o gpt2.cert",
    )
    certify.add_argument("graph", metavar="GRAPH", help=GRAPH_HELP)
    certify.add_argument("--budget", required=True, metavar="B", help=BUDGET_HELP)
    add_limits(certify, limited="for the schedule, and again for the proof")
    certify.add_argument("-o", "--output", required=True, metavar="FILE", help="write the certificate here")

    verify = add_command(
        commands,
        "verify",
        _verify,
        "check a certificate in whole numbers, and with the verified programs where 'make proofs' has built them",
        "hcb-opt verify gpt2.cert --graph gpt2.json",
    )
    verify.add_argument("certificate", metavar="FILE", help="as written by hcb-opt certify -o")
    verify.add_argument("--graph", metavar="GRAPH", help="refuse a certificate that is not about this graph")


def _certify(arguments: argparse.Namespace) -> int:
    from hcb_opt.files import replacing, require_writable
    from hcb_opt.formulations.frontier_cuts.certified_bounds import prove_bound
    from hcb_opt.io import load_graph
    from hcb_opt.proof_text import case_text
    from hcb_opt.result import Status
    from hcb_opt.solve import solve_schedule
    from hcb_opt.verify import verify

    require_writable(arguments.output)
    graph = load_graph(arguments.graph)
    limits = {"time_limit": arguments.time_limit, "seed": arguments.seed}
    result = solve_schedule(
        graph, arguments.budget, workers=arguments.workers, memory_limit=arguments.memory_limit, **limits
    )
    if result.schedule is None or result.cost is None:
        print(f"{graph.name}: {result.status.value}: {result.reason}")
        return REFUSED if result.status == Status.INFEASIBLE else NO_SCHEDULE
    print(f"{graph.name}: cost {result.cost}, found in {result.seconds:.2f} s", file=sys.stderr)
    if result.reason == "interrupted":
        print("interrupted: the bound of what was found is proved now; Ctrl-C again ends without one", file=sys.stderr)
    began = time.perf_counter()
    proof = prove_bound(graph, result.budget_bytes, result.cost, **limits)
    print(f"{graph.name}: proof of {len(proof.nodes)} nodes in {time.perf_counter() - began:.2f} s", file=sys.stderr)
    with replacing(arguments.output) as path:
        path.write_text(case_text(graph, result.schedule, result.budget_bytes, proof), encoding="utf-8")
    _report(verify(arguments.output), arguments.output)
    return DONE


def _verify(arguments: argparse.Namespace) -> int:
    from hcb_opt.io import load_graph
    from hcb_opt.verify import NotVerified, verify

    graph = None if arguments.graph is None else load_graph(arguments.graph)
    try:
        _report(verify(arguments.certificate, graph), arguments.certificate)
    except NotVerified as error:
        print(f"REFUSED: {error}")
        return REFUSED
    return DONE


def _report(verified: Verified, path: str) -> None:
    from hcb_opt.budget import format_bytes

    checked = (
        "here and by the verified programs" if verified.by_programs else "here; the verified programs are not built"
    )
    print(f"{'CERTIFIED' if verified.certified else 'PROVED'}, checked {checked}")
    print(f"budget       {format_bytes(verified.budget_bytes)}")
    print(f"peak         {format_bytes(verified.peak_bytes)}")
    print(f"cost         {verified.cost}")
    print(f"lower bound  {verified.lower_bound} (fixed-order), gap {100 * verified.gap:.4f} %")
    print(f"certificate  {path}")
