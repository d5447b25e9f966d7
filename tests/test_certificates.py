"""Certificates: bounds proved in whole numbers, refused when anything in them is wrong."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, product
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
from hcb_opt.replay import IllegalSchedule, replay
from hcb_opt.schedule import Compute, Drop, Schedule, schedule_from_computes
from hcb_opt.solve import solve_schedule
from hcb_opt.verified import CERT, CHECK, program, verdicts
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


@dataclass(frozen=True)
class Proven:
    """A small graph with a cheapest schedule, and a proof; the budget is the schedule's peak."""

    graph: Graph
    budget: int
    schedule: Schedule
    cost: int
    proof: BoundProof

    @property
    def text(self) -> str:
        return case_text(self.graph, self.schedule, self.budget, self.proof)

    @property
    def certified(self) -> bool:
        return proven_bound(self.graph, self.budget, self.proof) == self.cost


@pytest.fixture(scope="module")
def small() -> list[Proven]:
    found = []
    for seed in count(1):
        graph = random_training(2 + seed % 3, seed) if seed % 2 else random_graph(seed, max_ops=7)
        result = solve_schedule(graph, random_budget(graph, seed), method="exhaustive")
        if result.schedule is not None and result.cost is not None and result.cost > graph.base_cost:
            budget = replay(graph, result.schedule).peak_bytes
            proof = prove_bound(graph, budget, result.cost, time_limit=10)
            found.append(Proven(graph, budget, result.schedule, result.cost, proof))
        if len(found) == 12:
            break
    return found


def test_bounds_never_exceed_the_optimum_and_mostly_meet_it(small: list[Proven], tmp_path: Path) -> None:
    certified = 0
    for each in small:
        graph, budget, schedule, cost, proof = each.graph, each.budget, each.schedule, each.cost, each.proof
        assert proven_bound(graph, budget, proof) <= cost
        certified += each.certified
        with pytest.raises(InvalidInput):
            proven_bound(graph, budget, replace(proof, target=cost - graph.base_cost + proof.unit))
        text = case_text(graph, schedule, budget, proof)
        (tmp_path / "case").write_text(text)
        case = read_case(tmp_path / "case")
        assert case_text(case.graph, case.schedule, case.budget_bytes, case.proof) == text
        assert case.proof == proof
    assert certified >= 8


def test_every_row_has_a_name_and_nothing_else_has(step: Graph) -> None:
    programme = Programme(step, 60, (2, 4))
    values = (*range(len(step.values)), 99)
    for kind, length in ROWS.items():
        names: list[Name] = [(kind, *numbers) for numbers in product(values, repeat=min(length, 3))]
        if length == 4:
            names = [(*name, value) for name in names for value in values]
        found = 0
        for name in names:
            with suppress(InvalidInput):
                found += len(programme.row(name).terms) > 0
        assert 0 < found < len(names), kind
        for other in ((kind, *range(length + 1)), (kind, *(-1 for _ in range(length)))):
            with pytest.raises(InvalidInput, match="no such row"):
                programme.row(other)


def with_one_number_changed(text: str, rng: random.Random) -> str:
    """The same certificate with any one number changed."""
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
def test_changed_numbers_prove_nothing_false(small: list[Proven], tmp_path: Path) -> None:
    rng = random.Random(1)
    texts = [with_one_number_changed(each.text, rng) for each in small for _ in range(100)]
    refused = 0
    for text, line in zip(texts, verdicts(CERT, texts, tmp_path / "cases"), strict=True):
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


def forged_bound(true: Proven, rng: random.Random) -> Iterator[str]:
    """A bound that the optimum does not meet, the first by one unit; or one that the schedule does not meet."""
    for step in (1, rng.randrange(2, 100), -1):
        target = true.proof.target + step * true.proof.unit
        yield replace_proof(true, replace(true.proof, target=target))


def forged_budget(true: Proven, rng: random.Random) -> Iterator[str]:
    """A budget below the schedule's peak, or one at which nothing need be recomputed."""
    yield case_text(true.graph, true.schedule, rng.randrange(true.budget), true.proof)
    enough = true.graph.store_all_peak_bytes + rng.randrange(100)
    yield case_text(true.graph, true.schedule, enough, true.proof)


def forged_op(true: Proven, rng: random.Random) -> Iterator[str]:
    """A schedule with a compute left out, done twice, or replaced by one of another cost."""
    actions, ops = true.schedule.actions, true.graph.ops
    paid = [at for at, action in enumerate(actions) if isinstance(action, Compute) and ops[action.op].cost]
    at = rng.choice(paid)
    op = actions[at].op  # type: ignore[union-attr]
    others = [Compute(other) for other in range(len(ops)) if ops[other].cost != ops[op].cost]
    for instead in ((), (actions[at], actions[at]), *(((rng.choice(others),),) if others else ())):
        yield case_text(true.graph, Schedule((*actions[:at], *instead, *actions[at + 1 :])), true.budget, true.proof)


def forged_row(true: Proven, rng: random.Random) -> Iterator[str]:
    """A row of a stage, an op or a value that there is not."""
    node, place = rng.choice(multipliers(true.proof))
    leaf = true.proof.nodes[node]
    assert isinstance(leaf, Leaf)
    multiplier, (kind, *numbers) = leaf.rows[place]
    nowhere = len(true.graph.ops) + len(true.graph.values) + rng.randrange(9)
    for name in ((kind, *(nowhere for _ in numbers)), ("cut-memory", nowhere), ("needed", 0, 0, nowhere)):
        yield with_row(true, node, place, (multiplier, name))


def multipliers(proof: BoundProof) -> list[tuple[int, int]]:
    """Node and place of every row that a leaf counts."""
    leaves = ((at, node) for at, node in enumerate(proof.nodes) if isinstance(node, Leaf))
    return [(at, place) for at, leaf in leaves for place in range(len(leaf.rows))]


def replace_proof(true: Proven, proof: BoundProof) -> str:
    return replace(true, proof=proof).text


def with_row(true: Proven, node: int, place: int, row: tuple[int, Name]) -> str:
    leaf = true.proof.nodes[node]
    assert isinstance(leaf, Leaf)
    changed = replace(leaf, rows=(*leaf.rows[:place], row, *leaf.rows[place + 1 :]))
    return replace_proof(
        true, replace(true.proof, nodes=(*true.proof.nodes[:node], changed, *true.proof.nodes[node + 1 :]))
    )


def forged_dual(true: Proven, rng: random.Random) -> Iterator[str]:
    """A multiplier too small or too large for its leaf to add up.

    What a leaf proves is concave in each multiplier, so that the multipliers
    with which it reaches the target are an interval around the certificate's:
    from the first value outside it on, all are too small, or too large.
    """
    node, place = rng.choice(multipliers(true.proof))
    leaf = true.proof.nodes[node]
    assert isinstance(leaf, Leaf)
    now, name = leaf.rows[place]

    def holds(multiplier: int) -> bool:
        changed = replace(leaf, rows=(*leaf.rows[:place], (multiplier, name), *leaf.rows[place + 1 :]))
        nodes = (*true.proof.nodes[:node], changed, *true.proof.nodes[node + 1 :])
        with suppress(InvalidInput):
            return proven_bound(true.graph, true.budget, replace(true.proof, nodes=nodes)) > 0
        return False

    too_small, enough = -1, now
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        too_small, enough = (too_small, middle) if holds(middle) else (middle, enough)
    for multiplier in {0, too_small, rng.randint(0, max(0, too_small))} if too_small >= 0 else ():
        yield with_row(true, node, place, (multiplier, name))
    step = 1
    while step < 2**80 and holds(now + step):
        step *= 2
    if step < 2**80:
        for multiplier in (now + step, now + rng.randint(step, 100 * step)):
            yield with_row(true, node, place, (multiplier, name))


def certifies(path: Path) -> bool:
    """Whether Python finds a schedule in order and within budget, and a bound that it meets."""
    case = read_case(path)
    assert case.schedule is not None and case.budget_bytes is not None
    try:
        judged = replay(case.graph, case.schedule)
    except IllegalSchedule:
        return False
    return judged.fixed_order and judged.peak_bytes <= case.budget_bytes and claimed(path) == judged.cost


def programs_certify(texts: list[str], path: Path) -> list[bool]:
    """The same by the verified programs."""
    answers = []
    for judged, bound in zip(verdicts(CHECK, texts, path), verdicts(CERT, texts, path), strict=True):
        legal = re.fullmatch(r"LEGAL peak \d+ cost (\d+) order fixed", judged)
        answers.append(legal is not None and bound == f"PROVED cost at least {legal[1]}")
    return answers


FORGERIES = (forged_dual, forged_bound, forged_op, forged_row, forged_budget)


@built
def test_a_thousand_forgeries_are_rejected(small: list[Proven], tmp_path: Path) -> None:
    """None can be right by accident: they claim what is false, prove too little, or leave cost and bound apart."""
    rng = random.Random(7)
    tight = [each for each in small if each.certified and multipliers(each.proof)]
    originals = [each.text for each in tight]
    assert len(tight) >= 6 and all(programs_certify(originals, tmp_path / "cases"))
    texts: list[str] = []
    for forge in FORGERIES:
        forged: list[str] = []
        while len(forged) < 200:
            forged += forge(rng.choice(tight), rng)
        assert not set(forged) & set(originals)
        texts += forged[:200]
    assert len(texts) == 1000
    assert not any(programs_certify(texts, tmp_path / "cases"))
    for text in texts:
        (tmp_path / "case").write_text(text)
        assert not certifies(tmp_path / "case")


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "big.cert"
    path.write_text(case_text(BIG, BEST, 12, PROOF))
    found = verify(path)
    assert (found.cost, found.lower_bound, found.peak_bytes, found.budget_bytes) == (13, 13, 12, 12)
    assert found.certified and found.gap == 0
    assert found.by_programs == (program(CERT) is not None)


def test_a_certificate_of_another_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.cert"
    path.write_text(case_text(BIG, BEST, 12, PROOF))
    assert verify(path, BIG).certified
    for op in (replace(BIG.ops[0], cost=6), replace(BIG.ops[0], workspace_bytes=1)):
        other = replace(BIG, ops=(op, *BIG.ops[1:]))
        with pytest.raises(NotVerified, match="another graph"):
            verify(path, other)


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
    assert main(["verify", str(written), "--graph", str(tmp_path / "chain.json")]) == 0
    assert "cost         53\nlower bound  53 (fixed-order), gap 0.0000 %" in capsys.readouterr().out
    save_graph(chain(21), tmp_path / "longer.json")
    assert main(["verify", str(written), "--graph", str(tmp_path / "longer.json")]) == 3
    assert "REFUSED: the certificate is about another graph than chain_21" in capsys.readouterr().out
    written.write_text(written.read_text().replace("budget 9", "budget 8"))
    assert main(["verify", str(written)]) == 3
    assert "REFUSED: the schedule holds 9 bytes" in capsys.readouterr().out
    assert main(["certify", str(tmp_path / "chain.json"), "--budget", "2", "-o", str(written)]) == 3
    assert "INFEASIBLE" in capsys.readouterr().out
