"""Random layered DAGs, the synthetic instances of the ordering and rematerialization literature."""

from __future__ import annotations

import random
from itertools import pairwise

from hcb_opt.build import OpSpec, build_graph
from hcb_opt.errors import InvalidInput
from hcb_opt.graph import Graph

# Sizes of the published layered instances cluster; a mixture (weight, mean, spread) that looks alike.
_LAYERED_SIZES = ((0.48, 750, 250), (0.25, 2000, 300), (0.18, 3500, 450), (0.09, 5500, 550))
_LAYERED_MAX_DURATION = 1000
_LAYERED_MIN_SIZE = 80


def random_layered(
    ops: int,
    *,
    width: float = 0.27,
    level_variability: float = 0.75,
    edge_density: float = 0.2,
    skip_density: float = 0.14,
    seed: int = 0,
) -> Graph:
    """A random layered DAG between one source and one sink, in a random topological order.

    After the synthetic layered graphs of Gagrani et al., NeurIPS 2022
    (arXiv 2207.05899), in the family ``random_layered_n100_w0.27_nlv0.75_ed0.2_scd0.14``
    used by Bartan et al., ICML 2023 (Moccasin). Read off that family: no value is
    required at the end, costs are uniform, sizes a mixture of Gaussians.

    Parameters
    ----------
    ops : int
        At least 3.
    width : float
        Mean ops per level, as a share of the number of levels.
    level_variability : float
        Ops per level lie within this share of their mean.
    edge_density : float
        Ops of neighbouring levels are connected if their horizontal places,
        in (0, 1), differ by at most this; each op reads and is read at least once.
    skip_density : float
        Share of all edges that skip a level or more.
    seed : int
    """
    if ops < 3:
        raise InvalidInput("ops", f"{ops} is too small", "give at least 3")
    rng = random.Random(seed)
    levels = [[0], *_layered_levels(ops, width, level_variability, rng), [ops - 1]]
    edges = _level_edges(levels, edge_density)
    for _ in range(round(len(edges) * skip_density / (1 - skip_density))):
        source_level = rng.randrange(len(levels) - 2)
        target_level = rng.randrange(source_level + 2, len(levels))
        edges.add((rng.choice(levels[source_level]), rng.choice(levels[target_level])))
    readers: list[list[int]] = [[] for _ in range(ops)]
    reads: list[list[int]] = [[] for _ in range(ops)]
    for source, target in sorted(edges):
        readers[source].append(target)
        reads[target].append(source)
    specs = [
        OpSpec(
            f"n{each}",
            rng.randrange(_LAYERED_MAX_DURATION) if 0 < each < ops - 1 else 0,
            tuple(f"v{source}" for source in reads[each]),
            ((f"v{each}", _layered_size(rng)),),
        )
        for each in _random_topological_order(reads, readers, rng)
    ]
    name = f"random_layered_n{ops}_w{width:g}_nlv{level_variability:g}_ed{edge_density:g}_scd{skip_density:g}_s{seed}"
    return build_graph(specs, name=name, facts={"seed": seed})


def _layered_levels(ops: int, width: float, variability: float, rng: random.Random) -> list[list[int]]:
    """Positions 1 .. ops-2 in levels whose mean width is ``width`` times their number."""
    inner = ops - 2
    count = min(inner, max(1, round((inner / width) ** 0.5)))
    mean = inner / count
    weights = [rng.uniform(mean * (1 - variability), mean * (1 + variability)) for _ in range(count)]
    # Cumulative rounding keeps the sum exact; every level gets at least one op.
    spare, total, reached, placed = inner - count, sum(weights), 0.0, 0
    levels = []
    for index, weight in enumerate(weights):
        reached += weight
        end = inner if index == count - 1 else round(spare * reached / total) + index + 1
        levels.append(list(range(placed + 1, end + 1)))
        placed = end
    return levels


def _level_edges(levels: list[list[int]], density: float) -> set[tuple[int, int]]:
    edges: set[tuple[int, int]] = set()
    for above, below in pairwise(levels):
        apart = [
            [abs((i + 0.5) / len(above) - (j + 0.5) / len(below)) for j in range(len(below))] for i in range(len(above))
        ]
        within = 1.0 if len(above) == 1 or len(below) == 1 else density
        for i, source in enumerate(above):
            edges |= {(source, target) for j, target in enumerate(below) if apart[i][j] <= within}
            edges.add((source, below[min(range(len(below)), key=apart[i].__getitem__)]))
        for j, target in enumerate(below):
            edges.add((above[min(range(len(above)), key=[row[j] for row in apart].__getitem__)], target))
    return edges


def _random_topological_order(reads: list[list[int]], readers: list[list[int]], rng: random.Random) -> list[int]:
    waiting = [len(each) for each in reads]
    ready = [each for each, count in enumerate(waiting) if not count]
    order = []
    while ready:
        each = ready.pop(rng.randrange(len(ready)))
        order.append(each)
        for reader in readers[each]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return order


def _layered_size(rng: random.Random) -> int:
    weights = [weight for weight, _, _ in _LAYERED_SIZES]
    _, mean, spread = rng.choices(_LAYERED_SIZES, weights)[0]
    return max(_LAYERED_MIN_SIZE, 10 * round(rng.gauss(mean, spread) / 10))
