"""What all commands share: exit codes, one-line errors, help with an example."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from hcb_opt.errors import InvalidInput

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]

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


def words(text: str) -> list[str]:
    """Comma-separated words."""
    return [word.strip() for word in text.split(",") if word.strip()]
