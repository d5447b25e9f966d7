"""What is installed: the wheel holds the whole tree and works away from it, and nothing heavy is imported unasked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

BESIDE = ("baselines", "experiments", "formulations", "runtime")


def tree() -> dict[str, Path]:
    """Every file of the package that belongs in the wheel, by its path there."""
    files = [
        path for path in (ROOT / "hcb_opt").rglob("*") if path.relative_to(ROOT / "hcb_opt").parts[0] not in BESIDE
    ]
    found = {path.relative_to(ROOT).as_posix(): path for path in files}
    for folder in BESIDE:
        found |= {f"hcb_opt/{path.relative_to(ROOT).as_posix()}": path for path in (ROOT / folder).rglob("*")}
    return {name: path for name, path in found.items() if path.is_file() and "__pycache__" not in path.parts}


def settings() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def run(*line: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in line],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of a copy of the tree, and the wheel built from that sdist."""
    source = tmp_path_factory.mktemp("source")
    for folder in (*BESIDE, "hcb_opt"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    output = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, source, cwd=source)
    assert done.returncode == 0, done.stderr
    return output


def test_packages_listed_are_the_packages_there() -> None:
    listed = set(settings()["tool"]["setuptools"]["packages"])
    there = {Path(name).parent.as_posix().replace("/", ".") for name in tree() if name.endswith(".py")}
    assert listed == there


def test_symlinks_show_the_folders_beside() -> None:
    for folder in BESIDE:
        link = ROOT / "hcb_opt" / folder
        assert link.is_symlink()
        assert os.readlink(link) == f"../{folder}"


def test_wheel_holds_every_file(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("hcb_opt/")}
    assert inside == set(tree())


def test_sdist_holds_every_module_once(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {path.relative_to(ROOT).as_posix() for path in tree().values()}
    assert expected <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_installed_wheel_works_outside_the_checkout(built: Path, tmp_path: Path, step_file: Path) -> None:
    (wheel,) = built.glob("*.whl")
    site = tmp_path / "site"
    done = run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    script = site / "bin" / "hcb-opt"
    shown = run(sys.executable, script, "--help", cwd=tmp_path, PYTHONPATH=str(site))
    assert shown.returncode == 0, shown.stderr
    assert "solve" in shown.stdout
    listed = run(sys.executable, script, "methods", cwd=tmp_path, PYTHONPATH=str(site))
    assert "store_all" in listed.stdout
    solved = run(sys.executable, script, "solve", step_file, "--budget", "1.0", cwd=tmp_path, PYTHONPATH=str(site))
    assert solved.returncode == 0, solved.stderr
    assert "OPTIMAL" in solved.stdout
    where = run(
        sys.executable, "-c", "import hcb_opt.baselines as b; print(b.__file__)", cwd=tmp_path, PYTHONPATH=str(site)
    )
    assert where.stdout.startswith(str(site))


@pytest.mark.parametrize("folder", BESIDE)
def test_bare_names_are_refused(folder: str) -> None:
    done = run(sys.executable, "-c", f"import {folder}", cwd=ROOT)
    assert done.returncode == 1
    assert f"ImportError: import this package as hcb_opt.{folder}" in done.stderr


def test_nothing_heavy_is_imported_unasked() -> None:
    code = (
        "import sys, hcb_opt, hcb_opt.solve, hcb_opt.cli, hcb_opt.io, hcb_opt.capture, hcb_opt.models\n"
        "print(sorted({'torch', 'ortools', 'pulp', 'matplotlib', 'triton'} & set(sys.modules)))"
    )
    assert run(sys.executable, "-c", code, cwd=ROOT).stdout == "[]\n"


def test_listing_and_solving_import_no_torch(step_file: Path) -> None:
    code = (
        "import sys; from hcb_opt.cli import main\n"
        f"main(['methods']); main(['solve', {str(step_file)!r}, '--budget', '1.0'])\n"
        "print('heavy:', sorted({'torch', 'matplotlib', 'triton'} & set(sys.modules)))"
    )
    assert run(sys.executable, "-c", code, cwd=ROOT).stdout.endswith("heavy: []\n")


def test_the_version_is_stated_once(command: Callable[..., Any]) -> None:
    from hcb_opt.version import __version__

    assert command("--version").stdout == f"hcb-opt {__version__}\n"
    assert "version" in settings()["project"]["dynamic"]
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_constraints_meet_the_declared_ranges() -> None:
    from packaging.requirements import Requirement

    project = settings()["project"]
    declared = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    for requirement in map(Requirement, declared):
        if requirement.name != project["name"]:
            assert requirement.specifier.contains(pinned[requirement.name]), requirement
