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

from faltung.compiled import fourier_words as at
from faltung.compiled._jit import Job, Kernel, job, kernel
from faltung.compiled.fourier_passes import (
    fetch_lines,
    multiply_lines,
    put_lines,
    sum_squares,
    transform,
)
from faltung.compiled.fourier_staging import put_block, stage_block
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.simd import Element

__all__ = [
    "backward_columns",
    "convolve_pair",
    "forward_columns",
    "multiply_rows",
    "norms",
    "put_pair",
    "stage_pair",
    "weigh_kernel",
]


@cache
def forward_columns(element: Element) -> Kernel:
    """The kernel that transforms the first two axes of a block of one channel.

    It adds the squares of what it makes, while it is in the cache, to a vector of the workspace:
    so many times those of the values as a column has points. See `norms`.
    """
    run, squares = transform(element, is_forward=True), sum_squares(element)
    lanes, part, point = element.lanes, element.vector_size, 2 * element.vector_size

    @kernel("void(intp, intp, intp)")
    def columns(call: int, plane: int, buffer: int) -> None:
        depth, height, strips = (
            word(call, at.SIZE_D),
            word(call, at.SIZE_H),
            word(call, at.SIZE_W) // lanes,
        )
        spot = buffer + max(depth, height) * point
        for strip in range(strips):
            place = plane + strip * word(call, at.STRIP)
            if depth > 1:
                slice_ = word(call, at.SLICE)
                for h in range(height):
                    here = place + h * point
                    run(word(call, at.FORWARD_D), here, slice_, part, here, slice_, part, buffer)
            for _ in range(depth):
                run(word(call, at.FORWARD_H), place, point, part, place, point, part, place)
                squares(spot, place, 2 * height)
                place += word(call, at.SLICE)

    return columns


@cache
def backward_columns(element: Element) -> Kernel:
    """The kernel that transforms back the columns that are used."""
    run = transform(element, is_forward=False)
    part, point = element.vector_size, 2 * element.vector_size

    @kernel("void(intp, intp, intp)")
    def columns_back(call: int, plane: int, buffer: int) -> None:
        depth, used, slice_ = word(call, at.SIZE_D), word(call, at.USED_H), word(call, at.SLICE)
        for strip in range(word(call, at.USED_STRIPS)):
            place = plane + strip * word(call, at.STRIP)
            for d in range(depth):
                here = place + d * slice_
                run(word(call, at.INVERSE_H), here, point, part, here, point, part, here)
            if depth > 1:
                for h in range(used):
                    here = place + h * point
                    run(word(call, at.INVERSE_D), here, slice_, part, here, slice_, part, buffer)

    return columns_back


@cache
def norms(element: Element) -> tuple[Kernel, Kernel]:
    """The kernels that begin the sum of squares of a block, and that tell whether it is too large.

    No sum of products exceeds the product of both norms: values whose norm is small enough overflow
    neither in the transforms nor in a direct sum. What is not finite is too large, too.
    """
    load, store = loader(element.dtype), storer(element.dtype)
    lanes, point = element.lanes, 2 * element.vector_size
    zero = np.dtype(element.dtype).type(0)

    @kernel("void(intp, intp)")
    def begin(call: int, buffer: int) -> None:
        spot = buffer + max(word(call, at.SIZE_D), word(call, at.SIZE_H)) * point
        for lane in range(lanes):
            store(spot, lane, zero)

    @kernel("intp(intp, intp)")
    def is_too_large(call: int, buffer: int) -> int:
        spot, total = buffer + max(word(call, at.SIZE_D), word(call, at.SIZE_H)) * point, zero
        for lane in range(lanes):
            total = total + load(spot, lane)
        return 0 if total <= load(word(call, at.MOST), 0) else 1

    return begin, is_too_large


@cache
def multiply_rows(element: Element) -> Kernel:
    """The kernel that transforms some rows of all channels, multiplies them, and transforms back.

    It takes the call, the thread's workspace, the planes, the group and the number of the rows.
    """
    lines, back = transform(element, is_forward=True), transform(element, is_forward=False)
    fetch, fetch_line = (fetch_lines(element, has_factors=has) for has in (False, True))
    put_rows, put_line = (put_lines(element, has_factors=has) for has in (False, True))
    multiply, lanes, step = multiply_lines(element), element.lanes, element.vector_size
    point = 2 * step

    @kernel("void(intp, intp, intp, intp, intp)")
    def run_rows(call: int, block: int, planes: int, group: int, row: int) -> None:
        channels, filters = word(call, at.CHANNELS), word(call, at.FILTERS)
        width, strip = word(call, at.SIZE_W), word(call, at.STRIP)
        rows, line, strips = word(call, at.SIZE_H) // lanes, word(call, at.LINE), width // lanes
        place = planes + row // rows * word(call, at.SLICE) + row % rows * lanes * point
        sums = block + word(call, at.LINES_AT)
        factors, all_rows = word(call, at.FACTORS) + row * line, word(call, at.SIZE_D) * rows
        weights = word(call, at.SPECTRUM) + (group * all_rows + row) * filters * channels * line
        for c in range(channels):
            points, plane = sums + (c + 1) * line, place + c * word(call, at.PLANE)
            if word(call, at.IS_LINE):
                fetch_line(points, plane, strip, strips, factors)
            else:
                fetch(points, plane, strip, strips, factors)
            lines(word(call, at.FORWARD_W), points, point, step, points, point, step, points)
        for f in range(filters):
            multiply(sums, sums + line, weights + f * channels * line, width, channels, line)
            back(word(call, at.INVERSE_W), sums, point, step, sums, point, step, sums)
            plane = place + f * word(call, at.PLANE)
            if word(call, at.IS_LINE):
                put_line(sums, plane, strip, strips, factors)
            else:
                put_rows(sums, plane, strip, strips, factors)

    return run_rows


@cache
def stage_pair(element: Element, dtype: str) -> Kernel:
    """The kernel that copies the cells of two blocks of a channel, or of one of complex numbers.

    It takes the call, the plane, the number of the pair and that of the channel.
    """
    stage, step = stage_block(element, dtype), element.vector_size

    @kernel("void(intp, intp, intp, intp)")
    def stage_both(call: int, plane: int, pair: int, channel: int) -> None:
        sample, place = pair // word(call, at.PAIRS_A_SAMPLE), pair % word(call, at.PAIRS_A_SAMPLE)
        x = word(call, at.X) + sample * word(call, at.X_SAMPLE) + channel * word(call, at.X_CHANNEL)
        is_complex = word(call, at.IS_COMPLEX)
        for side in range(2):
            box = place if is_complex else 2 * place + side
            stage(call, plane + side * step, x, box, side * is_complex)

    return stage_both


@cache
def put_pair(element: Element, dtype: str) -> Kernel:
    """The kernel that writes the outputs of a filter's blocks, of what `stage_pair` takes."""
    put, size, step = put_block(element, dtype), element.size, element.vector_size

    @kernel("void(intp, intp, intp, intp)")
    def put_both(call: int, plane: int, pair: int, channel: int) -> None:
        sample, place = pair // word(call, at.PAIRS_A_SAMPLE), pair % word(call, at.PAIRS_A_SAMPLE)
        y = word(call, at.Y) + sample * word(call, at.Y_SAMPLE) + channel * word(call, at.Y_CHANNEL)
        is_complex = word(call, at.IS_COMPLEX)
        bias = word(call, at.BIAS) + channel * (1 + is_complex) * size
        boxes = word(call, at.BOXES_D) * word(call, at.BOXES_H) * word(call, at.BOXES_W)
        for side in range(2):
            box, some = place if is_complex else 2 * place + side, side * is_complex
            if box < boxes:
                target = y + some * word(call, at.Y_PART)
                put(call, plane + side * step, target, box, bias + some * size)

    return put_both


@cache
def convolve_pair(element: Element, dtype: str) -> Job:
    """The job that computes two blocks of all filters of a group, or one of complex numbers.

    Parameters
    ----------
    element : Element
        The lanes of its vectors, and the precision of the transforms.
    dtype : {"float32", "float64"}
        Of input and output, or of their parts.
    """
    stage, put = stage_pair(element, dtype), put_pair(element, dtype)
    columns, columns_back = forward_columns(element), backward_columns(element)
    run_rows, (begin, is_too_large), lanes = multiply_rows(element), norms(element), element.lanes

    @job
    def run(thread: int, call: int, number: int) -> None:
        pair, group = number % word(call, at.PAIRS), number // word(call, at.PAIRS)
        block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
        planes, channels = block + word(call, at.PLANES_AT), word(call, at.CHANNELS)
        begin(call, block)
        for c in range(channels):
            plane = planes + c * word(call, at.PLANE)
            stage(call, plane, pair, group * channels + c)
            columns(call, plane, block)
        if is_too_large(call, block) != 0:
            put_word(word(call, at.DECLINED), number, 1)
        else:
            for row in range(word(call, at.SIZE_D) * word(call, at.SIZE_H) // lanes):
                run_rows(call, block, planes, group, row)
            for f in range(word(call, at.FILTERS)):
                plane = planes + f * word(call, at.PLANE)
                columns_back(call, plane, block)
                put(call, plane, pair, group * word(call, at.FILTERS) + f)

    return run


@cache
def weigh_kernel(element: Element) -> Job:
    """The job that makes the spectrum of one kernel, which lies in the place of the input."""
    columns, lines = forward_columns(element), transform(element, is_forward=True)
    fetch, fetch_line = (fetch_lines(element, has_factors=has) for has in (False, True))
    lanes, step = element.lanes, element.vector_size
    point = 2 * step

    @job
    def run(thread: int, call: int, number: int) -> None:
        block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
        plane = word(call, at.X) + number * word(call, at.PLANE)
        strip, strips, line = (
            word(call, at.STRIP),
            word(call, at.SIZE_W) // lanes,
            word(call, at.LINE),
        )
        rows = word(call, at.SIZE_H) // lanes
        columns(call, plane, block)
        number, pairs = (
            number + word(call, at.FIRST),
            word(call, at.CHANNELS) * word(call, at.FILTERS),
        )
        all_rows = word(call, at.SIZE_D) * rows
        for row in range(all_rows):
            place = (number // pairs * all_rows + row) * pairs + number % pairs
            target = word(call, at.SPECTRUM) + place * line
            source = plane + row // rows * word(call, at.SLICE) + row % rows * lanes * point
            if word(call, at.IS_LINE):
                fetch_line(target, source, strip, strips, word(call, at.FACTORS) + row * line)
            else:
                fetch(target, source, strip, strips, 0)
            lines(word(call, at.FORWARD_W), target, point, step, target, point, step, target)

    return run
