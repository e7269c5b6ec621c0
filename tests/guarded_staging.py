"""Staged cells against the textbook, of arrays between pages that nobody may touch.

Run in a process of its own: reading or writing one byte outside ends it with a signal.
"""

import ctypes

import numpy as np

from direct_oracle import axis, numpy_dtype, random_values, shapes_of, sources
from faltung.compiled import words as at
from faltung.compiled.call import prepare, steps_of
from faltung.compiled.direct import Axis, DirectTask
from faltung.compiled.simd import memory
from faltung.compiled.staging import has_channels_last, stage
from faltung.compiled.sweep import enter_box
from faltung.compiled.variants import find_row
from guarded_convolutions import areas, guarded, guarded_copy

DTYPES = ("float32", "float32", "float64", "float32", "int32", "uint8", "float16", "complex64")
CHANNELS = (1, 3, 4, 8, 9, 16, 17, 20)
WIDTHS = (*range(2, 20), 23, 31, 32, 33, 35, 47, 48, 49, 63, 64, 65, 70, 129)


def laid_out(x, layout, at_end):
    """A guarded copy of an array: as it is, with its channels last, or with gaps between cells."""
    if layout == "last":
        return np.moveaxis(guarded_copy(np.moveaxis(x, 1, -1), at_end), -1, 1)
    if layout == "gaps":
        wide = np.repeat(x, 2, axis=-1)[..., :-1]
        return guarded_copy(wide, at_end)[..., ::2]
    return guarded_copy(x, at_end)


def in_sums(x, sums):
    """An array as sums are kept, complex numbers as two channels: (batch, channel, *spatial)."""
    if x.dtype.kind == "c":
        x = np.stack([x.real, x.imag], axis=2).reshape(len(x), -1, *x.shape[2:])
    return x.astype(sums.dtype)


def check(task, layout, at_end):
    """Every tap of every pixel of every box finds its cell; the job that staged them."""
    rng, sums = np.random.default_rng(0), task.sums
    x_shape, _, y_shape = shapes_of(task)
    values = random_values(rng, x_shape, task.dtype)
    x, y = laid_out(values, layout, at_end), np.empty(y_shape, numpy_dtype(task.dtype))
    kind = prepare(task, sums, find_row(sums.dtype), False, steps_of(x), steps_of(y))
    schedule, call = kind.schedule, kind.words.copy()
    job = stage(sums.memory, sums.dtype, has_channels_last(sums, steps_of(x)))
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 3)(job.address)
    workspace = guarded(schedule.workspace, at_end, 64).view(np.int64)
    call[at.X_BASE] = x.ctypes.data
    together, size = schedule.group_channels, np.dtype(sums.dtype).itemsize
    taps = memory(int(call[at.TAP_OFFSETS]), "int64", task.kernel_taps)
    padded = np.pad(in_sums(values, sums), [(0, 0)] * 2 + [(0, 1)] * 3)
    fill = in_sums(np.full((1, 1, 1, 1, 1), task.fill, numpy_dtype(task.dtype)), sums).ravel()
    for outside in (np.s_[:, :, -1], np.s_[:, :, :, -1], np.s_[..., -1]):
        view = padded[outside].reshape(len(padded), -1, len(fill), *padded[outside].shape[2:])
        view[:] = fill.reshape(-1, *[1] * (view.ndim - 3))
        padded[outside] = view.reshape(padded[outside].shape)
    cells, kernel = [sources(each) for each in task.axes], [each.kernel for each in task.axes]
    pitch = schedule.boxes[2] + schedule.layouts[2].extra
    rows = schedule.layouts[1].cells(schedule.boxes[1])
    staged = workspace.view(sums.dtype)[schedule.staged_at // size :]
    for number in range(0, schedule.jobs, int(call[at.PARTS_O])):
        enter_box.python(workspace.ctypes.data, call.ctypes.data, number)
        workspace[at.CHANNEL], workspace[at.CHANNEL_END] = 0, together
        function(workspace.ctypes.data, call.ctypes.data, 0)
        d, h, w = (
            int(workspace[first]) + np.arange(int(workspace[first + 1]))
            for first in (at.BOX_D, at.BOX_H, at.BOX_W)
        )
        sample = number * task.batch // schedule.jobs
        places = (d - d[0])[:, None, None] * rows + (h - h[0])[:, None]
        places = places * pitch + (w - w[0])
        for tap, (i, j, k) in enumerate(np.ndindex(*kernel)):
            seen = cells[0][d, i, None, None], cells[1][h, j, None], cells[2][w, k]
            offsets = (np.arange(together) * schedule.plane_size + taps[tap]) // size
            found = staged[offsets[:, None, None, None] + places]
            assert np.array_equal(found, padded[sample, :together][(slice(None), *seen)]), task
    areas.clear()
    return job


def main(count):
    """`count` stagings of all kinds; prints how many kinds of jobs did them."""
    jobs = set()
    for number in range(count):
        rng = np.random.default_rng(number)
        stride, dilation = ((1, 1), (2, 1), (3, 1), (1, 2), (2, 3))[number % 5]
        width = WIDTHS[number % len(WIDTHS)]
        border = rng if number % 3 == 0 else None
        height, depth = 1 + number % 9, 1 + number % 7 // 6
        axes = (
            axis(depth, 1, 1, 1, 0, 0) if depth == 1 else axis(depth, 2, 1, 1, 1, 0, border),
            axis(height, 1 + number % 2 * 2, 1 + number % 4 // 3, 1, 2, 1, border),
            axis(width, 3, stride, dilation, 2 + number % 3, 3, border),
        )
        dtype = DTYPES[number % len(DTYPES)]
        channels = CHANNELS[number // 2 % len(CHANNELS)]
        fill = {"u": 7, "i": -7, "c": 2 - 3j}.get(numpy_dtype(dtype).kind, -7.0)
        task = DirectTask(1 + number % 2, 1, channels, 5, axes, dtype, fill=fill)
        layout = ("plain", "last", "plain", "gaps", "last")[number % 11 % 5]
        jobs.add(check(task, layout, number % 2 == 0))
    long = (Axis(1, 1, 1), axis(60, 3, 1, 1, 1, 1), axis(300, 5, 2, 2, 4, 4))
    jobs.add(check(DirectTask(1, 1, 40, 24, long, "float32"), "plain", True))
    print(len(jobs))
