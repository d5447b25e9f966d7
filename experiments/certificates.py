"""Certificates of optimality: made, checked by Python and by the verified programs, weighed and timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hcb_opt.bound_proof import proven_bound
from hcb_opt.budget import parse_budget
from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.certificates_report import CertificateRow, write_report
from hcb_opt.experiments.machine import machine_facts
from hcb_opt.experiments.published import load_instances
from hcb_opt.experiments.row_files import save_text
from hcb_opt.experiments.scaling import Subject, captured
from hcb_opt.files import require_folder
from hcb_opt.formulations.frontier_cuts.certified_bounds import prove_bound
from hcb_opt.generators import chain, u_shape
from hcb_opt.graph import Graph
from hcb_opt.layer_graphs import layer_graph
from hcb_opt.proof_text import case_text, read_case
from hcb_opt.replay import replay
from hcb_opt.solve import solve_schedule
from hcb_opt.verified import CERT, CHECK, ask, program
from hcb_opt.verify import verify

NAME = "certificates"
SUMMARY = "optima with certificates: their sizes, and the time that Python and the verified programs take to check them"

SHARES = (0.9, 0.8, 0.7)
CHAIN_STEPS, CHAIN_SLOTS = 20, 7


@dataclass(frozen=True, slots=True)
class Case:
    """A graph and the budgets, in bytes or as shares, at which its optimum is to be certified."""

    title: str
    load: Callable[[], Graph]
    budgets: tuple[int | float, ...]


def run_default(
    directory: Path,
    quick: bool = False,
    *,
    instances: Path | None = None,
    time_limit: float | None = None,
    workers: int = 2,
) -> None:
    """Run the experiment and print its table.

    Parameters
    ----------
    directory : Path
        Gets ``certificates.md``, ``.csv`` and ``.json``, the certificates, and
        under ``graphs`` what was captured, which later runs take from there.
    quick : bool
        Small generated graphs only: some seconds.
    instances : Path, optional
        Folder with instances in Checkmate's or Moccasin's JSON; those that can
        be read are certified at 90, 80 and 70 % as well.
    time_limit : float, optional
        Seconds per schedule, and again per proof; 60 if not given, 5 with ``quick``.
    workers : int
        As in `solve_schedule`.
    """
    if time_limit is None:
        time_limit = 5.0 if quick else 60.0
    cases = [*_small_cases(), *([] if quick else _captured_cases(directory / "graphs"))]
    if instances is not None:
        cases += [
            Case(f"{label}, from a file", partial(_same, graph), SHARES)
            for label, graph in load_instances(instances).items()
        ]
    run(directory, cases, time_limit=time_limit, workers=workers)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def _small_cases() -> Iterator[Case]:
    # Revolve's slots hold states; a backward step needs two gradients beside them.
    title = f"unit chain of {CHAIN_STEPS} steps, {CHAIN_SLOTS} slots"
    yield Case(title, partial(chain, CHAIN_STEPS), (CHAIN_SLOTS + 2,))
    yield Case("U shape, 3 levels", partial(u_shape, 3), (0.9, 0.8))
    yield Case("FCN-8, a layer per op", partial(layer_graph, "fcn8"), SHARES)
    yield Case("VGG16, a layer per op", partial(layer_graph, "vgg16"), SHARES)


def _captured_cases(folder: Path) -> Iterator[Case]:
    gpt2 = Subject("GPT-2, 12 layers", "gpt2", {"layers": 12})
    smaller = Subject("GPT-2, 12 layers, vocabulary 8192", "gpt2", {"layers": 12, "vocabulary": 8192})
    for subject, shares in ((gpt2, (0.8, 0.6, 0.4)), (smaller, (0.8, 0.6, 0.4)), (Subject("U-Net", "unet"), (0.6,))):
        yield Case(subject.title, partial(captured, subject, folder), shares)


def _same(graph: Graph) -> Graph:
    return graph


def run(directory: Path, cases: Sequence[Case], *, time_limit: float = 60.0, workers: int = 2) -> list[CertificateRow]:
    """Certify every case at each of its budgets; the report grows with every row.

    Parameters
    ----------
    directory : Path
        Made if missing.
    cases : sequence of Case
    time_limit, workers
        As in `run_default`.

    Returns
    -------
    list of CertificateRow

    Raises
    ------
    NotVerified
        If a certificate does not hold, or the checkers disagree.
    """
    require_folder(directory)
    facts = {**machine_facts(), "time limit, s": time_limit, "workers": workers}
    rows: list[CertificateRow] = []
    for case in cases:
        graph = case.load()
        for budget in case.budgets:
            name = "-".join("".join(each if each.isalnum() else " " for each in f"{case.title} {budget}").split())
            path = directory / f"{name.lower()}.cert"
            budget_bytes = parse_budget(budget, graph.store_all_peak_bytes)
            row = certify(case.title, graph, budget_bytes, path, time_limit=time_limit, workers=workers)
            print(f"{row.instance} at {row.share:.1%}: {row.status}", file=sys.stderr)
            rows.append(row)
            write_report(rows, directory, {**facts, "complete": False})
    write_report(rows, directory, {**facts, "complete": True})
    return rows


def certify(
    title: str, graph: Graph, budget_bytes: int, path: Path, *, time_limit: float, workers: int
) -> CertificateRow:
    """Solve, prove, write the certificate, and check it in both ways.

    Parameters
    ----------
    title : str
    graph : Graph
    budget_bytes : int
    path : Path
        Of the certificate.
    time_limit, workers
        As in `run_default`.

    Returns
    -------
    CertificateRow

    Raises
    ------
    NotVerified
        If the certificate does not hold, or the checkers disagree.
    """
    result = solve_schedule(graph, budget_bytes, time_limit=time_limit, workers=workers)
    share = budget_bytes / graph.store_all_peak_bytes
    row = CertificateRow(title, len(graph.ops), share, budget_bytes, result.status.value, result.reason)
    if result.schedule is None or result.cost is None:
        return row
    began = time.perf_counter()
    proof = prove_bound(graph, budget_bytes, result.cost, time_limit=time_limit)
    proof_seconds = time.perf_counter() - began
    save_text(case_text(graph, result.schedule, budget_bytes, proof), path)
    verified = verify(path)
    higher = replace(proof, target=proof.target + proof.unit)
    return replace(
        row,
        status="CERTIFIED" if verified.certified else "PROVED",
        cost=verified.cost,
        lower_bound=verified.lower_bound,
        cuts=len(proof.cuts),
        nodes=len(proof.nodes),
        size_bytes=path.stat().st_size,
        solve_seconds=result.seconds,
        proof_seconds=proof_seconds,
        python_seconds=_seconds(partial(_check_here, path)),
        program_seconds=_seconds(partial(_check_by_programs, path)) if verified.by_programs else None,
        higher_refused=_refused(case_text(graph, None, budget_bytes, higher)),
    )


def _seconds(check: Callable[[], None]) -> float:
    began = time.perf_counter()
    check()
    return time.perf_counter() - began


def _check_here(path: Path) -> None:
    case = read_case(path)
    assert case.schedule is not None and case.budget_bytes is not None and case.proof is not None
    replay(case.graph, case.schedule)
    proven_bound(case.graph, case.budget_bytes, case.proof)


def _check_by_programs(path: Path) -> None:
    ask(CHECK, path)
    ask(CERT, path)


def _refused(text: str) -> bool:
    """Whether every checker at hand refuses a proof."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "higher.cert"
        path.write_text(text, encoding="utf-8")
        case = read_case(path)
        assert case.budget_bytes is not None and case.proof is not None
        try:
            proven_bound(case.graph, case.budget_bytes, case.proof)
        except InvalidInput:
            return program(CERT) is None or list(ask(CERT, path)) == ["REJECTED"]
        return False
