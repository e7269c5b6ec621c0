"""Between arrays and blocks of points: cells come with their borders, outputs go where they belong.

How a block lies in the workspace is told in `fourier_block`.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from faltung.compiled import fourier_words as at
from faltung.compiled import words as axis_words
from faltung.compiled._jit import Kernel, kernel
from faltung.compiled.fourier_copies import prefetch, put_vector, take_vector
from faltung.compiled.memory import loader, storer, word
from faltung.compiled.simd import Element
from faltung.compiled.staging import source_of

__all__ = ["put_block", "stage_block"]

_AHEAD = 4  # rows that are asked for before they are staged: they do not lie side by side


@cache
def _stage_row(element: Element, dtype: str) -> Kernel:
    """The kernel that copies the cells of one row of a block, borders included."""
    load, load_fill, store = loader(dtype), loader(element.dtype), storer(element.dtype)
    take, numpy_type = take_vector(element, dtype), np.dtype(element.dtype).type
    item, lanes = np.dtype(dtype).itemsize, element.lanes

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage_row(call: int, row: int, source: int, position: int, part: int) -> None:
        axis_w = call + at.AXIS_W
        count, step = word(call, at.SIZE_W), word(axis_w, axis_words.X_STEP)
        strip, length = word(call, at.STRIP), word(axis_w, axis_words.LENGTH)
        ahead = 0
        if word(call, at.IS_LINE) == 0:
            ahead = _AHEAD * word(call + at.AXIS_H, axis_words.X_STEP)
        fill = load_fill(word(call, at.FILL), part)
        is_whole_row = step == item
        for first in range(0, count, lanes):
            place = position + first
            if is_whole_row and place >= 0 and place + lanes <= length:
                prefetch(source + place * step + ahead)
                take(row, source + place * step)
            elif place >= length + word(axis_w, axis_words.AFTER):
                for i in range(lanes):
                    store(row, i, fill)
            else:
                for i in range(lanes):
                    cell = source_of(axis_w, place + i)
                    store(row, i, fill if cell < 0 else numpy_type(load(source + cell * step, 0)))
            row += strip

    return stage_row


@cache
def stage_block(element: Element, dtype: str) -> Kernel:
    """The kernel that copies the cells of a block of one channel, zeros where there is none."""
    stage_row, load_fill, store = (
        _stage_row(element, dtype),
        loader(element.dtype),
        storer(element.dtype),
    )
    lanes, size, point = element.lanes, element.size, 2 * element.vector_size
    zero = np.dtype(element.dtype).type(0)

    @kernel("void(intp, intp, intp)")
    def fill_row(call: int, row: int, value_at: int) -> None:
        value = load_fill(value_at, 0) if value_at != 0 else zero
        for _ in range(0, word(call, at.SIZE_W), lanes):
            for i in range(lanes):
                store(row, i, value)
            row += word(call, at.STRIP)

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage(call: int, rows: int, x: int, box: int, part: int) -> None:
        axis_d, axis_h, axis_w = call + at.AXIS_D, call + at.AXIS_H, call + at.AXIS_W
        is_there = box < word(call, at.BOXES_D) * word(call, at.BOXES_H) * word(call, at.BOXES_W)
        box_w, box = box % word(call, at.BOXES_W), box // word(call, at.BOXES_W)
        box_h, box_d = box % word(call, at.BOXES_H), box // word(call, at.BOXES_H)
        first_d = box_d * word(call, at.OUT_D) * word(axis_d, axis_words.STRIDE)
        first_d -= word(axis_d, axis_words.BEFORE)
        first_h = box_h * word(call, at.OUT_H) * word(axis_h, axis_words.STRIDE)
        first_h -= word(axis_h, axis_words.BEFORE)
        position = box_w * word(call, at.OUT_W) * word(axis_w, axis_words.STRIDE)
        position -= word(axis_w, axis_words.BEFORE)
        fill_at = word(call, at.FILL) + part * size
        x += part * word(call, at.X_PART)
        for d in range(word(call, at.SIZE_D)):
            cell_d = source_of(axis_d, first_d + d) if is_there else -1
            for h in range(word(call, at.SIZE_H)):
                row = rows + d * word(call, at.SLICE) + h * point
                cell_h = 0
                if is_there and word(call, at.IS_LINE) == 0:
                    cell_h = source_of(axis_h, first_h + h)
                if cell_d < 0 or cell_h < 0:
                    fill_row(call, row, fill_at if is_there else 0)
                else:
                    source = x + cell_d * word(axis_d, axis_words.X_STEP)
                    source += cell_h * word(axis_h, axis_words.X_STEP)
                    stage_row(call, row, source, position, part)
                if word(call, at.IS_LINE):
                    position += word(call, at.SIZE_W)

    return stage


@cache
def put_block(element: Element, dtype: str) -> Kernel:
    """The kernel that writes the outputs of a block of one filter."""
    load, store, put_all = loader(element.dtype), storer(dtype), put_vector(element, dtype)
    numpy_type = np.dtype(dtype).type
    item, lanes, point = np.dtype(dtype).itemsize, element.lanes, 2 * element.vector_size

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def put_row(call: int, row: int, y: int, column: int, count: int, bias_at: int) -> None:
        stride = word(call + at.AXIS_W, axis_words.STRIDE)
        step, strip = word(call + at.AXIS_W, axis_words.Y_STEP), word(call, at.STRIP)
        bias, least = load(bias_at, 0), load(word(call, at.LEAST), 0)
        done = 0
        while done < count:
            place = row + column // lanes * strip
            is_whole = stride == 1 and step == item and column % lanes == 0
            if is_whole and done + lanes <= count:
                put_all(y, place, bias_at, word(call, at.LEAST))
                y, done, column = y + lanes * step, done + lanes, column + lanes
            else:
                value = load(place, column % lanes) + bias
                value = least if value < least else value  # noqa: FURB136  keeps NaN
                store(y, 0, numpy_type(value))
                y, done, column = y + step, done + 1, column + stride

    @kernel("void(intp, intp, intp, intp, intp)")
    def put(call: int, rows: int, y: int, box: int, bias_at: int) -> None:
        axis_d, axis_h, axis_w = call + at.AXIS_D, call + at.AXIS_H, call + at.AXIS_W
        box_w, box = box % word(call, at.BOXES_W), box // word(call, at.BOXES_W)
        box_h, box_d = box % word(call, at.BOXES_H), box // word(call, at.BOXES_H)
        out_d, out_h = box_d * word(call, at.OUT_D), box_h * word(call, at.OUT_H)
        out_w = box_w * word(call, at.OUT_W)
        count_d = min(word(call, at.OUT_D), word(axis_d, axis_words.OUTPUTS) - out_d)
        count_h = min(word(call, at.OUT_H), word(axis_h, axis_words.OUTPUTS) - out_h)
        count_w = min(word(call, at.OUT_W), word(axis_w, axis_words.OUTPUTS) - out_w)
        stride_h, stride_w = word(axis_h, axis_words.STRIDE), word(axis_w, axis_words.STRIDE)
        y_step, width = word(axis_w, axis_words.Y_STEP), word(call, at.SIZE_W)
        y += out_d * word(axis_d, axis_words.Y_STEP) + out_h * word(axis_h, axis_words.Y_STEP)
        y += out_w * y_step
        if word(call, at.IS_LINE) != 0:
            for h in range(word(call, at.SIZE_H)):
                begin = (h * width + stride_w - 1) // stride_w
                end = min(count_w, ((h + 1) * width + stride_w - 1) // stride_w)
                column, target = begin * stride_w - h * width, y + begin * y_step
                put_row(call, rows + h * point, target, column, end - begin, bias_at)
        else:
            for d in range(count_d):
                row = rows + d * word(axis_d, axis_words.STRIDE) * word(call, at.SLICE)
                target = y + d * word(axis_d, axis_words.Y_STEP)
                for _ in range(count_h):
                    put_row(call, row, target, 0, count_w, bias_at)
                    row += stride_h * point
                    target += word(axis_h, axis_words.Y_STEP)

    return put
