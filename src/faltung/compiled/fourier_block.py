"""One block of a convolution by Fourier transforms: fetched, transformed, multiplied, put back.

A block is a matrix of points for each channel, in a thread's workspace: real parts of a row, then
its imaginary parts. Real data come as two blocks at once, one as the real parts and one as the
imaginary parts of the same points: a real kernel keeps them apart. The columns are transformed
where they stand; then some rows at a time are fetched, transformed, multiplied, transformed back
and put in place, all in the first-level cache; then the columns are transformed back.

A long line is a matrix too, row after row, with factors between its two transforms.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from faltung.compiled import words as axis_words
from faltung.compiled._jit import Job, Kernel, job, kernel
from faltung.compiled.fourier_passes import (
    fetch_lines,
    multiply_lines,
    put_lines,
    sum_zeros,
    transform,
)
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.simd import Element
from faltung.compiled.staging import source_of

__all__ = ["CALL_WORDS", "convolve_pair", "weigh_kernel"]

_AXIS_D, _AXIS_H, _AXIS_W = (8 * number * axis_words.AXIS_SIZE for number in range(3))

# The words of a call, behind those of its three axes.
CALL_WORDS = (
    X, Y, X_SAMPLE, X_CHANNEL, X_PART, Y_SAMPLE, Y_CHANNEL, Y_PART,
    CHANNELS, FILTERS, PAIRS, PAIRS_A_SAMPLE, BOXES_D, BOXES_H, BOXES_W, OUT_D, OUT_H, OUT_W,
    SIZE_D, SIZE_H, SIZE_W, USED_D, USED_H, USED_VECTORS, IS_LINE, IS_COMPLEX,
    PITCH, SLICE, PLANE, LINE, PLANES_AT, LINES_AT, WORKSPACE, WORKSPACE_STEP,
    SPECTRUM, FACTORS, FORWARD_D, FORWARD_H, FORWARD_W, INVERSE_D, INVERSE_H, INVERSE_W,
    BIAS, LEAST, FILL, DECLINED, NUMBER,
) = range(3 * axis_words.AXIS_SIZE, 3 * axis_words.AXIS_SIZE + 47)  # fmt: skip


@cache
def _stage(element: Element, dtype: str) -> Kernel:  # noqa: C901  kernels that share instructions
    """The kernel that copies the cells of a block of one channel, borders included."""
    load, load_fill, store = loader(dtype), loader(element.dtype), storer(element.dtype)
    numpy_type = np.dtype(element.dtype).type
    item, zero = np.dtype(dtype).itemsize, np.dtype(element.dtype).type(0)

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage(call: int, rows: int, x: int, box: int, part: int) -> None:
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        box_w, box = box % word(call, BOXES_W), box // word(call, BOXES_W)
        box_h, box_d = box % word(call, BOXES_H), box // word(call, BOXES_H)
        position_d = box_d * word(call, OUT_D) * word(axis_d, axis_words.STRIDE)
        position_d -= word(axis_d, axis_words.BEFORE)
        first_h = box_h * word(call, OUT_H) * word(axis_h, axis_words.STRIDE)
        first_h -= word(axis_h, axis_words.BEFORE)
        first = box_w * word(call, OUT_W) * word(axis_w, axis_words.STRIDE)
        first -= word(axis_w, axis_words.BEFORE)
        count, step = word(call, SIZE_W), word(axis_w, axis_words.X_STEP)
        length = word(axis_w, axis_words.LENGTH)
        fill = load_fill(word(call, FILL), part)
        for d in range(word(call, SIZE_D)):
            cell_d = source_of(axis_d, position_d + d)
            position = first
            for h in range(word(call, SIZE_H)):
                row = rows + d * word(call, SLICE) + h * word(call, PITCH)
                cell_h = 0
                if not word(call, IS_LINE):
                    cell_h = source_of(axis_h, first_h + h)
                if cell_d < 0 or cell_h < 0:
                    for i in range(count):
                        store(row, i, fill)
                else:
                    source = x + cell_d * word(axis_d, axis_words.X_STEP)
                    source += cell_h * word(axis_h, axis_words.X_STEP)
                    start = min(count, max(0, -position))
                    stop = max(start, min(count, length - position))
                    for i in range(start):
                        cell = source_of(axis_w, position + i)
                        store(
                            row, i, fill if cell < 0 else numpy_type(load(source + cell * step, 0))
                        )
                    inside = source + position * step
                    if step == item:
                        for i in range(start, stop):
                            store(row, i, numpy_type(load(inside, i)))
                    else:
                        for i in range(start, stop):
                            store(row, i, numpy_type(load(inside + i * step, 0)))
                    for i in range(stop, count):
                        cell = source_of(axis_w, position + i)
                        store(
                            row, i, fill if cell < 0 else numpy_type(load(source + cell * step, 0))
                        )
                if word(call, IS_LINE):
                    position += count

    @kernel("void(intp, intp)")
    def clear(call: int, rows: int) -> None:
        for d in range(word(call, SIZE_D)):
            for h in range(word(call, SIZE_H)):
                row = rows + d * word(call, SLICE) + h * word(call, PITCH)
                for i in range(word(call, SIZE_W)):
                    store(row, i, zero)

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage_part(call: int, rows: int, x: int, box: int, part: int) -> None:
        if box >= word(call, BOXES_D) * word(call, BOXES_H) * word(call, BOXES_W):
            clear(call, rows)
        else:
            stage(call, rows, x + part * word(call, X_PART), box, part)

    return stage_part


@cache
def _put(element: Element, dtype: str) -> Kernel:
    """The kernel that writes the outputs of a block of one filter; 1 if all are finite."""
    load, store, zeros = loader(element.dtype), storer(dtype), sum_zeros(element)
    store_sum = storer(element.dtype)
    numpy_type = np.dtype(dtype).type
    item, size, lanes = np.dtype(dtype).itemsize, element.size, element.lanes
    zero = np.dtype(element.dtype).type(0)

    @kernel("intp(intp, intp, intp, intp, intp, intp)")
    def put(call: int, rows: int, y: int, box: int, bias_at: int, spot: int) -> int:
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        box_w, box = box % word(call, BOXES_W), box // word(call, BOXES_W)
        box_h, box_d = box % word(call, BOXES_H), box // word(call, BOXES_H)
        out_d, out_h = box_d * word(call, OUT_D), box_h * word(call, OUT_H)
        out_w = box_w * word(call, OUT_W)
        count_d = min(word(call, OUT_D), word(axis_d, axis_words.OUTPUTS) - out_d)
        count_h = min(word(call, OUT_H), word(axis_h, axis_words.OUTPUTS) - out_h)
        count_w = min(word(call, OUT_W), word(axis_w, axis_words.OUTPUTS) - out_w)
        stride_h, stride_w = word(axis_h, axis_words.STRIDE), word(axis_w, axis_words.STRIDE)
        y_step = word(axis_w, axis_words.Y_STEP)
        width, is_line = word(call, SIZE_W), word(call, IS_LINE)
        bias, least = load(bias_at, 0), load(word(call, LEAST), 0)
        y += out_d * word(axis_d, axis_words.Y_STEP) + out_h * word(axis_h, axis_words.Y_STEP)
        y += out_w * y_step
        if is_line:
            count_h = word(call, SIZE_H)
        for lane in range(lanes):
            store_sum(spot, lane, zero)
        for d in range(count_d):
            for h in range(count_h):
                row = rows + d * word(axis_d, axis_words.STRIDE) * word(call, SLICE)
                target = y + d * word(axis_d, axis_words.Y_STEP)
                begin, end = 0, count_w
                if is_line:
                    begin = (h * width + stride_w - 1) // stride_w
                    end = min(count_w, ((h + 1) * width + stride_w - 1) // stride_w)
                    row += h * word(call, PITCH)
                    source = row + (begin * stride_w - h * width) * size
                else:
                    row += h * stride_h * word(call, PITCH)
                    target += h * word(axis_h, axis_words.Y_STEP)
                    source = row
                if begin < end:
                    zeros(spot, row, word(call, USED_VECTORS))
                    target += begin * y_step
                    if stride_w == 1 and y_step == item:
                        for i in range(end - begin):
                            value = load(source, i) + bias
                            value = least if value < least else value  # noqa: FURB136  keeps NaN
                            store(target, i, numpy_type(value))
                    else:
                        for i in range(end - begin):
                            value = load(source + i * stride_w * size, 0) + bias
                            value = least if value < least else value  # noqa: FURB136  keeps NaN
                            store(target + i * y_step, 0, numpy_type(value))
        total = zero
        for lane in range(lanes):
            total = total + load(spot, lane)
        return 1 if total == total else 0

    return put


@cache
def _columns(element: Element, *, is_forward: bool) -> Kernel:
    """The kernel that transforms columns where they stand: one axis, some places of the others."""
    run = transform(element, is_forward=is_forward)
    step = element.vector_size

    @kernel("void(intp, intp, intp, intp, intp, intp, intp, intp)")
    def run_columns(
        table: int, base: int, pitch: int, part: int, buffer: int, others: int, other_step: int,
        vectors: int,
    ) -> None:  # fmt: skip
        for other in range(others):
            place = base + other * other_step
            for _ in range(vectors):
                run(table, place, pitch, part, place, pitch, part, buffer)
                place += step

    return run_columns


@cache
def _matrix_columns(element: Element) -> Kernel:
    """The kernel that transforms the first two axes of a block of one channel."""
    columns = _columns(element, is_forward=True)
    size, lanes = element.size, element.lanes

    @kernel("void(intp, intp, intp)")
    def run(call: int, plane: int, buffer: int) -> None:
        part, vectors = word(call, SIZE_W) * size, word(call, SIZE_W) // lanes
        pitch, slice_ = word(call, PITCH), word(call, SLICE)
        depth, height = word(call, SIZE_D), word(call, SIZE_H)
        if depth > 1:
            columns(word(call, FORWARD_D), plane, slice_, part, buffer, height, pitch, vectors)
        columns(word(call, FORWARD_H), plane, pitch, part, buffer, depth, slice_, vectors)

    return run


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
    stage, put, forward = _stage(element, dtype), _put(element, dtype), _matrix_columns(element)
    columns = _columns(element, is_forward=False)
    lines, back = transform(element, is_forward=True), transform(element, is_forward=False)
    fetch, fetch_line = (fetch_lines(element, has_factors=has) for has in (False, True))
    put_rows, put_line = (put_lines(element, has_factors=has) for has in (False, True))
    multiply, multiply_more = (multiply_lines(element, adds=adds) for adds in (False, True))
    size, lanes, step = element.size, element.lanes, element.vector_size
    point = 2 * step

    @kernel("void(intp, intp, intp, intp)")
    def run_rows(call: int, block: int, group: int, row: int) -> None:
        channels, filters = word(call, CHANNELS), word(call, FILTERS)
        width, pitch, part = word(call, SIZE_W), word(call, PITCH), word(call, SIZE_W) * size
        rows = word(call, SIZE_H) // lanes
        place = row // rows * word(call, SLICE) + row % rows * lanes * pitch
        planes, sums = block + word(call, PLANES_AT) + place, block + word(call, LINES_AT)
        line = word(call, LINE)
        factors = word(call, FACTORS) + row * line
        for c in range(channels):
            points, plane = sums + (c + 1) * line, planes + c * word(call, PLANE)
            if word(call, IS_LINE):
                fetch_line(points, plane, pitch, part, width // lanes, factors)
            else:
                fetch(points, plane, pitch, part, width // lanes, factors)
            lines(word(call, FORWARD_W), points, point, step, points, point, step, points)
        for f in range(filters):
            weights = word(call, SPECTRUM) + row * line
            weights += (group * filters + f) * channels * word(call, SIZE_D) * rows * line
            for c in range(channels):
                if c == 0:
                    multiply(sums, sums + line, weights, width)
                else:
                    multiply_more(sums, sums + (c + 1) * line, weights, width)
                weights += word(call, SIZE_D) * rows * line
            back(word(call, INVERSE_W), sums, point, step, sums, point, step, sums)
            plane = planes + f * word(call, PLANE)
            if word(call, IS_LINE):
                put_line(sums, plane, pitch, part, width // lanes, factors)
            else:
                put_rows(sums, plane, pitch, part, width // lanes, factors)

    @job
    def run(thread: int, call: int, number: int) -> None:
        pair, group = number % word(call, PAIRS), number // word(call, PAIRS)
        block = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        planes, part = block + word(call, PLANES_AT), word(call, SIZE_W) * size
        depth, height, pitch = word(call, SIZE_D), word(call, SIZE_H), word(call, PITCH)
        channels, filters, slice_ = word(call, CHANNELS), word(call, FILTERS), word(call, SLICE)
        sample, pair = pair // word(call, PAIRS_A_SAMPLE), pair % word(call, PAIRS_A_SAMPLE)
        is_complex = word(call, IS_COMPLEX)
        for c in range(channels):
            plane, channel = planes + c * word(call, PLANE), group * channels + c
            x = word(call, X) + sample * word(call, X_SAMPLE) + channel * word(call, X_CHANNEL)
            for side in range(2):
                box = pair if is_complex else 2 * pair + side
                stage(call, plane + side * part, x, box, side * is_complex)
            forward(call, plane, block)
        for row in range(depth * height // lanes):
            run_rows(call, block, group, row)
        boxes = word(call, BOXES_D) * word(call, BOXES_H) * word(call, BOXES_W)
        vectors = word(call, USED_VECTORS)
        for f in range(filters):
            plane = planes + f * word(call, PLANE)
            columns(word(call, INVERSE_H), plane, pitch, part, block, depth, slice_, vectors)
            if depth > 1:
                columns(word(call, INVERSE_D), plane, slice_, part, block,
                        word(call, USED_H), pitch, vectors)  # fmt: skip
            channel = group * filters + f
            y = word(call, Y) + sample * word(call, Y_SAMPLE) + channel * word(call, Y_CHANNEL)
            bias = word(call, BIAS) + channel * (1 + is_complex) * size
            for side in range(2):
                box, some = pair if is_complex else 2 * pair + side, side * is_complex
                if box < boxes:
                    target = y + some * word(call, Y_PART)
                    if not put(call, plane + side * part, target, box, bias + some * size, block):
                        put_word(word(call, DECLINED), number, 1)

    return run


@cache
def weigh_kernel(element: Element) -> Job:
    """The job that makes the spectrum of one kernel, which lies in the place of the input."""
    forward, lines = _matrix_columns(element), transform(element, is_forward=True)
    fetch, fetch_line = (fetch_lines(element, has_factors=has) for has in (False, True))
    size, lanes, step = element.size, element.lanes, element.vector_size
    point = 2 * step

    @job
    def run(thread: int, call: int, number: int) -> None:
        block = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        plane = word(call, X) + number * word(call, PLANE)
        width, pitch, line = word(call, SIZE_W), word(call, PITCH), word(call, LINE)
        rows = word(call, SIZE_H) // lanes
        forward(call, plane, block)
        for row in range(word(call, SIZE_D) * rows):
            target = word(call, SPECTRUM) + (number * word(call, SIZE_D) * rows + row) * line
            source = plane + row // rows * word(call, SLICE) + row % rows * lanes * pitch
            if word(call, IS_LINE):
                factors = word(call, FACTORS) + row * line
                fetch_line(target, source, pitch, width * size, width // lanes, factors)
            else:
                fetch(target, source, pitch, width * size, width // lanes, 0)
            lines(word(call, FORWARD_W), target, point, step, target, point, step, target)

    return run
