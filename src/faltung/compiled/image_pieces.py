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
from itertools import groupby, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled.task import Axis, DirectTask

__all__ = ["FOLD", "Column", "Piece", "is_folded", "order_of", "pieces_of", "pieces_of_task"]

FOLD = 16
"""Outputs of a folded row: a whole number of vectors on every machine."""
_MOST_ROWS = 8  # that a tile sums at once: 15 rows of cells serve 64 products a vector
_MOST_COLUMNS = 64  # of a piece: chains of 512 products round no worse than the direct plan


class Column(NamedTuple):
    """Where a column of a piece begins: a channel and a tap on each axis."""

    channel: int
    depth: int
    row: int
    column: int


class Piece(NamedTuple):
    """A part of the kernel that is summed at once: columns with so many rows each.

    `row_step` and `column_step` are the taps from row to row.
    """

    rows: int
    row_step: int
    column_step: int
    columns: tuple[Column, ...]


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


def _folded_columns(taps: int, stride: int) -> list[tuple[int, Column]]:
    """Columns with their rows; each remainder by the stride is a signal of its own."""
    found = []
    for phase in range(stride):
        rows, longer = divmod(-(-(taps - phase) // stride), FOLD)
        for start, count in _even(rows + (longer > 0), _MOST_ROWS):
            is_last = start + count > rows
            for place in range(FOLD):
                height = count - (is_last and place >= longer)
                tap = phase + (start * FOLD + place) * stride
                found.append((height, Column(0, 0, 0, tap)))
    return [column for column in found if column[0] > 0]


@lru_cache(maxsize=256)
def pieces_of(
    channels: int, kernel: tuple[int, int, int], strides: tuple[int, int], folds: bool
) -> tuple[Piece, ...]:
    """The pieces of a kernel, in the order in which they are added.

    `strides` are those of rows and columns; `folds` says that the window is one long row.
    """
    depth, rows, columns = kernel
    grouped: list[tuple[int, list[Column]]] = []
    if folds:
        for channel in range(channels):
            found = _folded_columns(columns, strides[1])
            for height in sorted({height for height, _ in found}, reverse=True):
                some = [place._replace(channel=channel) for each, place in found if each == height]
                grouped.append((height, some))
    else:
        for height, starts in _chunks(rows, strides[0]):
            places = product(range(channels), range(depth), starts, range(columns))
            grouped.append((height, [Column(*place) for place in places]))
    steps = (0, FOLD * strides[1]) if folds else (1, 0)
    return tuple(
        Piece(height, *steps, tuple(some[start : start + count]))
        for height, some in grouped
        for start, count in _even(len(some), _MOST_COLUMNS)
    )


def pieces_of_task(task: DirectTask) -> tuple[Piece, ...]:
    """The pieces of a task's kernel."""
    depth, rows, columns = task.axes
    kernel = depth.kernel, rows.kernel, columns.kernel
    strides = rows.stride, columns.stride
    return pieces_of(task.channels, kernel, strides, is_folded(task.axes))


@lru_cache(maxsize=256)
def order_of(
    pieces: tuple[Piece, ...], channels: int, kernel: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Which of a filter's weights, counted over channels and taps, stands at each packed place."""
    flat = np.arange(channels * int(np.prod(kernel))).reshape(channels, *kernel)
    places = [
        (column.channel, column.depth, column.row + i * piece.row_step,
         column.column + i * piece.column_step)
        for piece in pieces
        for column in piece.columns
        for i in range(piece.rows)
    ]  # fmt: skip
    return flat[tuple(np.array(places).T)]
