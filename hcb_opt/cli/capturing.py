"""The command ``capture``."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from hcb_opt.cli.parsing import DONE, add_command
from hcb_opt.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands
    from hcb_opt.graph import Graph


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
        help="flops, bytes or roofline:DEVICE (default: roofline:h200)",
    )
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="write the graph here")
    sizes = command.add_argument_group("sizes of the zoo's models")
    flags = {flag.name: flag for model in zoo().values() for flag in model.flags.values()}
    for flag in flags.values():
        defaults = ", ".join(
            f"{name} {model.flags[flag.name].default}" for name, model in zoo().items() if flag.name in model.flags
        )
        sizes.add_argument(f"--{flag.name}", type=type(flag.default), metavar="N", help=f"{flag.help} ({defaults})")
    command.set_defaults(flags=tuple(flags))


def _capture(arguments: argparse.Namespace) -> int:
    from hcb_opt.budget import format_bytes
    from hcb_opt.files import require_writable
    from hcb_opt.io import save_graph

    require_writable(arguments.output)
    start = time.perf_counter()
    given = {flag: getattr(arguments, flag) for flag in arguments.flags}
    graph = _graph(arguments.step, arguments.cost, {flag: size for flag, size in given.items() if size is not None})
    save_graph(graph, arguments.output)
    print(
        f"{graph.name}: {len(graph.ops)} ops, {len(graph.values)} values,"
        f" store-all peak {format_bytes(graph.store_all_peak_bytes)}, persistent {format_bytes(graph.persistent_bytes)}"
        f", captured in {time.perf_counter() - start:.1f} s"
    )
    return DONE


def _graph(step: str, cost: str, flags: dict[str, int | float]) -> Graph:
    from hcb_opt.capture import capture, load_user_step
    from hcb_opt.models import zoo

    if ":" in step:
        if flags:
            raise InvalidInput(f"--{next(iter(flags))}", "a size of the zoo's models only", f"set it in {step}")
        model, loss_fn, batch = load_user_step(step)
        return capture(model, loss_fn, batch, cost=cost)
    if step not in zoo():
        raise InvalidInput(f"model '{step}'", "not in the zoo", did_you_mean(step, [*zoo(), "path.py:function"]))
    return zoo()[step].capture(cost=cost, **flags)
