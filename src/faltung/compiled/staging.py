"""Staging: the cells that a box of outputs sees, laid out so that every tap is an offset.

Each axis is laid out as copies of slots: slot i of the copy that begins at tap position `start`
holds the padded cell ``start + i * stride``. Neighbouring outputs so lie side by side whatever the
stride is, and a tap is a copy and a shift. Strides, borders, memory order and dtype of the input
end here.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from faltung.compiled import words as at
from faltung.compiled._jit import Job, job, kernel
from faltung.compiled.casts import widening
from faltung.compiled.memory import copier, halver, loader, storer, word

__all__ = ["stage"]

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


@kernel("intp(intp, intp)")
def source_of(axis: int, position: int) -> int:
    """The cell of the input that is read at a position counted from its first cell, or -1."""
    if position < 0:
        return word(word(axis, at.LOW), position + word(axis, at.BEFORE))
    beyond = position - word(axis, at.LENGTH)
    if beyond < 0:
        return position
    # Slots that no tap reads, at the end of a copy, may lie further out than any cell.
    return word(word(axis, at.HIGH), beyond) if beyond < word(axis, at.AFTER) else -1


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
    memory_dtype, widen = widening(dtype, target)
    load, store = loader(memory_dtype), storer(target)
    load_fill, copy_many, copy_some = loader(target), copier(target, 16), copier(target, 4)
    halve_many, halve_some = halver(target, 16), halver(target, 4)
    is_same = dtype == target
    source_size = np.dtype("uint16" if dtype == "bfloat16" else dtype).itemsize
    size = np.dtype(target).itemsize

    @job
    def run_stage(block: int, call: int, _job: int) -> None:  # noqa: C901  five nested loops
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        parts, copies = word(call, at.X_PARTS), word(axis_w, at.COPIES)
        slots_d, slots_h = word(axis_d, at.SLOTS), word(axis_h, at.SLOTS)
        stride_d, stride_h = word(axis_d, at.STRIDE), word(axis_h, at.STRIDE)
        begin_d = word(block, at.BOX_D) * stride_d - word(axis_d, at.BEFORE)
        begin_h = word(block, at.BOX_H) * stride_h - word(axis_h, at.BEFORE)
        step, stride = word(axis_w, at.X_STEP), word(axis_w, at.STRIDE)
        begin_w = word(block, at.BOX_W) * stride - word(axis_w, at.BEFORE)
        count = word(block, at.BOX_WS) + word(axis_w, at.EXTRA)
        rows_d, rows_h = word(axis_d, at.COPIES) * slots_d, word(axis_h, at.COPIES) * slots_h
        used_d = word(block, at.BOX_DS) + word(axis_d, at.EXTRA)
        used_h = word(block, at.BOX_HS) + word(axis_h, at.EXTRA)
        pitch = word(axis_w, at.SLOTS) * size
        plane = block + word(call, at.STAGED_AT)
        for number in range(word(block, at.CHANNEL) * copies, word(block, at.CHANNEL_END) * copies):
            channel, copy = number // copies, number % copies
            part = channel % parts
            x = word(block, at.BOX_X) + channel // parts * word(call, at.X_CHANNEL)
            x += part * word(call, at.X_PART)
            fill = load_fill(word(call, at.FILL), part)
            row = plane + copy * rows_d * rows_h * pitch
            if copy == copies - 1:
                plane += word(call, at.PLANE_SIZE)
            # Divisions take as long as copying a short row: they are made once for all rows.
            first = begin_w + word(word(axis_w, at.STARTS), copy)
            start = min(count, max(0, (stride - 1 - first) // stride))
            stop = max(start, min(count, (word(axis_w, at.LENGTH) - 1 - first) // stride + 1))
            for row_d in range(rows_d):
                copy_d, slot_d = row_d // slots_d, row_d % slots_d
                position = begin_d + word(word(axis_d, at.STARTS), copy_d) + slot_d * stride_d
                cell_d = source_of(axis_d, position) if slot_d < used_d else -1
                for copy_h in range(word(axis_h, at.COPIES)):
                    position = begin_h + word(word(axis_h, at.STARTS), copy_h)
                    for slot_h in range(slots_h):
                        cell_h = source_of(axis_h, position) if slot_h < used_h else -1
                        position += stride_h
                        source = (
                            x + cell_d * word(axis_d, at.X_STEP) + cell_h * word(axis_h, at.X_STEP)
                        )
                        is_outside = cell_d < 0 or cell_h < 0
                        if is_outside and slot_d < used_d and slot_h < used_h:
                            for i in range(count):
                                store(row, i, fill)
                        elif not is_outside:
                            border = first
                            for i in range(start):
                                cell = source_of(axis_w, border)
                                border += stride
                                store(
                                    row,
                                    i,
                                    fill if cell < 0 else widen(load(source + cell * step, 0)),
                                )
                            whole = stop - start
                            target = row + start * size
                            inside = source + (first + start * stride) * step
                            if is_same and stride * step == 2 * source_size and whole > 16:
                                halve_many(target, inside, whole)
                            elif is_same and stride * step == 2 * source_size and whole > 4:
                                halve_some(target, inside, whole)
                            elif stride * step != source_size:
                                for i in range(whole):
                                    store(target, i, widen(load(inside + i * stride * step, 0)))
                            elif is_same and whole >= 16:
                                copy_many(target, inside, whole)
                            elif is_same and whole >= 4:
                                copy_some(target, inside, whole)
                            else:
                                for i in range(whole):
                                    store(target, i, widen(load(inside, i)))
                            border = first + stop * stride
                            for i in range(stop, count):
                                cell = source_of(axis_w, border)
                                border += stride
                                store(
                                    row,
                                    i,
                                    fill if cell < 0 else widen(load(source + cell * step, 0)),
                                )
                        row += pitch

    return run_stage
