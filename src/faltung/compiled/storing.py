"""Storing: from a tile of sums to the output's memory, dtype and layout.

Whole tiles of a contiguous output of the sums' own dtype are stored by the micro-kernel; every
other tile comes through here, where there is one rounding to the output's dtype.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from faltung.compiled import words as at
from faltung.compiled._jit import Job, job
from faltung.compiled.casts import narrowing
from faltung.compiled.memory import loader, storer, word

__all__ = ["finish"]

_AXIS_W = 8 * (at.AXES + 2 * at.AXIS_SIZE)


@cache
def finish(source: str, dtype: str) -> Job:
    """The job that stores the rows and pixels of a tile that exist.

    Its arguments are the addresses of the thread's block and of the call's.

    Parameters
    ----------
    source : {"float32", "float64", "uint32", "uint64"}
        Dtype of the sums.
    dtype : str
        Dtype of the output; complex numbers are written as pairs of floats.
    """
    memory_dtype, narrow = narrowing(source, dtype)
    load, store = loader(source), storer(memory_dtype)
    size = np.dtype(source).itemsize
    memory_size = np.dtype(memory_dtype).itemsize
    is_signed = dtype.startswith("int")
    zero = np.dtype(memory_dtype).type(0)

    @job
    def run_finish(block: int, call: int, _job: int) -> None:
        count, first = word(block, at.TILE_VALID), word(block, at.TILE_ROW)
        source_row = word(block, at.TILE) + word(block, at.TILE_SKIP) * size
        row_step, parts = word(call, at.Y_ROW), word(call, at.Y_PARTS)
        step, is_relu = word(call + _AXIS_W, at.Y_STEP), word(call, at.IS_RELU)
        for row in range(first, first + word(block, at.TILE_ROWS)):
            y = word(block, at.TILE_Y) + row // parts * row_step
            y += row % parts * word(call, at.Y_PART)
            if is_signed and is_relu:
                for i in range(count):
                    value = narrow(load(source_row, i))
                    store(y + i * step, 0, value if value > 0 else zero)
            elif step == memory_size:
                for i in range(count):
                    store(y, i, narrow(load(source_row, i)))
            else:
                for i in range(count):
                    store(y + i * step, 0, narrow(load(source_row, i)))
            source_row += word(block, at.TILE_PITCH)

    return run_finish
