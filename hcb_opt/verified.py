"""The verified programs of ``proofs/``: where they are, and what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from hcb_opt.errors import HcbOptError

FOLDER = Path(__file__).resolve().parents[1] / "proofs" / "build"
CHECK, CERT = "hcb-check", "hcb-cert"


class CheckerFailed(HcbOptError, RuntimeError):
    """A verified program could not use what it was given, or is not built."""


def program(name: str) -> Path | None:
    """Where ``make proofs`` puts a verified program.

    Parameters
    ----------
    name : str
        ``hcb-check`` or ``hcb-cert``.

    Returns
    -------
    Path or None
        None if it is not built.
    """
    path = FOLDER / name
    return path if path.is_file() else None


def verdicts(name: str, cases: Iterable[str], path: str | Path) -> Sequence[str]:
    """Let a verified program judge some cases.

    Parameters
    ----------
    name : str
        ``hcb-check`` for schedules, ``hcb-cert`` for proofs of bounds.
    cases : iterable of str
        As `hcb_opt.proof_text.case_text` writes them.
    path : str or Path
        A file to write them to; it is replaced.

    Returns
    -------
    sequence of str
        One line per case, as ``proofs/README.md`` lists them.

    Raises
    ------
    CheckerFailed
        If the program is not built, or refuses a file.
    """
    Path(path).write_text("".join(cases), encoding="utf-8")
    return ask(name, path)


def ask(name: str, path: str | Path) -> Sequence[str]:
    """Run a verified program on a file; as `verdicts`, of a file that is there."""
    binary = program(name)
    if binary is None:
        raise CheckerFailed(f"there is no {FOLDER / name}: run 'make proofs'")
    done = subprocess.run([str(binary), str(path)], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise CheckerFailed(done.stderr.strip() or f"{binary} ended with code {done.returncode}")
    return done.stdout.splitlines()
