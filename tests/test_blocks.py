"""The forward as a chain of blocks between frontier cuts."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from hcb_opt import Graph, OpSpec, Phase, build_graph
from hcb_opt.blocks import Chain, balanced_chain, frontier_bytes, narrow_boundaries, turn_position
from hcb_opt.generators import chain, u_shape


def frontier(graph: Graph, boundary: int, turn: int) -> set[int]:
    """By definition: written before the boundary, read by a forward op at or after it."""
    return {
        value
        for position in range(boundary, turn)
        for value in graph.ops[position].inputs
        if graph.values[value].producer < boundary
    }


@given(graphs(12), st.integers(1, 12))
def test_cuts_are_the_frontiers(graph: Graph, count: int) -> None:
    turn = turn_position(graph)
    blocks = balanced_chain(graph, [1] * turn, count)
    widths = frontier_bytes(graph, turn)
    for boundary, cut in zip(blocks.boundaries, blocks.cuts, strict=False):
        assert set(cut) == frontier(graph, boundary, turn)
        assert widths[boundary] == sum(graph.sizes[value] for value in cut)
    assert widths[0] == widths[turn] == 0


@given(graphs(12), st.integers(1, 12))
def test_blocks_partition_the_forward(graph: Graph, count: int) -> None:
    turn = turn_position(graph)
    blocks = balanced_chain(graph, [op.cost for op in graph.ops[:turn]], count)
    assert blocks.boundaries[0] == 0
    assert blocks.turn == turn
    assert blocks.block_count <= count
    assert all(low < high for low, high in pairwise(blocks.boundaries))
    for position in range(turn):
        block = blocks.block_of[position]
        assert blocks.boundaries[block] <= position < blocks.boundaries[block + 1]


def test_equal_ops_give_equal_blocks() -> None:
    graph = chain(24)
    turn = turn_position(graph)
    assert turn == 25
    assert balanced_chain(graph, [1] * turn, 5).boundaries == (0, 5, 10, 15, 20, 25)


def test_boundaries_move_to_narrow_frontiers() -> None:
    """Wide and narrow activations alternate: every boundary follows a narrow one."""
    graph = chain(24, [1, 8] * 12)
    turn = turn_position(graph)
    widths = frontier_bytes(graph, turn)
    blocks = balanced_chain(graph, [1] * turn, 4)
    assert [widths[boundary] for boundary in blocks.boundaries[1:-1]] == [1, 1, 1]
    assert set(blocks.boundaries[1:-1]) <= set(narrow_boundaries(widths))


def test_a_skip_belongs_to_every_cut_it_crosses() -> None:
    graph = u_shape(3)
    turn = turn_position(graph)
    blocks = Chain(graph, tuple(range(turn + 1)))
    skip = graph.ops[0].outputs[0]
    assert [skip in cut for cut in blocks.cuts] == [False, *[True] * 6, False]


def test_turn_without_marked_phases_is_the_store_all_peak() -> None:
    specs = [OpSpec(f"op{each}", 1, (), ((f"v{each}", 1),)) for each in range(3)]
    specs += [OpSpec(f"op{each}", 1, (f"v{each - 3}",), ()) for each in range(3, 6)]
    graph = build_graph(specs)
    assert graph.store_all_profile_bytes == (1, 2, 3, 3, 2, 1)
    assert turn_position(graph) == 2
    marked = build_graph([*specs[:4], OpSpec("op4", 1, ("v1",), (), phase=Phase.BACKWARD), specs[5]])
    assert turn_position(marked) == 4
