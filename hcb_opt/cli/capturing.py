"""The command ``capture``."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hcb_opt.cli.parsing import DONE, add_command
from hcb_opt.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from hcb_opt.capture.step import CapturedStep
    from hcb_opt.cli.parsing import Commands, Parser


def add_commands(commands: Commands) -> None:
    """Add ``capture``, with the flags of every model of the zoo."""
    from hcb_opt.models import zoo

    command = add_command(
        commands,
        "capture",
        _capture,
        "capture a training step as a graph",
        "hcb-opt capture gpt2 --layers 12 --batch 8 -o gpt2.json\n"
        "  hcb-opt capture train.py:step -o step.json    (step() returns model, loss_fn, batch)",
    )
    command.add_argument("step", metavar="MODEL", help=f"path.py:function, or one of {', '.join(zoo())}")
    command.add_argument(
        "--cost",
        default="roofline:h200",
        metavar="MODEL",
        help="flops, bytes, roofline:DEVICE, or measured: run the step on its device (default: roofline:h200)",
    )
    command.add_argument(
        "--workspaces",
        choices=("declared", "measured"),
        default="declared",
        help="ops' scratch memory: what is declared (most ops: 0), or run the step once on its device and see",
    )
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="write the graph here")
    add_sizes(command)


def add_sizes(command: Parser) -> None:
    """The flags of every model of the zoo, and where it is; their names go to ``flags``."""
    from hcb_opt.models import zoo

    sizes = command.add_argument_group("the zoo's models")
    flags = {flag.name: flag for model in zoo().values() for flag in model.flags.values()}
    for flag in flags.values():
        defaults = ", ".join(
            f"{name} {model.flags[flag.name].default}" for name, model in zoo().items() if flag.name in model.flags
        )
        sizes.add_argument(f"--{flag.name}", type=type(flag.default), metavar="N", help=f"{flag.help} ({defaults})")
    sizes.add_argument("--device", choices=("cpu", "cuda"), help="where the model is (default: cpu)")
    command.set_defaults(flags=(*flags, "device"))


def _capture(arguments: argparse.Namespace) -> int:
    from hcb_opt.budget import format_bytes
    from hcb_opt.files import require_writable
    from hcb_opt.io import save_graph

    require_writable(arguments.output)
    start = time.perf_counter()
    traced_cost = "flops" if arguments.cost == "measured" else arguments.cost
    captured = _captured(arguments.step, traced_cost, given_sizes(arguments))
    captured = _measured(captured, arguments.cost == "measured", arguments.workspaces == "measured")
    graph = captured.graph
    save_graph(graph, arguments.output, _program(captured))
    print(
        f"{graph.name}: {len(graph.ops)} ops, {len(graph.values)} values,"
        f" store-all peak {format_bytes(graph.store_all_peak_bytes)}, persistent {format_bytes(graph.persistent_bytes)}"
        f", captured in {time.perf_counter() - start:.1f} s"
    )
    return DONE


def given_sizes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The sizes that the user chose, and the device, by flag."""
    given = {flag: getattr(arguments, flag) for flag in arguments.flags}
    return {flag: size for flag, size in given.items() if size is not None}


def _program(captured: CapturedStep) -> dict[str, Any] | None:
    """The calls behind the graph; None, with a message, where they cannot be kept."""
    from hcb_opt.capture.program_json import program_to_json
    from hcb_opt.capture.record import record_program
    from hcb_opt.errors import CaptureError

    try:
        return program_to_json(record_program(captured))
    except CaptureError as error:
        print(f"the graph can be solved, but its schedules cannot be executed: {error}", file=sys.stderr)
        return None


def _measured(captured: CapturedStep, costs: bool, workspaces: bool) -> CapturedStep:
    """The step with what is to be measured, where its model runs."""
    if costs or workspaces:
        from hcb_opt.capture.record import record_program
        from hcb_opt.runtime.costs import measured_costs
        from hcb_opt.runtime.workspaces import measured_workspaces

        program = record_program(captured)
        if costs:
            captured = replace(captured, graph=measured_costs(captured, program))
            print(f"costs {captured.graph.facts['cost_model']}, spread {captured.graph.facts['cost_spread']}")
        if workspaces:
            captured = replace(captured, graph=measured_workspaces(captured, program))
    return captured


def check_step(step: str, flags: dict[str, Any]) -> None:
    """Refuse what is neither a model of the zoo nor a user's function, and flags given to the latter."""
    from hcb_opt.models import zoo

    if ":" in step:
        if flags:
            raise InvalidInput(f"--{next(iter(flags))}", "of the zoo's models only", "leave it out")
    elif step not in zoo():
        raise InvalidInput(f"model '{step}'", "not in the zoo", did_you_mean(step, [*zoo(), "path.py:function"]))


def _captured(step: str, cost: str, flags: dict[str, Any]) -> CapturedStep:
    from hcb_opt.capture import capture_step, load_user_step
    from hcb_opt.models import zoo

    check_step(step, flags)
    if ":" in step:
        model, loss_fn, batch = load_user_step(step)
        return capture_step(model, loss_fn, batch, cost=cost)
    return zoo()[step].capture_step(cost=cost, **flags)
