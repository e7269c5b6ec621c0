"""The pieces that a kernel of a picture is summed in: which taps, and in which order.

A piece is summed from zero and then added to those before it. Pieces depend on the kernel, its
stride and the channels alone, so that an output has the same bits in every picture.

A row of the window that is long and alone, as in a signal, is folded: its taps are laid out in rows
of `FOLD`, and so are the outputs. A cell that is loaded once then serves several rows, as in a
picture. What is left over makes columns with one row less: no cell is multiplied that the window
does not see.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled.task import Axis, DirectTask

__all__ = ["FOLD", "Piece", "is_folded", "order_of", "pieces_of", "pieces_of_task"]

FOLD = 16
"""Outputs of a folded row: a whole number of vectors on every machine."""
_MOST_ROWS = 8  # that a tile sums at once: 15 rows of cells serve 64 products a vector
_MOST_COLUMNS = 64  # of a piece: chains of 512 products round no worse than the direct plan


class Piece(NamedTuple):
    """A part of the kernel that is summed at once: columns with so many rows each.

    `columns` says where each begins: a channel and a tap on each axis, (columns, 4). From row to
    row it is `row_step` taps of the second axis and `column_step` of the third.
    """

    rows: int
    row_step: int
    column_step: int
    columns: NDArray[np.int64]


def is_folded(axes: tuple[Axis, Axis, Axis]) -> bool:
    """Whether the window is one long row."""
    depth, rows, columns = axes
    is_row = depth.kernel == rows.kernel == columns.dilation == 1
    return is_row and columns.kernel >= 2 * FOLD * columns.stride


def _even(count: int, most: int, multiple: int = 1) -> list[tuple[int, int]]:
    """A count in as few parts as can be, of nearly one size: (start, length) of each."""
    parts = -(-count // most)
    step = -(-count // parts)
    step += -step % multiple
    return [(start, min(step, count - start)) for start in range(0, count, step)]


def _chunks(count: int, stride: int) -> list[tuple[int, list[int]]]:
    """Rows of the kernel as (rows, where each chunk of so many rows begins)."""
    most = max(_MOST_ROWS // stride * stride, stride)
    chunks = _even(count, most, stride)
    return [
        (rows, [start for start, _ in some])
        for rows, some in groupby(chunks, key=lambda chunk: chunk[1])
    ]


def _folded_columns(taps: int, stride: int) -> list[tuple[int, int]]:
    """Columns as (rows, first tap); each remainder by the stride is a signal of its own."""
    found = []
    for phase in range(stride):
        rows, longer = divmod(-(-(taps - phase) // stride), FOLD)
        for start, count in _even(rows + (longer > 0), _MOST_ROWS):
            is_last = start + count > rows
            for place in range(FOLD):
                height = count - (is_last and place >= longer)
                found.append((height, phase + (start * FOLD + place) * stride))
    return [column for column in found if column[0] > 0]


def _columns(*places: object) -> NDArray[np.int64]:
    """All combinations of channel, depth, row and column, the last one fastest."""
    grid = np.meshgrid(*(np.asarray(some, np.int64) for some in places), indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, len(places))


@lru_cache(maxsize=64)
def pieces_of(
    channels: int, kernel: tuple[int, int, int], strides: tuple[int, int], folds: bool
) -> tuple[Piece, ...]:
    """The pieces of a kernel, in the order in which they are added.

    `strides` are those of rows and columns; `folds` says that the window is one long row.
    """
    depth, rows, columns = kernel
    grouped: list[tuple[int, NDArray[np.int64]]] = []
    if folds:
        found = _folded_columns(columns, strides[1])
        for channel in range(channels):
            for height in sorted({height for height, _ in found}, reverse=True):
                some = [tap for each, tap in found if each == height]
                grouped.append((height, _columns([channel], [0], [0], some)))
    else:
        for height, starts in _chunks(rows, strides[0]):
            places = _columns(range(channels), range(depth), starts, range(columns))
            grouped.append((height, places))
    steps = (0, FOLD * strides[1]) if folds else (1, 0)
    return tuple(
        Piece(height, *steps, some[start : start + count])
        for height, some in grouped
        for start, count in _even(len(some), _MOST_COLUMNS)
    )


def pieces_of_task(task: DirectTask) -> tuple[Piece, ...]:
    """The pieces of a task's kernel."""
    depth, rows, columns = task.axes
    kernel = depth.kernel, rows.kernel, columns.kernel
    return pieces_of(task.channels, kernel, (rows.stride, columns.stride), is_folded(task.axes))


def order_of(
    pieces: tuple[Piece, ...], channels: int, kernel: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Which of a filter's weights, counted over channels and taps, stands at each packed place."""
    parts = []
    for rows, row_step, column_step, columns in pieces:
        shape = channels, *kernel
        first = np.ravel_multi_index(tuple(columns.T), shape)
        parts.append(
            (first[:, None] + np.arange(rows) * (row_step * kernel[2] + column_step)).ravel()
        )
    return np.concatenate(parts)
