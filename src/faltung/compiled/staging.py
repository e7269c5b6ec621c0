"""Staging: the cells that a box of outputs sees, laid out so that every tap is an offset.

Each axis is laid out as copies of slots: slot i of the copy that begins at tap position `start`
holds the padded cell ``start + i * stride``. Neighbouring outputs so lie side by side whatever the
stride is, and a tap is a copy and a shift. Strides, borders, memory order and dtype of the input
end here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from faltung.compiled._jit import Job, Kernel, job, kernel
from faltung.compiled.memory import copier, float_of, loader, storer, word
from faltung.compiled.words import (
    AFTER,
    AXES,
    AXIS_SIZE,
    BEFORE,
    BOX_D,
    BOX_DS,
    BOX_H,
    BOX_HS,
    BOX_W,
    BOX_WS,
    BOX_X,
    CHANNEL,
    CHANNEL_END,
    COPIES,
    EXTRA,
    FILL,
    HIGH,
    LENGTH,
    LOW,
    PLANE_SIZE,
    SLOTS,
    STAGED_AT,
    STARTS,
    STRIDE,
    X_CHANNEL,
    X_PART,
    X_PARTS,
    X_STEP,
)  # fmt: skip

__all__ = ["stage"]

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (AXES + axis * AXIS_SIZE) for axis in range(3))


@kernel("intp(intp, intp)")
def source_of(axis: int, position: int) -> int:
    """The cell of the input that is read at a position counted from its first cell, or -1."""
    if position < 0:
        return word(word(axis, LOW), position + word(axis, BEFORE))
    beyond = position - word(axis, LENGTH)
    if beyond < 0:
        return position
    # Slots that no tap reads, at the end of a copy, may lie further out than any cell.
    return word(word(axis, HIGH), beyond) if beyond < word(axis, AFTER) else -1


def _read_float32(bits: Any) -> Any:
    return bits


def _widen_float16(bits: Any) -> Any:
    """The float32 equal to a float16; infinities and the payload of a NaN are kept."""
    sign = np.uint32(np.uint32(bits & np.uint16(0x8000)) << np.uint32(16))
    magnitude = np.uint32(np.uint32(bits & np.uint16(0x7FFF)) << np.uint32(13))
    if magnitude >= np.uint32(0x0F800000):
        return float_of(np.uint32(sign | np.uint32(0x70000000) | magnitude))
    # Moved by 112 binary orders, exactly: subnormal numbers become normal ones.
    scaled = np.float32(float_of(magnitude) * np.float32(2.0**112))
    return np.float32(-scaled) if sign else scaled


def _widen_bfloat16(bits: Any) -> Any:
    """The float32 equal to a bfloat16."""
    return float_of(np.uint32(np.uint32(bits) << np.uint32(16)))


def _as_uint32(value: Any) -> Any:
    return np.uint32(value)


def _as_uint64(value: Any) -> Any:
    return np.uint64(value)


def _as_truth(value: Any) -> Any:
    return np.uint32(1) if value != 0 else np.uint32(0)


def _as_wide_truth(value: Any) -> Any:
    return np.uint64(1) if value != 0 else np.uint64(0)


# How memory of each dtype is read, the signature of its widening, and the widening.
_WIDEN = {
    "float16": ("uint16", _widen_float16),
    "bfloat16": ("uint16", _widen_bfloat16),
    "bool": ("uint8", _as_truth),
}


def _widening(dtype: str, target: str) -> tuple[str, Any]:
    if dtype == "bool" and target == "uint64":
        return "uint8", _as_wide_truth
    if dtype in _WIDEN:
        return _WIDEN[dtype]
    if target.startswith("uint"):
        return dtype, _as_uint32 if target == "uint32" else _as_uint64
    return dtype, _read_float32


@cache
def _converter(dtype: str, target: str) -> tuple[Any, Any, Kernel]:
    memory_dtype, widen = _widening(dtype, target)
    return loader(memory_dtype), storer(target), kernel(f"{target}({memory_dtype})")(widen)


@cache
def stage(dtype: str, target: str) -> Job:  # noqa: C901  kernels that share instructions
    """The job that stages the channels and the box in a thread's block.

    Its arguments are the addresses of the thread's block and of the call's.

    Parameters
    ----------
    dtype : str
        Dtype of the input's memory; complex numbers are read as pairs of floats.
    target : {"float32", "float64", "uint32", "uint64"}
        Dtype that sums are kept in.
    """
    load, store, widen = _converter(dtype, target)
    load_fill, copy_many, copy_some = loader(target), copier(target, 16), copier(target, 4)
    is_same = dtype == target
    source_size = np.dtype("uint16" if dtype == "bfloat16" else dtype).itemsize
    size = np.dtype(target).itemsize

    @kernel("void(intp, intp, intp, intp, intp, intp, intp)")
    def read_border(
        axis: int, row: int, source: int, first: int, start: int, stop: int, fill: int
    ) -> None:
        """Slots whose cells lie outside the input, or come from elsewhere in it."""
        for i in range(start, stop):
            cell = source_of(axis, first + i * word(axis, STRIDE))
            if cell < 0:
                store(row, i, load_fill(fill, 0))
            else:
                store(row, i, widen(load(source + cell * word(axis, X_STEP), 0)))

    @kernel("void(intp, intp, intp, intp)")
    def read_inside(target: int, source: int, count: int, step: int) -> None:
        """Cells that lie evenly spaced in the input."""
        if step != source_size:
            for i in range(count):
                store(target, i, widen(load(source + i * step, 0)))
        elif is_same and count >= 16:
            copy_many(target, source, count)
        elif is_same and count >= 4:
            copy_some(target, source, count)
        else:
            for i in range(count):
                store(target, i, widen(load(source, i)))

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def stage_copy(block: int, call: int, x: int, copy: int, first: int, fill: int) -> None:
        """One copy of one channel: every row of the box, its slots from position `first` on."""
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        pitch = word(axis_w, SLOTS) * size
        step, stride = word(axis_w, X_STEP), word(axis_w, STRIDE)
        count = word(block, BOX_WS) + word(axis_w, EXTRA)
        # Divisions take as long as copying a short row: they are made once for all rows.
        start = min(count, max(0, (stride - 1 - first) // stride))
        stop = max(start, min(count, (word(axis_w, LENGTH) - 1 - first) // stride + 1))
        inside = (first + start * stride) * step
        slots_d, slots_h = word(axis_d, SLOTS), word(axis_h, SLOTS)
        stride_d, stride_h = word(axis_d, STRIDE), word(axis_h, STRIDE)
        begin_d = word(block, BOX_D) * stride_d - word(axis_d, BEFORE)
        begin_h = word(block, BOX_H) * stride_h - word(axis_h, BEFORE)
        for d in range(word(axis_d, COPIES) * slots_d):
            slot_d = d % slots_d
            if slot_d >= word(block, BOX_DS) + word(axis_d, EXTRA):
                continue
            position = begin_d + word(word(axis_d, STARTS), d // slots_d) + slot_d * stride_d
            cell_d = source_of(axis_d, position)
            for copy_h in range(word(axis_h, COPIES)):
                begin = begin_h + word(word(axis_h, STARTS), copy_h)
                row = copy + (d * word(axis_h, COPIES) + copy_h) * slots_h * pitch
                for slot_h in range(word(block, BOX_HS) + word(axis_h, EXTRA)):
                    cell_h = source_of(axis_h, begin + slot_h * stride_h)
                    if cell_d < 0 or cell_h < 0:
                        value = load_fill(fill, 0)
                        for i in range(count):
                            store(row, i, value)
                    else:
                        source = x + cell_d * word(axis_d, X_STEP) + cell_h * word(axis_h, X_STEP)
                        read_border(axis_w, row, source, first, 0, start, fill)
                        read_inside(
                            row + start * size, source + inside, stop - start, stride * step
                        )
                        read_border(axis_w, row, source, first, stop, count, fill)
                    row += pitch

    @job
    def run_stage(block: int, call: int, _job: int) -> None:
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        parts, copies = word(call, X_PARTS), word(axis_w, COPIES)
        rows = word(axis_d, COPIES) * word(axis_d, SLOTS) * word(axis_h, COPIES)
        copy_size = rows * word(axis_h, SLOTS) * word(axis_w, SLOTS) * size
        begin = word(block, BOX_W) * word(axis_w, STRIDE) - word(axis_w, BEFORE)
        plane = block + word(call, STAGED_AT)
        for channel in range(word(block, CHANNEL), word(block, CHANNEL_END)):
            part = channel % parts
            x = word(block, BOX_X) + channel // parts * word(call, X_CHANNEL)
            x += part * word(call, X_PART)
            for copy in range(copies):
                first = begin + word(word(axis_w, STARTS), copy)
                target = plane + copy * copy_size
                stage_copy(block, call, x, target, first, word(call, FILL) + part * size)
            plane += word(call, PLANE_SIZE)

    return run_stage
