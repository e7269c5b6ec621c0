"""Windows laid out, and laid back: every tap of every window is copied once, or added once.

A job has the rows of one plane, tap by tap: what it reads and writes lies side by side, and the
plane stays in the cache. Sums are kept in a buffer of rows and rounded once.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel
from faltung.compiled import words as at
from faltung.compiled._axes import put_axes
from faltung.compiled._jit import Job, job
from faltung.compiled.call import give_back, steps_of, take_workspace
from faltung.compiled.casts import narrowing, widening
from faltung.compiled.memory import loader, storer, word
from faltung.compiled.staging import source_of
from faltung.compiled.task import Axis

__all__ = ["MOST_BUFFER", "WindowTask", "run_fold", "run_unfold"]

MOST_BUFFER = 2**22
_JOB_CELLS = 1_000_000
_BUFFER_CELLS = 2**12
_WANTED_JOBS = 16

# The words of a call, behind those of its three axes.
(
    X, Y, X_SAMPLE, X_CHANNEL, Y_SAMPLE, Y_CHANNEL, CHANNELS, DEPTH, HEIGHT, ROWS_A_JOB, BANDS,
    KERNEL_D, KERNEL_H, KERNEL_W, DILATION_D, DILATION_H, DILATION_W, FILL,
    WORKSPACE, WORKSPACE_STEP, NUMBER,
) = range(3 * at.AXIS_SIZE, 3 * at.AXIS_SIZE + 21)  # fmt: skip


class WindowTask(NamedTuple):
    """Windows over planes.

    Parameters
    ----------
    batch, channels : int
        Samples, and planes of a sample.
    axes : tuple of three Axis
        Those of a window that slides over the planes; their outputs are the windows.
    """

    batch: int
    channels: int
    axes: tuple[Axis, Axis, Axis]

    @property
    def taps(self) -> int:
        """Taps of the window."""
        return prod(axis.kernel for axis in self.axes)


@cache
def _unfold(item: int) -> Job:
    """The job that copies all taps of some rows of windows, of elements of `item` bytes."""
    load, store = loader(f"uint{8 * item}"), storer(f"uint{8 * item}")

    @job
    def unfold(_thread: int, call: int, number: int) -> None:
        axis_d, axis_h, axis_w = call, call + 8 * at.AXIS_SIZE, call + 16 * at.AXIS_SIZE
        band, number = number % word(call, BANDS), number // word(call, BANDS)
        d, plane = number % word(call, DEPTH), number // word(call, DEPTH)
        sample, channel = plane // word(call, CHANNELS), plane % word(call, CHANNELS)
        x = word(call, X) + sample * word(call, X_SAMPLE) + channel * word(call, X_CHANNEL)
        kernel_h, kernel_w = word(call, KERNEL_H), word(call, KERNEL_W)
        taps = word(call, KERNEL_D) * kernel_h * kernel_w
        stride, length = word(axis_w, at.STRIDE), word(axis_w, at.LENGTH)
        count, fill = word(axis_w, at.OUTPUTS), load(word(call, FILL), 0)
        x_step, y_step = word(axis_w, at.X_STEP), word(axis_w, at.Y_STEP)
        begin_row = band * word(call, ROWS_A_JOB)
        end_row = min(word(call, HEIGHT), begin_row + word(call, ROWS_A_JOB))
        for tap in range(taps):
            y = word(call, Y) + sample * word(call, Y_SAMPLE) + d * word(axis_d, at.Y_STEP)
            y += (channel * taps + tap) * word(call, Y_CHANNEL)
            position_d = d * word(axis_d, at.STRIDE) - word(axis_d, at.BEFORE)
            position_d += tap // kernel_w // kernel_h * word(call, DILATION_D)
            cell_d = source_of(axis_d, position_d)
            offset_h = tap // kernel_w % kernel_h * word(call, DILATION_H) - word(axis_h, at.BEFORE)
            first = tap % kernel_w * word(call, DILATION_W) - word(axis_w, at.BEFORE)
            start = min(count, max(0, (stride - 1 - first) // stride))
            stop = max(start, min(count, (length - 1 - first) // stride + 1))
            for row in range(begin_row, end_row):
                cell_h = source_of(axis_h, offset_h + row * word(axis_h, at.STRIDE))
                target = y + row * word(axis_h, at.Y_STEP)
                source = x + cell_d * word(axis_d, at.X_STEP) + cell_h * word(axis_h, at.X_STEP)
                begin, end = start, stop
                if min(cell_d, cell_h) < 0:
                    begin, end = 0, 0
                for other in range(begin + count - end):
                    i = other if other < begin else other - begin + end
                    cell = -1
                    if min(cell_d, cell_h) >= 0:
                        cell = source_of(axis_w, first + i * stride)
                    value = fill
                    if cell >= 0:
                        value = load(source + cell * x_step, 0)
                    store(target + i * y_step, 0, value)
                inside = source + (first + begin * stride) * x_step
                if stride * x_step == item and y_step == item:
                    for i in range(end - begin):
                        store(target + begin * item, i, load(inside, i))
                else:
                    for i in range(end - begin):
                        value = load(inside + i * stride * x_step, 0)
                        store(target + (begin + i) * y_step, 0, value)

    return unfold


@cache
def _fold(dtype: str, sums: str) -> Job:
    """The job that adds up some rows of a plane from the windows that cover them."""
    memory, widen = widening(dtype, sums)
    memory_out, narrow = narrowing(sums, dtype)
    load, store = loader(memory), storer(memory_out)
    load_sum, store_sum, zero = loader(sums), storer(sums), np.dtype(sums).type(0)
    size, item = np.dtype(sums).itemsize, np.dtype(memory).itemsize

    @job
    def fold(thread: int, call: int, number: int) -> None:
        axis_d, axis_h, axis_w = call, call + 8 * at.AXIS_SIZE, call + 16 * at.AXIS_SIZE
        band, number = number % word(call, BANDS), number // word(call, BANDS)
        d, plane = number % word(call, DEPTH), number // word(call, DEPTH)
        sample, channel = plane // word(call, CHANNELS), plane % word(call, CHANNELS)
        kernel_h, kernel_w = word(call, KERNEL_H), word(call, KERNEL_W)
        taps = word(call, KERNEL_D) * kernel_h * kernel_w
        stride_d, stride_h = word(axis_d, at.STRIDE), word(axis_h, at.STRIDE)
        stride, width, x_step = (
            word(axis_w, at.STRIDE),
            word(axis_w, at.LENGTH),
            word(axis_w, at.X_STEP),
        )
        first_row = band * word(call, ROWS_A_JOB)
        rows = min(word(call, HEIGHT) - first_row, word(call, ROWS_A_JOB))
        buffer = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        for i in range(rows * width):
            store_sum(buffer, i, zero)
        for tap in range(taps):
            # Window i covers cell i * stride + offset with this tap.
            offset_d = tap // kernel_w // kernel_h * word(call, DILATION_D) - word(
                axis_d, at.BEFORE
            )
            window_d = (d - offset_d) // stride_d
            if window_d * stride_d + offset_d != d:
                continue
            if window_d < 0 or window_d >= word(axis_d, at.OUTPUTS):
                continue
            offset_h = tap // kernel_w % kernel_h * word(call, DILATION_H) - word(axis_h, at.BEFORE)
            offset_h -= first_row
            offset = tap % kernel_w * word(call, DILATION_W) - word(axis_w, at.BEFORE)
            begin = max(0, (stride - 1 - offset) // stride)
            count = min(word(axis_w, at.OUTPUTS), (width - 1 - offset) // stride + 1) - begin
            begin_h = max(0, (stride_h - 1 - offset_h) // stride_h)
            end_h = min(word(axis_h, at.OUTPUTS), (rows - 1 - offset_h) // stride_h + 1)
            x = word(call, X) + sample * word(call, X_SAMPLE) + begin * x_step
            x += (channel * taps + tap) * word(call, X_CHANNEL) + window_d * word(axis_d, at.X_STEP)
            for window in range(begin_h, end_h):
                source = x + window * word(axis_h, at.X_STEP)
                place = (window * stride_h + offset_h) * width + begin * stride + offset
                target = buffer + place * size
                if stride == 1 and x_step == item:
                    for i in range(count):
                        store_sum(target, i, load_sum(target, i) + widen(load(source, i)))
                else:
                    for i in range(count):
                        value = widen(load(source + i * x_step, 0))
                        before = load_sum(target, i * stride)
                        store_sum(target, i * stride, before + value)
        y_step = word(axis_w, at.Y_STEP)
        y = word(call, Y) + sample * word(call, Y_SAMPLE) + channel * word(call, Y_CHANNEL)
        y += d * word(axis_d, at.Y_STEP) + first_row * word(axis_h, at.Y_STEP)
        for row in range(rows):
            for i in range(width):
                store(y + i * y_step, 0, narrow(load_sum(buffer, row * width + i)))
            y += word(axis_h, at.Y_STEP)

    return fold


def run_unfold(task: WindowTask, x: NDArray[Any], y: NDArray[Any], fill: Any) -> None:
    """Lay the windows over x out in y.

    Parameters
    ----------
    task : WindowTask
        What slides over x.
    x : ndarray, (batch, channels, *spatial)
        Of elements of 1, 2, 4 or 8 bytes, aligned, any strides.
    y : ndarray, (batch, channels * taps, *windows)
        Likewise, of the same dtype.
    fill : number
        What cells outside show.
    """
    outputs = tuple(axis.outputs for axis in task.axes)
    value = np.full(1, fill, x.dtype)
    _run(_unfold(x.itemsize), task, x, y, outputs, _JOB_CELLS, value)


def run_fold(task: WindowTask, x: NDArray[Any], y: NDArray[Any], dtype: str, sums: str) -> None:
    """Add the windows in x up in y.

    Parameters
    ----------
    task : WindowTask
        What slides over y.
    x : ndarray, (batch, channels * taps, *windows)
        Aligned, of any strides.
    y : ndarray, (batch, channels, *spatial)
        Likewise, of the same dtype.
    dtype : str
        The name of that dtype.
    sums : {"float32", "float64", "uint32", "uint64"}
        What sums are kept in.
    """
    lengths = tuple(axis.length for axis in task.axes)
    size = np.dtype(sums).itemsize
    # The workspace has room for one row at least, see MOST_BUFFER.
    _run(_fold(dtype, sums), task, x, y, lengths, _BUFFER_CELLS * task.taps, np.zeros(1), size)


def _run(
    function: Job,
    task: WindowTask,
    x: NDArray[Any],
    y: NDArray[Any],
    results: tuple[int, ...],
    most: int,
    fill: NDArray[Any],
    size: int = 0,
) -> None:
    """Run a job over bands of rows: at most so many cells times taps are done by one."""
    if y.size == 0:
        return
    depth, height, width = results
    planes = task.batch * task.channels * depth
    rows = max(min(height, most // (width * task.taps)), 1)
    while rows > 1 and planes * -(-height // rows) < _WANTED_JOBS:
        rows = -(-rows // 2)
    bands = -(-height // rows)
    jobs, step = planes * bands, -(-rows * width * size // 64) * 64
    threads = min(jobs, parallel.get_num_threads())
    workspace = take_workspace(threads * step)
    call = np.zeros(NUMBER, np.int64)
    kept = put_axes(call, task.axes, steps_of(x), steps_of(y))
    call[X:NUMBER] = (
        x.ctypes.data, y.ctypes.data, *x.strides[:2], *y.strides[:2], task.channels, depth, height,
        rows, bands, *(axis.kernel for axis in task.axes),
        *(axis.dilation for axis in task.axes), fill.ctypes.data, workspace.ctypes.data, step,
    )  # fmt: skip
    kept.append(fill)
    parallel.run(function, call, jobs, threads)
    give_back(workspace)
