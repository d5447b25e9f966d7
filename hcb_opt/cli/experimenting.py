"""The commands ``gap`` and ``reproduce``: the experiments, by name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.cli.parsing import DONE, GRAPH_HELP, add_command, add_limits, words
from hcb_opt.errors import HcbOptError, InvalidInput, did_you_mean
from hcb_opt.files import require_folder

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands
    from hcb_opt.experiments.catalogue import Experiment

RESULTS = Path("results")
OPTIONS = ("time_limit", "workers", "seeds", "instances", "device")
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
    gap.add_argument("graphs", nargs="+", metavar="GRAPH", help=GRAPH_HELP)
    gap.add_argument("--budgets", type=words, default=words(BUDGETS), metavar="B,...", help=f"default: {BUDGETS}")
    gap.add_argument(
        "--methods", type=words, metavar="NAME,...", help="default: one of each family; all for every method"
    )
    gap.add_argument("-o", "--output", type=Path, default=RESULTS / "gap", metavar="DIR", help="default: results/gap")
    add_limits(gap)

    reproduce = add_command(
        commands,
        "reproduce",
        _reproduce,
        "run an experiment with its own settings; without a name, list them",
        "hcb-opt reproduce gap",
    )
    reproduce.add_argument("name", nargs="?", metavar="NAME", help="an experiment")
    reproduce.add_argument("--all", action="store_true", help="every experiment, one after the other")
    reproduce.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: results/NAME; with --all: results"
    )
    reproduce.add_argument("--quick", action="store_true", help="a small version, to see in seconds whether all works")
    reproduce.add_argument("--time-limit", type=float, metavar="SECONDS", help="per solve; not every experiment's")
    reproduce.add_argument("--workers", type=int, metavar="N", help="threads a method may use; not every experiment's")
    reproduce.add_argument("--seeds", type=_whole_numbers, metavar="N,...", help="of the random graphs of 'published'")
    reproduce.add_argument(
        "--instances", type=Path, metavar="DIR", help="instances of your own, for 'published' and 'dtr-curves'"
    )
    reproduce.add_argument("--device", metavar="DEVICE", help="cuda or cpu, for 'gpu'")
    reproduce.add_argument("--processes", type=int, metavar="N", help="tasks solved at a time; sweeps only")
    reproduce.add_argument(
        "--cluster", metavar="ADDRESS", help="a Dask scheduler, such as tcp://host:8786; sweeps only"
    )
    reproduce.add_argument("--slurm", action="store_true", help="each task as a Slurm job; sweeps only")


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
        memory_limit=arguments.memory_limit,
        on_row=gap.print_progress,
    )
    print(format_table(rows))
    print(f"written to {arguments.output}: gap.png, gap.pdf, gap.csv, gap.json")
    return DONE


def _reproduce(arguments: argparse.Namespace) -> int:
    from hcb_opt.experiments.catalogue import experiments

    found = experiments()
    if arguments.all:
        return _reproduce_all(arguments, found)
    if arguments.name is None:
        for experiment in found.values():
            print(f"{experiment.name:<{max(map(len, found))}}  {experiment.summary}")
        return DONE
    if arguments.name not in found:
        raise InvalidInput(f"experiment '{arguments.name}'", "unknown", did_you_mean(arguments.name, found))
    experiment = found[arguments.name]
    options = _options(arguments)
    for name in options:
        if name not in experiment.options:
            flag = f"--{name.replace('_', '-')}"
            raise InvalidInput(flag, f"no option of the experiment '{experiment.name}'", "leave it out")
    directory = arguments.output or RESULTS / arguments.name
    with _executor(arguments, experiment, directory) as executor:
        require_folder(directory)
        if executor is not None:
            options["executor"] = executor
        experiment.run(directory, arguments.quick, **options)
    return DONE


def _reproduce_all(arguments: argparse.Namespace, found: Mapping[str, Experiment]) -> int:
    """Every experiment, each with those of the options that it takes; one that fails does not keep back the next."""
    from hcb_opt.experiments.catalogue import NotHere

    if arguments.name is not None:
        raise InvalidInput("--all", f"'{arguments.name}' is named as well", "give one of them")
    failed = []
    for number, experiment in enumerate(found.values(), start=1):
        print(f"[{number}/{len(found)}] {experiment.name}: {experiment.summary}", file=sys.stderr)
        options = {name: value for name, value in _options(arguments).items() if name in experiment.options}
        directory = (arguments.output or RESULTS) / experiment.name
        try:
            require_folder(directory)
            if "executor" in experiment.options:
                with _executor(arguments, experiment, directory) as executor:
                    experiment.run(directory, arguments.quick, **options, executor=executor)
            else:
                experiment.run(directory, arguments.quick, **options)
        except NotHere as reason:
            print(f"left out: {reason}", file=sys.stderr)
        except HcbOptError as error:
            failed.append(experiment.name)
            print(f"{experiment.name}: {error}", file=sys.stderr)
    if failed:
        raise InvalidInput("reproduce --all", f"failed: {', '.join(failed)}", "see the messages above")
    return DONE


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}


@contextmanager
def _executor(arguments: argparse.Namespace, experiment: Experiment, directory: Path) -> Iterator[Executor | None]:
    """What the options of sweeps ask for; None if nothing."""
    from hcb_opt.experiments.executors import open_executor

    asked = {
        "--processes": arguments.processes is not None,
        "--cluster": arguments.cluster is not None,
        "--slurm": arguments.slurm,
    }
    flag = next((name for name, given in asked.items() if given), None)
    if flag is None:
        yield None
    elif "executor" not in experiment.options:
        raise InvalidInput(flag, f"'{experiment.name}' is no sweep: it solves one task at a time", "leave it out")
    else:
        jobs = directory / "slurm" if arguments.slurm else None
        with open_executor(arguments.cluster, jobs, arguments.processes) as executor:
            yield executor


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in words(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of whole numbers such as 0,1,2") from None
