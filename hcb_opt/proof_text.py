"""The text format of ``proofs/``: graphs, budgets, schedules and proofs of bounds, line by line.

The verified programs, ``hcb-check`` and ``hcb-cert``, read it with nothing in
between; ``proofs/README.md`` describes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hcb_opt.bound_proof import BoundProof, Branch, Leaf, SumBranch, TreeNode
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph, Op, Value
from hcb_opt.proof_rows import Name
from hcb_opt.schedule import Action, Compute, Drop, Schedule, require_plain


@dataclass(frozen=True, slots=True)
class Case:
    """What one file says; None where it says nothing."""

    graph: Graph
    budget_bytes: int | None
    schedule: Schedule | None
    proof: BoundProof | None


def graph_lines(graph: Graph) -> list[str]:
    """One line per op and per value, then the required outputs and the persistent bytes."""
    lines = []
    for op in graph.ops:
        numbers = ["op", op.cost, op.workspace_bytes, "reads", *op.inputs, "writes", *op.outputs]
        lines.append(" ".join(map(str, numbers)))
    lines += [f"value {value.size_bytes} {value.producer}" for value in graph.values]
    lines.append(" ".join(map(str, ("required", *graph.outputs))))
    lines.append(f"persistent {graph.persistent_bytes}")
    return lines


def schedule_lines(schedule: Schedule) -> list[str]:
    """One line per action.

    Raises
    ------
    InvalidInput
        If a position is negative, or an action is a transfer: the format has neither.
    """
    require_plain(schedule, "schedule")
    lines = []
    for step, action in enumerate(schedule.actions):
        word, number = ("compute", action.op) if isinstance(action, Compute) else ("drop", action.value)
        if number < 0:
            raise InvalidInput(f"actions[{step}]", f"{number} is negative", "positions count from 0")
        lines.append(f"{word} {number}")
    return lines


def proof_lines(proof: BoundProof) -> list[str]:
    """Cuts, unit and target; then one line per branch, leaf and row."""
    lines = [" ".join(map(str, ("cuts", *proof.cuts))), f"unit {proof.unit}", f"target {proof.target}"]
    for node in proof.nodes:
        if isinstance(node, Branch):
            lines.append(" ".join(map(str, ("branch", *node.variable))))
        elif isinstance(node, SumBranch):
            summands = " + ".join(" ".join(map(str, variable)) for variable in node.variables)
            lines.append(f"branch-sum {node.most} {summands}")
        else:
            lines.append(f"leaf {node.scale}")
            lines += [" ".join(map(str, ("row", multiplier, *name))) for multiplier, name in node.rows]
            lines += [f"limit {multiplier} {position}" for multiplier, position in node.limits]
    return lines


def case_text(
    graph: Graph, schedule: Schedule | None = None, budget_bytes: int | None = None, proof: BoundProof | None = None
) -> str:
    """One case for the verified programs.

    Parameters
    ----------
    graph : Graph
    schedule : Schedule, optional
    budget_bytes : int, optional
    proof : BoundProof, optional

    Returns
    -------
    str
        Ends with the line ``end``; several cases may follow each other.
    """
    lines = graph_lines(graph)
    lines += [] if budget_bytes is None else [f"budget {budget_bytes}"]
    lines += [] if schedule is None else schedule_lines(schedule)
    lines += [] if proof is None else proof_lines(proof)
    return "\n".join((*lines, "end", ""))


def read_case(path: str | Path) -> Case:
    """Read a file of one case.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Case
        Ops and values are named by their positions, ``op0`` and ``v0``.

    Raises
    ------
    InvalidInput
        If the file cannot be read or says nothing valid; the message names the
        line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read ({error.strerror})", "give a certificate file") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), f"no text ({error})", "give a certificate file") from None
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            if reader.ended:
                raise ValueError("there is a second case")
            reader.read(words)
        except (ValueError, IndexError) as error:
            raise InvalidInput(
                f"{path}, line {number}", f"'{line[:60]}' cannot be used ({error})", "see proofs/README.md"
            ) from None
    try:
        return reader.case()
    except InvalidInput as error:
        raise error.within(str(path)) from None


class _Reader:
    """Collects what the lines say."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.values: list[Value] = []
        self.required: list[int] = []
        self.actions: list[Action] = []
        self.cuts: list[int] = []
        self.single: dict[str, int] = {}
        self.nodes: list[TreeNode] = []
        self.ended = False
        self.readers: dict[str, Callable[[list[str]], None]] = {
            "op": self._op, "value": self._value, "branch": self._branch, "leaf": self._leaf, "row": self._row,
            "branch-sum": self._branch_sum, "limit": self._limit,
            "compute": lambda words: self.actions.append(Compute(_one(words))),
            "drop": lambda words: self.actions.append(Drop(_one(words))),
            "required": lambda words: self.required.extend(map(_number, words)),
            "cuts": lambda words: self.cuts.extend(map(_number, words)),
        }  # fmt: skip

    def read(self, words: list[str]) -> None:
        word, rest = words[0], words[1:]
        if word == "end" and not rest:
            self.ended = True
        elif word in ("persistent", "budget", "unit", "target"):
            self.single[word] = int(rest[0]) if word == "target" and len(rest) == 1 else _one(rest)
        elif word in self.readers:
            self.readers[word](rest)
        else:
            raise ValueError(f"no line begins with '{word}'")

    def _op(self, words: list[str]) -> None:
        if words[2] != "reads" or words.count("writes") != 1:
            raise ValueError("an op has the words 'reads' and 'writes'")
        at = words.index("writes")
        inputs, outputs = (tuple(map(_number, part)) for part in (words[3:at], words[at + 1 :]))
        self.ops.append(Op(f"op{len(self.ops)}", _number(words[0]), inputs, outputs, _number(words[1])))

    def _value(self, words: list[str]) -> None:
        size, producer = map(_number, words)
        self.values.append(Value(f"v{len(self.values)}", size, producer))

    def _branch(self, words: list[str]) -> None:
        self.nodes.append(Branch(_variable(words)))

    def _branch_sum(self, words: list[str]) -> None:
        summands = " ".join(words[1:]).split("+")
        self.nodes.append(SumBranch(int(words[0]), tuple(_variable(each.split()) for each in summands)))

    def _leaf(self, words: list[str]) -> None:
        self.nodes.append(Leaf(_one(words), ()))

    def _last_leaf(self) -> Leaf:
        leaf = self.nodes[-1] if self.nodes else None
        if not isinstance(leaf, Leaf):
            raise ValueError("rows and limits follow a leaf")
        return leaf

    def _row(self, words: list[str]) -> None:
        leaf = self._last_leaf()
        name: Name = (words[1], *map(_number, words[2:]))
        row = (_number(words[0]), name)
        self.nodes[-1] = Leaf(leaf.scale, (*leaf.rows, row), leaf.limits)

    def _limit(self, words: list[str]) -> None:
        leaf = self._last_leaf()
        multiplier, position = map(_number, words)
        self.nodes[-1] = Leaf(leaf.scale, leaf.rows, (*leaf.limits, (multiplier, position)))

    def case(self) -> Case:
        for op in self.ops:
            for value in (*op.inputs, *op.outputs):
                if value >= len(self.values):
                    raise InvalidInput(op.name, f"there is no value {value}", "values are numbered in order")
        for each in self.values:
            if each.producer >= len(self.ops):
                raise InvalidInput(each.name, f"there is no op {each.producer}", "ops are numbered in order")
        if any(value >= len(self.values) for value in self.required):
            raise InvalidInput("required", "a value does not exist", "values are numbered in order")
        graph = Graph(
            tuple(self.ops),
            tuple(self.values),
            tuple(self.required),
            self.single.get("persistent", 0),
            name="certificate",
        )
        proof = None
        if "target" in self.single:
            proof = BoundProof(tuple(self.cuts), self.single.get("unit", 1), self.single["target"], tuple(self.nodes))
        schedule = Schedule(tuple(self.actions)) if self.actions else None
        return Case(graph, self.single.get("budget"), schedule, proof)


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ValueError(f"'{word}' is not a whole number")
    return int(word)


def _variable(words: list[str]) -> Name:
    return (words[0], *map(_number, words[1:]))


def _one(words: list[str]) -> int:
    if len(words) != 1:
        raise ValueError("one number is wanted")
    return _number(words[0])
