"""The command line ``hcb-opt``: one module per group of commands, imported by `main`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from hcb_opt.cli import (
    capturing,
    certifying,
    experimenting,
    listing,
    minimising,
    offloading,
    placing,
    solving,
    tracing,
    validating,
)
from hcb_opt.cli.parsing import BAD_INPUT, INTERRUPTED, Parser
from hcb_opt.errors import HcbOptError
from hcb_opt.version import __version__

OPTIONAL = {"torch": "torch", "triton": "triton", "distributed": "cluster", "submitit": "cluster"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments after the program's name; None takes the process's own.

    Returns
    -------
    int
        0: done, and a schedule was found where one was asked for; 2: bad
        arguments or a bad file; 3: proven infeasible, or a checked schedule is
        illegal or over budget; 4: no schedule within the limit; 130:
        interrupted with nothing to show.
    """
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except HcbOptError as error:
        return _fail(str(error), BAD_INPUT)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        return _fail(f"{error.name}: not installed; pip install 'hcb-opt[{OPTIONAL[error.name]}]'", BAD_INPUT)
    except KeyboardInterrupt as stopped:
        return _fail(f"interrupted: {stopped}" if str(stopped) else "interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (``| head``): nothing is left to say, not even at exit.
        _silence()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _silence()
        return _fail(f"the output cannot be written: {error.strerror}; make room", BAD_INPUT)


def run() -> NoReturn:
    """Run one command as the process's own, and end the process."""
    sys.exit(main())


def _silence() -> None:
    """Let go of what was printed and not written yet, which would fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    print(f"hcb-opt: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="hcb-opt",
        description="The cheapest way to train within a memory budget, and how far from optimal any schedule is.",
        epilog="Each command has its own --help with an example.",
    )
    parser.add_argument("--version", action="version", version=f"hcb-opt {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    solvers = (solving, offloading, certifying, minimising, tracing)
    for group in (capturing, *solvers, placing, validating, experimenting, listing):
        group.add_commands(commands)
    return parser
