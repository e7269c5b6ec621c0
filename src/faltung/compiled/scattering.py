"""Scattering: a direct convolution whose pixels lie apart in the output, each row at its own place.

The sweep sees a virtual output, whose addresses number the pixels of a plane; the job here turns
the number of a tile's first pixel into coordinates and stores each row's pixels where they belong.
So every schedule of the direct convolution serves, short rows that join included.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel
from faltung.compiled import words as at
from faltung.compiled._jit import Job, job
from faltung.compiled.call import give_back, prepare, steps_of, take_workspace
from faltung.compiled.casts import narrowing
from faltung.compiled.direct import PackedWeights
from faltung.compiled.memory import address_of, loader, storer, word
from faltung.compiled.sweep import convolve_box
from faltung.compiled.task import DirectTask

__all__ = ["place_table", "run_scattered", "scatter"]

_HEADER, _ROW = len(at.PLACE_HEADER), len(at.PLACE_WORDS)


def place_table(
    task: DirectTask, steps: tuple[int, int, int], rows: NDArray[np.int64], part: int
) -> NDArray[np.int64]:
    """Where the results of a task go, as the job reads it.

    Parameters
    ----------
    task : DirectTask
        What is computed.
    steps : tuple of three int
        Bytes from pixel to pixel along each axis.
    rows : array of int64, (filters, 7)
        For each filter of a group the bytes from the group's first output to where its pixel 0
        would lie, then for each axis the first pixel that it has and the one behind its last.
    part : int
        Bytes from the real to the imaginary part of a complex number.
    """
    parts = task.sums.parts if task.sums else 1
    header = (task.axes[1].outputs, task.axes[2].outputs, *steps)
    rows = rows.repeat(parts, axis=0)
    rows[:, at.PLACE_OFFSET] += np.arange(len(rows)) % parts * part
    return np.concatenate([np.array(header, np.int64), rows.ravel()])


@cache
def scatter(source: str, dtype: str) -> Job:
    """The job that stores the rows and pixels of a tile that exist, each at its place.

    Its arguments are the addresses of the thread's block and of the call's.

    Parameters
    ----------
    source : {"float32", "float64", "uint32", "uint64"}
        Dtype of the sums.
    dtype : str
        Dtype of the output; complex numbers are written as pairs of floats.
    """
    memory_dtype, narrow = narrowing(source, dtype)
    load, store = loader(source), storer(memory_dtype)
    size = np.dtype(source).itemsize

    @job
    def run_scatter(block: int, call: int, _job: int) -> None:
        places, base = word(call, at.PLACES), word(block, at.BOX_Y)
        height, width = word(places, at.PLACE_HEIGHT), word(places, at.PLACE_WIDTH)
        step = word(places, at.PLACE_STEP_W)
        count, first = word(block, at.TILE_VALID), word(block, at.TILE_ROW)
        beyond, pitch = first + word(block, at.TILE_ROWS), word(block, at.TILE_PITCH)
        tile = word(block, at.TILE) + word(block, at.TILE_SKIP) * size
        pixel, done = word(block, at.TILE_Y) - base, 0
        while done < count:
            w, line = (pixel + done) % width, (pixel + done) // width
            d, h = line // height, line % height
            run = min(count - done, width - w)
            line_place = (
                base + d * word(places, at.PLACE_STEP_D) + h * word(places, at.PLACE_STEP_H)
            )
            for row in range(first, beyond):
                place = places + 8 * (_HEADER + row * _ROW)
                from_first = min(
                    d - word(place, at.PLACE_FIRST_D), h - word(place, at.PLACE_FIRST_H)
                )
                beyond_d, beyond_h = word(place, at.PLACE_LAST_D), word(place, at.PLACE_LAST_H)
                if from_first >= 0 and d < beyond_d and h < beyond_h:
                    start = max(w, word(place, at.PLACE_FIRST_W))
                    stop = min(w + run, word(place, at.PLACE_LAST_W))
                    target = line_place + word(place, at.PLACE_OFFSET) + start * step
                    sums = tile + (row - first) * pitch + (done + start - w) * size
                    for i in range(stop - start):
                        store(target + i * step, 0, narrow(load(sums, i)))
            done += run

    return run_scatter


def run_scattered(
    task: DirectTask,
    x: NDArray[Any],
    packed: PackedWeights,
    y: NDArray[Any],
    table: NDArray[np.int64],
) -> None:
    """Compute a task whose outputs go to places in `y`.

    Parameters
    ----------
    task, x, packed
        As `direct.run` takes them.
    y : ndarray, (batch, channels, *spatial)
        Its channels are divided evenly among the groups.
    table : array of int64
        From `place_table`; no two pixels may have the same place.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    if y.size == 0:
        return
    axes = task.axes
    plane = axes[1].outputs * axes[2].outputs
    steps = (y.strides[0], 0, plane, axes[2].outputs, 1)
    kind = prepare(task, sums, packed.row, packed.has_bias, steps_of(x), steps)
    jobs, step = kind.schedule.jobs, kind.schedule.workspace
    threads = min(jobs, parallel.get_num_threads())
    workspace = take_workspace(threads * step)
    call = kind.words.copy()
    call[at.X_BASE] = x.ctypes.data
    call[at.Y_BASE] = y.ctypes.data
    call[at.Y_GROUP] = y.strides[1] * (y.shape[1] // task.groups)
    call[at.Y_IS_PLAIN] = 0
    call[at.WEIGHTS] = packed.weights.ctypes.data
    call[at.BIASES] = packed.biases.ctypes.data
    call[at.WORKSPACE] = workspace.ctypes.data
    call[at.FINISH] = address_of(scatter(sums.dtype, sums.memory))
    call[at.PLACES] = table.ctypes.data
    parallel.run(convolve_box, call, jobs, threads)
    give_back(workspace)
