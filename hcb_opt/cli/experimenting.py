"""The commands ``gap`` and ``reproduce``: the experiments, by name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hcb_opt.cli.parsing import DONE, add_command, add_limits, words
from hcb_opt.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands

RESULTS = Path("results")
BUDGETS = "0.9,0.8,0.7,0.6,0.5,0.4"


def add_commands(commands: Commands) -> None:
    """Add ``gap`` and ``reproduce``."""
    gap = add_command(
        commands,
        "gap",
        _gap,
        "solve graphs at several budgets with several methods; tabulate and plot the gaps",
        "hcb-opt gap gpt2.json unet.json --budgets 0.9,0.7,0.5 --methods frontier_cuts,chen_sqrt -o gap",
    )
    gap.add_argument("graphs", nargs="+", metavar="GRAPH", help="our JSON, or a published instance")
    gap.add_argument("--budgets", type=words, default=words(BUDGETS), metavar="B,...", help=f"default: {BUDGETS}")
    gap.add_argument("--methods", type=words, metavar="NAME,...", help="default: every method")
    gap.add_argument(
        "-o", "--output", type=Path, default=Path("results/gap"), metavar="DIR", help="default: results/gap"
    )
    add_limits(gap)

    reproduce = add_command(
        commands,
        "reproduce",
        _reproduce,
        "run an experiment with its own settings; without a name, list them",
        "hcb-opt reproduce gap",
    )
    reproduce.add_argument("name", nargs="?", metavar="NAME", help="an experiment")
    reproduce.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: results/NAME")
    reproduce.add_argument("--quick", action="store_true", help="a small version, to see in seconds whether all works")


def _gap(arguments: argparse.Namespace) -> int:
    from hcb_opt.experiments import gap
    from hcb_opt.experiments.gap_report import format_table
    from hcb_opt.io import load_graph

    rows = gap.run(
        [load_graph(path) for path in arguments.graphs],
        arguments.budgets,
        arguments.methods,
        arguments.output,
        time_limit=arguments.time_limit,
        seed=arguments.seed,
        workers=arguments.workers,
        on_row=gap.print_progress,
    )
    print(format_table(rows))
    print(f"written to {arguments.output}: gap.png, gap.pdf, gap.csv, gap.json")
    return DONE


def _reproduce(arguments: argparse.Namespace) -> int:
    from hcb_opt.experiments.catalogue import experiments

    found = experiments()
    if arguments.name is None:
        for experiment in found.values():
            print(f"{experiment.name:<12} {experiment.summary}")
        return DONE
    if arguments.name not in found:
        raise InvalidInput(f"experiment '{arguments.name}'", "unknown", did_you_mean(arguments.name, found))
    found[arguments.name].run(arguments.output or RESULTS / arguments.name, arguments.quick)
    return DONE
