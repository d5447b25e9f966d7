"""Synthetic graphs: classical pebbling shapes and small training steps; `GENERATORS` lists all."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph, Phase
from hcb_opt.layered import random_layered


@dataclass(frozen=True, slots=True)
class ForwardOp:
    """A forward op from which `training_step` derives the backward one.

    Attributes
    ----------
    inputs : tuple of int
        Positions of the forward ops whose activations it reads; empty if it
        reads the batch.
    size_bytes : int
        Of its activation, and of the gradient that comes back for it.
    cost, backward_cost : int
        Of the op and of its backward op.
    parameter_bytes : int
        Of the parameter gradient that its backward op leaves; 0 for none.
    workspace_bytes : int
        Scratch memory of the op and of its backward op.
    saves_inputs, saves_output : bool
        Whether the backward op reads the op's inputs, or its activation.
    """

    inputs: tuple[int, ...]
    size_bytes: int = 1
    cost: int = 1
    backward_cost: int = 1
    parameter_bytes: int = 0
    workspace_bytes: int = 0
    saves_inputs: bool = True
    saves_output: bool = False


def training_step(forward: Sequence[ForwardOp], *, name: str, facts: Mapping[str, str | int] | None = None) -> Graph:
    """Forward ops, a loss, and one backward op for each, in reverse.

    A backward op reads every gradient of its op's activation (one per reader;
    it sums them) and what its op saved. It writes one gradient per input, each
    a value of its own, and the parameter gradient, which stays to the end.

    Parameters
    ----------
    forward : sequence of ForwardOp
        In topological order. The loss reads the activations that nothing else reads.
    name : str
    facts : mapping, optional

    Returns
    -------
    Graph
        ``2 * len(forward) + 1`` ops.
    """
    gradients: list[list[str]] = [[] for _ in forward]
    unread = set(range(len(forward))) - {source for op in forward for source in op.inputs}
    outputs: list[str] = []
    specs = [
        OpSpec(
            f"f{position + 1}", op.cost, tuple(f"x{source + 1}" for source in op.inputs),
            ((f"x{position + 1}", op.size_bytes),), op.workspace_bytes,
        )
        for position, op in enumerate(forward)
    ]  # fmt: skip

    def write_gradient(source: int, reader: str) -> tuple[str, int]:
        written = f"g{source + 1}_{reader}"
        gradients[source].append(written)
        return written, forward[source].size_bytes

    last = sorted(unread)
    gradients_of_loss = tuple(write_gradient(source, "loss") for source in last)
    specs.append(OpSpec("loss", 1, tuple(f"x{source + 1}" for source in last), gradients_of_loss))
    for position in range(len(forward) - 1, -1, -1):
        op = forward[position]
        reads = [f"x{source + 1}" for source in op.inputs] if op.saves_inputs else []
        reads += [f"x{position + 1}"] if op.saves_output else []
        writes = [write_gradient(source, f"b{position + 1}") for source in op.inputs]
        if op.parameter_bytes:
            writes.append((f"p{position + 1}", op.parameter_bytes))
            outputs.append(f"p{position + 1}")
        specs.append(
            OpSpec(
                f"b{position + 1}", op.backward_cost, (*reads, *gradients[position]), tuple(writes),
                op.workspace_bytes, Phase.BACKWARD,
            )
        )  # fmt: skip
    return build_graph(specs, outputs, name=name, facts=facts)


def chain(steps: int, sizes_bytes: Sequence[int] | None = None) -> Graph:
    """A chain of unit-cost steps with its backward, as in Revolve.

    The backward of step i reads the incoming gradient and the activation that
    step i read; the gradient of the persistent initial state is the output.
    (Griewank & Walther, ACM TOMS 26(1), 2000.)

    Parameters
    ----------
    steps : int
        At least 1.
    sizes_bytes : sequence of int, optional
        Of each step's activation; 1 each if not given.
    """
    _at_least("steps", steps, 1)
    sizes = [1] * steps if sizes_bytes is None else list(sizes_bytes)
    if len(sizes) != steps:
        raise InvalidInput("sizes_bytes", f"{len(sizes)} sizes for {steps} steps", "give one size per step")
    first, *others = sizes
    forward = [ForwardOp((), first, parameter_bytes=first)]
    forward += [ForwardOp((step,), size) for step, size in enumerate(others)]
    return training_step(forward, name=f"chain_{steps}")


def tape_chain(steps: int) -> Graph:
    """A chain of unit-cost steps whose backward reads tapes, as in Mixed checkpointing.

    Forward step i reads the state before it and writes the next one and its
    tape, one byte each, to be dropped independently; its backward reads the
    incoming gradient and the tape. A forward step writes both in any case, so
    that a byte must be free for either while it runs; the tape of the last step
    takes a byte like any other. The initial state is persistent, and its
    gradient is the output. (Maddison, J. Comput. Sci. 82, 2024.)

    Parameters
    ----------
    steps : int
        At least 1.
    """
    _at_least("steps", steps, 1)
    specs = [
        OpSpec(f"f{step}", 1, (f"x{step - 1}",) if step > 1 else (), ((f"x{step}", 1), (f"t{step}", 1)))
        for step in range(1, steps + 1)
    ]
    specs.append(OpSpec("loss", 1, (f"x{steps}",), ((f"g{steps}", 1),)))
    for step in range(steps, 0, -1):
        specs.append(OpSpec(f"b{step}", 1, (f"t{step}", f"g{step}"), ((f"g{step - 1}", 1),), phase=Phase.BACKWARD))
    return build_graph(specs, ["g0"], name=f"tape_chain_{steps}")


def u_shape(depth: int, size_bytes: int = 64) -> Graph:
    """A U-shaped net with skips from each encoder level to its decoder level.

    Activations halve with each level down; every op leaves a parameter
    gradient. (The shape of U-Net, Ronneberger et al., MICCAI 2015.)

    Parameters
    ----------
    depth : int
        Levels above the bottom, at least 1.
    size_bytes : int
        Of the activations at the top level.
    """
    _at_least("depth", depth, 1)
    forward: list[ForwardOp] = []

    def add(level: int, *inputs: int) -> None:
        size = max(1, size_bytes >> level)
        forward.append(ForwardOp(inputs, size, 2, 4, parameter_bytes=1 + level, workspace_bytes=size // 4))

    for level in range(depth + 1):
        add(level, *([level - 1] if level else []))
    for level in range(depth - 1, -1, -1):
        add(level, level, len(forward) - 1)
    return training_step(forward, name=f"u_shape_{depth}")


def random_training(forward_ops: int, seed: int = 0) -> Graph:
    """A small training step with random skips, sizes, costs and saved tensors.

    Parameters
    ----------
    forward_ops : int
        At least 1; the graph has ``2 * forward_ops + 1`` ops.
    seed : int
    """
    _at_least("forward_ops", forward_ops, 1)
    rng = random.Random(seed)
    forward = []
    for position in range(forward_ops):
        inputs = {position - 1} if position else set()
        if position > 1 and rng.random() < 0.4:
            inputs.add(rng.randrange(position - 1))
        saves_inputs, saves_output = rng.choice(((True, False), (False, True), (True, True)))
        cost = rng.randint(1, 20)
        forward.append(
            ForwardOp(
                tuple(sorted(inputs)), rng.randint(1, 12), cost, 2 * cost, rng.choice((0, 1, 3)), rng.choice((0, 0, 2)),
                saves_inputs, saves_output,
            )
        )  # fmt: skip
    return training_step(forward, name=f"random_training_{forward_ops}_s{seed}", facts={"seed": seed})


def binary_tree(height: int) -> Graph:
    """A complete binary tree of unit ops, leaves first, the root required.

    In depth-first order: 2 ** (height + 1) - 1 ops. (Cook & Sethi, JCSS 13, 1976.)
    """
    _at_least("height", height, 0)
    specs: list[OpSpec] = []

    def visit(level: int) -> str:
        inputs = () if level == 0 else (visit(level - 1), visit(level - 1))
        specs.append(_unit_op(f"n{len(specs)}", inputs))
        return specs[-1].name

    return build_graph(specs, [visit(height)], name=f"binary_tree_{height}")


def pyramid(height: int) -> Graph:
    """A pyramid of unit ops: each reads two neighbours of the row below.

    Row r has ``height + 1 - r`` ops; the apex is required. (Cook, JCSS 9, 1974.)
    """
    _at_least("height", height, 0)
    specs = [
        _unit_op(f"n{row}_{column}", (f"n{row - 1}_{column}", f"n{row - 1}_{column + 1}") if row else ())
        for row in range(height + 1)
        for column in range(height + 1 - row)
    ]
    return build_graph(specs, [f"n{height}_0"], name=f"pyramid_{height}")


def fft_butterfly(levels: int) -> Graph:
    """The FFT's butterfly on 2 ** levels points, of unit ops, its last rank required.

    Op (rank, i) reads (rank - 1, i) and (rank - 1, i xor 2 ** (rank - 1)).
    (Hong & Kung, STOC 1981.)
    """
    _at_least("levels", levels, 0)
    specs = [
        _unit_op(f"n{rank}_{i}", (f"n{rank - 1}_{i}", f"n{rank - 1}_{i ^ 1 << rank - 1}") if rank else ())
        for rank in range(levels + 1)
        for i in range(1 << levels)
    ]
    return build_graph(specs, [f"n{levels}_{i}" for i in range(1 << levels)], name=f"fft_butterfly_{levels}")


#: Every generator by name, as a function of a size and a seed (ignored by the fixed shapes).
GENERATORS: Mapping[str, Callable[[int, int], Graph]] = {
    "chain": lambda size, seed: chain(size),
    "tape_chain": lambda size, seed: tape_chain(size),
    "u_shape": lambda size, seed: u_shape(size),
    "random_training": random_training,
    "binary_tree": lambda size, seed: binary_tree(size),
    "pyramid": lambda size, seed: pyramid(size),
    "fft_butterfly": lambda size, seed: fft_butterfly(size),
    "random_layered": lambda size, seed: random_layered(size, seed=seed),
}


def _unit_op(name: str, inputs: tuple[str, ...]) -> OpSpec:
    return OpSpec(name, 1, inputs, ((name, 1),))


def _at_least(where: str, number: int, least: int) -> None:
    if number < least:
        raise InvalidInput(where, f"{number} is too small", f"give at least {least}")
