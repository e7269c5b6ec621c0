"""Packing: weights, biases and fill values in the order and dtype that the micro-kernel reads."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel, words
from faltung.compiled._jit import Job, job
from faltung.compiled.entry import Packing
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.schedule import Blocks, chunks_of, split_rows
from faltung.compiled.task import SumType

__all__ = ["pack_bias", "pack_fill", "pack_weights", "packed_shape", "packing_of", "to_sums"]


def to_sums(values: NDArray[Any], dtype: str, sums: SumType) -> NDArray[Any]:
    """Values of a dtype in the dtype of their sums; complex ones get a last axis of two parts."""
    if dtype == "bfloat16":
        bits = values.view(np.uint16).astype(np.uint32)
        widened: NDArray[Any] = (bits << np.uint32(16)).view(np.float32)
        return widened
    if dtype == "bool":
        truth: NDArray[Any] = (values != 0).astype(sums.dtype)
        return truth
    if sums.parts == 2:
        pairs = np.ascontiguousarray(values).view(sums.dtype)
        return pairs.reshape(*values.shape, 2)
    converted: NDArray[Any] = values.astype(sums.dtype)
    return converted


def _real_weights(weight: NDArray[Any], dtype: str, sums: SumType) -> NDArray[Any]:
    """Weights of the real problem as (rows, channels, taps): ``[[re, -im], [im, re]]``."""
    rows, channels = weight.shape[:2]
    flat = to_sums(np.ascontiguousarray(weight).reshape(rows, channels, -1), dtype, sums)
    if sums.parts == 1:
        return flat
    real, imaginary = flat[..., 0], flat[..., 1]
    doubled = np.empty((rows, 2, channels, 2, flat.shape[2]), sums.dtype)
    doubled[:, 0, :, 0], doubled[:, 0, :, 1] = real, -imaginary
    doubled[:, 1, :, 0], doubled[:, 1, :, 1] = imaginary, real
    return doubled.reshape(2 * rows, 2 * channels, -1)


def packed_shape(
    groups: int, rows: int, channels: int, taps: int, row: Blocks
) -> tuple[int, int, int]:
    """The shape of packed weights: groups, taps of all channels, rows filled up to whole blocks."""
    blocks, singles = split_rows(rows, row)
    return groups, channels * taps, blocks * row.rows + singles


def packing_of(groups: int, rows: int, channels: int, taps: int, row: Blocks) -> Packing:
    """The job that packs the weights of a convolution; `channels` and `rows` are a group's."""
    element = row.element
    blocks, singles = split_rows(rows, row)
    chunks = chunks_of(channels, taps)
    block = np.zeros(len(words.PACK_WORDS), np.int64)
    for place, value in {
        words.PACK_ROWS: rows,
        words.PACK_CHANNELS: channels,
        words.PACK_KERNEL: taps,
        words.PACK_CHUNK_CHANNELS: chunks.channels,
        words.PACK_CHUNK_TAPS: chunks.taps,
        words.PACK_BLOCKS: blocks,
        words.PACK_BLOCK_ROWS: row.rows,
        words.PACK_SINGLES: singles,
        words.PACK_SIZE: element.size,
        words.PACK_EXPONENT: _EXPONENTS.get(element.dtype, 0),
    }.items():
        block[place] = value
    size = prod(packed_shape(groups, rows, channels, taps, row)) * element.size
    biases = groups * (blocks * row.rows + singles) * element.size
    return Packing(packer(element.size), block, groups * (blocks + singles), size, biases)


_EXPONENTS = {"float32": 0x7F80_0000, "float64": 0x7FF0_0000_0000_0000}
"""The bits that are all set in numbers that are not finite."""


@cache
def packer(size: int) -> Job:  # noqa: C901  all of it is one loop over weights
    """The job that packs a block of rows or a single row, its biases too, of elements of `size`.

    Its arguments are the address of `words.PACK_WORDS` and the number of the block, group by group.
    Chunk by chunk; in a chunk block by block as ``[tap][row]``, rows that do not exist as zeros,
    single rows last.
    """
    kind = f"int{8 * size}"
    load, store = loader(kind), storer(kind)
    zero = np.dtype(kind).type(0)

    @job
    def pack_block(_thread: int, pack: int, number: int) -> None:
        blocks, block_rows = word(pack, words.PACK_BLOCKS), word(pack, words.PACK_BLOCK_ROWS)
        in_blocks, singles = blocks * block_rows, word(pack, words.PACK_SINGLES)
        group, block = number // (blocks + singles), number % (blocks + singles)
        rows, first = block_rows, block * block_rows
        if block >= blocks:
            rows, first = 1, in_blocks + block - blocks
        filled, group_rows = in_blocks + singles, word(pack, words.PACK_ROWS)
        kernel = word(pack, words.PACK_KERNEL)
        channels, step = word(pack, words.PACK_CHANNELS), word(pack, words.PACK_CHUNK_CHANNELS)
        exponent, tap_step = word(pack, words.PACK_EXPONENT), word(pack, words.PACK_CHUNK_TAPS)
        depth = channels * kernel
        source = word(pack, words.PACK_SOURCE) + (group * group_rows + first) * depth * size
        target = word(pack, words.PACK_TARGET) + group * depth * filled * size
        not_finite = False
        for channel in range(0, channels, step):
            chunk = min(step, channels - channel) * kernel
            for tap in range(0, chunk, tap_step):
                taps, start = min(tap_step, chunk - tap), channel * kernel + tap
                piece = target + (start * filled + first * taps) * size
                # Four rows at a time, so that what is stored together lies together.
                fours = min(rows, group_rows - first) // 4 * 4
                for r in range(0, fours, 4):
                    row, other = source + (r * depth + start) * size, depth * size
                    for t in range(taps):
                        one, two = load(row, t), load(row + other, t)
                        three, four = load(row + 2 * other, t), load(row + 3 * other, t)
                        store(piece, t * rows + r, one)
                        store(piece, t * rows + r + 1, two)
                        store(piece, t * rows + r + 2, three)
                        store(piece, t * rows + r + 3, four)
                        not_finite |= (one & exponent) == exponent
                        not_finite |= (two & exponent) == exponent
                        not_finite |= (three & exponent) == exponent
                        not_finite |= (four & exponent) == exponent
                for r in range(fours, rows):
                    row = source + (r * depth + start) * size
                    is_there = first + r < group_rows
                    for t in range(taps):
                        value = load(row, t) if is_there else zero
                        store(piece, t * rows + r, value)
                        not_finite |= (value & exponent) == exponent
        if not_finite and exponent != 0:
            put_word(pack, words.PACK_NOT_FINITE, 1)
        bias, biases = word(pack, words.PACK_BIAS), word(pack, words.PACK_BIASES)
        for r in range(first, first + rows):
            value = zero
            if bias != 0 and r < group_rows:
                value = load(bias, group * group_rows + r)
            if biases != 0:
                store(biases, group * filled + r, value)

    return pack_block


def pack_weights(
    weight: NDArray[Any], groups: int, dtype: str, sums: SumType, row: Blocks
) -> tuple[NDArray[Any], bool]:
    """Weights in the order of the kernels, see `packer`, and whether all are finite.

    Parameters
    ----------
    weight : ndarray, (O, C / groups, *kernel)
        In native byte order.
    groups : int
        Groups of output channels.
    dtype : str
        Name of the weights' dtype.
    sums : SumType
        How they are summed.
    row : Row or LanesRow
        Whose kernels read them.
    """
    real = np.ascontiguousarray(_real_weights(weight, dtype, sums))
    _, channels, taps = real.shape
    rows = real.shape[0] // groups
    packed = np.empty(packed_shape(groups, rows, channels, taps, row), sums.dtype)
    packing = packing_of(groups, rows, channels, taps, row)
    packing.words[words.PACK_SOURCE] = real.ctypes.data
    packing.words[words.PACK_TARGET] = packed.ctypes.data
    parallel.run(packing.job, packing.words, packing.jobs)
    return packed, not packing.words[words.PACK_NOT_FINITE]


def pack_bias(
    bias: NDArray[Any] | None, rows: int, groups: int, dtype: str, sums: SumType, row: Blocks
) -> NDArray[Any]:
    """Biases by group, filled up to whole blocks; zeros for None."""
    blocks, singles = split_rows(rows, row)
    packed = np.zeros((groups, blocks * row.rows + singles), sums.dtype)
    if bias is not None:
        packed[:, :rows] = to_sums(np.ascontiguousarray(bias), dtype, sums).reshape(groups, rows)
    return packed


def pack_fill(fill: Any, dtype: str, sums: SumType) -> NDArray[Any]:
    """The fill value, by parts."""
    if dtype == "bfloat16":
        return np.full(1, fill, np.float32)
    return to_sums(np.full(1, fill, dtype), dtype, sums).reshape(-1)
