"""Every command and snippet of the README and of docs/ runs and prints what the page shows.

Blocks of a page run in their order, in one folder. What becomes of a block
depends on the first words of its fence:

``console``
    Lines after ``$`` are commands; the others are what they print, errors
    first. Lines about a solve's progress need not be shown.
``python``
    Run; a ``text`` block right after it is what it prints.
``python FILE``, ``json FILE``
    Written to that file.

In what is shown, ``...`` stands for any text, as a line of its own for any
lines; times and the figures that differ between equally good schedules may
differ.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import io
import json
import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from hcb_opt.experiments import gap
from hcb_opt.generators import chain
from hcb_opt.registry import methods

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)?[ ]*(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PROGRESS = re.compile(r"\s*\d+\.\d s  overhead |\[ *\d+/\d+\] |captured \w+: ")
SECONDS = re.compile(r"\d+\.\d+ s\b")
# These differ between schedules of the same cost.
VARYING = re.compile(r"^(peak |legal: |budget \d+ bytes: exceeded)")
KNOWN_TORCH = "2.13."
# Set-up: on another machine, or checked otherwise.
NOT_RUN = ("git ", "cd ", "pip install ", "pytest ", "make ")
# The commands see the methods of the page's own folder, as if they lay in the checkout's.
COMMAND = """
import sys
from pathlib import Path
import hcb_opt.baselines
hcb_opt.baselines.__path__.append(str(Path("baselines").resolve()))
from hcb_opt.cli import run
run()
"""


@dataclass(frozen=True)
class Block:
    """A fenced block; ``shown`` is the ``text`` block that follows it."""

    kind: str
    file: str
    body: str
    shown: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    listed = []
    for match, following in zip_longest(found, found[1:]):
        adjacent = following is not None and not text[match.end() : following.start()].strip()
        shown = following[3] if adjacent and following[1] == "text" else None
        listed.append(Block(match[1] or "", match[2], match[3], shown))
    return listed


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, and what is shown below each."""
    command, shown = "", ""
    for line in block.body.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line.removeprefix("$ "), ""
        else:
            shown += f"{line}\n"
    assert command, f"a console block without a command: {block.body}"
    yield command, shown


def comparable(text: str, exact: bool) -> str:
    """Text without times, spacing and varying figures; without any figure if it is not exact."""
    lines = []
    for line in text.strip("\n").splitlines():
        line = SECONDS.sub("T s", line)
        line = re.sub(r" +", " ", re.sub(r"\d+", "#", line) if VARYING.match(line) or not exact else line).strip()
        lines.append(line)
    return "\n".join(lines) + "\n"


def require_shown(shown: str, printed: str, exact: bool) -> None:
    pattern = ""
    for line in comparable(shown, exact).splitlines():
        pattern += r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
    assert re.fullmatch(pattern, comparable(printed, exact)), (
        f"the page shows:\n{shown}\nbut this is printed:\n{printed}"
    )


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``hcb-opt`` is that of this checkout and interpreter."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "hcb_opt_command.py").write_text(COMMAND)
    script = programs / "hcb-opt"
    program = shlex.join([sys.executable, str(programs / "hcb_opt_command.py")])
    script.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    script.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def run_command(command: str, folder: Path, shell: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=shell, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    errors = [line for line in done.stderr.splitlines() if not PROGRESS.match(line)]
    return "".join(f"{line}\n" for line in [*errors, *done.stdout.splitlines()])


def run_python(block: Block, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.body, "<snippet>", "exec"), names)
    return printed.getvalue()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_snippets(page: Path, tmp_path: Path, shell: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    exact = True
    if "capture" in "".join(block.body for block in blocks(page)):
        pytest.importorskip("torch")
        exact = importlib.metadata.version("torch").startswith(KNOWN_TORCH)
    module = types.ModuleType("snippet")
    monkeypatch.setitem(sys.modules, "snippet", module)  # torch.compile imports what it finds a function in
    names = vars(module)
    for block in blocks(page):
        if block.kind in ("python", "json") and block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body)
        elif block.kind == "python":
            printed = run_python(block, names)
            if block.shown is not None:
                require_shown(block.shown, printed, exact)
        elif block.kind == "console":
            for command, shown in commands(block):
                if not command.startswith(NOT_RUN):
                    require_shown(shown, run_command(command, folder, shell), exact)


def test_pages_have_known_blocks_only() -> None:
    """A misspelt fence would be a snippet that nothing runs."""
    for page in PAGES:
        assert page.read_text().count("\n```") == 2 * len(blocks(page)), page.name
        assert {block.kind for block in blocks(page)} <= {"python", "console", "json", "text", ""}, page.name


def test_make_commands_are_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:`|\$ )make ([a-z]+)", text))
    assert {"gap", "test"} <= named <= targets


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    prose = BLOCK.sub("", page.read_text())
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(BLOCK.sub("", page.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_listed() -> None:
    listed = set(LINK.findall((ROOT / "docs" / "index.md").read_text()))
    assert listed >= {page.name for page in PAGES if page.parent.name == "docs" and page.name != "index.md"}


def test_method_table_is_the_registry() -> None:
    found = methods().values()
    rows = [f"| `{each.name}` | {each.summary} | {each.kind} | {each.claim} | {each.graphs} |" for each in found]
    text = (ROOT / "docs" / "methods.md").read_text()
    shown = [line for line in text.splitlines() if re.match(r"\| `\w+` \|", line)]
    assert shown == rows, "the table in docs/methods.md should be:\n" + "\n".join(rows)


def test_the_readme_names_every_method() -> None:
    section = (ROOT / "README.md").read_text().partition("## Methods")[2].partition("`auto` takes")[0]
    assert sorted(re.findall(r"`(\w+)`", section)) == sorted(methods())


def test_every_method_is_explained() -> None:
    text = (ROOT / "docs" / "choosing-a-method.md").read_text()
    assert {name for name in methods() if f"### `{name}`" not in text} == set()


@pytest.mark.parametrize("name", ["graph", "schedule", "result", "pareto"])
def test_every_field_is_explained(name: str) -> None:
    """The table of each format has the fields of its schema, and says which are required."""
    schema = json.loads((ROOT / "hcb_opt" / "schemas" / f"{name}.schema.json").read_text())
    text = (ROOT / "docs" / "file-formats.md").read_text()
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    table = next(each for each in section if each.lower().startswith(f"{name} file") or each.lower().startswith(name))
    parts = schema.get("$defs", {})
    fields = set(schema["properties"]).union(*(parts[part]["properties"] for part in {"op", "point"} & set(parts)))
    explained = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert explained == fields


def test_gap_columns_are_explained(tmp_path: Path) -> None:
    gap.run([chain(3)], [1.0], ["store_all"], tmp_path)
    with (tmp_path / "gap.csv").open(newline="") as file:
        written = next(csv.reader(file))
    text = (ROOT / "docs" / "file-formats.md").read_text()
    section = next(each for each in re.split(r"^## ", text, flags=re.MULTILINE) if each.startswith("Rows"))
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == written
