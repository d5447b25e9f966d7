"""Compares the Triton kernels that stand for ops with their reference, by Triton's interpreter.

Run in a process of its own with TRITON_INTERPRET=1, which must be set before Triton is imported. Prints as JSON whether
both leave the same bytes and digests, for each shape and for whole graphs.
"""

from __future__ import annotations

import json

import torch
from packings import writing_in_place
from strategies import random_graph
from walks import random_walk

from hcb_opt.layout import layout
from hcb_opt.runtime.instance import play, scheduled_launches
from hcb_opt.runtime.kernels import instance, instance_reference
from hcb_opt.runtime.kernels.instance_reference import Launch, Place
from hcb_opt.schedule import schedule_from_computes

CPU = torch.device("cpu")

# Bytes of the inputs, and of the outputs: none, one, no multiples of a word, many to few, few to many, several blocks.
SHAPES = [
    ([], []), ([], [1]), ([1], []), ([0], [0]), ([7], [5]), ([3, 8], [2, 0, 9]), ([9001], [3]), ([5], [9001]),
    ([4096, 13, 6], [4099, 1]), ([12300], [130, 4]),
]  # fmt: skip


def compared(inputs: list[int], outputs: list[int]) -> bool:
    """Whether arenas and digests are the same after one op with work, and noise over half an arena."""
    places, end = [], 1
    for size in (*inputs, *outputs):
        places.append(Place(end, size))
        end += size + 3
    launch = Launch(70_000, tuple(places[: len(inputs)]), tuple(places[len(inputs) :]))
    before = torch.randint(0, 256, (end,), dtype=torch.uint8, generator=torch.Generator().manual_seed(end))
    seen = []
    for kernels in (instance_reference, instance):
        arena, digests = before.clone(), torch.zeros(2, dtype=torch.int32)
        kernels.mix(arena, kernels.prepare([launch, launch], CPU), 1, 3, digests, work=4)
        kernels.scribble(arena, Place(1 + end // 2, end - end // 2 - 2), 2**31 - 1)
        seen.append([arena, digests])
    return all(torch.equal(one, other) for one, other in zip(*seen, strict=True))


def whole(seed: int) -> bool:
    """Whether both play a random schedule of a random graph alike."""
    graph = writing_in_place(random_graph(seed, 4), seed)
    schedule = schedule_from_computes(graph, random_walk(graph, seed))
    placed = layout(graph, schedule, alignment_bytes=1)
    assert seed or any(placed.buffers[taker].size_bytes for taker, _ in placed.in_place)
    launches = scheduled_launches(graph, schedule, placed)
    seen = [play(launches, placed.arena_bytes, CPU, kernels) for kernels in (instance_reference, instance)]
    return seen[0] == seen[1]


if __name__ == "__main__":
    found = {f"{inputs} to {outputs}": compared(inputs, outputs) for inputs, outputs in SHAPES}
    print(json.dumps(found | {f"graph {seed}": whole(seed) for seed in range(4)}))
