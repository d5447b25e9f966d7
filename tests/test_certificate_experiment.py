"""The certificates experiment: what its table says, with and without the verified programs."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

from hcb_opt.experiments import certificates
from hcb_opt.experiments.catalogue import experiments
from hcb_opt.experiments.certificates import Case
from hcb_opt.experiments.certificates_report import CertificateRow, table
from hcb_opt.generators import chain
from hcb_opt.verified import CERT, CHECK, program
from hcb_opt.verify import verify


def test_rows_files_and_table(tmp_path: Path) -> None:
    case = Case("chain of six", partial(chain, 6), (5, 0.1))
    tight, impossible = certificates.run(tmp_path, [case], time_limit=5.0, workers=1)
    assert (tight.status, tight.gap, tight.higher_refused) == ("CERTIFIED", 0.0, True)
    assert (tight.program_seconds is not None) == all(program(name) is not None for name in (CHECK, CERT))
    written = tmp_path / "chain-of-six-5.cert"
    assert verify(written, chain(6)).cost == tight.cost
    assert tight.size_bytes == written.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "certificates.csv", "certificates.json", "certificates.md", written.name
    ]  # fmt: skip
    assert impossible.status == "INFEASIBLE" and impossible.gap is None and "needs" in impossible.reason
    document = json.loads((tmp_path / "certificates.json").read_text())
    assert [row["status"] for row in document["rows"]] == ["CERTIFIED", "INFEASIBLE"]
    assert document["provenance"]["complete"] is True
    with (tmp_path / "certificates.csv").open(newline="") as file:
        assert [row["instance"] for row in csv.DictReader(file)] == ["chain of six"] * 2
    text = (tmp_path / "certificates.md").read_text()
    assert impossible.reason in text and table([tight, impossible]) in text


def test_gaps_and_accepted_forgeries_are_shown() -> None:
    row = CertificateRow("net", 9, 0.5, 50, "PROVED", "", 1001, 1000, 1, 3, 2048, 1.0, 2.0, 0.1, None, False)
    cells = [cell.strip() for cell in table([row]).splitlines()[-1].split("|")]
    assert cells[4:6] == ["PROVED", "1.0e-03"] and cells[-3:-1] == ["-", "ACCEPTED"]


def test_it_is_listed() -> None:
    assert experiments()["certificates"].options == {"instances", "time_limit", "workers"}
