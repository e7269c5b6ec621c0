"""Weighted sums whose coefficients differ from output to output: involutions, untied kernels.

For each output channel a box of sums is kept in the first-level cache and one tap after the other
is added to it, row by row: the weights are read once, in place and in their order, the input where
it lies. A tap that falls outside the input is left out, so that no zero is ever multiplied.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel
from faltung.compiled import words as at
from faltung.compiled._axes import put_axes
from faltung.compiled._jit import Job, job, kernel
from faltung.compiled.call import give_back, steps_of, take_workspace
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.staging import source_of
from faltung.compiled.task import Axis

__all__ = ["PositionTask", "run_positions", "workspace_bytes"]

_BOX_CELLS = 2**11  # of sums: 8 KB of float32, which leaves the first-level cache to what is read
_JOB_MACS = 16_000_000  # 10 ms where nothing is vectorised
_WANTED_JOBS = 16

# The words of a call, behind those of its three axes.
(
    X, WEIGHT, Y, BIAS, HAS_BIAS, WORKSPACE, WORKSPACE_STEP,
    X_SAMPLE, X_CHANNEL, Y_SAMPLE, Y_FILTER,
    WEIGHT_SAMPLE, WEIGHT_FILTER, WEIGHT_CHANNEL, WEIGHT_TAP, WEIGHT_D, WEIGHT_H,
    KERNEL_D, KERNEL_H, KERNEL_W, DILATION_D, DILATION_H, DILATION_W,
    FILTERS, CHANNELS, INPUT_SHARE, WEIGHT_SHARE, FILTERS_A_JOB,
    BOX_ROWS, BOX_COLUMNS, BOXES, BLOCKS, FILL, FILL_COUNTS, NUMBER,
) = range(3 * at.AXIS_SIZE, 3 * at.AXIS_SIZE + 35)  # fmt: skip


class PositionTask(NamedTuple):
    """One sum with coefficients by position.

    Output channel f adds the products of input channels ``f // input_share * channels`` and on,
    `channels` of them, with the rows ``f // weight_share`` of the weight.

    Parameters
    ----------
    batch, filters : int
        Samples and output channels of all groups.
    channels, input_share, weight_share : int
        See above. An involution has 1, 1 and the channels of a group; untied kernels have the
        channels and the filters of a group, and 1.
    axes : tuple of three Axis
        As in a `DirectTask`.
    dtype : {"float32", "float64", "uint32", "uint64"}
        Of all arrays.
    fill : int, float or None
        The value of cells whose source is -1; None leaves them out.
    """

    batch: int
    filters: int
    channels: int
    input_share: int
    weight_share: int
    axes: tuple[Axis, Axis, Axis]
    dtype: str
    fill: Any = None


class _Cut(NamedTuple):
    """A box is so many rows of one plane and so many of their columns."""

    rows: int
    columns: int
    filters: int
    boxes: int
    blocks: int


def _cut(task: PositionTask) -> _Cut:
    axis_d, axis_h, axis_w = task.axes
    terms = task.channels * axis_d.kernel * axis_h.kernel * axis_w.kernel
    cells = max(min(_BOX_CELLS, _JOB_MACS // terms), 1)
    columns = min(axis_w.outputs, cells)
    rows = min(axis_h.outputs, max(cells // columns, 1))
    across, down = -(-axis_w.outputs // columns), -(-axis_h.outputs // rows)
    boxes = across * down * axis_d.outputs
    # Channels that share a weight are done together, as long as there is enough to do for all.
    filters = max(min(task.weight_share, _JOB_MACS // (terms * rows * columns)), 1)
    while filters > 1 and task.batch * boxes * -(-task.filters // filters) < _WANTED_JOBS:
        filters = -(-filters // 2)
    return _Cut(rows, columns, filters, boxes, -(-task.filters // filters))


def workspace_bytes(task: PositionTask) -> int:
    """Bytes of workspace of one thread: sums, and where the rows begin that each tap sees."""
    cut, size = _cut(task), np.dtype(task.dtype).itemsize
    taps = task.axes[0].kernel * task.axes[1].kernel
    return -(-(cut.rows * (cut.columns * size + 8 * taps)) // 64) * 64 + 64


@kernel("void(intp, intp, intp)")
def find_rows(call: int, table: int, box: int) -> None:
    """Where the rows of the input begin that a box sees: by tap, -1 for those outside."""
    axis_d, axis_h = call, call + 8 * at.AXIS_SIZE
    height, box_rows = word(axis_h, at.OUTPUTS), word(call, BOX_ROWS)
    down = (height + box_rows - 1) // box_rows
    d, first = box // down, box % down * box_rows
    rows = min(height - first, box_rows)
    kernel_h = word(call, KERNEL_H)
    for tap in range(word(call, KERNEL_D) * kernel_h):
        position_d = d * word(axis_d, at.STRIDE) - word(axis_d, at.BEFORE)
        position_d += tap // kernel_h * word(call, DILATION_D)
        cell_d = source_of(axis_d, position_d)
        position_h = first * word(axis_h, at.STRIDE) - word(axis_h, at.BEFORE)
        position_h += tap % kernel_h * word(call, DILATION_H)
        for row in range(rows):
            cell_h = source_of(axis_h, position_h + row * word(axis_h, at.STRIDE))
            place = cell_d * word(axis_d, at.X_STEP) + cell_h * word(axis_h, at.X_STEP)
            put_word(table, tap * rows + row, -1 if min(cell_d, cell_h) < 0 else place)


@cache
def _sum_positions(dtype: str) -> Job:  # noqa: C901  loops over all that a sum is made of
    """The job that computes a box of some output channels of a sample."""
    load, store, zero = loader(dtype), storer(dtype), np.dtype(dtype).type(0)
    size = np.dtype(dtype).itemsize

    @job
    def sum_positions(thread: int, call: int, number: int) -> None:  # noqa: C901
        axis_h, axis_w = call + 8 * at.AXIS_SIZE, call + 16 * at.AXIS_SIZE
        box, number = number % word(call, BOXES), number // word(call, BOXES)
        block, sample = number % word(call, BLOCKS), number // word(call, BLOCKS)
        width, columns = word(axis_w, at.OUTPUTS), word(call, BOX_COLUMNS)
        across = (width + columns - 1) // columns
        column, box = box % across * columns, box // across
        count = min(width - column, columns)
        height, box_rows = word(axis_h, at.OUTPUTS), word(call, BOX_ROWS)
        down = (height + box_rows - 1) // box_rows
        d, first_row = box // down, box % down * box_rows
        rows = min(height - first_row, box_rows)
        table = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        find_rows(call, table, box)
        kernel_w, taps = word(call, KERNEL_W), word(call, KERNEL_D) * word(call, KERNEL_H)
        sums = table + 8 * box_rows * taps
        stride, length = word(axis_w, at.STRIDE), word(axis_w, at.LENGTH)
        step = stride * word(axis_w, at.X_STEP)
        fill, fill_counts = load(word(call, FILL), 0), word(call, FILL_COUNTS)
        weight_box = d * word(call, WEIGHT_D) + first_row * word(call, WEIGHT_H) + column * size
        weight_row = word(call, WEIGHT_H)
        filters, filter_step = word(call, FILTERS), word(call, FILTERS_A_JOB)
        for f in range(block * filter_step, min(filters, (block + 1) * filter_step)):
            for i in range(rows * count):
                store(sums, i, zero)
            for c in range(word(call, CHANNELS)):
                channel = f // word(call, INPUT_SHARE) * word(call, CHANNELS) + c
                x = word(call, X) + sample * word(call, X_SAMPLE) + channel * word(call, X_CHANNEL)
                weight = word(call, WEIGHT) + sample * word(call, WEIGHT_SAMPLE) + weight_box
                weight += f // word(call, WEIGHT_SHARE) * word(call, WEIGHT_FILTER)
                weight += c * word(call, WEIGHT_CHANNEL)
                for tap in range(taps * kernel_w):
                    first = column * stride - word(axis_w, at.BEFORE)
                    first += tap % kernel_w * word(call, DILATION_W)
                    start = min(count, max(0, (stride - 1 - first) // stride))
                    stop = max(start, min(count, (length - 1 - first) // stride + 1))
                    places = table + 8 * rows * (tap // kernel_w)
                    factors = weight + tap * word(call, WEIGHT_TAP)
                    for row in range(rows):
                        target, place = sums + row * count * size, word(places, row)
                        begin, end = start, stop
                        if place < 0:
                            begin, end = 0, 0
                        for other in range(begin + count - end):
                            i = other if other < begin else other - begin + end
                            cell = source_of(axis_w, first + i * stride) if place >= 0 else -1
                            if cell >= 0:
                                value = load(x + place + cell * word(axis_w, at.X_STEP), 0)
                                store(target, i, load(target, i) + load(factors, i) * value)
                            elif fill_counts != 0:
                                store(target, i, load(target, i) + load(factors, i) * fill)
                        source = x + place + first * word(axis_w, at.X_STEP)
                        if step == size:
                            for i in range(begin, end):
                                value = load(source, i)
                                store(target, i, load(target, i) + load(factors, i) * value)
                        else:
                            for i in range(begin, end):
                                value = load(source + i * step, 0)
                                store(target, i, load(target, i) + load(factors, i) * value)
                        factors += weight_row
            bias = zero
            if word(call, HAS_BIAS):
                bias = load(word(call, BIAS), f)
            y_step = word(axis_w, at.Y_STEP)
            y = word(call, Y) + sample * word(call, Y_SAMPLE) + f * word(call, Y_FILTER)
            y += d * word(call, at.Y_STEP) + first_row * word(axis_h, at.Y_STEP) + column * y_step
            for row in range(rows):
                for i in range(count):
                    store(y + i * y_step, 0, load(sums, row * count + i) + bias)
                y += word(axis_h, at.Y_STEP)

    return sum_positions


def run_positions(
    task: PositionTask,
    x: NDArray[Any],
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    y: NDArray[Any],
) -> None:
    """Compute a task into `y`.

    Parameters
    ----------
    task : PositionTask
        With at least one term a sum.
    x : ndarray, (batch, channels, *spatial)
        Of the task's dtype and any strides; one to three spatial axes.
    weight : ndarray, (batch, rows, channels, taps, *outputs)
        The last axis contiguous; of a `batch` of 1 that all samples share, and with as many
        `channels` as a sum has.
    bias : ndarray, (filters,), contiguous, or None
        Added to each sum.
    y : ndarray, (batch, filters, *spatial)
        Of any strides; must not overlap the others.
    """
    if y.size == 0:
        return
    cut, axes = _cut(task), task.axes
    step = workspace_bytes(task)
    jobs = task.batch * cut.blocks * cut.boxes
    threads = min(jobs, parallel.get_num_threads())
    workspace = take_workspace(threads * step)
    x_steps, y_steps = steps_of(x), steps_of(y)
    weight_d, weight_h, _ = steps_of(weight[0, 0])[2:]
    call = np.zeros(NUMBER, np.int64)
    kept = put_axes(call, axes, x_steps, y_steps)
    fill = np.array([0 if task.fill is None else task.fill]).astype(task.dtype)
    call[X : BLOCKS + 1] = (
        x.ctypes.data, weight.ctypes.data, y.ctypes.data, 0 if bias is None else bias.ctypes.data,
        bias is not None, workspace.ctypes.data, step,
        x.strides[0], x.strides[1], y.strides[0], y.strides[1],
        weight.strides[0] if len(weight) > 1 else 0, *weight.strides[1:4], weight_d, weight_h,
        *(axis.kernel for axis in axes), *(axis.dilation for axis in axes),
        task.filters, task.channels, task.input_share, task.weight_share, cut.filters,
        cut.rows, cut.columns, cut.boxes, cut.blocks,
    )  # fmt: skip
    call[FILL], call[FILL_COUNTS] = fill.ctypes.data, task.fill is not None
    kept += [fill, workspace]
    parallel.run(_sum_positions(task.dtype), call, jobs, threads)
    give_back(workspace)
