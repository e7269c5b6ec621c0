"""Packing: weights, biases and fill values in the order and dtype that the micro-kernel reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled.schedule import chunks_of, split_rows
from faltung.compiled.task import SumType
from faltung.compiled.variants import Row, find_row

__all__ = ["pack_bias", "pack_fill", "pack_weights", "packed_shape", "to_sums"]


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
    groups: int, rows: int, channels: int, taps: int, row: Row
) -> tuple[int, int, int]:
    """The shape of packed weights: groups, taps of all channels, rows filled up to whole blocks."""
    blocks, singles = split_rows(rows, row)
    return groups, channels * taps, blocks * row.rows + singles


def pack_weights(weight: NDArray[Any], groups: int, dtype: str, sums: SumType) -> NDArray[Any]:
    """Weights chunk by chunk; in a chunk block by block as ``[tap][row]``, single rows last.

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
    """
    real = _real_weights(weight, dtype, sums)
    row = find_row(sums.dtype)
    _, channels, taps = real.shape
    rows = real.shape[0] // groups
    blocks, singles = split_rows(rows, row)
    flat = real.reshape(groups, rows, channels * taps)
    packed = np.zeros(packed_shape(groups, rows, channels, taps, row), sums.dtype)
    if singles == 0 and rows < blocks * row.rows:
        filled = np.zeros((groups, blocks * row.rows, channels * taps), sums.dtype)
        filled[:, :rows] = flat
        flat = filled
    in_blocks = blocks * row.rows
    chunks = chunks_of(channels, taps)
    together = chunks.channels * taps
    for first in range(0, channels * taps, together):
        last = min(channels * taps, first + together)
        for start in range(first, last, chunks.taps):
            stop = min(last, start + chunks.taps)
            count = stop - start
            # The chunk's memory is one piece; its inner order is not that of `packed`'s axes.
            piece = packed[:, start:stop].reshape(groups, -1)
            assert piece.base is not None
            whole = flat[:, :in_blocks, start:stop].reshape(groups, blocks, row.rows, count)
            piece[:, : in_blocks * count] = whole.transpose(0, 1, 3, 2).reshape(groups, -1)
            piece[:, in_blocks * count :] = flat[:, in_blocks:, start:stop].reshape(groups, -1)
    return packed


def pack_bias(
    bias: NDArray[Any] | None, rows: int, groups: int, dtype: str, sums: SumType
) -> NDArray[Any]:
    """Biases by group, filled up to whole blocks; zeros for None."""
    row = find_row(sums.dtype)
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
