"""Products with a patch divided by the spread of their windows, in one pass over the cells.

A band of rows is done at a time. Its windows share most of their rows: the sums of columns over
those are made once; what each window has above and below is added row by row. No sum is a
difference of others, so that none loses anything to cells outside its window.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel
from faltung.compiled._jit import Job, intrinsic, job, kernel
from faltung.compiled.call import give_back, take_workspace
from faltung.compiled.memory import loader, put_word, storer, word

__all__ = ["Limits", "divide_by_spread"]

WORDS = (
    CELLS, PLANE, LINE, CHANNELS, HEIGHT, WIDTH, SCORES, ROWS, COLUMNS, BAND, BANDS, STRIP,
    WORKSPACE, WORKSPACE_STEP, ROW, DOUBTFUL, SHARE, FLOOR, TAPS, FACTOR,
) = range(20)  # fmt: skip
"""Words of a call: the cells and the bytes of a plane and a line of them; the patch; the scores;
rows of a band, bands, columns of a strip; the workspace, and bytes of a row there; where jobs count
what is doubtful. The last four hold floating-point numbers."""

_MOST_ROWS = 128
"""Rows of sums that a job keeps: of `_STRIP` columns they stay in the second-level cache."""
_STRIP = 640


class Limits(NamedTuple):
    """Below which spread a score is doubtful.

    Parameters
    ----------
    share : float
        Of the sum of the window's squares.
    floor : float
        Whatever the window holds.
    is_exact : bool
        Whether all sums are exact: windows without any spread then are constant, and score 0.
    """

    share: float
    floor: float
    is_exact: bool


def _emit_root(builder: Any, value: Any) -> Any:
    return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [value.type]), [value])


@intrinsic("float64(float64)", _emit_root)
def _root(value: Any) -> Any:
    """The square root."""
    with np.errstate(all="ignore"):
        return np.sqrt(np.float64(value))


_load, _store = loader("float64"), storer("float64")


@kernel("void(intp, intp)")
def _clear(target: int, count: int) -> None:
    for i in range(count):
        _store(target, i, 0.0)


@kernel("void(intp, intp, intp, intp)")
def _add(target: int, left: int, right: int, count: int) -> None:
    for i in range(count):
        _store(target, i, _load(left, i) + _load(right, i))


@kernel("void(intp, intp, intp)")
def _add_square(target: int, source: int, count: int) -> None:
    for i in range(count):
        value = _load(source, i)
        _store(target, i, _load(target, i) + value * value)


@kernel("void(intp, intp, intp, intp, intp)")
def _add_cells(sums: int, before: int, squares: int, cells: int, count: int) -> None:
    """A row of cells added to sums of columns, and its squares to theirs."""
    for i in range(count):
        cell = _load(cells, i)
        _store(sums, i, _load(before, i) + cell)
        _store(squares, i, _load(squares, i) + cell * cell)


@kernel("intp(intp, intp, intp, intp, intp)")
def _sum_neighbours(total: int, line: int, other: int, size: int, count: int) -> int:
    """The sums of `size` neighbours, by doubling: log2(size) additions. Tells where they are."""
    held, width, start = count + size - 1, 1, 0
    is_first = True
    while True:
        if size & width > 0:
            if 2 * width > size and is_first:
                return line
            if is_first:
                _clear(total, count)
            _add(total, total, line + 8 * start, count)
            is_first = False
            start += width
        if 2 * width > size:
            return total
        held -= width
        _add(other, line, line + 8 * width, held)
        line, other = other, line
        width *= 2


@cache
def _scorer(is_exact: bool) -> Any:
    """The kernel that divides a row of products; it counts the doubtful, which become NaN."""

    @kernel("intp(intp, intp, intp, intp, intp)")
    def score(scores: int, energy: int, squares: int, count: int, call: int) -> int:
        share, floor = _load(call, SHARE), _load(call, FLOOR)
        taps, factor = _load(call, TAPS), _load(call, FACTOR)
        doubtful = 0
        for i in range(count):
            whole = taps * _load(energy, i)
            spread = whole - _load(squares, i)
            value = _load(scores, i) * factor / _root(spread)
            value = max(value, -1.0)
            value = min(value, 1.0)
            is_sure = spread > share * whole and spread > floor
            if is_exact:
                value = 0.0 if spread == 0.0 else value
                is_sure = is_sure or spread == 0.0
            doubtful += 0 if is_sure else 1
            _store(scores, i, value if is_sure else np.nan)
        return doubtful

    return score


@kernel("intp(intp, intp, intp)")
def _row_of(call: int, channel: int, row: int) -> int:
    return word(call, CELLS) + channel * word(call, PLANE) + row * word(call, LINE)


@kernel("void(intp, intp, intp, intp, intp)")
def _sum_columns(call: int, kept: int, first: int, rows: int, left: int) -> None:
    """Of each row of windows of a band, the sums over those rows that it shares with the last."""
    channels, size = word(call, CHANNELS), word(call, ROW)
    wide = min(word(call, STRIP), word(call, COLUMNS) - left) + word(call, WIDTH) - 1
    block = word(call, BAND) * size
    squares = kept + channels * block
    last = (rows - 1) * size
    _clear(squares + last, wide)
    for channel in range(channels):
        sums = kept + channel * block + last
        _clear(sums, wide)
        for row in range(first + rows - 1, first + word(call, HEIGHT)):
            cells = _row_of(call, channel, row) + 8 * left
            _add_cells(sums, sums, squares + last, cells, wide)
    for step in range(1, rows):
        row = rows - 1 - step
        target = squares + row * size
        _clear(target, wide)
        _add(target, target, target + size, wide)
        for channel in range(channels):
            sums = kept + channel * block + row * size
            cells = _row_of(call, channel, first + row) + 8 * left
            _add_cells(sums, sums + size, target, cells, wide)


@cache
def _score_band(is_exact: bool) -> Job:
    """The job that scores a strip of the columns of a band of rows."""
    score = _scorer(is_exact)

    @job
    def score_band(thread: int, call: int, number: int) -> None:
        channels, size, width = word(call, CHANNELS), word(call, ROW), word(call, WIDTH)
        first = number % word(call, BANDS) * word(call, BAND)
        left = number // word(call, BANDS) * word(call, STRIP)
        rows = min(word(call, BAND), word(call, ROWS) - first)
        count = min(word(call, STRIP), word(call, COLUMNS) - left)
        wide = count + width - 1
        kept = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        block = word(call, BAND) * size
        below = kept + (channels + 1) * block
        line = below + (channels + 1) * size
        other, total, squares = line + size, line + 2 * size, line + 3 * size
        _sum_columns(call, kept, first, rows, left)
        for channel in range(channels + 1):
            _clear(below + channel * size, wide)
        doubtful = 0
        for row in range(rows):
            _clear(squares, count)
            for channel in range(channels):
                sums = below + channel * size
                if row > 0:
                    cells = _row_of(call, channel, first + row + word(call, HEIGHT) - 1)
                    _add_cells(sums, sums, below + channels * size, cells + 8 * left, wide)
                _add(line, kept + channel * block + row * size, sums, wide)
                _add_square(squares, _sum_neighbours(total, line, other, width, count), count)
            _add(line, kept + channels * block + row * size, below + channels * size, wide)
            energy = _sum_neighbours(total, line, other, width, count)
            scores = word(call, SCORES) + 8 * ((first + row) * word(call, COLUMNS) + left)
            doubtful += score(scores, energy, squares, count, call)
        put_word(word(call, DOUBTFUL), number, doubtful)

    return score_band


def divide_by_spread(
    cells: NDArray[np.float64], patch: tuple[int, int], scores: NDArray[np.float64], limits: Limits
) -> int:
    """Divide products by the root of each window's squares about its means, at most 1 or -1.

    Parameters
    ----------
    cells : ndarray, (channels, H, W)
        Finite; C-contiguous.
    patch : pair of int
        Height and width of the windows.
    scores : ndarray, (H - height + 1, W - width + 1)
        C-contiguous, the products with a patch of length 1; becomes the scores, and NaN where
        they are doubtful.
    limits : Limits
        What is doubtful.

    Returns
    -------
    int
        How many are.
    """
    channels, (height, width), (rows, columns) = len(cells), patch, scores.shape
    band = max(min(_MOST_ROWS // (channels + 1), height, rows), 1)
    strips = -(-columns // _STRIP)
    strip = -(-columns // strips)
    bands = -(-rows // band)
    # Lines of the cache more: neighbours in a column do not share a set of the cache.
    row = ((strip + width - 1) * 8 + 63) // 64 * 64 + 64
    threads = min(parallel.get_num_threads(), bands * strips)
    step = ((channels + 1) * (band + 1) + 4) * row
    workspace, doubtful = take_workspace(threads * step), np.zeros(bands * strips, np.int64)
    call = np.zeros(len(WORDS), np.int64)
    call[: WORDS[SHARE]] = (
        cells.ctypes.data, *cells.strides[:2], channels, height, width, scores.ctypes.data, rows,
        columns, band, bands, strip, workspace.ctypes.data, step, row, doubtful.ctypes.data,
    )  # fmt: skip
    taps = height * width
    numbers = limits.share, limits.floor * taps, taps, np.sqrt(taps)
    call[WORDS[SHARE] :].view(np.float64)[:] = numbers
    parallel.run(_score_band(limits.is_exact), call, bands * strips, threads)
    give_back(workspace)
    return int(doubtful.sum())
