"""Storing: from a tile of sums to the output's memory, dtype and layout.

Whole tiles of a contiguous output of the sums' own dtype are stored by the micro-kernel; every
other tile comes through here, where there is one rounding to the output's dtype.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from faltung.compiled._jit import Job, job, kernel
from faltung.compiled.memory import bits_of, float_of, loader, storer, word
from faltung.compiled.words import (
    AXES,
    AXIS_SIZE,
    IS_RELU,
    TILE,
    TILE_PITCH,
    TILE_ROW,
    TILE_ROWS,
    TILE_SKIP,
    TILE_VALID,
    TILE_Y,
    Y_PART,
    Y_PARTS,
    Y_ROW,
    Y_STEP,
)  # fmt: skip

__all__ = ["finish"]

_AXIS_W = 8 * (AXES + 2 * AXIS_SIZE)


def _keep(value: Any) -> Any:
    return value


def _round_to_float16(value: Any) -> Any:
    """The bits of the nearest float16, ties to even; infinity beyond the range."""
    bits = bits_of(value)
    sign = np.uint32((bits >> np.uint32(16)) & np.uint32(0x8000))
    magnitude = np.uint32(bits & np.uint32(0x7FFFFFFF))
    if magnitude > np.uint32(0x7F800000):
        rounded = np.uint32(0x7E00 | ((magnitude >> np.uint32(13)) & np.uint32(0x1FF)))
    elif magnitude >= np.uint32(0x477FF000):  # 65520 and above
        rounded = np.uint32(0x7C00)
    elif magnitude < np.uint32(0x38800000):  # subnormal: the adder rounds at the right bit
        rounded = np.uint32(bits_of(np.float32(float_of(magnitude) + np.float32(0.5))))
        rounded = np.uint32(rounded - np.uint32(0x3F000000))
    else:
        odd = np.uint32((magnitude >> np.uint32(13)) & np.uint32(1))
        rounded = np.uint32(magnitude - np.uint32(0x38000000) + np.uint32(0xFFF) + odd)
        rounded = np.uint32(rounded >> np.uint32(13))
    return np.uint16(sign | rounded)


def _round_to_bfloat16(value: Any) -> Any:
    """The bits of the nearest bfloat16, ties to even."""
    bits = bits_of(value)
    if np.uint32(bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
        return np.uint16((bits >> np.uint32(16)) | np.uint32(0x40))
    odd = np.uint32((bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


def _as_truth(value: Any) -> Any:
    return np.uint8(1) if value != 0 else np.uint8(0)


# Numba knows these casts by their names, not as values of a closure.
def _to_int8(value: Any) -> Any:
    return np.int8(value)


def _to_int16(value: Any) -> Any:
    return np.int16(value)


def _to_int32(value: Any) -> Any:
    return np.int32(value)


def _to_int64(value: Any) -> Any:
    return np.int64(value)


def _to_uint8(value: Any) -> Any:
    return np.uint8(value)


def _to_uint16(value: Any) -> Any:
    return np.uint16(value)


_NARROW = {
    "float16": ("uint16", _round_to_float16),
    "bfloat16": ("uint16", _round_to_bfloat16),
    "bool": ("uint8", _as_truth),
    "float32": ("float32", _keep),
    "float64": ("float64", _keep),
    "int8": ("int8", _to_int8),
    "int16": ("int16", _to_int16),
    "int32": ("int32", _to_int32),
    "int64": ("int64", _to_int64),
    "uint8": ("uint8", _to_uint8),
    "uint16": ("uint16", _to_uint16),
    "uint32": ("uint32", _keep),
    "uint64": ("uint64", _keep),
}


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
    memory_dtype, convert = _NARROW[dtype]
    load, store = loader(source), storer(memory_dtype)
    narrow = kernel(f"{memory_dtype}({source})")(convert)
    size = np.dtype(source).itemsize
    is_signed = dtype.startswith("int")
    zero = np.dtype(memory_dtype).type(0)

    @job
    def run_finish(block: int, call: int, _job: int) -> None:
        first, rows, count = word(block, TILE_ROW), word(block, TILE_ROWS), word(block, TILE_VALID)
        tile, pitch = word(block, TILE) + word(block, TILE_SKIP) * size, word(block, TILE_PITCH)
        row_step, parts = word(call, Y_ROW), word(call, Y_PARTS)
        step, is_relu = word(call + _AXIS_W, Y_STEP), word(call, IS_RELU)
        for r in range(rows):
            row = first + r
            y = word(block, TILE_Y) + row // parts * row_step + row % parts * word(call, Y_PART)
            source_row = tile + r * pitch
            for i in range(count):
                value = narrow(load(source_row, i))
                if is_signed and is_relu and value < 0:
                    value = zero
                store(y + i * step, 0, value)

    return run_finish
