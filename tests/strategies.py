"""Random small graphs for tests."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.generators import random_training
from hcb_opt.graph import Graph


def random_graph(seed: int, max_ops: int = 8) -> Graph:
    """A small DAG: several outputs per op, workspaces, required outputs, zero costs and sizes.

    Every third seed is a training-shaped graph, where recomputation matters most.
    """
    if seed % 3 == 0:
        return random_training(1 + seed // 3 % max(1, (max_ops - 1) // 2), seed)
    rng = random.Random(seed)
    written: list[str] = []
    specs = []
    for position in range(rng.randint(1, max_ops)):
        nearby = written[-8:] if rng.random() < 0.7 else written
        inputs = rng.sample(nearby, min(len(nearby), rng.choice((0, 1, 1, 2, 2, 3))))
        outputs = tuple(
            (f"v{len(written) + each}", rng.choice((0, 1, 2, 3, 5, 8)))
            for each in range(rng.choice((0, 1, 1, 1, 2, 3)))
        )
        written += [name for name, _ in outputs]
        workspace = rng.choice((0, 0, 0, 1, 4))
        specs.append(OpSpec(f"op{position}", rng.choice((0, 1, 1, 2, 7)), tuple(inputs), outputs, workspace))
    required = rng.sample(written, min(len(written), rng.choice((0, 1, 1, 2))))
    return build_graph(specs, required, name=f"random_{seed}")


def random_budget(graph: Graph, seed: int) -> int:
    """A budget between the largest workset, less one byte, and the store-all peak.

    Infeasible ones are among them, by the mandatory minimum and by search.
    """
    rng = random.Random(seed)
    least = max(*graph.workset_bytes, sum(graph.sizes[value] for value in graph.outputs))
    return max(1, rng.randint(least - (rng.random() < 0.1), max(least, graph.store_all_peak_bytes)))


def graphs(max_ops: int = 8) -> st.SearchStrategy[Graph]:
    """Hypothesis strategy of `random_graph`."""
    return st.integers(0, 100_000).map(lambda seed: random_graph(seed, max_ops))
