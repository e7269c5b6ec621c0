"""The sweep over a box of a picture of bytes, a few rows and a segment of columns at a time.

It takes the place of `sweep.sweep_box` in the job of the direct convolution, and nothing is staged
before: the rows that a strip sees are addresses of the picture's own, whatever the border shows,
and only a segment's cells beyond a row's ends are put in their place one by one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from faltung.compiled import words as at
from faltung.compiled._jit import Job, intrinsic, job, kernel
from faltung.compiled.byte_tile import RoundedTile, WidenedTile, rounded_tile, widened_tile
from faltung.compiled.casts import narrowing
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.staging import source_of

__all__ = ["CALL_WORDS", "sweep_bytes"]

CALL_WORDS = (
    STRIP_ROWS, SEEN_ROWS, SEGMENT, FILL_ROW, KERNEL, KERNEL_ROWS, KERNEL_COLUMNS, KERNEL_STEP,
    TABLE_AT, TARGETS_AT, FLAGS_AT, FLAGS_PITCH, SPARE_AT, CELLS_AT, CELLS_PITCH, FILL_VALUE,
) = range(at.DIRECT_WORDS[-1] + 1, at.DIRECT_WORDS[-1] + 17)  # fmt: skip
"""Words of the call behind those of `words.DIRECT_WORDS`.

Rows of results of a strip, and those of the picture that it sees; results of a row that are summed
at once; the address of a row of the fill value, of which the last word is the address in float64;
bytes from the weights to the kernel in two parts of float64, its sizes, and cells from column to
column. Then where in the workspace things lie: the addresses of the rows that a strip sees, and of
its rows of results; flags; a row for results of rows that do not exist; float32 cells. Pitches are
in bytes.
"""

_WHOLE = 1.5 * 2.0**52  # added, it leaves a float64 no bits behind the point
_AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in (1, 2))


def _emit_lowest(builder: Any, bits: Any) -> Any:
    from llvmlite import ir

    return builder.cttz(bits, ir.Constant(ir.IntType(1), 1))


@intrinsic("intp(intp)", _emit_lowest)
def lowest_bit(bits: Any) -> int:
    """The place of the lowest bit that is set, of a number that is not 0."""
    return (int(bits) & -int(bits)).bit_length() - 1


_load_weight, _load_float, _store_float = loader("float64"), loader("float32"), storer("float32")


@kernel("void(intp, intp, intp, intp)")
def _put_rows(block: int, call: int, row: int, rows: int) -> None:
    """The addresses of the rows that a strip sees, and of its rows of results.

    Of rows beyond the last one there are none: they see what the last one sees, and are written
    where nobody reads.
    """
    axis, seen = call + _AXIS_H, block + word(call, TABLE_AT)
    x, y, targets = word(block, at.BOX_X), word(block, at.BOX_Y), block + word(call, TARGETS_AT)
    before, strip, all_seen = word(axis, at.BEFORE), word(call, STRIP_ROWS), word(call, SEEN_ROWS)
    last = all_seen - strip + rows - 1
    for i in range(all_seen):
        cell = source_of(axis, row + min(i, last) - before)
        address = word(call, FILL_ROW) if cell < 0 else x + cell * word(axis, at.X_STEP)
        put_word(seen, i, address)
    for i in range(strip):
        address = y + (row + i) * word(axis, at.Y_STEP)
        put_word(targets, i, address if i < rows else block + word(call, SPARE_AT))


@kernel("float64(float64, float64)")
def _round_exactly(total: Any, rest: Any) -> Any:
    """The whole number nearest to a number and a rest much smaller than 1, halves to even."""
    nearest = (total + _WHOLE) - _WHOLE
    half = nearest * np.float64(0.5)
    is_odd = (half + _WHOLE) - _WHOLE != half
    off = total - nearest  # all differences are exact, and the signs of sums with the rest right
    above, below = (off - np.float64(0.5)) + rest, (off + np.float64(0.5)) + rest
    if above > 0 or (above == 0 and is_odd):
        return nearest + np.float64(1)
    if below < 0 or (below == 0 and is_odd):
        return nearest - np.float64(1)
    return nearest


@cache
def _sum_again(dtype: str) -> Any:
    """The kernel that sums a window over all taps and rounds the exact sum.

    The kernel in float64 stands there as two: one whose products and sums are exact, and the rest.
    """
    load = loader(dtype)

    @kernel("float64(intp, intp, intp, intp)")
    def sum_again(block: int, call: int, row: int, column: int) -> Any:
        axis, columns, step = (
            call + _AXIS_W,
            word(call, KERNEL_COLUMNS),
            word(call, KERNEL_STEP),
        )
        weights, place = word(block, at.BOX_WEIGHT) + word(call, KERNEL), 0
        rows, rests = block + word(call, TABLE_AT) + 8 * row, word(call, KERNEL_ROWS) * columns
        total, rest = np.float64(0), np.float64(0)
        first = column - word(axis, at.BEFORE)
        is_inside = first >= 0 and first + (columns - 1) * step < word(axis, at.LENGTH)
        for i in range(word(call, KERNEL_ROWS)):
            cells = word(rows, i)
            for j in range(columns):
                cell = first + j * step
                if not is_inside:
                    cell = source_of(axis, cell)
                value = np.float64(0)
                if cell >= 0:
                    value = np.float64(load(cells, cell))
                else:
                    value = _load_weight(word(call, FILL_VALUE), 0)
                total += _load_weight(weights, place) * value
                rest += _load_weight(weights, place + rests) * value
                place += 1
        return _round_exactly(total, rest)

    return sum_again


@cache
def _fill_border(dtype: str, shape: WidenedTile) -> Any:
    """The kernel that sums the cells of a segment that lie beyond a row's ends."""
    load, rows, taps = loader(dtype), shape.rows, shape.kernel_rows

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def fill_border(block: int, call: int, cells: int, first: int, begin: int, end: int) -> None:
        """Those from `begin` to `end`, of cells that are kept from position `first` on."""
        axis, weights = call + _AXIS_W, word(block, at.BOX_WEIGHT)
        table, pitch = block + word(call, TABLE_AT), word(call, CELLS_PITCH)
        fill = np.float32(_load_weight(word(call, FILL_VALUE), 0))
        for position in range(begin, end):
            cell = source_of(axis, position)
            for r in range(rows):
                total = np.float32(0)
                for i in range(taps):
                    value = fill
                    if cell >= 0:
                        value = np.float32(load(word(table, r + i), cell))
                    total += _load_float(weights, i) * value if taps > 1 else value
                _store_float(cells + r * pitch, position - first, total)

    return fill_border


@cache
def _sum_flagged(dtype: str, columns: int) -> Any:
    """The kernel that sums what is flagged in a row of a segment again."""
    load_flags = loader("int64" if columns == 64 else "uint32")
    sum_again, store, narrow = _sum_again(dtype), storer(dtype), narrowing("float64", dtype).cast

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def sum_flagged(block: int, call: int, row: int, start: int, count: int, flags: int) -> None:
        y = word(block + word(call, TARGETS_AT), row) + start
        for number in range((count + columns - 1) // columns):
            bits = np.int64(load_flags(flags, number))
            column = min(number * columns, count - columns)
            while bits != 0:
                place = column + lowest_bit(bits)
                store(y, place, narrow(sum_again(block, call, row, start + place)))
                bits = bits & (bits - 1)

    return sum_flagged


@cache
def sweep_bytes(widened: WidenedTile, rounded: RoundedTile) -> Job:
    """The job that filters all of a box; its arguments are those of `sweep.sweep_box`."""
    height, taps, is_exact = rounded.rows, widened.kernel_rows, rounded.is_exact
    widen, round_rows = widened_tile(widened), rounded_tile(rounded)
    fill_border = _fill_border(rounded.dtype, widened)
    sum_flagged = _sum_flagged(rounded.dtype, rounded.columns)

    @kernel("void(intp, intp, intp, intp, intp)")
    def filter_segment(block: int, call: int, start: int, count: int, rows: int) -> None:
        """The results of a strip from column `start` on."""
        axis, weights = call + _AXIS_W, word(block, at.BOX_WEIGHT)
        cells, pitch = block + word(call, CELLS_AT), word(call, CELLS_PITCH)
        table, flag_pitch = block + word(call, TABLE_AT), word(call, FLAGS_PITCH)
        first = start - word(axis, at.BEFORE)
        end = first + count + word(axis, at.EXTRA)
        begin, stop = max(0, first), min(end, word(axis, at.LENGTH))
        widen(table, begin, stop - begin, weights, cells + 4 * (begin - first), pitch)
        if begin > first:
            fill_border(block, call, cells, first, first, begin)
        if stop < end:
            fill_border(block, call, cells, first, stop, end)
        targets, flags = block + word(call, TARGETS_AT), block + word(call, FLAGS_AT)
        for row in range(0, rows, height):
            round_rows(
                cells + row * pitch, pitch, weights + 4 * taps, targets + 8 * row, start, count,
                flags + row * flag_pitch, flag_pitch,
            )  # fmt: skip
        if not is_exact:
            for row in range(rows):
                sum_flagged(block, call, row, start, count, flags + row * flag_pitch)

    @job
    def run_sweep(block: int, call: int, _number: int) -> None:
        first, strip = word(block, at.BOX_H), word(call, STRIP_ROWS)
        width = word(call + _AXIS_W, at.OUTPUTS)
        segment = min(width, word(call, SEGMENT))
        for row in range(0, word(block, at.BOX_HS), strip):
            rows = min(strip, word(block, at.BOX_HS) - row)
            _put_rows(block, call, first + row, rows)
            for start in range(0, width, segment):
                # The last segment overlaps the one before it, and writes the same once more.
                filter_segment(block, call, min(start, width - segment), segment, rows)

    return run_sweep
