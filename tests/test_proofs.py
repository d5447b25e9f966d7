"""The proofs assume nothing, their table names what is there, and the verified checker agrees with replay."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from strategies import random_budget, random_graph

from hcb_opt.errors import InvalidInput
from hcb_opt.generators import chain
from hcb_opt.graph import Graph
from hcb_opt.proof_rows import ROWS, VARIABLES
from hcb_opt.proof_text import case_text, schedule_lines
from hcb_opt.replay import IllegalSchedule, replay
from hcb_opt.schedule import Action, Compute, Drop, Schedule, schedule_from_computes
from hcb_opt.verified import CHECK, CheckerFailed, program, verdicts

PROOFS = ROOT / "proofs"
built = pytest.mark.skipif(program(CHECK) is None, reason="hcb-check is not built: run 'make proofs'")


def theories() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(PROOFS.glob("*.v"))}


def without_comments(text: str) -> str:
    previous = None
    while previous != text:
        previous, text = text, re.sub(r"\(\*(?:(?!\(\*|\*\)).)*\*\)", "", text, flags=re.DOTALL)
    return text


def test_nothing_is_assumed() -> None:
    forbidden = r"\b(Admitted|admit|Axiom|Axioms|Parameter|Parameters|Conjecture|give_up|Unset\s+Guard\s+Checking)\b"
    assert len(theories()) > 15
    for name, text in theories().items():
        assert not re.search(forbidden, without_comments(text)), name


def test_every_name_in_the_table_is_proved() -> None:
    readme = (PROOFS / "README.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(\w+)\.(\w+)`", readme))
    names = {(theory, name) for theory, name in names if name not in {"v", "py", "md", "ml"}}
    assert len(names) > 15
    for theory, name in names:
        statement = rf"^\s*(Theorem|Corollary|Lemma|Definition|Record|Inductive) {name}\b"
        assert re.search(statement, theories()[theory], re.MULTILINE), f"{theory}.{name}"


def test_files_and_tests_in_the_table_exist() -> None:
    readme = (PROOFS / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:hcb_opt|formulations|baselines|tests|docs)/[\w/.-]+)`", readme)
    assert len(paths) > 8
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_row_and_variable_is_in_the_text_format() -> None:
    readme = (PROOFS / "README.md").read_text(encoding="utf-8")
    for name, numbers in {**ROWS, **VARIABLES}.items():
        assert re.search(rf"`{name}( [kopqv]){{{numbers}}}`", readme), name


REASONS = {
    r"there is no op": "no-such-op",
    r"reads value": "input-not-resident",
    r"there is no value": "no-such-value",
    r"is dropped but": "dropped-not-resident",
    r"never computed": "never-computed",
    r"at the end": "output-not-resident",
}


def replayed(graph: Graph, schedule: Schedule, budget_bytes: int) -> str:
    """What replay says, in the checker's words up to the class of the reason."""
    try:
        judged = replay(graph, schedule)
    except IllegalSchedule as fault:
        (reason,) = (word for pattern, word in REASONS.items() if re.search(pattern, fault.reason))
        return f"ILLEGAL step {fault.step} {reason}"
    figures = f"peak {judged.peak_bytes} cost {judged.cost} order {'fixed' if judged.fixed_order else 'free'}"
    return f"{'LEGAL' if judged.peak_bytes <= budget_bytes else 'OVER BUDGET'} {figures}"


def random_schedule(graph: Graph, rng: random.Random) -> Schedule:
    """Legal, or legal but for a few mutations."""
    computes = list(range(len(graph.ops)))
    for _ in range(rng.choice((0, 0, 1, 3, 6))):
        computes.insert(rng.randrange(len(computes) + 1), rng.randrange(len(graph.ops)))
    actions: list[Action] = list(schedule_from_computes(graph, computes).actions)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        at = rng.randrange(len(actions) + 1)
        kind = rng.choice(("insert", "insert", "remove", "swap"))
        if kind == "insert":
            op, value = rng.randrange(len(graph.ops) + 1), rng.randrange(len(graph.values) + 1)
            actions.insert(at, rng.choice((Compute(op), Drop(value))))
        elif kind == "remove" and at < len(actions):
            del actions[at]
        elif kind == "swap" and at + 1 < len(actions):
            actions[at], actions[at + 1] = actions[at + 1], actions[at]
    return Schedule(tuple(actions))


def agreements(count: int, seed: int, path: Path) -> dict[str, int]:
    """Compare the checker with replay on random cases; how often each class of answer came."""
    rng = random.Random(seed)
    cases, expected = [], []
    for _ in range(count):
        graph = random_graph(rng.randrange(100_000), max_ops=12)
        schedule, budget = random_schedule(graph, rng), random_budget(graph, rng.randrange(1000))
        cases.append(case_text(graph, schedule, budget))
        expected.append(replayed(graph, schedule, budget))
    said = [
        " ".join(line.split()[:4]) if line.startswith("ILLEGAL") else line
        for line in verdicts(CHECK, cases, path / "cases")
    ]
    assert said == expected
    classes: dict[str, int] = {}
    for line in said:
        word = line.split()[3] if line.startswith("ILLEGAL") else line.split(" peak")[0]
        classes[word] = classes.get(word, 0) + 1
    return classes


@built
def test_checker_agrees_with_replay(tmp_path: Path) -> None:
    classes = agreements(10_000, 1, tmp_path)
    assert set(classes) == {"LEGAL", "OVER BUDGET", *REASONS.values()}
    assert min(classes.values()) > 50, classes


@built
def test_checker_names_op_and_value(step: Graph, tmp_path: Path) -> None:
    cases = [
        case_text(step, Schedule((Compute(0), Drop(0), Compute(1)))),
        case_text(step, Schedule(tuple(Compute(op) for op in range(len(step.ops))))),
        case_text(step, Schedule((Drop(99),))),
    ]
    said = verdicts(CHECK, cases, tmp_path / "cases")
    assert said[0] == "ILLEGAL step 2 input-not-resident 1 0"
    assert said[1].startswith("LEGAL peak 80 cost 27 order fixed")
    assert said[2] == "ILLEGAL step 0 no-such-value 99"


@built
def test_hundred_thousand_steps_are_judged(tmp_path: Path) -> None:
    graph = chain(1000)
    schedule = Schedule(tuple(Compute(op) for op in range(1000)) * 100 + tuple(map(Compute, range(len(graph.ops)))))
    assert len(schedule.actions) > 100_000
    (tmp_path / "case").write_text(case_text(graph, schedule))
    binary = program(CHECK)
    assert binary is not None
    # About half a second on a quiet machine; with quadratic work in it, minutes.
    done = subprocess.run([binary, tmp_path / "case"], capture_output=True, text=True, timeout=30)
    judged = replay(graph, schedule)
    assert done.stdout == f"LEGAL peak {judged.peak_bytes} cost {judged.cost} order fixed\n"


@built
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("op 1 0 reads\n", "line 1: an op needs the word 'writes'"),
        ("op 1 0 reads writes 0\nvalue -3 0\n", "line 2: '-3' is not a whole number"),
        ("bogus 1\n", "line 1: cannot read a line that begins with 'bogus'"),
        ("op 1 0 reads 0 writes 0\nvalue 1 0\n", "op 0: its inputs must come before it"),
        ("op 1 0 reads writes 0\nvalue 1 0\nvalue 1 0\n", "value 1: its producer does not list it"),
        ("op 1 0 reads writes 0\nvalue 1 0\nrequired 7\n", "required: these must be distinct values"),
    ],
)
def test_unusable_files_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(CheckerFailed, match=re.escape(complaint)):
        verdicts(CHECK, [text], tmp_path / "case")


def test_negative_positions_have_no_text() -> None:
    with pytest.raises(InvalidInput, match=r"actions\[0\]"):
        schedule_lines(Schedule((Compute(-1),)))
