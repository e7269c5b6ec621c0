"""Tables of taps: how the cells and the weights of a chunk are walked, and which are left out.

Zeros around the input add nothing. Where a kernel is dilated widely a third of its rows may lie
there for many rows of the output, so a tile takes the table of the rows of the kernel that it
needs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from faltung.compiled.lanes_tile import HEADER
from faltung.compiled.task import Axis

__all__ = ["needed_rows", "tap_tables"]

_MOST_ROWS = 9
"""Rows of a kernel, of which all ranges have a table."""
_LEAST_LEFT_OUT = 0.05
"""The share of all products that pays for finding out what each tile needs."""


def _shown(axis: Axis, output: int) -> Iterator[int]:
    """The taps of an output that see a cell, not the fill value."""
    for tap in range(axis.kernel):
        position = output * axis.stride + tap * axis.dilation - axis.before
        beyond = position - axis.length
        if position < 0:
            cell = axis.low[position + axis.before]
        else:
            cell = axis.high[beyond] if beyond >= 0 else position
        if cell >= 0:
            yield tap


def needed_rows(axis: Axis, fill: object, is_whole: bool) -> NDArray[np.int64] | None:
    """The first tap of each output along an axis that is needed and the one after the last.

    None where all are taken: the fill value is not zero, chunks are not of whole channels
    (`is_whole`), or it would not pay.
    """
    if fill != 0 or not is_whole or axis.kernel > _MOST_ROWS:
        return None
    needed = np.zeros((axis.outputs, 2), np.int64)
    for output in range(axis.outputs):
        taps = list(_shown(axis, output)) or [0]
        needed[output] = taps[0], taps[-1] + 1
    taken = np.diff(needed, axis=1).sum()
    return needed if taken <= (1 - _LEAST_LEFT_OUT) * axis.kernel * axis.outputs else None


def tap_tables(
    offsets: NDArray[np.int64],
    kernel: tuple[int, int, int],
    vector_size: int,
    taken: int,
    skips: bool,
) -> NDArray[np.int64]:
    """A table for each range of rows of the kernel, or the one of all taps.

    Parameters
    ----------
    offsets : ndarray of int
        Bytes to the cells of the taps of a chunk, channel by channel.
    kernel : tuple of three int
        Taps by axis.
    vector_size : int
        Bytes of the weights of a tap.
    taken : int
        Neighbouring taps of a row that are taken together, in one step of a table.
    skips : bool
        Whether there is a table for each range.
    """
    depth, rows, width = kernel
    # Of the taps that are taken together the first.
    firsts = np.arange(0, len(offsets), taken)
    if not skips:
        return _table(offsets, firsts, vector_size, len(firsts))[None]
    numbers = firsts.reshape(-1, depth, rows, width // taken)
    tables = np.zeros((rows * rows, HEADER + 2 * numbers.size), np.int64)
    for first in range(rows):
        for last in range(first, rows):
            taps = numbers[:, :, first : last + 1].ravel()
            table = _table(offsets, taps, vector_size, taps.size // len(numbers))
            tables[first * rows + last, : len(table)] = table
    return tables


def _table(
    offsets: NDArray[np.int64], taps: NDArray[np.intp], vector_size: int, of_a_channel: int
) -> NDArray[np.int64]:
    """The table of some taps; after the last one there is no further step."""
    steps = np.zeros((len(taps), 2), np.int64)
    steps[:-1, 0], steps[:-1, 1] = np.diff(offsets[taps]), vector_size * np.diff(taps)
    return np.concatenate([[offsets[taps[0]], taps[0] * vector_size, of_a_channel], steps.ravel()])
