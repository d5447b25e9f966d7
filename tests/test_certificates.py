"""Certificates: bounds proved in whole numbers, refused when anything in them is wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from strategies import random_budget, random_graph

from hcb_opt.bound_proof import BoundProof, Branch, Leaf, SumBranch, proven_bound
from hcb_opt.build import OpSpec, build_graph
from hcb_opt.cli import main
from hcb_opt.errors import InvalidInput
from hcb_opt.formulations.frontier_cuts.certified_bounds import prove_bound
from hcb_opt.generators import chain, random_training
from hcb_opt.graph import Graph
from hcb_opt.io import save_graph
from hcb_opt.proof_rows import ROWS, Name, Programme
from hcb_opt.proof_text import case_text, read_case
from hcb_opt.schedule import Compute, Drop, Schedule, schedule_from_computes
from hcb_opt.solve import solve_schedule
from hcb_opt.verified import CERT, program, verdicts
from hcb_opt.verify import NotVerified, verify

built = pytest.mark.skipif(program(CERT) is None, reason="hcb-cert is not built: run 'make proofs'")

# Beside 'big' (8 bytes) 4 bytes are left of 12; of x and y (4 bytes each) one must go: y, which costs 3.
BIG = build_graph(
    [
        OpSpec("a", 5, (), (("x", 4),)),
        OpSpec("b", 3, (), (("y", 4),)),
        OpSpec("big", 1, (), (("t", 8),)),
        OpSpec("c", 1, ("x", "y"), (("z", 0),)),
    ]
)
ROWS_OF_BIG: tuple[tuple[int, Name], ...] = (
    (3, ("cut-memory", 0)),
    (12, ("needed", 1, 3, 0)),
    (12, ("needed", 1, 3, 1)),
)
PROOF = BoundProof((2,), 1, 3, (Leaf(4, ROWS_OF_BIG),))
BEST = schedule_from_computes(BIG, (0, 1, 2, 1, 3))


def test_a_proof_by_hand() -> None:
    assert proven_bound(BIG, 12, PROOF) == 13


@pytest.mark.parametrize(
    ("proof", "budget", "complaint"),
    [
        (replace(PROOF, target=4), 12, "do not add up"),
        (PROOF, 16, "do not add up"),
        (replace(PROOF, nodes=()), 12, "ends early"),
        (replace(PROOF, nodes=PROOF.nodes * 2), 12, "after its end"),
        (replace(PROOF, unit=2), 12, "does not divide"),
        (replace(PROOF, cuts=(4,)), 12, "no ascending positions"),
        (replace(PROOF, cuts=(2, 2)), 12, "no ascending positions"),
        (replace(PROOF, nodes=(Leaf(4, ((-1, ("cut-memory", 0)),)),)), 12, "negative"),
        (replace(PROOF, nodes=(Leaf(4, ((1, ("cut-memory", 1)),)),)), 12, "no such row"),
        (replace(PROOF, nodes=(Leaf(4, ((1, ("bogus", 1)),)),)), 12, "no such row"),
        (replace(PROOF, nodes=(Leaf(4, ROWS_OF_BIG, ((1, 0),)),)), 12, "no such limit"),
        (replace(PROOF, nodes=(Branch(("R", 1)), *PROOF.nodes, *PROOF.nodes)), 12, "no variable"),
        (replace(PROOF, nodes=(Branch(("R", 1, 0)), *PROOF.nodes)), 12, "ends early"),
    ],
)
def test_wrong_proofs_are_refused(proof: BoundProof, budget: int, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        proven_bound(BIG, budget, proof)


def test_branches_and_limits_count() -> None:
    # If x or y is recomputed at all (the sum is more than 0) it costs 3; if not, both are kept, beyond the budget.
    both: tuple[Name, ...] = (("R", 1, 0), ("R", 1, 1))
    few = Leaf(0, ((1, ("cut-memory", 0)), (4, ("needed", 1, 3, 0)), (4, ("needed", 1, 3, 1))), ((4, 0),))
    many = Leaf(1, (), ((3, 0),))
    proof = BoundProof((2,), 1, 3, (SumBranch(0, both), few, many))
    assert proven_bound(BIG, 12, proof) == 13
    fixed = BoundProof((2,), 1, 3, (Branch(("R", 1, 0)), Leaf(4, ROWS_OF_BIG), Leaf(1, ())))
    assert proven_bound(BIG, 12, fixed) == 13
    with pytest.raises(InvalidInput, match="node 1"):
        proven_bound(BIG, 12, replace(proof, nodes=(SumBranch(1, both), few, many)))


def proofs(count: int, first_seed: int) -> Iterator[tuple[Graph, int, Schedule, int, BoundProof]]:
    """Small graphs and budgets with a cheapest schedule, its cost, and a proof."""
    seed = first_seed
    while count:
        seed += 1
        graph = random_training(2 + seed % 3, seed) if seed % 2 else random_graph(seed, max_ops=7)
        budget = random_budget(graph, seed)
        result = solve_schedule(graph, budget, method="exhaustive")
        if result.schedule is not None and result.cost is not None and result.cost > graph.base_cost:
            count -= 1
            yield graph, budget, result.schedule, result.cost, prove_bound(graph, budget, result.cost, time_limit=10)


def test_bounds_never_exceed_the_optimum_and_mostly_meet_it(tmp_path: Path) -> None:
    certified = 0
    for graph, budget, schedule, cost, proof in proofs(15, 0):
        bound = proven_bound(graph, budget, proof)
        assert bound <= cost
        certified += bound == cost
        with pytest.raises(InvalidInput):
            proven_bound(graph, budget, replace(proof, target=cost - graph.base_cost + proof.unit))
        text = case_text(graph, schedule, budget, proof)
        (tmp_path / "case").write_text(text)
        case = read_case(tmp_path / "case")
        assert case_text(case.graph, case.schedule, case.budget_bytes, case.proof) == text
        assert case.proof == proof
    assert certified >= 10


def test_every_row_has_a_name_and_nothing_else_has(step: Graph) -> None:
    programme = Programme(step, 60, (2, 4))
    values = (*range(len(step.values)), 99)
    for kind, count in ROWS.items():
        names: list[Name] = [(kind, *numbers) for numbers in product(values, repeat=min(count, 3))]
        if count == 4:
            names = [(*name, value) for name in names for value in values]
        found = 0
        for name in names:
            with suppress(InvalidInput):
                found += len(programme.row(name).terms) > 0
        assert 0 < found < len(names), kind
        for other in ((kind, *range(count + 1)), (kind, *(-1 for _ in range(count)))):
            with pytest.raises(InvalidInput, match="no such row"):
                programme.row(other)


def tampered(text: str, rng: random.Random) -> str:
    """The same certificate with one number changed."""
    lines = text.splitlines()
    while True:
        at = rng.randrange(len(lines))
        words = lines[at].split()
        places = [place for place, word in enumerate(words) if word.isdigit()]
        if places:
            place = rng.choice(places)
            old = int(words[place])
            new = rng.choice((old + 1, max(0, old - 1), 2 * old, 0, rng.randrange(8)))
            if new != old:
                words[place] = str(new)
                lines[at] = " ".join(words)
                return "\n".join((*lines, ""))


def claimed(path: Path) -> int | None:
    """The bound that Python finds proved; None if it is refused."""
    try:
        case = read_case(path)
        assert case.budget_bytes is not None and case.proof is not None
        return proven_bound(case.graph, case.budget_bytes, case.proof)
    except InvalidInput:
        return None


@built
def test_tampered_certificates_prove_nothing_false(tmp_path: Path) -> None:
    rng = random.Random(1)
    texts = []
    for graph, budget, schedule, _, proof in proofs(5, 1000):
        text = case_text(graph, schedule, budget, proof)
        texts += [text, *(tampered(text, rng) for _ in range(200))]
    refused = 0
    said = verdicts(CERT, texts, tmp_path / "cases")
    assert len(said) == len(texts) == 1005
    for text, line in zip(texts, said, strict=True):
        path = tmp_path / "case"
        path.write_text(text)
        bound = claimed(path)
        assert line == ("REJECTED" if bound is None else f"PROVED cost at least {bound}")
        refused += bound is None
        if bound is not None:
            # What is still accepted must be true: of another graph or budget, or with slack in its multipliers.
            case = read_case(path)
            assert case.budget_bytes is not None
            optimum = solve_schedule(case.graph, max(1, case.budget_bytes), method="exhaustive")
            assert optimum.cost is None or bound <= optimum.cost
    assert refused > 300


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "big.cert"
    path.write_text(case_text(BIG, BEST, 12, PROOF))
    found = verify(path)
    assert (found.cost, found.lower_bound, found.peak_bytes, found.budget_bytes) == (13, 13, 12, 12)
    assert found.certified and found.gap == 0
    assert found.by_programs == (program(CERT) is not None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (case_text(BIG, BEST, None, PROOF), "has no budget"),
        (case_text(BIG, None, 12, PROOF), "has no schedule"),
        (case_text(BIG, BEST, 12), "has no proof"),
        (case_text(BIG, schedule_from_computes(BIG, (0, 1, 2, 3)), 12, PROOF), "holds 16 bytes"),
        (case_text(BIG, Schedule((Compute(3),)), 12, PROOF), "illegal at step 0"),
        (case_text(BIG, schedule_from_computes(BIG, (1, 0, 2, 1, 3)), 12, PROOF), "not in the graph's order"),
        (case_text(BIG, BEST, 12, replace(PROOF, target=4)), "not proved: node 0"),
        (case_text(BIG, Schedule((*BEST.actions, Drop(3))), 12, PROOF), "illegal at step"),
    ],
)
def test_what_does_not_hold_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.cert"
    path.write_text(text)
    with pytest.raises(NotVerified, match=complaint):
        verify(path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("bogus 1", "no line begins with 'bogus'"),
        ("row 1 cut-memory 0", "follow a leaf"),
        ("compute -1", "'-1' is not a whole number"),
        ("budget 1 2", "one number"),
        ("op 1 0 writes 0", "'reads' and 'writes'"),
        ("end\nbudget 2", "second case"),
    ],
)
def test_unusable_lines_are_named(line: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.cert"
    path.write_text(f"# a comment\n{line}\n")
    with pytest.raises(InvalidInput, match=complaint) as caught:
        read_case(path)
    assert f"line {3 if 'end' in line else 2}" in str(caught.value)


def test_command_line_certifies_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_graph(chain(20), tmp_path / "chain.json")
    written = tmp_path / "chain.cert"
    assert main(["certify", str(tmp_path / "chain.json"), "--budget", "9", "-o", str(written)]) == 0
    assert "CERTIFIED" in capsys.readouterr().out
    assert main(["verify", str(written)]) == 0
    assert "cost         53\nlower bound  53 (fixed-order), gap 0.0000 %" in capsys.readouterr().out
    written.write_text(written.read_text().replace("budget 9", "budget 8"))
    assert main(["verify", str(written)]) == 3
    assert "REFUSED: the schedule holds 9 bytes" in capsys.readouterr().out
    assert main(["certify", str(tmp_path / "chain.json"), "--budget", "2", "-o", str(written)]) == 3
    assert "INFEASIBLE" in capsys.readouterr().out
