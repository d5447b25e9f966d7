"""Kernels that stand for the ops of any graph, in plain torch: what they compute, and the reference of `instance`.

A value is a row of 32-bit words, little-endian, the last one filled up with zeros. An
op's outputs are, one after another, N words, at least one; let x[k, j] be word j of
input k, n[k] words long, and h the murmur3 finaliser, a bijection in which every bit
depends on every other:

    state[i] = sum over inputs k and j = i mod N, j < max(N, n[k]) of h(x[k, j mod n[k]] ^ h(A j + B k + C))
    word[i]  = h(state[i] ^ key[i]),    key[i] = h(A i + h(B op + C salt))
    digest   = sum over i of h(word[i] + key[i]),    all modulo 2^32

Every word of every input is read. If one of them differs, in whatever bits, its word of
the outputs differs, and so does the digest; of several differences one in 2^32 escapes.
Sums of integers do not depend on their order: kernels may add them atomically.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WORD_BYTES = 4
POSITION, PART, START = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D  # A, B, C: odd
FIRST_FACTOR, SECOND_FACTOR = 0x85EBCA6B, 0xC2B2AE35  # of the finaliser
WORK_ELEMENTS = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of an arena."""

    offset: int
    size_bytes: int


NOWHERE = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Launch:
    """One run of an op.

    Attributes
    ----------
    op : int
        Which op; part of the hash.
    inputs, outputs : tuple of Place
        Where its values lie.
    workspace : Place
        Held while it runs.
    ended : tuple of Place
        Held by values up to this run, and by none any more.
    in_place : bool
        Its only output lies where one of its inputs lies, and is written over it:
        as long as that input, it needs word i of it for its own word i only.
    """

    op: int
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...] = ()
    workspace: Place = NOWHERE
    ended: tuple[Place, ...] = ()
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Launches, and what their work is spent on.

    Attributes
    ----------
    launches : sequence of Launch
    scratch : Tensor
        Changed by work; of no meaning.
    """

    launches: Sequence[Launch]
    scratch: Tensor


def prepare(launches: Sequence[Launch], device: torch.device) -> Prepared:
    """Get ready to run launches on a device.

    Parameters
    ----------
    launches : sequence of Launch
    device : torch.device
    """
    return Prepared(launches, torch.ones(WORK_ELEMENTS, dtype=torch.int32, device=device))


def mix(arena: Tensor, prepared: Prepared, index: int, salt: int, digests: Tensor, work: int = 0) -> None:
    """Run one op: write the hash of its inputs to its outputs and its digest to ``digests[index]``.

    Parameters
    ----------
    arena : Tensor of uint8
    prepared : Prepared
    index : int
        Which launch.
    salt : int
        From 0 to 2^31 - 1; another one gives other words.
    digests : Tensor of int32, one per launch
    work : int
        Iterations to spend; they change nothing.
    """
    launch = prepared.launches[index]
    counts = [words_of(place) for place in launch.outputs]
    total = max(1, sum(counts))
    state = torch.zeros(total, dtype=torch.int32, device=arena.device)
    for part, place in enumerate(launch.inputs):
        if place.size_bytes:
            state += _folded(_load(arena, place), part, total)
    key = _finalised(_positions(total, arena.device) + _signed(seed_of(launch.op, salt)))
    words = _finalised(state ^ key)
    digests[index] = _finalised(words + key).sum(dtype=torch.int32)
    for place, written in zip(launch.outputs, words[: sum(counts)].split(counts), strict=True):
        _store(arena, place, written)
    for _ in range(work):
        prepared.scratch.mul_(5).add_(1)


def scribble(arena: Tensor, place: Place, key: int) -> None:
    """Fill bytes with noise.

    Parameters
    ----------
    arena : Tensor of uint8
    place : Place
    key : int
        From 0 to 2^31 - 1; another one gives other noise.
    """
    _store(arena, place, _finalised(_positions(words_of(place), arena.device) ^ _signed(finalised(key))))


def words_of(place: Place) -> int:
    """How many words a place takes."""
    return -(-place.size_bytes // WORD_BYTES)


def seed_of(op: int, salt: int) -> int:
    """What tells the words of one op from those of another: ``h(B op + C salt)``."""
    return finalised(PART * op + START * salt)


def finalised(word: int) -> int:
    """The finaliser of murmur3 (Appleby), of one number modulo 2^32."""
    word &= 0xFFFFFFFF
    word = ((word ^ word >> 16) * FIRST_FACTOR) & 0xFFFFFFFF
    word = ((word ^ word >> 13) * SECOND_FACTOR) & 0xFFFFFFFF
    return word ^ word >> 16


def _finalised(words: Tensor) -> Tensor:
    """The same of int32, whose products wrap; a shift drags the sign along, which is masked."""
    words = (words ^ ((words >> 16) & 0xFFFF)) * _signed(FIRST_FACTOR)
    words = (words ^ ((words >> 13) & 0x7FFFF)) * _signed(SECOND_FACTOR)
    return words ^ ((words >> 16) & 0xFFFF)


def _folded(words: Tensor, part: int, total: int) -> Tensor:
    """What an input adds to the state."""
    longest = max(total, len(words))
    read = words.repeat(math.ceil(longest / len(words)))[:longest]
    terms = _finalised(read ^ _finalised(_positions(longest, words.device) + _signed(PART * part + START)))
    padded = terms.new_zeros(math.ceil(longest / total) * total)
    padded[:longest] = terms
    return padded.view(-1, total).sum(dim=0, dtype=torch.int32)


def _positions(count: int, device: torch.device) -> Tensor:
    return torch.arange(count, dtype=torch.int32, device=device) * _signed(POSITION)


def _load(arena: Tensor, place: Place) -> Tensor:
    filled = arena.new_zeros(words_of(place) * WORD_BYTES)
    filled[: place.size_bytes] = arena[place.offset : place.offset + place.size_bytes]
    return filled.view(torch.int32)


def _store(arena: Tensor, place: Place, words: Tensor) -> None:
    arena[place.offset : place.offset + place.size_bytes] = words.view(torch.uint8)[: place.size_bytes]


def _signed(word: int) -> int:
    """The int32 of the same bits."""
    return ((word + 0x80000000) & 0xFFFFFFFF) - 0x80000000
