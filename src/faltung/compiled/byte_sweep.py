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
    KERNEL_DIGITS, KERNEL_REST,
) = range(at.DIRECT_WORDS[-1] + 1, at.DIRECT_WORDS[-1] + 19)  # fmt: skip
"""Words of the call behind those of `words.DIRECT_WORDS`.

Rows of results of a strip, and those of the picture that it sees; results of a row that are summed
at once; the address of a row of the fill value; bytes from the weights to those in whole numbers,
the kernel's sizes, and cells from column to column. Then where in the workspace things lie: the
addresses of the rows that a strip sees, and of its rows of results; flags; a row for results of
rows that do not exist; float32 cells. Pitches are in bytes. At last the fill value, the binary
digits behind the point of whole numbers, and what the rests do not reach.
"""

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


@cache
def _cell_of(dtype: str) -> Any:
    """The kernel that reads a cell of a row, whatever the border shows in its place."""
    load = loader(dtype)

    @kernel("intp(intp, intp, intp)")
    def cell_of(call: int, cells: int, column: int) -> int:
        cell = source_of(call + _AXIS_W, column)
        return word(call, FILL_VALUE) if cell < 0 else int(load(cells, cell))

    return cell_of


@cache
def _sum_rests(dtype: str) -> Any:
    """The kernel that sums a window over what is left of the weights."""
    cell_of = _cell_of(dtype)

    @kernel("float64(intp, intp, intp, intp)")
    def sum_rests(call: int, rows: int, first: int, weights: int) -> Any:
        total, columns = np.float64(0), word(call, KERNEL_COLUMNS)
        for i in range(word(call, KERNEL_ROWS)):
            for j in range(columns):
                cell = cell_of(call, word(rows, i), first + j * word(call, KERNEL_STEP))
                total += _load_weight(weights, i * columns + j) * np.float64(cell)
        return total

    return sum_rests


@cache
def _sum_whole(dtype: str) -> Any:
    """The kernel that sums a window over the weights in whole numbers."""
    load, cell_of = loader(dtype), _cell_of(dtype)

    @kernel("intp(intp, intp, intp, intp)")
    def sum_whole(call: int, rows: int, first: int, weights: int) -> int:
        total, columns, step = 0, word(call, KERNEL_COLUMNS), word(call, KERNEL_STEP)
        length = word(call + _AXIS_W, at.LENGTH)
        is_inside = first >= 0 and first + (columns - 1) * step < length
        for i in range(word(call, KERNEL_ROWS)):
            cells = word(rows, i)
            if is_inside:
                for j in range(columns):
                    total += word(weights, j) * int(load(cells, first + j * step))
            else:
                for j in range(columns):
                    total += word(weights, j) * cell_of(call, cells, first + j * step)
            weights += 8 * columns
        return total

    return sum_whole


@cache
def _sum_again(dtype: str) -> Any:
    """The kernel that sums a window over all taps and rounds the exact sum, halves to even.

    Weights stand there as whole numbers of a small unit and, behind them, as what is left of them
    in float64. The rests only matter where the sum of the others lies beside a half.
    """
    sum_whole, sum_rests = _sum_whole(dtype), _sum_rests(dtype)

    @kernel("intp(intp, intp, intp, intp)")
    def sum_again(block: int, call: int, row: int, column: int) -> int:
        weights, digits = word(block, at.BOX_WEIGHT) + word(call, KERNEL), word(call, KERNEL_DIGITS)
        rows = block + word(call, TABLE_AT) + 8 * row
        first = column - word(call + _AXIS_W, at.BEFORE)
        # With a half added, whole numbers lie between rounding down and up.
        total = sum_whole(call, rows, first, weights) + (1 << (digits - 1))
        rounded, most = total >> digits, word(call, KERNEL_REST)
        over = total - (rounded << digits)
        if over < most or (1 << digits) - over < most:
            if over >= most:
                rounded, over = rounded + 1, over - (1 << digits)
            rests = weights + 8 * word(call, KERNEL_ROWS) * word(call, KERNEL_COLUMNS)
            off = np.float64(over) + sum_rests(call, rows, first, rests)
            if off < 0 or (off == 0 and rounded & 1 != 0):
                rounded -= 1
        return int(rounded)

    return sum_again


@cache
def _fill_border(dtype: str, shape: WidenedTile) -> Any:
    """The kernel that sums the cells of a segment that lie beyond a row's ends."""
    load, rows, taps = loader(dtype), shape.rows, shape.kernel_rows

    @kernel("void(intp, intp, intp, intp, intp, intp, intp)")
    def fill_border(
        block: int, call: int, cells: int, first: int, begin: int, stop: int, end: int
    ) -> None:
        """Those from position `first` to `begin` and from `stop` to `end`."""
        axis, weights = call + _AXIS_W, word(block, at.BOX_WEIGHT)
        table, pitch = block + word(call, TABLE_AT), word(call, CELLS_PITCH)
        before, fill = begin - first, word(call, FILL_VALUE)
        for i in range(before + end - stop):
            place = i if i < before else i + stop - begin
            cell = source_of(axis, first + place)
            is_kept = cell >= begin and cell < stop
            for r in range(rows if is_kept else 0):
                row = cells + r * pitch
                _store_float(row, place, _load_float(row, cell - first))
            for r in range(0 if is_kept else rows):
                total = np.float32(0)
                for j in range(taps):
                    value = fill if cell < 0 else int(load(word(table, r + j), cell))
                    # Of a single row cells are widened, and not multiplied.
                    weight = _load_float(weights, j) if taps > 1 else np.float32(1)
                    total += weight * np.float32(value)
                _store_float(cells + r * pitch, place, total)

    return fill_border


@cache
def _sum_flagged(dtype: str, columns: int) -> Any:
    """The kernel that sums what is flagged in a row of a segment again."""
    load_flags = loader("int64" if columns == 64 else "uint32")
    sum_again, store, narrow = _sum_again(dtype), storer(dtype), narrowing("int64", dtype).cast
    low, high = (int(end) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def sum_flagged(block: int, call: int, row: int, start: int, count: int, flags: int) -> None:
        y, blocks = (
            word(block + word(call, TARGETS_AT), row) + start,
            (count + columns - 1) // columns,
        )
        some = np.int64(0)
        for number in range(blocks):
            some = some | np.int64(load_flags(flags, number))
        for number in range(blocks if some != 0 else 0):
            bits = np.int64(load_flags(flags, number))
            column = min(number * columns, count - columns)
            while bits != 0:
                place = column + lowest_bit(bits)
                again = sum_again(block, call, row, start + place)
                store(y, place, narrow(min(max(again, low), high)))
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
        if stop - begin < end - first:
            fill_border(block, call, cells, first, begin, stop, end)
        targets, flags = block + word(call, TARGETS_AT), block + word(call, FLAGS_AT)
        for row in range(0, rows, height):
            round_rows(
                cells + row * pitch, pitch, weights + 4 * taps, targets + 8 * row, start, count,
                flags + row * flag_pitch, flag_pitch,
            )  # fmt: skip
        if not is_exact:
            for row in range(rows):
                sum_flagged(block, call, row, start, count, flags + row * flag_pitch)

    # Unrolled loops take half of the time of compiling, and only those of the tiles matter.
    @job(unrolled=False)
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
