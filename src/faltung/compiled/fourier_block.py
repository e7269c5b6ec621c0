"""One block of a convolution by Fourier transforms: fetched, transformed, multiplied, put back.

A block is a matrix of points for each channel, in a thread's workspace, cut into strips as wide as
a vector: row after row the real parts of a strip, then its imaginary parts. Real data come as two
blocks at once, one as the real parts and one as the imaginary parts of the same points: a real
kernel keeps them apart. Strips are transformed along their columns where they stand; then some
rows at a time are fetched, transformed, multiplied, transformed back and put in place, all in the
first-level cache; then the strips are transformed back.

A long line is a matrix too, row after row, with factors between its two transforms.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from faltung.compiled import words as axis_words
from faltung.compiled._jit import Job, Kernel, job, kernel
from faltung.compiled.fourier_copies import prefetch, put_vector, take_vector
from faltung.compiled.fourier_passes import (
    fetch_lines,
    multiply_lines,
    put_lines,
    sum_squares,
    transform,
)
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.simd import Element
from faltung.compiled.staging import source_of

__all__ = ["CALL_WORDS", "convolve_pair", "weigh_kernel"]

_AXIS_D, _AXIS_H, _AXIS_W = (8 * number * axis_words.AXIS_SIZE for number in range(3))
_AHEAD = 4  # rows that are asked for before they are staged: they do not lie side by side

# The words of a call, behind those of its three axes.
CALL_WORDS = (
    X, Y, X_SAMPLE, X_CHANNEL, X_PART, Y_SAMPLE, Y_CHANNEL, Y_PART,
    CHANNELS, FILTERS, PAIRS, PAIRS_A_SAMPLE, BOXES_D, BOXES_H, BOXES_W, OUT_D, OUT_H, OUT_W,
    SIZE_D, SIZE_H, SIZE_W, USED_D, USED_H, USED_STRIPS, IS_LINE, IS_COMPLEX,
    STRIP, SLICE, PLANE, LINE, PLANES_AT, LINES_AT, WORKSPACE, WORKSPACE_STEP,
    SPECTRUM, FACTORS, FORWARD_D, FORWARD_H, FORWARD_W, INVERSE_D, INVERSE_H, INVERSE_W,
    BIAS, LEAST, FILL, MOST, DECLINED, FIRST, NUMBER,
) = range(3 * axis_words.AXIS_SIZE, 3 * axis_words.AXIS_SIZE + 49)  # fmt: skip


@cache
def _stage_row(element: Element, dtype: str) -> Kernel:
    """The kernel that copies the cells of one row of a block, borders included."""
    load, load_fill, store = loader(dtype), loader(element.dtype), storer(element.dtype)
    take, numpy_type = take_vector(element, dtype), np.dtype(element.dtype).type
    item, lanes = np.dtype(dtype).itemsize, element.lanes

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage_row(call: int, row: int, source: int, position: int, part: int) -> None:
        axis_w = call + _AXIS_W
        count, step = word(call, SIZE_W), word(axis_w, axis_words.X_STEP)
        strip, length = word(call, STRIP), word(axis_w, axis_words.LENGTH)
        ahead = 0
        if word(call, IS_LINE) == 0:
            ahead = _AHEAD * word(call + _AXIS_H, axis_words.X_STEP)
        fill = load_fill(word(call, FILL), part)
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
def _stage(element: Element, dtype: str) -> Kernel:
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
        for _ in range(0, word(call, SIZE_W), lanes):
            for i in range(lanes):
                store(row, i, value)
            row += word(call, STRIP)

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage(call: int, rows: int, x: int, box: int, part: int) -> None:
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        is_there = box < word(call, BOXES_D) * word(call, BOXES_H) * word(call, BOXES_W)
        box_w, box = box % word(call, BOXES_W), box // word(call, BOXES_W)
        box_h, box_d = box % word(call, BOXES_H), box // word(call, BOXES_H)
        first_d = box_d * word(call, OUT_D) * word(axis_d, axis_words.STRIDE)
        first_d -= word(axis_d, axis_words.BEFORE)
        first_h = box_h * word(call, OUT_H) * word(axis_h, axis_words.STRIDE)
        first_h -= word(axis_h, axis_words.BEFORE)
        position = box_w * word(call, OUT_W) * word(axis_w, axis_words.STRIDE)
        position -= word(axis_w, axis_words.BEFORE)
        fill_at = word(call, FILL) + part * size
        x += part * word(call, X_PART)
        for d in range(word(call, SIZE_D)):
            cell_d = source_of(axis_d, first_d + d) if is_there else -1
            for h in range(word(call, SIZE_H)):
                row = rows + d * word(call, SLICE) + h * point
                cell_h = 0
                if is_there and word(call, IS_LINE) == 0:
                    cell_h = source_of(axis_h, first_h + h)
                if cell_d < 0 or cell_h < 0:
                    fill_row(call, row, fill_at if is_there else 0)
                else:
                    source = x + cell_d * word(axis_d, axis_words.X_STEP)
                    source += cell_h * word(axis_h, axis_words.X_STEP)
                    stage_row(call, row, source, position, part)
                if word(call, IS_LINE):
                    position += word(call, SIZE_W)

    return stage


@cache
def _put(element: Element, dtype: str) -> Kernel:
    """The kernel that writes the outputs of a block of one filter."""
    load, store, put_all = loader(element.dtype), storer(dtype), put_vector(element, dtype)
    numpy_type = np.dtype(dtype).type
    item, lanes, point = np.dtype(dtype).itemsize, element.lanes, 2 * element.vector_size

    @kernel("void(intp, intp, intp, intp, intp, intp)")
    def put_row(call: int, row: int, y: int, column: int, count: int, bias_at: int) -> None:
        stride = word(call + _AXIS_W, axis_words.STRIDE)
        step, strip = word(call + _AXIS_W, axis_words.Y_STEP), word(call, STRIP)
        bias, least = load(bias_at, 0), load(word(call, LEAST), 0)
        done = 0
        while done < count:
            place = row + column // lanes * strip
            is_whole = stride == 1 and step == item and column % lanes == 0
            if is_whole and done + lanes <= count:
                put_all(y, place, bias_at, word(call, LEAST))
                y, done, column = y + lanes * step, done + lanes, column + lanes
            else:
                value = load(place, column % lanes) + bias
                value = least if value < least else value  # noqa: FURB136  keeps NaN
                store(y, 0, numpy_type(value))
                y, done, column = y + step, done + 1, column + stride

    @kernel("void(intp, intp, intp, intp, intp)")
    def put(call: int, rows: int, y: int, box: int, bias_at: int) -> None:
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        box_w, box = box % word(call, BOXES_W), box // word(call, BOXES_W)
        box_h, box_d = box % word(call, BOXES_H), box // word(call, BOXES_H)
        out_d, out_h = box_d * word(call, OUT_D), box_h * word(call, OUT_H)
        out_w = box_w * word(call, OUT_W)
        count_d = min(word(call, OUT_D), word(axis_d, axis_words.OUTPUTS) - out_d)
        count_h = min(word(call, OUT_H), word(axis_h, axis_words.OUTPUTS) - out_h)
        count_w = min(word(call, OUT_W), word(axis_w, axis_words.OUTPUTS) - out_w)
        stride_h, stride_w = word(axis_h, axis_words.STRIDE), word(axis_w, axis_words.STRIDE)
        y_step, width = word(axis_w, axis_words.Y_STEP), word(call, SIZE_W)
        y += out_d * word(axis_d, axis_words.Y_STEP) + out_h * word(axis_h, axis_words.Y_STEP)
        y += out_w * y_step
        if word(call, IS_LINE) != 0:
            for h in range(word(call, SIZE_H)):
                begin = (h * width + stride_w - 1) // stride_w
                end = min(count_w, ((h + 1) * width + stride_w - 1) // stride_w)
                column, target = begin * stride_w - h * width, y + begin * y_step
                put_row(call, rows + h * point, target, column, end - begin, bias_at)
        else:
            for d in range(count_d):
                row = rows + d * word(axis_d, axis_words.STRIDE) * word(call, SLICE)
                target = y + d * word(axis_d, axis_words.Y_STEP)
                for _ in range(count_h):
                    put_row(call, row, target, 0, count_w, bias_at)
                    row += stride_h * point
                    target += word(axis_h, axis_words.Y_STEP)

    return put


@cache
def _columns(element: Element) -> Kernel:
    """The kernel that transforms the first two axes of a block of one channel.

    It adds the squares of what it makes, while it is in the cache, to a vector of the workspace:
    so many times those of the values as a column has points. See `_norms`.
    """
    run, squares = transform(element, is_forward=True), sum_squares(element)
    lanes, part, point = element.lanes, element.vector_size, 2 * element.vector_size

    @kernel("void(intp, intp, intp)")
    def columns(call: int, plane: int, buffer: int) -> None:
        depth, height, strips = word(call, SIZE_D), word(call, SIZE_H), word(call, SIZE_W) // lanes
        spot = buffer + max(depth, height) * point
        for strip in range(strips):
            place = plane + strip * word(call, STRIP)
            if depth > 1:
                slice_ = word(call, SLICE)
                for h in range(height):
                    here = place + h * point
                    run(word(call, FORWARD_D), here, slice_, part, here, slice_, part, buffer)
            for _ in range(depth):
                run(word(call, FORWARD_H), place, point, part, place, point, part, place)
                squares(spot, place, 2 * height)
                place += word(call, SLICE)

    return columns


@cache
def _columns_back(element: Element) -> Kernel:
    """The kernel that transforms back the columns that are used."""
    run = transform(element, is_forward=False)
    part, point = element.vector_size, 2 * element.vector_size

    @kernel("void(intp, intp, intp)")
    def columns_back(call: int, plane: int, buffer: int) -> None:
        depth, used, slice_ = word(call, SIZE_D), word(call, USED_H), word(call, SLICE)
        for strip in range(word(call, USED_STRIPS)):
            place = plane + strip * word(call, STRIP)
            for d in range(depth):
                here = place + d * slice_
                run(word(call, INVERSE_H), here, point, part, here, point, part, here)
            if depth > 1:
                for h in range(used):
                    here = place + h * point
                    run(word(call, INVERSE_D), here, slice_, part, here, slice_, part, buffer)

    return columns_back


@cache
def _norms(element: Element) -> tuple[Kernel, Kernel]:
    """The kernels that begin the sum of squares of a block, and that tell whether it is too large.

    No sum of products exceeds the product of both norms: values whose norm is small enough overflow
    neither in the transforms nor in a direct sum. What is not finite is too large, too.
    """
    load, store = loader(element.dtype), storer(element.dtype)
    lanes, point = element.lanes, 2 * element.vector_size
    zero = np.dtype(element.dtype).type(0)

    @kernel("void(intp, intp)")
    def begin(call: int, buffer: int) -> None:
        spot = buffer + max(word(call, SIZE_D), word(call, SIZE_H)) * point
        for lane in range(lanes):
            store(spot, lane, zero)

    @kernel("intp(intp, intp)")
    def is_too_large(call: int, buffer: int) -> int:
        spot, total = buffer + max(word(call, SIZE_D), word(call, SIZE_H)) * point, zero
        for lane in range(lanes):
            total = total + load(spot, lane)
        return 0 if total <= load(word(call, MOST), 0) else 1

    return begin, is_too_large


@cache
def convolve_pair(element: Element, dtype: str) -> Job:  # noqa: C901  two kernels, as above
    """The job that computes two blocks of all filters of a group, or one of complex numbers.

    Parameters
    ----------
    element : Element
        The lanes of its vectors, and the precision of the transforms.
    dtype : {"float32", "float64"}
        Of input and output, or of their parts.
    """
    stage, put = _stage(element, dtype), _put(element, dtype)
    columns, columns_back = _columns(element), _columns_back(element)
    lines, back = transform(element, is_forward=True), transform(element, is_forward=False)
    fetch, fetch_line = (fetch_lines(element, has_factors=has) for has in (False, True))
    put_rows, put_line = (put_lines(element, has_factors=has) for has in (False, True))
    multiply, (begin, is_too_large) = multiply_lines(element), _norms(element)
    size, lanes, step = element.size, element.lanes, element.vector_size
    point = 2 * step

    @kernel("void(intp, intp, intp, intp)")
    def run_rows(call: int, block: int, group: int, row: int) -> None:
        channels, filters = word(call, CHANNELS), word(call, FILTERS)
        width, strip, strips = word(call, SIZE_W), word(call, STRIP), word(call, SIZE_W) // lanes
        rows, line = word(call, SIZE_H) // lanes, word(call, LINE)
        place = row // rows * word(call, SLICE) + row % rows * lanes * point
        planes, sums = block + word(call, PLANES_AT) + place, block + word(call, LINES_AT)
        factors, all_rows = word(call, FACTORS) + row * line, word(call, SIZE_D) * rows
        weights = word(call, SPECTRUM) + (group * all_rows + row) * filters * channels * line
        for c in range(channels):
            points, plane = sums + (c + 1) * line, planes + c * word(call, PLANE)
            if word(call, IS_LINE):
                fetch_line(points, plane, strip, strips, factors)
            else:
                fetch(points, plane, strip, strips, factors)
            lines(word(call, FORWARD_W), points, point, step, points, point, step, points)
        for f in range(filters):
            multiply(sums, sums + line, weights + f * channels * line, width, channels, line)
            back(word(call, INVERSE_W), sums, point, step, sums, point, step, sums)
            plane = planes + f * word(call, PLANE)
            if word(call, IS_LINE):
                put_line(sums, plane, strip, strips, factors)
            else:
                put_rows(sums, plane, strip, strips, factors)

    @kernel("void(intp, intp, intp, intp)")
    def finish(call: int, block: int, pair: int, group: int) -> None:
        filters, is_complex = word(call, FILTERS), word(call, IS_COMPLEX)
        sample, pair = pair // word(call, PAIRS_A_SAMPLE), pair % word(call, PAIRS_A_SAMPLE)
        boxes = word(call, BOXES_D) * word(call, BOXES_H) * word(call, BOXES_W)
        for f in range(filters):
            plane = block + word(call, PLANES_AT) + f * word(call, PLANE)
            channel = group * filters + f
            columns_back(call, plane, block)
            y = word(call, Y) + sample * word(call, Y_SAMPLE) + channel * word(call, Y_CHANNEL)
            bias = word(call, BIAS) + channel * (1 + is_complex) * size
            for side in range(2):
                box, some = pair if is_complex else 2 * pair + side, side * is_complex
                if box < boxes:
                    target = y + some * word(call, Y_PART)
                    put(call, plane + side * step, target, box, bias + some * size)

    @job
    def run(thread: int, call: int, number: int) -> None:
        pair, group = number % word(call, PAIRS), number // word(call, PAIRS)
        block = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        planes, channels = block + word(call, PLANES_AT), word(call, CHANNELS)
        sample, place = pair // word(call, PAIRS_A_SAMPLE), pair % word(call, PAIRS_A_SAMPLE)
        is_complex = word(call, IS_COMPLEX)
        begin(call, block)
        for c in range(channels):
            plane, channel = planes + c * word(call, PLANE), group * channels + c
            x = word(call, X) + sample * word(call, X_SAMPLE) + channel * word(call, X_CHANNEL)
            for side in range(2):
                box = place if is_complex else 2 * place + side
                stage(call, plane + side * step, x, box, side * is_complex)
            columns(call, plane, block)
        if is_too_large(call, block) != 0:
            put_word(word(call, DECLINED), number, 1)
        else:
            for row in range(word(call, SIZE_D) * word(call, SIZE_H) // lanes):
                run_rows(call, block, group, row)
            finish(call, block, pair, group)

    return run


@cache
def weigh_kernel(element: Element) -> Job:
    """The job that makes the spectrum of one kernel, which lies in the place of the input."""
    columns, lines = _columns(element), transform(element, is_forward=True)
    fetch, fetch_line = (fetch_lines(element, has_factors=has) for has in (False, True))
    lanes, step = element.lanes, element.vector_size
    point = 2 * step

    @job
    def run(thread: int, call: int, number: int) -> None:
        block = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        plane = word(call, X) + number * word(call, PLANE)
        strip, strips, line = word(call, STRIP), word(call, SIZE_W) // lanes, word(call, LINE)
        rows = word(call, SIZE_H) // lanes
        columns(call, plane, block)
        number, pairs = number + word(call, FIRST), word(call, CHANNELS) * word(call, FILTERS)
        all_rows = word(call, SIZE_D) * rows
        for row in range(all_rows):
            place = (number // pairs * all_rows + row) * pairs + number % pairs
            target = word(call, SPECTRUM) + place * line
            source = plane + row // rows * word(call, SLICE) + row % rows * lanes * point
            if word(call, IS_LINE):
                fetch_line(target, source, strip, strips, word(call, FACTORS) + row * line)
            else:
                fetch(target, source, strip, strips, 0)
            lines(word(call, FORWARD_W), target, point, step, target, point, step, target)

    return run
