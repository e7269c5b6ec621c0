"""One call of the direct convolution: the words that its jobs read, made once for each kind.

A kind of call is a task and the strides of its arrays; what differs between calls of one kind are
a handful of addresses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import words
from faltung.compiled._jit import Job
from faltung.compiled.entry import Call, Runner, make_runner
from faltung.compiled.gathering import has_short_rows, stage_by_table
from faltung.compiled.lanes_schedule import LanesSchedule
from faltung.compiled.memory import address_of
from faltung.compiled.microkernel import AHEAD
from faltung.compiled.packing import pack_fill, packing_of
from faltung.compiled.pointwise import multiply_box
from faltung.compiled.pointwise_schedule import coming_offsets, strip_jobs, with_strips
from faltung.compiled.schedule import Axis, Schedule, Shape, make_schedule
from faltung.compiled.staged_strips import staged_strip_jobs, staged_strip_tiles
from faltung.compiled.staging import has_channels_last, stage
from faltung.compiled.storing import finish
from faltung.compiled.sweep import convolve_box, enter_box, run_tile, sweep_box
from faltung.compiled.task import DirectTask, SumType, is_short
from faltung.compiled.variants import Row

__all__ = [
    "Prepared",
    "Strides",
    "give_back",
    "prepare",
    "put_axes",
    "runner_of",
    "schedule_of",
    "steps_of",
    "take_workspace",
    "tap_offsets",
]

Strides = tuple[int, int, int, int, int]


class Prepared(NamedTuple):
    """A kind of call: the words that all its calls share, and what they point to."""

    words: NDArray[np.int64]
    arrays: tuple[NDArray[Any], ...]
    schedule: Schedule
    job: Job


def steps_of(array: NDArray[Any]) -> Strides:
    """Strides in bytes of (batch, channel, depth, height, width)."""
    batch, channel, *spatial = array.strides
    shape = (1,) * (5 - array.ndim) + array.shape[2:]
    steps = [0] * (5 - array.ndim) + spatial
    # An axis of length 1 may have any stride; one that joins its neighbour is the most useful.
    for axis in (1, 0):
        if shape[axis] == 1:
            steps[axis] = steps[axis + 1] * shape[axis + 1]
    return batch, channel, steps[0], steps[1], steps[2]


def _joins(steps: Strides, shape: tuple[int, ...], first: int) -> bool:
    """Whether the spatial axes from `first` on are one evenly spaced row."""
    return all(steps[2 + axis] == steps[3 + axis] * shape[1 + axis] for axis in range(first, 2))


def _joined(shape: Shape) -> Shape:
    """A 1×1 window over contiguous planes is one over a single long row."""
    pixels = prod(axis.outputs for axis in shape.axes)
    return shape._replace(axes=(Axis(1, 1, 1), Axis(1, 1, 1), Axis(pixels, pixels, 1)))


def schedule_of(
    task: DirectTask, sums: SumType, row: Row, x_steps: Strides | None, y_steps: Strides | None
) -> tuple[Schedule, Shape]:
    """How a task is cut, and the shape that is; strides of None stand for contiguous arrays."""
    shape = Shape(
        task.batch, task.groups, sums.parts * task.channels, sums.parts * task.filters, task.axes
    )
    lengths = tuple(axis.length for axis in task.axes)
    outputs = tuple(axis.outputs for axis in task.axes)
    is_same = sums.memory == sums.dtype and sums.parts == 1
    size = row.element.size
    x_joins = x_steps is None or (x_steps[4] == size and _joins(x_steps, lengths, 0))
    y_joins = y_steps is None or _joins(y_steps, outputs, 0)
    if is_same and x_joins and y_joins and task.is_pointwise:
        joined = _joined(shape)
        schedule = make_schedule(joined, row, may_be_direct=True, may_be_flat=True)
        if schedule.is_direct:
            return with_strips(schedule, joined, row), joined
    may_be_flat = y_steps is None or _joins(y_steps, outputs, 1)
    return make_schedule(shape, row, may_be_direct=False, may_be_flat=may_be_flat), shape


def tap_offsets(schedule: Schedule | LanesSchedule, size: int) -> NDArray[np.int64]:
    """Byte offsets of the taps of a chunk from the tile's first pixel in the staged planes."""
    cells_d, cells_h = (
        np.array(layout.copies, np.int64) * (box + layout.extra) + np.array(layout.shifts, np.int64)
        for layout, box in zip(schedule.layouts[:2], schedule.boxes[:2], strict=True)
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
    return (channels[:, None] + taps).ravel()


def put_axes(
    call: NDArray[np.int64],
    axes: tuple[Axis, Axis, Axis],
    schedule: Any,
    x_steps: Strides,
    y_steps: Strides,
    keep: Callable[..., int],
) -> None:
    """Write the words of the three axes; `schedule` has their layouts and the outputs of a box.

    `keep` gives the address of numbers that live as long as the call.
    """
    for number, axis in enumerate(axes):
        layout, box = schedule.layouts[number], schedule.boxes[number]
        at = words.AXES + number * words.AXIS_SIZE
        call[at : at + words.AXIS_SIZE] = (
            axis.length, axis.stride, axis.before, len(axis.high), len(layout.starts),
            keep(layout.starts), layout.extra, box + layout.extra, keep(axis.low),
            keep(axis.high), x_steps[2 + number], y_steps[2 + number], axis.outputs, box,
        )  # fmt: skip


@lru_cache(maxsize=256)
def prepare(
    task: DirectTask, sums: SumType, row: Row, has_bias: bool, x_steps: Strides, y_steps: Strides
) -> Prepared:
    """The words of a kind of call; compiles what it needs."""
    schedule, shape = schedule_of(task, sums, row, x_steps, y_steps)
    call = np.zeros(words.DIRECT_WORDS[-1] + 1, np.int64)
    arrays: list[NDArray[Any]] = []

    def keep(values: Any, dtype: Any = np.int64) -> int:
        arrays.append(np.ascontiguousarray(values, dtype))
        return int(arrays[-1].ctypes.data)

    for index, value in _sizes(schedule, shape, row).items():
        call[index] = value
    put_axes(call, shape.axes, schedule, x_steps, y_steps, keep)
    size, kind = row.element.size, row.element.dtype
    offsets = tap_offsets(schedule, size)
    if schedule.is_direct:
        offsets = np.arange(schedule.chunks.channels, dtype=np.int64) * x_steps[1]
        call[words.PLANE_SIZE] = x_steps[1]
    call[words.TAP_OFFSETS] = keep(np.concatenate([offsets, np.repeat(offsets[-1:], AHEAD)]))
    chunk_taps = np.arange(schedule.chunks.taps)
    call[words.LINEAR_WIDE] = keep(chunk_taps * row.wide.row_size)
    call[words.LINEAR_NARROW] = keep(chunk_taps * row.narrow.row_size)
    call[words.ZEROS] = keep(np.zeros(max(row.wide.size, row.line.size) // size), kind)
    is_relu = task.is_relu and row.element.is_float
    least = -np.inf if row.element.is_float else 0
    call[words.FLOORS] = keep([least, 0 if is_relu else least], kind)
    call[words.FILL] = keep(pack_fill(task.fill, task.dtype, sums), kind)
    call[words.HAS_EPILOGUE] = has_bias or is_relu
    call[words.IS_RELU] = task.is_relu
    item = np.dtype("uint16" if sums.memory == "bfloat16" else sums.memory).itemsize
    call[words.X_BATCH : words.X_PARTS + 1] = (
        x_steps[0], x_steps[1] * task.channels, x_steps[1], item, sums.parts,
    )  # fmt: skip
    is_plain = sums.memory == sums.dtype and sums.parts == 1 and y_steps[4] == size
    call[words.Y_BATCH : words.Y_IS_PLAIN + 1] = (
        y_steps[0], y_steps[1] * task.filters, y_steps[1], item, sums.parts, is_plain,
    )  # fmt: skip
    finish_job = finish(sums.dtype, sums.memory)
    is_last = has_channels_last(sums, x_steps)
    is_same = sums.memory == sums.dtype and sums.parts == 1
    if is_same and not is_last and has_short_rows(shape.axes, schedule):
        stage_job, table, vectors = stage_by_table(shape.axes, schedule, x_steps[2:], row.element)
        call[words.GATHER_TABLE], call[words.GATHER_VECTORS] = keep(table), vectors
    else:
        stage_job = stage(sums.memory, sums.dtype, is_last)
    job, tile_jobs = convolve_box, row.columns
    if schedule.is_direct and is_plain:
        job, tile_jobs = multiply_box, partial(strip_jobs, schedule, shape, row)
        call[words.STRIP_TILES] = schedule.strip_tiles
        call[words.STRIP_OFFSETS] = keep(coming_offsets(schedule, row, x_steps[1]))
    elif is_plain and (tiles := staged_strip_tiles(schedule, shape, row)) > 1:
        tile_jobs = partial(staged_strip_jobs, row)
        call[words.STRIP_TILES] = tiles
    jobs = (enter_box, stage_job, sweep_box, run_tile, *tile_jobs(), finish_job)
    call[words.ENTER : words.FINISH + 1] = [address_of(each) for each in jobs]
    return Prepared(call, tuple(arrays), schedule, job)


@lru_cache(maxsize=1024)
def runner_of(
    task: DirectTask,
    sums: SumType,
    row: Row,
    has_bias: bool,
    x_steps: Strides,
    y_steps: Strides,
    packs: bool = False,
) -> Runner:
    """What runs a kind of call on arrays; with `packs` it takes weights that are not packed."""
    kind = prepare(task, sums, row, has_bias, x_steps, y_steps)
    schedule = kind.schedule
    item = max(1, np.dtype("uint16" if sums.memory == "bfloat16" else sums.memory).itemsize)
    is_alone = is_short(task.macs, task.moved_numbers)
    call = Call(kind.job, kind.words, schedule.jobs, schedule.workspace, is_alone, item)
    packing = None
    if packs:
        channels, rows = sums.parts * task.channels, sums.parts * task.filters
        packing = packing_of(task.groups, rows, channels, task.kernel_taps, row)
    return make_runner(call, packing, take_workspace, give_back, kind.arrays)


def _sizes(schedule: Schedule, shape: Shape, row: Row) -> dict[int, int]:
    """The words that are neither addresses nor strides of arrays."""
    plane = shape.axes[1].outputs * shape.axes[2].outputs
    counts = [-(-axis.outputs // box) for axis, box in zip(shape.axes, schedule.boxes, strict=True)]
    if schedule.is_flat:
        counts[1:] = [-(-plane // schedule.box_pixels), 1]
    taps = prod(axis.kernel for axis in shape.axes)
    size = row.element.size
    filled = schedule.blocks * row.rows + schedule.singles
    return {
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
        words.WEIGHT_GROUP: shape.channels * taps * filled * size,
        words.WEIGHT_TAP: filled * size,
        words.BIAS_GROUP: filled * size,
        words.WORKSPACE_STEP: schedule.workspace,
        words.PANEL_AT: schedule.panel_at,
        words.SCRATCH_AT: schedule.scratch_at,
        words.STAGED_AT: schedule.staged_at,
        words.SCRATCH_KEEPS: schedule.scratch_keeps,
    }


_MOST_KEPT = 32 << 20
_workspaces: deque[NDArray[np.uint8]] = deque(maxlen=4)


def take_workspace(size: int) -> NDArray[np.uint8]:
    """Memory that begins at a cache line: what an earlier call gave back, if it is large enough."""
    try:
        memory = _workspaces.pop()
    except IndexError:
        pass
    else:
        if memory.size >= size:
            return memory
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


def give_back(memory: NDArray[np.uint8]) -> None:
    """Keep the memory of a call that is over for the next one: fresh pages cost a fault each."""
    if memory.size <= _MOST_KEPT:
        _workspaces.append(memory)
