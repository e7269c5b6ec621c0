"""Many small planes, each with a filter of its own: one after the other, in one loop.

A plane of 14×14 cells under a 3×3 kernel is 0.1 µs of multiply-adds. The way of large pictures,
through boxes, bands, strips and pieces, takes ten times as long to find out what to do. Here all
of that is a list made beforehand: a job stages a plane, sums its tiles, and goes on to the next.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from faltung.compiled import image_sweep as sweep
from faltung.compiled import words as at
from faltung.compiled._jit import Job, job, kernel
from faltung.compiled.image_pieces import pieces_of_task
from faltung.compiled.image_schedule import PictureSchedule
from faltung.compiled.image_tile import PictureTile, tile
from faltung.compiled.memory import loader, storer, word
from faltung.compiled.plane_lanes_cut import PlaneLanes, find_cut
from faltung.compiled.plane_rows import plane_rows, row_copier
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.variants import Row

__all__ = [
    "PLANE_WORDS",
    "filter_planes",
    "find_lanes",
    "has_small_planes",
    "plane_cycles",
    "put_planes",
]

PLANE_WORDS = (
    PLANES, PARTS, ROW_TABLE, ROW_COUNT, CELL_TABLE, CELL_COUNT, FILLED, OFFSETS, TAPS,
) = range(sweep.CALL_WORDS[-1] + 1, sweep.CALL_WORDS[-1] + 10)  # fmt: skip
"""Words of the call behind those of `image_sweep.CALL_WORDS`."""

_MOST_STAGED = 256 << 10
_JOB_CYCLES = 30_000  # some 10 µs
_PLANE_CYCLES, _ROW_CYCLES = 55, 9  # to begin with a plane, and of each vector that is staged
_LATENCY = 4  # of a multiply-add, of which two begin in a cycle
_BAND_CYCLES = 1000  # more, to begin with a plane that is cut into boxes and bands
_MOST_JOBS = 64
_AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in (1, 2))


def has_small_planes(task: DirectTask, schedule: PictureSchedule) -> bool:
    """Whether a task whose cells lie side by side is done plane by plane."""
    depth, rows, columns = task.axes
    is_plane = depth == Axis(1, 1, 1)
    is_whole = schedule.boxes[1:] == (rows.outputs, columns.outputs)
    is_near = rows.dilation == 1 and columns.stride <= 2 and not schedule.is_folded
    is_small = task.channels * schedule.plane_size <= _MOST_STAGED
    return is_plane and is_whole and is_near and is_small and len(pieces_of_task(task)) == 1


def plane_cycles(task: DirectTask, schedule: PictureSchedule, row: Row) -> float:
    """What the planes of a group take: to begin, to stage, and to sum."""
    rows, columns = task.axes[1:]
    layout, lanes = schedule.layouts[2], row.element.lanes
    vectors = len(layout.starts) * -(-(columns.outputs + layout.extra) // lanes)
    tiles = -(-rows.outputs // schedule.tile_rows)
    tiles *= -(-columns.outputs // (lanes * schedule.tile_vectors))
    steps = max(schedule.tile_rows * schedule.tile_vectors / 2, _LATENCY) * task.kernel_taps
    staging = _ROW_CYCLES * rows.length * vectors
    return _PLANE_CYCLES + task.channels * (staging + task.filters * tiles * steps)


def find_lanes(task: DirectTask, schedule: PictureSchedule, row: Row) -> PlaneLanes | None:
    """How planes are done side by side, where that is quicker than one after the other."""
    cut = find_cut(task, row)
    if cut is None:
        return None
    cycles = plane_cycles(task, schedule, row)
    if not has_small_planes(task, schedule):
        cycles += _BAND_CYCLES
    return cut if cut.cycles < row.element.lanes * cycles else None


def put_planes(
    call: Any,
    task: DirectTask,
    schedule: PictureSchedule,
    row: Row,
    x_steps: tuple[int, int],
    keep: Any,
) -> tuple[int, bool]:
    """Write the words of planes to those of a call; the number of jobs, and if one thread does.

    `x_steps` are bytes from row to row and from cell to cell.
    """
    rows, columns = task.axes[1:]
    layouts = schedule.layouts[1], schedule.layouts[2]
    staged = plane_rows((rows, columns), layouts, x_steps, row.element)
    size, cycles = row.element.size, task.batch * task.groups * plane_cycles(task, schedule, row)
    jobs = min(_MOST_JOBS, max(1, int(cycles / _JOB_CYCLES)))
    planes = -(-task.groups // max(1, jobs // max(1, task.batch)))
    parts = -(-task.groups // planes)
    for index, value in {
        PLANES: planes,
        PARTS: parts,
        ROW_TABLE: keep(staged.rows),
        ROW_COUNT: len(staged.rows),
        CELL_TABLE: keep(staged.cells),
        CELL_COUNT: len(staged.cells),
        FILLED: task.channels * schedule.plane_size // size if staged.is_filled else 0,
    }.items():
        call[index] = value
    return task.batch * parts, cycles < 3 * _JOB_CYCLES


@cache
def filter_planes(shape: PictureTile, every: int) -> Job:
    """The job that filters some planes: `number` says which, `call` is the call's words.

    `every` is the step from column to column.
    """
    compute, copy_rows = tile(shape), row_copier(shape.element, every)
    dtype, size = shape.element.dtype, shape.element.size
    load, store = loader(dtype), storer(dtype)
    tile_rows, tile_columns = shape.rows, shape.columns

    @kernel("void(intp, intp, intp)")
    def stage_plane(staged: int, call: int, x: int) -> None:
        rows, fill = word(call, ROW_COUNT), word(call, at.FILL)
        if rows > 0:
            copy_rows(staged, x, word(call, ROW_TABLE), rows, fill)
        cell = word(call, CELL_TABLE)
        for _cell in range(word(call, CELL_COUNT)):
            store(staged + word(cell, 1), 0, load(x + word(cell, 0), 0))
            cell += 16

    @job
    def run_planes(thread: int, call: int, number: int) -> None:
        staged = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
        staged += word(call, at.STAGED_AT)
        fill = load(word(call, at.FILL), 0)
        for i in range(word(call, FILLED)):
            store(staged, i, fill)
        parts, planes = word(call, PARTS), word(call, PLANES)
        sample, first = number // parts, number % parts * planes
        x = word(call, at.X_BASE) + sample * word(call, at.X_BATCH) + first * word(call, at.X_GROUP)
        y = word(call, at.Y_BASE) + sample * word(call, at.Y_BATCH) + first * word(call, at.Y_GROUP)
        weight = word(call, at.WEIGHTS) + first * word(call, at.WEIGHT_GROUP)
        bias = word(call, at.BIASES) + first * word(call, at.BIAS_GROUP)
        rows, width = word(call + _AXIS_H, at.OUTPUTS), word(call + _AXIS_W, at.OUTPUTS)
        pitch, row_step = word(call, sweep.X_ROW), word(call + _AXIS_H, at.Y_STEP)
        phase = pitch * word(call + _AXIS_H, at.SLOTS)
        offsets, taps = word(call, OFFSETS), word(call, TAPS)
        is_full, zeros = word(call, at.HAS_EPILOGUE), word(call, at.ZEROS)
        floor = word(call, at.FLOORS) + size
        channels, filters = word(call, at.CHANNELS), word(call, at.ROWS)
        for _plane in range(min(planes, word(call, at.GROUPS) - first)):
            for channel in range(channels):
                target = staged + channel * word(call, at.PLANE_SIZE)
                stage_plane(target, call, x + channel * word(call, at.X_CHANNEL))
            for each in range(filters):
                out = y + each * word(call, sweep.FILTER_STEP)
                mine = weight + each * word(call, sweep.FILTER_WEIGHTS)
                for row in range(0, rows, tile_rows):
                    for column in range(0, width, tile_columns):
                        compute(
                            staged + row * pitch + column * size, pitch, phase, mine, offsets,
                            taps, out + row * row_step + column * size, row_step, is_full, zeros,
                            0, bias + each * size, floor, width - column, rows - row,
                        )  # fmt: skip
            x, y = x + word(call, at.X_GROUP), y + word(call, at.Y_GROUP)
            weight += word(call, at.WEIGHT_GROUP)
            bias += word(call, at.BIAS_GROUP)

    return run_planes
