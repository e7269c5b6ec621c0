"""Resampling of planes: for each output row one pass down the columns, then one along the row.

The rows that an output row is made of are added up, each times its factor, in a buffer that stays
in the cache: neighbours in lanes. The buffer is then resampled along the row. So nothing is kept
that is larger than two rows. Cells that an output does not use are left out, not added as zeros.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel
from faltung.compiled._jit import Job, Kernel, intrinsic, job, kernel
from faltung.compiled.call import give_back, steps_of, take_workspace
from faltung.compiled.casts import narrowing, widening
from faltung.compiled.memory import loader, storer, word

__all__ = ["AxisTable", "Sampling", "line_bytes", "row_cost", "run_copy", "run_interpolation"]

_JOB_COST = 2_000_000  # products: a millisecond, or ten where nothing is vectorised
_WANTED_JOBS = 16
_ROUNDING = 1.5 * 2.0**52
"""Added to a number below 2**51 and taken away again, it leaves a whole number, halves to even."""

# The words of a call.
_AXIS_WORDS = (INDEX, FACTORS, TAPS, SIZE, OUTPUTS, X_STEP, Y_STEP) = range(7)
_AXIS_SIZE = len(_AXIS_WORDS)
(
    X, Y, X_SAMPLE, X_CHANNEL, Y_SAMPLE, Y_CHANNEL, CHANNELS, ROWS_A_JOB, BANDS,
    WORKSPACE, WORKSPACE_STEP,
) = range(3 * _AXIS_SIZE, 3 * _AXIS_SIZE + 11)  # fmt: skip
_NUMBER = 3 * _AXIS_SIZE + 11


class AxisTable(NamedTuple):
    """How one axis is resampled.

    Parameters
    ----------
    size, outputs : int
        Cells before and after.
    cells : array of int64, (taps, outputs), contiguous
        The cell of each tap, -1 where there is none.
    factors : array, (taps, outputs), contiguous
        The weights, in the dtype of the sums.
    """

    size: int
    outputs: int
    cells: NDArray[np.int64]
    factors: NDArray[Any]


class Sampling(NamedTuple):
    """How numbers of a dtype are resampled: what memory holds, and what sums are kept in."""

    dtype: str
    sums: str


def row_cost(axes: tuple[AxisTable, AxisTable, AxisTable]) -> int:
    """Products for one output row."""
    axis_d, axis_h, axis_w = axes
    rows = len(axis_d.cells) * len(axis_h.cells)
    return rows * axis_w.size + len(axis_w.cells) * axis_w.outputs


def line_bytes(size: int, outputs: int, itemsize: int) -> int:
    """Bytes of workspace of one thread: a row before and one after."""
    return -(-(size + outputs) * itemsize // 64) * 64


def _emit_whole(builder: Any, value: Any) -> Any:
    from llvmlite import ir

    return builder.fptosi(value, ir.IntType(64))


@intrinsic("int64(float64)", _emit_whole)
def _as_whole(value: Any) -> Any:
    """A float that is a whole number, within the range, as an integer."""
    return np.int64(value)


@cache
def _rounded(dtype: str) -> Kernel:
    """From float64 to an integer of at most 32 bits: halves to even, within range, NaN as 0."""
    is_bool = dtype == "bool"
    memory, narrow = narrowing("int64", dtype)
    low, high = (0, 1) if is_bool else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    least, most = float(low), float(high)

    @kernel(f"{memory}(float64)")
    def round_to_range(value: Any) -> Any:
        if value != value:
            return narrow(np.int64(0))
        if is_bool:
            return narrow(np.int64(1 if value > 0.5 else 0))
        inside = max(least, min(most, value))
        return narrow(_as_whole((inside + _ROUNDING) - _ROUNDING))

    return round_to_range


def _reader(sampling: Sampling) -> tuple[Any, Any]:
    """What loads an element, and what makes a number of the sums' dtype of it."""
    dtype, target = sampling
    if dtype in {"float16", "bfloat16"}:
        return loader("uint16"), widening(dtype, target).cast
    load = loader("uint8" if dtype == "bool" else dtype)
    return load, np.dtype(target).type


def _writer(sampling: Sampling) -> tuple[Any, Any]:
    """What stores an element, and what makes it of a sum."""
    dtype, sums = sampling
    if dtype == "bool" or "int" in dtype:
        return storer("uint8" if dtype == "bool" else dtype), _rounded(dtype)
    memory, narrow = narrowing(sums, dtype)
    return storer(memory), narrow


@cache
def _interpolate(sampling: Sampling) -> Job:  # noqa: C901  loops over all that a row is made of
    """The job that computes a band of rows of a plane."""
    (load, widen), (store, narrow) = _reader(sampling), _writer(sampling)
    load_sum, store_sum, load_cell = loader(sampling.sums), storer(sampling.sums), loader("int64")
    zero = np.dtype(sampling.sums).type(0)
    size, item = np.dtype(sampling.sums).itemsize, _itemsize(sampling.dtype)

    @job
    def interpolate(thread: int, call: int, number: int) -> None:  # noqa: C901
        axis_d, axis_h, axis_w = call, call + 8 * _AXIS_SIZE, call + 16 * _AXIS_SIZE
        band, number = number % word(call, BANDS), number // word(call, BANDS)
        deep, wide, high = word(axis_d, OUTPUTS), word(axis_w, OUTPUTS), word(axis_h, OUTPUTS)
        d, plane = number % deep, number // deep
        sample, channel = plane // word(call, CHANNELS), plane % word(call, CHANNELS)
        x = word(call, X) + sample * word(call, X_SAMPLE) + channel * word(call, X_CHANNEL)
        y = word(call, Y) + sample * word(call, Y_SAMPLE) + channel * word(call, Y_CHANNEL)
        line = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
        cells, x_step, y_step = word(axis_w, SIZE), word(axis_w, X_STEP), word(axis_w, Y_STEP)
        result, index_w, factors_w = line + cells * size, word(axis_w, INDEX), word(axis_w, FACTORS)
        first = band * word(call, ROWS_A_JOB)
        for row in range(first, min(high, first + word(call, ROWS_A_JOB))):
            for i in range(cells):
                store_sum(line, i, zero)
            for tap_d in range(word(axis_d, TAPS)):
                cell_d = load_cell(word(axis_d, INDEX), tap_d * deep + d)
                for tap_h in range(word(axis_h, TAPS)):
                    cell_h = load_cell(word(axis_h, INDEX), tap_h * high + row)
                    if min(cell_d, cell_h) < 0:
                        continue
                    factor = load_sum(word(axis_h, FACTORS), tap_h * high + row)
                    factor = factor * load_sum(word(axis_d, FACTORS), tap_d * deep + d)
                    source = x + cell_d * word(axis_d, X_STEP) + cell_h * word(axis_h, X_STEP)
                    if x_step == item:
                        for i in range(cells):
                            value = widen(load(source, i))
                            store_sum(line, i, load_sum(line, i) + factor * value)
                    else:
                        for i in range(cells):
                            value = widen(load(source + i * x_step, 0))
                            store_sum(line, i, load_sum(line, i) + factor * value)
            for i in range(wide):
                store_sum(result, i, zero)
            for tap in range(word(axis_w, TAPS)):
                index, factors = index_w + 8 * tap * wide, factors_w + size * tap * wide
                for i in range(wide):
                    cell, before = load_cell(index, i), load_sum(result, i)
                    total = before + load_sum(factors, i) * load_sum(line, max(cell, 0))
                    store_sum(result, i, total if cell >= 0 else before)
            target = y + d * word(axis_d, Y_STEP) + row * word(axis_h, Y_STEP)
            if y_step == item:
                for i in range(wide):
                    store(target, i, narrow(load_sum(result, i)))
            else:
                for i in range(wide):
                    store(target + i * y_step, 0, narrow(load_sum(result, i)))

    return interpolate


@cache
def _copy(item: int) -> Job:
    """The job that copies a band of rows of a plane, one cell for each output."""
    load, store, load_cell = loader(f"uint{8 * item}"), storer(f"uint{8 * item}"), loader("int64")

    @job
    def copy_cells(_thread: int, call: int, number: int) -> None:
        axis_d, axis_h, axis_w = call, call + 8 * _AXIS_SIZE, call + 16 * _AXIS_SIZE
        band, number = number % word(call, BANDS), number // word(call, BANDS)
        deep, wide, high = word(axis_d, OUTPUTS), word(axis_w, OUTPUTS), word(axis_h, OUTPUTS)
        d, plane = number % deep, number // deep
        sample, channel = plane // word(call, CHANNELS), plane % word(call, CHANNELS)
        x = word(call, X) + sample * word(call, X_SAMPLE) + channel * word(call, X_CHANNEL)
        y = word(call, Y) + sample * word(call, Y_SAMPLE) + channel * word(call, Y_CHANNEL)
        x += load_cell(word(axis_d, INDEX), d) * word(axis_d, X_STEP)
        y += d * word(axis_d, Y_STEP)
        index, before = word(axis_w, INDEX), -1
        x_step, y_step = word(axis_w, X_STEP), word(axis_w, Y_STEP)
        first = band * word(call, ROWS_A_JOB)
        for row in range(first, min(high, first + word(call, ROWS_A_JOB))):
            target = y + row * word(axis_h, Y_STEP)
            cell = load_cell(word(axis_h, INDEX), row)
            if cell == before and y_step == item:  # as the row above
                above = target - word(axis_h, Y_STEP)
                for i in range(wide):
                    store(target, i, load(above, i))
            else:
                source = x + cell * word(axis_h, X_STEP)
                for i in range(wide):
                    store(target + i * y_step, 0, load(source + load_cell(index, i) * x_step, 0))
            before = cell

    return copy_cells


def _itemsize(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def run_interpolation(
    sampling: Sampling,
    axes: tuple[AxisTable, AxisTable, AxisTable],
    x: NDArray[Any],
    y: NDArray[Any],
) -> None:
    """Resample every plane of x into y.

    Parameters
    ----------
    sampling : Sampling
        The dtype of both arrays, and that of the sums and factors.
    axes : tuple of three AxisTable
        Those of lower rank are filled up in front with axes of one cell and one tap.
    x, y : ndarray, (batch, channels, *spatial)
        Of any strides, aligned; they must not overlap.
    """
    size = np.dtype(sampling.sums).itemsize
    _run(_interpolate(sampling), axes, x, y, line_bytes(axes[2].size, axes[2].outputs, size))


def run_copy(
    axes: tuple[AxisTable, AxisTable, AxisTable], x: NDArray[Any], y: NDArray[Any]
) -> None:
    """Copy the one cell that each output shows; of elements of 1, 2, 4 or 8 bytes."""
    _run(_copy(x.itemsize), axes, x, y, 0)


def _run(
    function: Job,
    axes: tuple[AxisTable, AxisTable, AxisTable],
    x: NDArray[Any],
    y: NDArray[Any],
    step: int,
) -> None:
    if y.size == 0:
        return
    call = np.zeros(_NUMBER, np.int64)
    x_steps, y_steps = steps_of(x), steps_of(y)
    for number, axis in enumerate(axes):
        call[number * _AXIS_SIZE : (number + 1) * _AXIS_SIZE] = (
            axis.cells.ctypes.data, axis.factors.ctypes.data, len(axis.cells), axis.size,
            axis.outputs, x_steps[2 + number], y_steps[2 + number],
        )  # fmt: skip
    planes = y.shape[0] * y.shape[1] * axes[0].outputs
    rows = max(min(axes[1].outputs, _JOB_COST // row_cost(axes)), 1)
    while rows > 1 and planes * -(-axes[1].outputs // rows) < _WANTED_JOBS:
        rows = -(-rows // 2)
    bands = -(-axes[1].outputs // rows)
    jobs = planes * bands
    threads = min(jobs, parallel.get_num_threads())
    workspace = take_workspace(threads * step)
    call[X : WORKSPACE_STEP + 1] = (
        x.ctypes.data, y.ctypes.data, *x.strides[:2], *y.strides[:2], y.shape[1], rows, bands,
        workspace.ctypes.data, step,
    )  # fmt: skip
    parallel.run(function, call, jobs, threads)
    give_back(workspace)
