"""What each option of a block costs and newly holds, as arrays for the programme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hcb_opt.chains.byte_tables import HELD, TRANSIENT, Table
from hcb_opt.chains.fronts import Front, Option
from hcb_opt.chains.partition import Partition


@dataclass(frozen=True)
class BlockOptions:
    """A block's options in one state, as arrays with one entry for each.

    Attributes
    ----------
    options : tuple of Option
    rerun_cost, recompute_cost, forward_bytes : ndarray
        As in `Option`.
    backward_bytes : ndarray
        Peak of the block's backward, without what is held of the blocks before.
    charge_bytes : ndarray, ``[state after, option, end]``
        What is newly held while the next blocks up to ``end`` are reversed.
    """

    options: tuple[Option, ...]
    rerun_cost: Table
    recompute_cost: Table
    forward_bytes: Table
    backward_bytes: Table
    charge_bytes: Table


def block_options(partition: Partition, fronts: Sequence[Front]) -> list[tuple[BlockOptions, BlockOptions]]:
    """For every block its options while what crosses into it is transient, and while it is held."""
    carried = _carried_bytes(partition)
    return [
        (
            _in_arrays(partition, block, front.transient, np.stack([np.zeros(partition.count), carried[block]])),
            _in_arrays(partition, block, front.held, np.zeros((2, partition.count))),
        )
        for block, front in enumerate(fronts)
    ]


def _in_arrays(partition: Partition, block: int, options: tuple[Option, ...], carried: Table) -> BlockOptions:
    origin_bytes = partition.origin_bytes(block)
    charge = np.repeat(carried[:, None, :], len(options), axis=1)
    for number, option in enumerate(options):
        charge[:, number] += option.kept_bytes
        for op in partition.ops(block):
            for value in partition.graph.ops[op].outputs:
                if value not in option.kept:
                    later = partition.later_blocks[value]
                    for state, blocks in ((TRANSIENT, later.saved_for), (HELD, later.readers)):
                        if blocks:
                            charge[state, number, blocks[0] :] += partition.graph.sizes[value]
    return BlockOptions(
        options,
        np.array([option.rerun_cost for option in options], dtype=float),
        np.array([option.recompute_cost for option in options], dtype=float),
        np.array([option.forward_bytes for option in options], dtype=float),
        np.array([option.backward_bytes + origin_bytes for option in options], dtype=float),
        charge,
    )


def _carried_bytes(partition: Partition) -> Table:
    """Bytes ``[block, end]`` that cross a transient block and are to be held after it, but were not before."""
    carried = np.zeros((partition.count, partition.count))
    for block in range(partition.count - 1):
        for value in partition.crossing(block + 1, partition.count - 1, saved=False):
            if partition.value_blocks[value] < block:
                later = partition.later_blocks[value]
                first = next(each for each in later.readers if each > block)
                until = next((each for each in later.saved_for if each >= block), partition.count)
                carried[block, first:until] += partition.graph.sizes[value]
    return carried
