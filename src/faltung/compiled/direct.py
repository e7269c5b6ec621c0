"""Direct convolution of arrays whose windows are already numbers: no named modes, no checks.

`facts` says without compiling what a task will need, `pack` prepares weights for any number of
tasks that share them, `run` computes. Tasks always have three spatial axes: those of lower rank
are filled up with axes of length 1 at the front.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel, words
from faltung.compiled.memory import address_of
from faltung.compiled.microkernel import AHEAD
from faltung.compiled.packing import (
    SumType,
    pack_bias,
    pack_fill,
    pack_weights,
    packed_shape,
    sum_type,
)
from faltung.compiled.schedule import MOST_WORKSPACE, Axis, Schedule, Shape, make_schedule
from faltung.compiled.staging import stage
from faltung.compiled.storing import finish
from faltung.compiled.sweep import convolve_box
from faltung.compiled.variants import Row, find_row

__all__ = ["Axis", "DirectTask", "Facts", "facts", "pack", "run"]


@dataclass(frozen=True)
class DirectTask:
    """One convolution.

    Parameters
    ----------
    batch, groups : int
        Samples and groups of channels.
    channels, filters : int
        Input and output channels of a group.
    axes : tuple of three Axis
        The spatial axes.
    dtype : str
        Name of the dtype of input, weights, bias and output; ``"bfloat16"`` is an array of
        ml_dtypes or of its bits as uint16.
    fill : float, int, complex or bool
        The value of cells whose source is -1.
    is_relu : bool
        Whether negative results become zero; NaN stays.
    """

    batch: int
    groups: int
    channels: int
    filters: int
    axes: tuple[Axis, Axis, Axis]
    dtype: str
    fill: Any = 0
    is_relu: bool = False

    @property
    def kernel_taps(self) -> int:
        """Taps of the kernel."""
        return prod(axis.kernel for axis in self.axes)

    @property
    def sums(self) -> SumType | None:
        """How sums are kept, or None for a dtype without kernels."""
        return sum_type(self.dtype, self.channels * self.kernel_taps + 1)


class Facts(NamedTuple):
    """What a task will need.

    Parameters
    ----------
    variant : str
        Id of the kernel's row.
    macs : int
        Multiply-adds, those with padding included.
    workspace_bytes : int
        Of one thread.
    packed_bytes : int
        Of the packed weights.
    jobs : int
        Pieces of work.
    refusal : str
        Why the task cannot run, or an empty string.
    """

    variant: str
    macs: int
    workspace_bytes: int
    packed_bytes: int
    jobs: int
    refusal: str


def _shape(task: DirectTask, sums: SumType) -> Shape:
    parts = sums.parts
    return Shape(task.batch, task.groups, parts * task.channels, parts * task.filters, task.axes)


def _joined(shape: Shape) -> Shape:
    """A 1×1 window over contiguous planes is one over a single long row."""
    pixels = prod(axis.outputs for axis in shape.axes)
    return shape._replace(axes=(Axis(1, 1, 1), Axis(1, 1, 1), Axis(pixels, pixels, 1)))


def _is_pointwise(task: DirectTask) -> bool:
    return all(
        axis.kernel == 1 and axis.stride == 1 and axis.before == 0 and axis.length == axis.outputs
        for axis in task.axes
    )


@lru_cache(maxsize=1024)
def facts(task: DirectTask) -> Facts:
    """What a task needs, from its numbers alone; compiles nothing.

    Notes
    -----
    The workspace is that of contiguous arrays; other memory orders need no more than
    `MOST_WORKSPACE` either.
    """
    sums = task.sums
    if sums is None:
        return Facts("", 0, 0, 0, 0, f"there is no kernel for {task.dtype}")
    row = find_row(sums.dtype)
    shape = _shape(task, sums)
    macs = task.batch * task.groups * task.filters * task.channels * task.kernel_taps
    macs *= prod(axis.outputs for axis in task.axes)
    packed = prod(packed_shape(task.groups, shape.rows, shape.channels, task.kernel_taps, row))
    needed, jobs = 0, 0
    for is_contiguous in (False, True):
        schedule = _schedule(task, sums, row, is_contiguous=is_contiguous)
        needed, jobs = max(needed, schedule.workspace), schedule.jobs
    refusal = ""
    if needed > MOST_WORKSPACE:
        refusal = (
            f"its smallest box of outputs stages {needed} bytes a thread, "
            f"more than the {MOST_WORKSPACE} allowed"
        )
    return Facts(row.id, macs, needed, packed * row.element.size, jobs, refusal)


def _schedule(task: DirectTask, sums: SumType, row: Row, *, is_contiguous: bool) -> Schedule:
    shape = _shape(task, sums)
    if is_contiguous and _is_pointwise(task):
        joined = make_schedule(_joined(shape), row, may_be_direct=True, may_be_flat=True)
        if joined.is_direct:
            return joined
    return make_schedule(shape, row, may_be_direct=False, may_be_flat=is_contiguous)


@dataclass(frozen=True)
class PackedWeights:
    """Weights as the kernels of one row read them; they fit every input shape."""

    values: NDArray[Any]
    row: Row


def pack(weight: NDArray[Any], task: DirectTask) -> PackedWeights:
    """Weights of shape (O, C / groups, *kernel) in the order that the kernels read.

    They serve every task with the same channels, groups, kernel and dtype.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    values = pack_weights(weight, task.groups, task.dtype, sums)
    return PackedWeights(values, find_row(sums.dtype))


class _Tables(NamedTuple):
    """The part of a call's words that depends on the schedule alone, and what they point to."""

    words: NDArray[np.int64]
    arrays: list[NDArray[Any]]


def _tap_offsets(schedule: Schedule, size: int) -> NDArray[np.int64]:
    """Byte offsets of the taps of a chunk from the tile's first pixel in the staged planes."""
    cells_d, cells_h, cells_w = (
        np.array(layout.copies, np.int64) * (box + layout.extra) + np.array(layout.shifts, np.int64)
        for layout, box in zip(schedule.layouts, schedule.boxes, strict=True)
    )
    layout_d, layout_h, layout_w = schedule.layouts
    rows_h = layout_h.cells(schedule.boxes[1])
    pitch = schedule.boxes[2] + layout_w.extra
    # Copies along the last axis are whole planes; within a row taps are shifts.
    copies_w = np.array(layout_w.copies, np.int64) * layout_d.cells(schedule.boxes[0])
    cells_w = copies_w * rows_h * pitch + np.array(layout_w.shifts, np.int64)
    rows = cells_d[:, None] * rows_h + cells_h[None, :]
    taps = (rows[:, :, None] * pitch + cells_w).ravel() * size
    channels = np.arange(schedule.chunks.channels, dtype=np.int64) * schedule.plane_size
    return _lengthened((channels[:, None] + taps).ravel())


def _lengthened(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets with those that the micro-kernel asks the memory for before it stops."""
    return np.concatenate([offsets, np.repeat(offsets[-1:], AHEAD)])


@lru_cache(maxsize=256)
def _tables(schedule: Schedule, shape: Shape, row: Row) -> _Tables:
    """All words that do not depend on addresses and strides of the call's arrays."""
    call = np.zeros(words.DIRECT_WORDS[-1] + 1, np.int64)
    arrays: list[NDArray[Any]] = []

    def keep(values: Any, dtype: Any = np.int64) -> int:
        arrays.append(np.ascontiguousarray(values, dtype))
        return int(arrays[-1].ctypes.data)

    size = row.element.size
    counts = []
    for number, axis in enumerate(shape.axes):
        layout, box = schedule.layouts[number], schedule.boxes[number]
        at = words.AXES + number * words.AXIS_SIZE
        counts.append(-(-axis.outputs // box))
        call[at : at + words.X_STEP] = (
            axis.length, axis.stride, axis.before, len(axis.high), len(layout.starts),
            keep(layout.starts), layout.extra, box + layout.extra, keep(axis.low), keep(axis.high),
        )  # fmt: skip
        call[at + words.OUTPUTS], call[at + words.BOX] = axis.outputs, box
    plane = shape.axes[1].outputs * shape.axes[2].outputs
    if schedule.is_flat:
        counts[1:] = [-(-plane // schedule.box_pixels), 1]
    taps = prod(axis.kernel for axis in shape.axes)
    chunk_taps = np.arange(schedule.chunks.taps)
    values = {
        words.BATCH: shape.batch,
        words.GROUPS: shape.groups,
        words.BOXES_D: counts[0],
        words.BOXES_H: counts[1],
        words.BOXES_W: counts[2],
        words.BOX_FLAT: schedule.box_pixels,
        words.PARTS_O: -(-schedule.blocks // schedule.blocks_a_part) if schedule.blocks else 1,
        words.IS_FLAT: schedule.is_flat,
        words.IS_DIRECT: schedule.is_direct,
        words.PLANE_PIXELS: plane,
        words.CHANNELS: shape.channels,
        words.CHUNK_CHANNELS: schedule.chunks.channels,
        words.CHUNK_TAPS: schedule.chunks.taps,
        words.KERNEL: taps,
        words.GROUP_CHANNELS: schedule.group_channels,
        words.ROWS: shape.rows,
        words.BLOCKS_ALL: schedule.blocks,
        words.SINGLES_ALL: schedule.singles,
        words.BLOCKS_A_PART: schedule.blocks_a_part,
        words.BLOCK_ROWS: row.rows,
        words.WIDE_PIXELS: row.wide.pixels,
        words.NARROW_PIXELS: row.narrow.pixels,
        words.LINE_PIXELS: row.line.pixels,
        words.SIZE: size,
        words.PLANE_SIZE: schedule.plane_size,
        words.TAP_OFFSETS: keep(_tap_offsets(schedule, size)),
        words.LINEAR_WIDE: keep(chunk_taps * row.wide.row_size),
        words.LINEAR_NARROW: keep(chunk_taps * row.narrow.row_size),
        words.WEIGHT_GROUP: shape.channels * taps * _filled(schedule, row) * size,
        words.WEIGHT_TAP: _filled(schedule, row) * size,
        words.BIAS_GROUP: _filled(schedule, row) * size,
        words.ZEROS: keep(np.zeros(max(row.wide.size, row.line.size) // size), row.element.dtype),
        words.WORKSPACE_STEP: schedule.workspace,
        words.PANEL_AT: schedule.panel_at,
        words.SCRATCH_AT: schedule.scratch_at,
        words.STAGED_AT: schedule.staged_at,
        words.SCRATCH_KEEPS: schedule.scratch_keeps,
    }
    for index, value in values.items():
        call[index] = value
    return _Tables(call, arrays)


def _filled(schedule: Schedule, row: Row) -> int:
    return schedule.blocks * row.rows + schedule.singles


_workspaces: deque[NDArray[np.uint8]] = deque(maxlen=8)


def _take_workspace(size: int) -> NDArray[np.uint8]:
    """Memory that begins at a cache line; what earlier calls gave back is used first."""
    while True:
        try:
            memory = _workspaces.pop()
        except IndexError:
            break
        if memory.size >= size:
            return memory
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


def _steps(array: NDArray[Any]) -> tuple[int, ...]:
    """Strides in bytes of (batch, channel, depth, height, width)."""
    batch, channel, *spatial = array.strides
    shape = (1,) * (5 - array.ndim) + array.shape[2:]
    steps = [0] * (5 - array.ndim) + spatial
    # An axis of length 1 may have any stride; one that joins its neighbour is the most useful.
    for axis in (1, 0):
        if shape[axis] == 1:
            steps[axis] = steps[axis + 1] * shape[axis + 1]
    return batch, channel, *steps


def _joins(array: NDArray[Any], steps: tuple[int, ...], first: int) -> bool:
    """Whether the spatial axes from `first` on are one evenly spaced row."""
    shape = (1,) * (5 - array.ndim) + array.shape[2:]
    return all(steps[2 + a] == steps[3 + a] * shape[1 + a] for a in range(first, 2))


def run(
    task: DirectTask,
    x: NDArray[Any],
    packed: PackedWeights,
    bias: NDArray[Any] | None,
    y: NDArray[Any],
) -> None:
    """Compute a task into `y`.

    Parameters
    ----------
    x : ndarray, (batch, groups * channels, *spatial)
        Of any strides, aligned and in native byte order; one to three spatial axes.
    packed : PackedWeights
        From `pack`.
    bias : ndarray, (groups * filters,), or None
        Of the task's dtype.
    y : ndarray, (batch, groups * filters, *spatial)
        Of any strides, aligned and in native byte order; must not overlap `x`.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    row, shape = packed.row, _shape(task, sums)
    x_steps, y_steps = _steps(x), _steps(y)
    item, size = x.itemsize, row.element.size
    is_same = sums.memory == sums.dtype and sums.parts == 1
    y_joins = _joins(y, y_steps, 0)
    schedule = None
    if is_same and _is_pointwise(task) and x_steps[4] == item and y_joins and _joins(x, x_steps, 0):
        schedule = make_schedule(_joined(shape), row, may_be_direct=True, may_be_flat=True)
        if schedule.is_direct:
            shape = _joined(shape)
        else:
            schedule = None
    if schedule is None:
        may_be_flat = _joins(y, y_steps, 1)
        schedule = make_schedule(shape, row, may_be_direct=False, may_be_flat=may_be_flat)
    tables = _tables(schedule, shape, row)
    call = tables.words.copy()
    biases = pack_bias(bias, shape.rows, task.groups, task.dtype, sums)
    floors = np.zeros(2, row.element.dtype)
    if row.element.is_float:
        floors[0] = -np.inf
        floors[1] = 0 if task.is_relu else -np.inf
    fill = pack_fill(task.fill, task.dtype, sums)
    offsets = None
    if schedule.is_direct:
        call[words.PLANE_SIZE] = x_steps[1]
        offsets = _lengthened(np.arange(schedule.chunks.channels, dtype=np.int64) * x_steps[1])
        call[words.TAP_OFFSETS] = offsets.ctypes.data
    for number in range(3):
        at = words.AXES + number * words.AXIS_SIZE
        call[at + words.X_STEP], call[at + words.Y_STEP] = x_steps[2 + number], y_steps[2 + number]
    wide, narrow, line = row.columns()
    threads = min(schedule.jobs, parallel.get_num_threads())
    workspace = _take_workspace(threads * schedule.workspace)
    values = {
        words.X_BASE: x.ctypes.data,
        words.X_BATCH: x_steps[0],
        words.X_GROUP: x_steps[1] * task.channels,
        words.X_CHANNEL: x_steps[1],
        words.X_PART: item // sums.parts,
        words.X_PARTS: sums.parts,
        words.Y_BASE: y.ctypes.data,
        words.Y_BATCH: y_steps[0],
        words.Y_GROUP: y_steps[1] * task.filters,
        words.Y_ROW: y_steps[1],
        words.Y_PART: item // sums.parts,
        words.Y_PARTS: sums.parts,
        words.Y_IS_PLAIN: is_same and y_steps[4] == size,
        words.WEIGHTS: packed.values.ctypes.data,
        words.BIASES: biases.ctypes.data,
        words.FLOORS: floors.ctypes.data,
        words.HAS_EPILOGUE: bias is not None or (task.is_relu and row.element.is_float),
        words.FILL: fill.ctypes.data,
        words.WORKSPACE: workspace.ctypes.data,
        words.STAGE: address_of(stage(sums.memory, sums.dtype)),
        words.WIDE: address_of(wide),
        words.NARROW: address_of(narrow),
        words.LINE: address_of(line),
        words.FINISH: address_of(finish(sums.dtype, sums.memory)),
        words.IS_RELU: task.is_relu,
    }
    for index, value in values.items():
        call[index] = value
    parallel.run(convolve_box, call, schedule.jobs, threads)
    _workspaces.append(workspace)
