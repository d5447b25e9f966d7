"""What all commands share: exit codes, one-line errors, help with an example."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from hcb_opt.errors import InvalidInput

if TYPE_CHECKING:
    from hcb_opt.graph import Graph
    from hcb_opt.transfers.link import Link

    Commands = argparse._SubParsersAction["Parser"]

GRAPH_HELP = "our JSON, a Checkmate or Moccasin instance, or an operator log"
DONE, BAD_INPUT, REFUSED, NO_SCHEDULE, INTERRUPTED = 0, 2, 3, 4, 130


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InvalidInput` instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput("arguments", message, f"see {self.prog} --help")


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str, example: str
) -> Parser:
    """Add a command to the parser.

    Parameters
    ----------
    commands : the parser's subparsers
    name : str
    run : callable
        Takes the parsed arguments, returns the exit code.
    summary : str
        One line.
    example : str
        A command line to start from.
    """
    command = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(run=run)
    return command


def add_limits(command: Parser, limited: str = "per solve") -> None:
    """The options that every command which solves understands; ``limited`` says what the time limit is of."""
    command.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS", help=f"{limited} (default: 60)")
    command.add_argument("--workers", type=int, default=2, metavar="N", help="threads a method may use (default: 2)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of any random choice (default: 0)")
    command.add_argument(
        "--memory-limit", metavar="SIZE", help="what a solver process may allocate, such as 4GiB (default: no limit)"
    )


def add_link(command: Parser) -> None:
    """The options that say what copies to host memory cost."""
    link_help = "copies cost what this device of the roofline model takes (default: the one of the graph's costs)"
    command.add_argument("--link", metavar="DEVICE", help=link_help)
    command.add_argument(
        "--host-bandwidth", metavar="SIZE", help="bytes per second in each direction, such as 50GB, instead of DEVICE's"
    )


def link_asked(arguments: argparse.Namespace, graph: Graph) -> Link:
    """The link that these options name."""
    from hcb_opt.budget import parse_memory_limit
    from hcb_opt.transfers.link import link_of

    try:
        bandwidth = None if arguments.host_bandwidth is None else parse_memory_limit(arguments.host_bandwidth)
    except InvalidInput as error:
        raise InvalidInput(f"--host-bandwidth {arguments.host_bandwidth}", error.what, error.fix) from None
    return link_of(graph, arguments.link, bandwidth)


def words(text: str) -> list[str]:
    """Comma-separated words."""
    return [word.strip() for word in text.split(",") if word.strip()]
