"""Window reductions of arrays whose windows are already numbers: no named modes, no checks.

`facts` says without compiling what a task will need, `run` computes it or a box of its outputs.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel
from faltung.compiled import pooling_words as at
from faltung.compiled.call import give_back, take_workspace
from faltung.compiled.memory import address_of
from faltung.compiled.pooling_cut import Cut, PoolAxis, PoolTask, Ranges, cut_task, lanes_first
from faltung.compiled.pooling_moves import (
    copy_row,
    count_divisors,
    fill_row,
    split_row,
    spread_row,
    write_places,
)
from faltung.compiled.pooling_rows import (
    IDENTITY,
    divide_rows,
    find_row,
    reduce_rows,
    root_rows,
)
from faltung.compiled.pooling_sweep import (
    fill_margins,
    finish_row,
    reduce_along,
    reduce_axis,
    reduce_line,
    reduce_planes,
    reduce_segments,
)

__all__ = ["DTYPES", "Facts", "PoolAxis", "PoolTask", "facts", "run"]

DTYPES = frozenset(
    ["float32", "float64"] + [f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)]
)
FOLD = 64
"""Cells of a row that a long segment is folded to before its last sum."""


class Facts(NamedTuple):
    """What a task will need.

    Parameters
    ----------
    variant : str
        Id of the row kernels.
    workspace_bytes : int
        Of one thread, whatever the strides of the arrays are.
    """

    variant: str
    workspace_bytes: int


@lru_cache(maxsize=1024)
def facts(task: PoolTask) -> Facts:
    """What a task needs, from its numbers alone; compiles nothing."""
    whole = tuple((0, axis.outputs) for axis in task.axes)
    cuts = [cut_task(task, lanes, whole) for lanes in (False, True)]
    return Facts(find_row(task.dtype).id, max(cut.workspace for cut in cuts))


class _Prepared(NamedTuple):
    """A kind of call: the words that all its calls share, and what they point to."""

    words: NDArray[np.int64]
    arrays: tuple[NDArray[Any], ...]
    cut: Cut


Steps = tuple[int, ...]


@lru_cache(maxsize=128)
def _prepare(
    task: PoolTask, is_last: bool, box: Ranges, x: Steps, y: Steps | None, places: Steps | None
) -> _Prepared:
    """The words of a kind of call; strides are those of (batch, channel, depth, height, width)."""
    cut = cut_task(task, is_last, box)
    call = np.zeros(at.CALL_WORDS[-1] + 1, np.int64)
    arrays: list[NDArray[Any]] = []

    def keep(values: Any) -> int:
        arrays.append(np.ascontiguousarray(values, np.int64))
        return int(arrays[-1].ctypes.data)

    size = np.dtype(task.dtype).itemsize
    none = (0,) * 5
    steps = [cut.order(which or none) for which in (x, y, places)]
    tables = cut.tables(size, steps[0])
    for number, (axis, (start, stop)) in enumerate(zip(cut.axes, cut.ranges, strict=True)):
        here = at.AXES + number * at.AXIS_SIZE
        call[here : here + at.AXIS_SIZE] = (
            at.BINS if axis.is_bins else at.SLIDING, axis.size, axis.outputs, axis.kernel,
            axis.stride, axis.dilation, axis.before, axis.after, axis.counts_padding,
            *(which[2 + number] for which in steps), cut.flat_sizes[number], start, stop,
            cut.boxes[number], -(-(stop - start) // cut.boxes[number]), axis.is_plain,
            keep(tables[number]),
        )  # fmt: skip
    call[at.PLANES : at.CHANNELS + 1] = cut.planes, cut.planes_a_job, cut.channels
    for first, which in zip((at.X_BATCH, at.Y_BATCH, at.P_BATCH), steps, strict=True):
        call[first : first + 2] = which[:2]
    call[at.SIZE_OF], call[at.HAS_PLACES] = size, places is not None
    identity = np.zeros(8, np.uint8)
    identity[:size] = np.array([IDENTITY[task.operation](task.dtype)], task.dtype).view(np.uint8)
    call[at.IDENTITY] = identity.view(np.int64)[0]
    call[at.LAST_PLACE] = 2 ** (8 * size - 1) - 1
    for name, value in cut.layout._asdict().items():
        call[getattr(at, name.upper())] = value
    call[at.FOLD], call[at.LINEAR] = FOLD, keep(tables[4])
    call[at.IS_ROOTED] = task.is_rooted
    call[at.IS_DIVIDED], call[at.FIXED_DIVISOR] = task.is_divided, task.divisor or 0
    is_packed = y is not None and steps[1][5] == size
    is_finished = task.is_divided or task.is_rooted or places is not None
    call[at.IS_DIRECT] = is_packed and not is_finished
    jobs = _jobs(task, size, places is not None)
    jobs[at.REDUCE_LANES] = reduce_segments if cut.is_segmented else reduce_along
    if not call[at.IS_DIRECT]:
        jobs[at.FINISH] = finish_row
    for index, job in jobs.items():
        call[index] = address_of(job)
    return _Prepared(call, tuple(arrays), cut)


def _jobs(task: PoolTask, size: int, has_places: bool) -> dict[int, Any]:
    """The jobs that a task calls; what it does not need is not compiled."""
    row = find_row(task.dtype)
    is_apart = bool(task.before) or has_places
    following = reduce_rows(row, task.operation, "", has_places, False)
    first = reduce_rows(row, task.operation, task.before, has_places, True)
    jobs = {
        at.FIRST: first if is_apart else following,
        at.NEXT: following,
        at.FILL: fill_row(size),
        at.COPY: copy_row(size),
        at.SPREAD: spread_row(size),
        at.REDUCE_AXIS: reduce_axis,
        at.REDUCE_LINE: reduce_line,
        at.MARGINS: fill_margins,
    }
    if any(axis.stride > 1 for axis in task.axes):
        jobs[at.SPLIT] = split_row(size)
    if task.is_divided:
        jobs |= {at.DIVIDE: divide_rows(row), at.COUNT_DIVISORS: count_divisors(task.dtype)}
    if task.is_rooted:
        jobs[at.ROOT] = root_rows(row)
    if has_places:
        jobs[at.WRITE_PLACES] = write_places(size)
    return jobs


def _steps(array: NDArray[Any]) -> Steps:
    batch, channel, *spatial = array.strides
    return batch, channel, *(0,) * (3 - len(spatial)), *spatial


def run(
    task: PoolTask,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    places: NDArray[Any] | None = None,
    box: Ranges | None = None,
    origin: tuple[int, ...] = (0, 0, 0),
) -> None:
    """Compute a task, or a box of its outputs.

    Parameters
    ----------
    task : PoolTask
        One whose workspace fits.
    x : ndarray, (batch, channels, *spatial)
        Of the task's dtype, aligned, in native byte order; its last axis or its channels
        contiguous (`lanes_first`). The cells that the box sees, the first one being `origin`.
    y : ndarray, (batch, channels, *spatial), optional
        The outputs of the box, of any strides; must not overlap `x`.
    places : ndarray of int64, likewise, optional
        Where the winners are, flat in the plane; for the operation "max".
    box : three pairs of int, optional
        First output and the one behind the last, by axis; by default all.
    origin : three ints
        The number of the first cell of `x` on each axis.
    """
    box = box or tuple((0, axis.outputs) for axis in task.axes)
    task = task._replace(batch=x.shape[0], channels=x.shape[1])
    x_steps = _steps(x)
    y_steps = None if y is None else _steps(y)
    p_steps = None if places is None else _steps(places)
    is_last = not lanes_first(task.dtype, x)
    kind = _prepare(task, is_last, box, x_steps, y_steps, p_steps)
    threads = min(kind.cut.jobs, parallel.get_num_threads())
    workspace = take_workspace(threads * kind.cut.workspace)
    call = kind.words.copy()
    starts = tuple(start for start, _ in box)
    call[at.X_BASE] = _virtual(x, x_steps, origin)
    call[at.Y_BASE] = 0 if y is None or y_steps is None else _virtual(y, y_steps, starts)
    if places is not None and p_steps is not None:
        call[at.P_BASE] = _virtual(places, p_steps, starts)
    call[at.WORKSPACE], call[at.WORKSPACE_STEP] = workspace.ctypes.data, kind.cut.workspace
    parallel.run(reduce_planes, call, kind.cut.jobs, threads)
    give_back(workspace)


def _virtual(array: NDArray[Any], steps: Steps, origin: tuple[int, ...]) -> int:
    """Where cell 0 of every axis would be, if the array begins at `origin`."""
    pairs = zip(origin, steps[2:], strict=True)
    return int(array.ctypes.data) - sum(first * step for first, step in pairs)


def cells_of(task: PoolTask) -> int:
    """Cells that all windows see together, padding included: a measure of the work."""
    return task.batch * task.channels * prod(a.outputs * a.kernel for a in task.axes)
