"""Storing sums of bytes, rounded as surely as if they had been summed in float64.

Sums of bytes in float32 are a few ten-thousandths off at most. Almost all of them are further than
that margin from the middle between two integers, and are rounded as the exact sums are; the few
others are summed again, over all taps of the window, in float64.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from faltung.compiled import words as at
from faltung.compiled._jit import Job, intrinsic, job, kernel
from faltung.compiled.casts import narrowing
from faltung.compiled.memory import loader, storer, word
from faltung.compiled.simd import memory

__all__ = ["TABLE_WORDS", "finish_certain"]

TABLE_WORDS = (KERNEL, ROWS, COLUMNS, OFFSETS, CELL_PITCH) = range(5)
"""How to sum again: bytes from the weights to the kernel in float64, which the margin follows; rows
and columns of the kernel; the address of its columns' byte offsets; bytes between rows of cells."""

_LANES = 16
_MAGIC = 1.5 * 2.0**23  # added, it leaves a float32 no bits behind the point: halves go to even
_AXIS_W = 8 * (at.AXES + 2 * at.AXIS_SIZE)


@cache
def _store_sixteen(dtype: str) -> Any:
    """The instruction that rounds sixteen sums to bytes: bits are set where one is not sure.

    It takes the addresses of the target, of the sums and of the margin.
    """
    low, high = (float(end) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))

    def emit(builder: Any, target: Any, source: Any, margin: Any) -> Any:
        from llvmlite import ir

        floats, numbers = (
            ir.VectorType(ir.FloatType(), _LANES),
            ir.VectorType(ir.IntType(32), _LANES),
        )
        byte_vector = ir.VectorType(ir.IntType(8), _LANES)

        def splat(number: float) -> Any:
            return ir.Constant(floats, [number] * _LANES)

        values = builder.load(builder.inttoptr(source, floats.as_pointer()), align=4)
        for end, sign in ((low, "<"), (high, ">")):
            is_beyond = builder.fcmp_ordered(sign, values, splat(end))
            values = builder.select(is_beyond, splat(end), values)
        scalar = builder.load(builder.inttoptr(margin, ir.FloatType().as_pointer()), align=4)
        undefined = ir.Constant(floats, ir.Undefined)
        first = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
        margins = builder.shuffle_vector(first, undefined, ir.Constant(numbers, None))
        below = builder.fadd(builder.fsub(values, margins), splat(_MAGIC))
        above = builder.fadd(builder.fadd(values, margins), splat(_MAGIC))
        below, above = builder.bitcast(below, numbers), builder.bitcast(above, numbers)
        place = builder.inttoptr(target, byte_vector.as_pointer())
        builder.store(builder.trunc(below, byte_vector), place, align=1)
        flags = builder.bitcast(builder.icmp_unsigned("!=", below, above), ir.IntType(_LANES))
        return builder.zext(flags, ir.IntType(64))

    @intrinsic("intp(intp, intp, intp)", emit)
    def store_sixteen(target: int, source: int, margin: int) -> int:
        values = np.clip(memory(source, "float32", _LANES), np.float32(low), np.float32(high))
        width = memory(margin, "float32")
        below, above = np.rint(values - width), np.rint(values + width)
        memory(target, dtype, _LANES)[:] = below.astype(dtype)
        return int(((below != above) << np.arange(_LANES)).sum())

    return store_sixteen


_load_cell, _load_weight = loader("float32"), loader("float64")


@kernel("float64(intp, intp, intp)")
def _sum_again(table: int, weights: int, cells: int) -> Any:
    """The sum over the window whose first cell stands at an address, in float64."""
    total, place = np.float64(0), 0
    offsets, columns = word(table, OFFSETS), word(table, COLUMNS)
    for _row in range(word(table, ROWS)):
        for column in range(columns):
            cell = np.float64(_load_cell(cells + word(offsets, column), 0))
            total += _load_weight(weights, place) * cell
            place += 1
        cells += word(table, CELL_PITCH)
    return total


@cache
def finish_certain(dtype: str, table_at: int) -> Job:
    """The job that stores a strip of float32 sums as bytes; takes the place of `storing.finish`.

    Parameters
    ----------
    dtype : {"int8", "uint8"}
        Dtype of the output.
    table_at : int
        The word of the call that has the address of `TABLE_WORDS`.
    """
    store_sixteen, store = _store_sixteen(dtype), storer(dtype)
    narrow, narrow_again = narrowing("float32", dtype).cast, narrowing("float64", dtype).cast

    @kernel("intp(intp, intp, intp, intp, intp)")
    def store_sure(y: int, sums: int, margin: int, first: int, last: int) -> int:
        """Store vectors from `first` on until one is not sure, or beyond `last`: its place."""
        while first < last and store_sixteen(y + first, sums + 4 * first, margin) == 0:
            first += _LANES
        return first

    @job
    def run_finish(block: int, call: int, _job: int) -> None:
        table, count = word(call, table_at), word(block, at.TILE_VALID)
        sums, cells, y = word(block, at.TILE), word(block, at.TILE_X), word(block, at.TILE_Y)
        step = word(call + _AXIS_W, at.Y_STEP)
        weights = word(block, at.BOX_WEIGHT) + word(table, KERNEL)
        margin = weights + 8 * word(table, ROWS) * word(table, COLUMNS)
        width = _load_cell(margin, 0)
        whole = count - _LANES if step == 1 else -1  # the last place of a whole vector
        for _row in range(word(block, at.TILE_ROWS)):
            done = 0
            while done < count and whole >= 0:
                done = store_sure(y, sums, margin, done, whole + 1)
                flags = 0
                if done <= whole:
                    flags = store_sixteen(y + done, sums + 4 * done, margin)
                elif done < count:  # the last vector overlaps the one before it
                    done = whole
                    flags = store_sixteen(y + done, sums + 4 * done, margin)
                for i in range(_LANES if flags != 0 else 0):
                    if (flags >> i) & 1 != 0:
                        again = _sum_again(table, weights, cells + 4 * (done + i))
                        store(y + done + i, 0, narrow_again(again))
                done += _LANES
            for i in range(count if whole < 0 else 0):
                value = _load_cell(sums, i)
                low, high = narrow(value - width), narrow(value + width)
                if low != high:
                    low = narrow_again(_sum_again(table, weights, cells + 4 * i))
                store(y + i * step, 0, low)
            sums += word(block, at.TILE_PITCH)
            cells += word(table, CELL_PITCH)
            y += word(call, at.Y_ROW)

    return run_finish
