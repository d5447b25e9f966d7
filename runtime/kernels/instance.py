"""The kernels that stand for the ops of any graph, in Triton; `instance_reference` says what they compute.

One kernel serves all ops: what a launch reads and writes is in a table on the device. Bytes
are read and written one at a time, so that no alignment is needed and nothing beside a
value is touched. A program makes a block of words and reads several rows of the inputs
at once where the outputs are short; the last of an op's programs only does its work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from hcb_opt.runtime.kernels.compilation import KernelCase
from hcb_opt.runtime.kernels.instance_reference import Launch, Place, words_of

TILE = 1024  # words that a program reads at once
BLOCKS = (4, 16, 64, 256, 1024)  # words that it makes; for one, ptxas uses the stack
WARPS = 4

_POSITION = tl.constexpr(0x9E3779B1)
_PART = tl.constexpr(0x85EBCA77)
_START = tl.constexpr(0xC2B2AE3D)
_FIRST_FACTOR = tl.constexpr(0x85EBCA6B)
_SECOND_FACTOR = tl.constexpr(0xC2B2AE35)


@triton.jit
def finalised(words):  # type: ignore[no-untyped-def]
    """The finaliser of murmur3, of uint32."""
    words = (words ^ (words >> 16)) * _FIRST_FACTOR
    words = (words ^ (words >> 13)) * _SECOND_FACTOR
    return words ^ (words >> 16)


@triton.jit
def write_words(arena, offset, size, place, words):  # type: ignore[no-untyped-def]
    """Write what of the words lies within a value; ``place`` is each one's first byte, counted from the value's."""
    for byte in tl.static_range(4):
        inside = (place + byte >= 0) & (place + byte < size)
        tl.store(arena + offset + place + byte, (words >> (8 * byte)).to(tl.uint8), mask=inside)


@triton.jit(do_not_specialize=["entry", "index", "salt", "work"])  # type: ignore[untyped-decorator]
def mix_kernel(  # type: ignore[no-untyped-def]
    arena, table, digests, scratch, entry, index, salt, work,
    words_size: tl.constexpr, rows_size: tl.constexpr,
):  # fmt: skip
    """One op. Table entry: op, words of all outputs, inputs, outputs, then offset and bytes of each of them."""
    op = tl.load(table + entry).to(tl.uint32)
    total = tl.load(table + entry + 1)
    inputs = tl.load(table + entry + 2).to(tl.int32)
    outputs = tl.load(table + entry + 3).to(tl.int32)
    if tl.program_id(0) == tl.num_programs(0) - 1:
        spent = op
        for _ in range(work):
            spent = finalised(spent + 1)
        tl.store(scratch, spent.to(tl.int32, bitcast=True))
    else:
        word = tl.program_id(0).to(tl.int64) * words_size + tl.arange(0, words_size)
        row = tl.arange(0, rows_size)
        state = tl.zeros((words_size,), tl.uint32)
        start = tl.full((), _START, tl.uint32)
        for part in range(inputs):
            offset = tl.load(table + entry + 4 + 2 * part)
            size = tl.load(table + entry + 5 + 2 * part)
            count = (size + 3) // 4
            longest = tl.where(size > 0, tl.maximum(count, total), 0)
            for first in range(0, (longest + total - 1) // total, rows_size):
                position = word[:, None] + (first + row)[None, :] * total
                inside = (word < total)[:, None] & (position < longest)
                place = (position.to(tl.uint32) % tl.maximum(count, 1).to(tl.uint32)).to(tl.int64) * 4
                read = tl.zeros((words_size, rows_size), tl.uint32)
                for byte in tl.static_range(4):
                    held = tl.load(arena + offset + place + byte, mask=inside & (place + byte < size), other=0)
                    read |= held.to(tl.uint32) << (8 * byte)
                terms = finalised(read ^ finalised(position.to(tl.uint32) * _POSITION + start))
                state += tl.sum(tl.where(inside, terms, 0), axis=1).to(tl.uint32)
            start += _PART
        seed = finalised(op * _PART + salt.to(tl.uint32) * _START)
        key = finalised(word.to(tl.uint32) * _POSITION + seed)
        words = finalised(state ^ key)
        digest = tl.sum(tl.where(word < total, finalised(words + key), 0), axis=0).to(tl.uint32)
        tl.atomic_add(digests + index, digest.to(tl.int32, bitcast=True))
        place = word * 4
        for output in range(outputs):
            offset = tl.load(table + entry + 4 + 2 * (inputs + output))
            size = tl.load(table + entry + 5 + 2 * (inputs + output))
            write_words(arena, offset, size, place, words)
            place -= (size + 3) // 4 * 4


@triton.jit(do_not_specialize=["offset", "size", "key"])  # type: ignore[untyped-decorator]
def scribble_kernel(arena, offset, size, key, words_size: tl.constexpr):  # type: ignore[no-untyped-def]
    """Noise for ``size`` bytes from ``offset``."""
    word = tl.program_id(0).to(tl.int64) * words_size + tl.arange(0, words_size)
    noise = finalised((word.to(tl.uint32) * _POSITION) ^ finalised(key.to(tl.uint32)))
    write_words(arena, offset, size, word * 4, noise)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Launches as a table on the device.

    Attributes
    ----------
    table : Tensor of int64
    entries : tuple of int
        Where each launch begins in the table.
    words : tuple of int
        That each launch writes, at least one.
    scratch : Tensor of int32
        Changed by work; of no meaning.
    """

    table: Tensor
    entries: tuple[int, ...]
    words: tuple[int, ...]
    scratch: Tensor


def prepare(launches: Sequence[Launch], device: torch.device) -> Prepared:
    """As `instance_reference.prepare`."""
    table: list[int] = []
    entries, words = [], []
    for launch in launches:
        entries.append(len(table))
        words.append(max(1, sum(map(words_of, launch.outputs))))
        table += [launch.op, words[-1], len(launch.inputs), len(launch.outputs)]
        for place in (*launch.inputs, *launch.outputs):
            table += [place.offset, place.size_bytes]
    scratch = torch.zeros(1, dtype=torch.int32, device=device)
    return Prepared(torch.tensor(table, dtype=torch.int64, device=device), tuple(entries), tuple(words), scratch)


def mix(arena: Tensor, prepared: Prepared, index: int, salt: int, digests: Tensor, work: int = 0) -> None:
    """As `instance_reference.mix`, but the digest is added to what ``digests[index]`` holds."""
    words = prepared.words[index]
    words_size = next((each for each in BLOCKS if each >= words), BLOCKS[-1])
    mix_kernel[(triton.cdiv(words, words_size) + 1,)](
        arena, prepared.table, digests, prepared.scratch, prepared.entries[index], index, salt, work,
        words_size=words_size, rows_size=TILE // words_size, num_warps=WARPS,
    )  # fmt: skip


def scribble(arena: Tensor, place: Place, key: int) -> None:
    """As `instance_reference.scribble`; the place must not be empty."""
    grid = (triton.cdiv(words_of(place), TILE),)
    scribble_kernel[grid](arena, place.offset, place.size_bytes, key, words_size=TILE, num_warps=WARPS)


def cases() -> list[KernelCase]:
    """What is compiled for the report: every shape of a block of words."""
    types = {"arena": "*u8", "table": "*i64", "digests": "*i32", "scratch": "*i32"}
    types |= dict.fromkeys(("entry", "index", "salt", "work"), "i32")
    listed = []
    for words_size in BLOCKS:
        constants = {"words_size": words_size, "rows_size": TILE // words_size}
        arguments = types | dict.fromkeys(constants, "constexpr")
        listed.append(KernelCase(f"instance: op, {words_size} words", mix_kernel, arguments, constants, WARPS))
    noise = {"arena": "*u8", "offset": "i64", "size": "i64", "key": "i32", "words_size": "constexpr"}
    return [*listed, KernelCase("instance: noise", scribble_kernel, noise, {"words_size": TILE}, WARPS)]
