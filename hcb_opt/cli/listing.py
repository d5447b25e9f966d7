"""The commands ``methods`` and ``doctor``."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import TYPE_CHECKING

from hcb_opt.cli.parsing import DONE, add_command

if TYPE_CHECKING:
    from hcb_opt.cli.parsing import Commands


def add_commands(commands: Commands) -> None:
    """Add ``methods`` and ``doctor``."""
    methods = add_command(
        commands, "methods", _methods, "list the methods: what each is, for which graphs, whose", "hcb-opt methods"
    )
    methods.add_argument("--json", action="store_true", help="print one JSON list on stdout")
    add_command(commands, "doctor", _doctor, "what is installed, what is missing, and how to get it", "hcb-opt doctor")


def _methods(arguments: argparse.Namespace) -> int:
    from hcb_opt.registry import methods

    found = methods().values()
    if arguments.json:
        fields = ("name", "kind", "claim", "graphs", "cites", "max_ops", "summary")
        print(json.dumps([{field: getattr(method, field) for field in fields} for method in found]))
        return DONE
    for method in found:
        print(f"{method.name}  ({method.kind}, {method.claim}; {method.graphs})")
        print(textwrap.fill(f"{method.summary} {method.cites}.", 100, initial_indent="    ", subsequent_indent="    "))
    return DONE


def _doctor(_: argparse.Namespace) -> int:
    from hcb_opt.doctor import examine

    for finding in examine():
        fix = f"; {finding.fix}" if finding.fix else ""
        print(f"{finding.name:<12} {finding.state}{fix}")
    return DONE
