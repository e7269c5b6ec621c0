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
    AFTER, AXES, AXIS_SIZE, BEFORE, BOX_D, BOX_DS, BOX_H, BOX_HS, BOX_W, BOX_WS, BOX_X, CHANNEL,
    CHANNEL_END, COPIES, EXTRA, FILL, HIGH, LENGTH, LOW, PLANE_SIZE, SLOTS, STAGED_AT, STARTS,
    STRIDE, X_CHANNEL, X_PART, X_PARTS, X_STEP,
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
def stage(dtype: str, target: str) -> Job:
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

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def fill_row(call: int, row: int, pitch: int, count: int, copies: int, fill: int) -> None:
        """A row that no cell of the input reaches."""
        value = load_fill(fill, 0)
        for copy in range(copies):
            for i in range(count):
                store(row + copy * pitch, i, value)

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def copy_row(axis: int, row: int, source: int, first: int, count: int, fill: int) -> None:
        """One copy of one row: positions first, first + stride, ..."""
        stride, length, step = word(axis, STRIDE), word(axis, LENGTH), word(axis, X_STEP)
        inside = min(count, max(0, (stride - 1 - first) // stride))
        outside = max(inside, min(count, (length - 1 - first) // stride + 1))
        for i in range(inside):
            cell = source_of(axis, first + i * stride)
            value = load_fill(fill, 0) if cell < 0 else widen(load(source + cell * step, 0))
            store(row, i, value)
        whole, pitch = outside - inside, stride * step
        begin, target = source + (first + inside * stride) * step, row + inside * size
        if pitch != source_size:
            for i in range(whole):
                store(target, i, widen(load(begin + i * pitch, 0)))
        elif is_same and whole >= 16:
            copy_many(target, begin, whole)
        elif is_same and whole >= 4:
            copy_some(target, begin, whole)
        else:
            for i in range(whole):
                store(target, i, widen(load(begin, i)))
        for i in range(outside, count):
            cell = source_of(axis, first + i * stride)
            value = load_fill(fill, 0) if cell < 0 else widen(load(source + cell * step, 0))
            store(row, i, value)

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage_plane(block: int, call: int, x: int, plane: int, fill: int) -> None:
        """One channel: every row of the box, in every copy."""
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        rows_h = word(axis_h, COPIES) * word(axis_h, SLOTS)
        pitch = word(axis_w, SLOTS) * size
        copy_pitch = word(axis_d, COPIES) * word(axis_d, SLOTS) * rows_h * pitch
        count = word(block, BOX_WS) + word(axis_w, EXTRA)
        count_d = word(block, BOX_DS) + word(axis_d, EXTRA)
        count_h = word(block, BOX_HS) + word(axis_h, EXTRA)
        stride_d, stride_h = word(axis_d, STRIDE), word(axis_h, STRIDE)
        begin_d = word(block, BOX_D) * stride_d - word(axis_d, BEFORE)
        begin_h = word(block, BOX_H) * stride_h - word(axis_h, BEFORE)
        begin_w = word(block, BOX_W) * word(axis_w, STRIDE) - word(axis_w, BEFORE)
        copies_w = word(axis_w, COPIES)
        for copy_d in range(word(axis_d, COPIES)):
            first_d = begin_d + word(word(axis_d, STARTS), copy_d)
            for slot_d in range(count_d):
                cell_d = source_of(axis_d, first_d + slot_d * stride_d)
                row_d = copy_d * word(axis_d, SLOTS) + slot_d
                for copy_h in range(word(axis_h, COPIES)):
                    first_h = begin_h + word(word(axis_h, STARTS), copy_h)
                    row = plane + (row_d * rows_h + copy_h * word(axis_h, SLOTS)) * pitch
                    for slot_h in range(count_h):
                        cell_h = source_of(axis_h, first_h + slot_h * stride_h)
                        if cell_d < 0 or cell_h < 0:
                            fill_row(call, row, copy_pitch, count, copies_w, fill)
                        else:
                            source = x + cell_d * word(axis_d, X_STEP)
                            source += cell_h * word(axis_h, X_STEP)
                            for copy_w in range(copies_w):
                                first = begin_w + word(word(axis_w, STARTS), copy_w)
                                copy_row(
                                    axis_w, row + copy_w * copy_pitch, source, first, count, fill
                                )
                        row += pitch

    @job
    def run_stage(block: int, call: int, _job: int) -> None:
        first, parts = word(block, CHANNEL), word(call, X_PARTS)
        plane = block + word(call, STAGED_AT)
        for channel in range(first, word(block, CHANNEL_END)):
            part = channel % parts
            x = word(block, BOX_X) + channel // parts * word(call, X_CHANNEL)
            x += part * word(call, X_PART)
            stage_plane(block, call, x, plane, word(call, FILL) + part * size)
            plane += word(call, PLANE_SIZE)

    return run_stage
