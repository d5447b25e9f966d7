"""The command ``validate``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from hcb_opt.cli.parsing import DONE, REFUSED, add_command, add_link, link_asked

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands
    from hcb_opt.graph import Graph
    from hcb_opt.schedule import Schedule


def add_commands(commands: Commands) -> None:
    """Add ``validate``, with the flags of every model of the zoo."""
    from hcb_opt.cli.capturing import add_sizes

    command = add_command(
        commands,
        "validate",
        _validate,
        "execute a schedule: predicted against measured peak and time, gradients against eager",
        "hcb-opt validate gpt2 schedule.json --layers 12 --batch 8\n"
        "  hcb-opt validate gpt2.json schedule.json    (random tensors, against the stored order)\n"
        "  hcb-opt validate vgg16.json schedule.json --kernels --scale 1000    (any graph: kernels stand for its ops)",
    )
    model_help = "a graph as written by hcb-opt capture, or what was captured: a zoo name, or path.py:function"
    command.add_argument("step", metavar="GRAPH|MODEL", help=model_help)
    command.add_argument("schedule", metavar="SCHEDULE", help="as written by hcb-opt solve -o")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, batch and dropout (default: 0)")
    command.add_argument("--repeats", type=int, default=5, metavar="N", help="runs that are timed (default: 5)")
    kernels_help = "run hash kernels of the ops' sizes and costs in one arena: needs no model"
    command.add_argument("--kernels", action="store_true", help=kernels_help)
    in_place_help = "let ops write over inputs where they may, with --kernels; the peak counts both"
    command.add_argument("--in-place", action="store_true", help=in_place_help)
    command.add_argument("--scale", type=int, metavar="N", help="divide all sizes by it, with --kernels (default: 1)")
    add_link(command)
    add_sizes(command)


def _validate(arguments: argparse.Namespace) -> int:
    from hcb_opt.errors import InvalidInput

    if arguments.repeats < 1:
        raise InvalidInput(f"--repeats {arguments.repeats}", "not above zero", "time at least one run")
    if arguments.scale is not None and not arguments.kernels:
        raise InvalidInput(f"--scale {arguments.scale}", "is of --kernels only", "leave it out, or add --kernels")
    if arguments.in_place and not arguments.kernels:
        raise InvalidInput("--in-place", "is of --kernels only", "leave it out, or add --kernels")
    if arguments.kernels:
        report = _by_kernels(arguments)
    else:
        report = _of_graph(arguments) if arguments.step.endswith(".json") else _of_model(arguments)
    print(json.dumps(report, indent=1, allow_nan=False))
    return DONE if report["bit_equal"] else REFUSED


def _by_kernels(arguments: argparse.Namespace) -> dict[str, Any]:
    from hcb_opt.cli.capturing import check_step, given_sizes
    from hcb_opt.io import load_graph, load_schedule
    from hcb_opt.runtime.instance_report import validate_instance

    if flags := given_sizes(arguments):
        check_step(f"{arguments.step}:", flags)
    graph = load_graph(arguments.step)
    schedule = load_schedule(arguments.schedule, graph)
    scale = 1 if arguments.scale is None else arguments.scale
    return validate_instance(
        graph, schedule, scale=scale, in_place=arguments.in_place, seed=arguments.seed, repeats=arguments.repeats
    )


def _of_graph(arguments: argparse.Namespace) -> dict[str, Any]:
    from hcb_opt.capture.program_json import load_program
    from hcb_opt.cli.capturing import check_step, given_sizes
    from hcb_opt.io import load_graph, load_schedule
    from hcb_opt.runtime.validate import random_arguments, validate

    graph = load_graph(arguments.step)
    if flags := given_sizes(arguments):
        check_step(f"{arguments.step}:", flags)
    program = load_program(arguments.step, graph)
    schedule = load_schedule(arguments.schedule, graph)
    tensors = random_arguments(program, arguments.seed)
    options = _options(arguments, graph, schedule)
    return validate(graph, program, schedule, tensors, **options)


def _of_model(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    from hcb_opt.capture import capture_step, load_user_step
    from hcb_opt.capture.record import record_program
    from hcb_opt.cli.capturing import check_step, given_sizes
    from hcb_opt.io import load_schedule
    from hcb_opt.models import zoo
    from hcb_opt.runtime.executor import Executor
    from hcb_opt.runtime.step import ModelStep
    from hcb_opt.runtime.validate import eager_reference, validate

    flags = given_sizes(arguments)
    check_step(arguments.step, flags)
    torch.manual_seed(arguments.seed)
    if ":" in arguments.step:
        model, loss_fn, batch = load_user_step(arguments.step)
    else:
        model, loss_fn, batch = zoo()[arguments.step].make(**flags)
    captured = capture_step(model, loss_fn, batch)
    program = record_program(captured)
    schedule = load_schedule(arguments.schedule, captured.graph)
    tensors = ModelStep(model, Executor(captured.graph, program, schedule)).arguments(batch)
    reference = eager_reference(model, loss_fn, batch, program)
    options = _options(arguments, captured.graph, schedule)
    return validate(captured.graph, program, schedule, tensors, reference, **options)


def _options(arguments: argparse.Namespace, graph: Graph, schedule: Schedule) -> dict[str, Any]:
    options = {"seed": arguments.seed, "repeats": arguments.repeats}
    return options | {"link": link_asked(arguments, graph)} if schedule.has_transfers else options
