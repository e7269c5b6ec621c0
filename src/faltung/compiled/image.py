"""Filters of pictures: sums over few channels, in which a cell is loaded once for many outputs.

The same tasks as `direct` takes, the same staging and the same ways in and out; the sweep over the
staged cells differs, and the order of the sums with it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import image_planes as planes
from faltung.compiled import image_sweep as at
from faltung.compiled import words
from faltung.compiled._jit import Job
from faltung.compiled.call import (
    Strides,
    give_back,
    put_axes,
    steps_of,
    take_workspace,
)
from faltung.compiled.entry import Call, Runner, make_runner
from faltung.compiled.gathering import gather_stage, gather_table, has_short_rows
from faltung.compiled.image_packing import PackedFilter, pack, packing_of
from faltung.compiled.image_pieces import Piece, pieces_of_task
from faltung.compiled.image_planes import (
    filter_planes,
    find_lanes,
    has_small_planes,
    put_planes,
)
from faltung.compiled.image_schedule import PictureSchedule, make_schedule
from faltung.compiled.image_tile import folded_strip, strip
from faltung.compiled.memory import address_of
from faltung.compiled.packing import pack_fill
from faltung.compiled.plane_lanes import LANE_WORDS, filter_lanes, put_lanes
from faltung.compiled.plane_lanes_cut import PlaneLanes
from faltung.compiled.schedule import MOST_WORKSPACE, round_up
from faltung.compiled.staging import stage
from faltung.compiled.storing import finish
from faltung.compiled.sweep import convolve_box, enter_box
from faltung.compiled.task import DirectTask, RoundedTask, SumType, is_short
from faltung.compiled.variants import Row, find_row

__all__ = [
    "PackedFilter",
    "PictureFacts",
    "band_words",
    "facts",
    "pack",
    "packing_runner",
    "run",
    "runner",
]

LOAD, SUM = 0.5, 2.0
"""What loading a vector of cells, and adding up a piece, cost beside a multiply-add."""


class PictureFacts(NamedTuple):
    """What a task will need: bytes of one thread, pieces of work, and why it cannot run, or "".

    `lane_use` is the share of the work in whole vectors and tiles that is wanted multiply-adds,
    `staged_bytes` counts the cells that all jobs together stage.
    """

    workspace_bytes: int
    jobs: int
    refusal: str
    lane_use: float = 1.0
    staged_bytes: int = 0


@lru_cache(maxsize=1024)
def facts(task: DirectTask) -> PictureFacts:
    """What a task needs, from its numbers alone; compiles nothing."""
    sums = task.sums
    if sums is None or sums.parts > 1:
        return PictureFacts(0, 0, f"there is no kernel for {task.dtype}")
    schedule = make_schedule(task, find_row(sums.dtype))
    if schedule.workspace > MOST_WORKSPACE:
        refusal = (
            f"its smallest box of outputs stages {schedule.workspace} bytes a thread, "
            f"more than the {MOST_WORKSPACE} allowed"
        )
        return PictureFacts(schedule.workspace, schedule.jobs, refusal)
    row = find_row(sums.dtype)
    if cut := find_lanes(task, schedule, row):
        # The cycles know what staging takes; the prices are those of half of the peak.
        cycles = max(1, task.batch) * -(-task.groups // row.element.lanes) * cut.cycles
        use = min(1.0, task.macs / (row.element.lanes * cycles)) or 1.0
        return PictureFacts(cut.workspace, schedule.jobs, "", use)
    use, staged = _lane_use(task, schedule, row), task.channels * schedule.jobs
    return PictureFacts(schedule.workspace, schedule.jobs, "", use, staged * schedule.plane_size)


def _lane_use(task: DirectTask, schedule: PictureSchedule, row: Row) -> float:
    """Wanted multiply-adds beside all steps: lanes beyond the ends, loads, sums of pieces."""
    _, axis_h, axis_w = task.axes
    width, height, tile_rows = axis_w.outputs, axis_h.outputs, schedule.tile_rows
    if schedule.is_folded:  # rows of the tile are parts of one line
        done = round_up(width, row.element.lanes) * height
    else:
        done = round_up(width, row.element.lanes) * round_up(height, tile_rows)
    if not done:
        return 1.0
    steps = 0.0
    for piece in pieces_of_task(task):
        loads = (tile_rows + piece.rows - 1) / tile_rows
        steps += len(piece.columns) * (piece.rows + LOAD * loads) + SUM
    return width * height * task.channels * task.kernel_taps / (done * steps)


class _Words:
    """The words of a kind of call, and the arrays that they point to."""

    def __init__(self) -> None:
        self.call = np.zeros(LANE_WORDS[-1] + 1, np.int64)
        self.arrays: list[NDArray[Any]] = []

    def keep(self, values: Any, dtype: Any = np.int64) -> int:
        """The address of values that live as long as the call."""
        self.arrays.append(np.ascontiguousarray(values, dtype))
        return int(self.arrays[-1].ctypes.data)


def _offsets(
    task: DirectTask, schedule: PictureSchedule, row: Row, piece: Piece
) -> NDArray[np.int64]:
    """How far from an output's first cell each column of a piece begins, in bytes."""
    size, boxes = row.element.size, schedule.boxes
    layout_d, layout_h, layout_w = schedule.layouts
    pitch = (boxes[2] + layout_w.extra) * size
    plane = layout_h.cells(boxes[1]) * pitch
    slots_d, slots_h = boxes[0] + layout_d.extra, boxes[1] + layout_h.extra
    depths = (np.array(layout_d.copies) * slots_d + layout_d.shifts) * plane
    rows = (np.array(layout_h.copies) * slots_h + layout_h.shifts) * pitch
    copy = layout_d.cells(boxes[0]) * plane
    columns = np.array(layout_w.copies) * copy + np.array(layout_w.shifts) * size
    channel, depth, height, column = piece.columns.T
    offsets: NDArray[np.int64] = (
        channel * schedule.plane_size + depths[depth] + rows[height] + columns[column]
    )
    return offsets


def _piece_table(task: DirectTask, schedule: PictureSchedule, row: Row, made: _Words) -> Any:
    """A line for each piece of the kernel; compiles the strips."""
    done, table, make = 0, [], folded_strip if schedule.is_folded else strip
    for piece in pieces_of_task(task):
        offsets = _offsets(task, schedule, row, piece)
        stride = 1 if schedule.is_folded else task.axes[1].stride
        job = make(schedule.tile(row, piece.rows, stride))
        weights = done * row.element.size
        table.append((address_of(job), weights, made.keep(offsets), len(offsets)))
        done += piece.rows * len(offsets)
    return table


def _start(
    task: DirectTask, row: Row, has_bias: bool, x_steps: Strides, y_steps: Strides
) -> tuple[PictureSchedule, _Words]:
    """The words that are the same for all ways through the outputs."""
    schedule, made = make_schedule(task, row), _Words()
    call = made.call
    put_axes(call, task.axes, schedule, x_steps, y_steps, made.keep)
    _put_sizes(task, schedule, row, has_bias, made)
    for index, value in {
        words.X_BATCH: x_steps[0],
        words.X_GROUP: x_steps[1] * task.channels,
        words.X_CHANNEL: x_steps[1],
        words.Y_BATCH: y_steps[0],
        words.Y_GROUP: y_steps[1] * task.filters,
        words.Y_ROW: y_steps[3] * task.axes[1].dilation,
        at.FILTER_STEP: y_steps[1],
    }.items():
        call[index] = value
    return schedule, made


def band_words(
    task: DirectTask, row: Row, x_steps: Strides, y_steps: Strides
) -> tuple[PictureSchedule, NDArray[np.int64], list[NDArray[Any]]]:
    """The words of a call in bands without biases, and what they point to; compiles what it needs.

    Rows of the output are contiguous and have the dtype of the sums.
    """
    schedule, made = _start(task, row, False, x_steps, y_steps)
    _put_bands(task, schedule, row, x_steps, True, made)
    return schedule, made.call, made.arrays


@lru_cache(maxsize=256)
def _runner_of(
    task: DirectTask,
    row: Row,
    has_bias: bool,
    x_steps: Strides,
    y_steps: Strides,
    packs: bool = False,
) -> Runner:
    """What runs a kind of call; compiles what it needs."""
    sums = task.sums
    assert sums is not None, task.dtype
    schedule, made = _start(task, row, has_bias, x_steps, y_steps)
    call, size = made.call, row.element.size
    is_plain = sums.memory == sums.dtype and y_steps[4] == size
    workspace = schedule.workspace
    cut = find_lanes(task, schedule, row) if is_plain and x_steps[4] == size else None
    if cut is not None and y_steps[3] == task.axes[2].outputs * size:
        job, jobs, is_alone = _put_lanes(task, cut, row, x_steps[3], y_steps[1], made)
        workspace = cut.workspace
    elif is_plain and x_steps[4] == size and has_small_planes(task, schedule):
        job, jobs, is_alone = _put_planes(task, schedule, row, x_steps, made)
    else:
        job, jobs = convolve_box, schedule.jobs
        _put_bands(task, schedule, row, x_steps, is_plain, made)
        is_alone = is_short(task.macs, task.moved_numbers)
    kind_of_call = Call(job, call, jobs, workspace, is_alone, _item_size(sums))
    packing, order = packing_of(task) if packs else (None, None)
    alive = *made.arrays, order
    return make_runner(kind_of_call, packing, take_workspace, give_back, alive)


def _item_size(sums: SumType) -> int:
    return np.dtype("uint16" if sums.memory == "bfloat16" else sums.memory).itemsize


def _put_sizes(
    task: DirectTask, schedule: PictureSchedule, row: Row, has_bias: bool, made: _Words
) -> None:
    """The words that neither the arrays' strides nor the way of the sweep change."""
    sums, element = cast("SumType", task.sums), row.element
    size, kind, tile = element.size, element.dtype, schedule.tile(row, 1, 1)
    is_relu = task.is_relu and element.is_float
    least = -np.inf if element.is_float else 0
    filter_size = task.channels * task.kernel_taps * size
    fill_dtype = sums.dtype if isinstance(task, RoundedTask) else task.dtype
    x_row = (schedule.boxes[2] + schedule.layouts[2].extra) * size * task.axes[1].dilation
    for index, value in {
        words.BATCH: task.batch,
        words.GROUPS: task.groups,
        words.CHANNELS: task.channels,
        words.ROWS: task.filters,
        words.SIZE: size,
        words.PLANE_SIZE: schedule.plane_size,
        words.WEIGHT_GROUP: task.filters * filter_size,
        words.BIAS_GROUP: task.filters * size,
        words.WORKSPACE_STEP: schedule.workspace,
        words.STAGED_AT: schedule.staged_at,
        words.ZEROS: made.keep(np.zeros(tile.columns), kind),
        words.FLOORS: made.keep([least, 0 if is_relu else least], kind),
        words.FILL: made.keep(pack_fill(task.fill, fill_dtype, sums), kind),
        words.HAS_EPILOGUE: has_bias or is_relu,
        at.FILTER_WEIGHTS: filter_size,
        at.X_ROW: tile.columns * size if schedule.is_folded else x_row,
    }.items():
        made.call[index] = value


def _put_planes(
    task: DirectTask, schedule: PictureSchedule, row: Row, x_steps: Strides, made: _Words
) -> tuple[Job, int, bool]:
    """The words of a sweep plane by plane; its job, how many there are, if one thread does."""
    piece, (rows, columns) = pieces_of_task(task)[0], task.axes[1:]
    offsets = _offsets(task, schedule, row, piece)
    made.call[planes.OFFSETS], made.call[planes.TAPS] = made.keep(offsets), len(offsets)
    jobs, is_alone = put_planes(made.call, task, schedule, row, x_steps[3:], made.keep)
    job = filter_planes(schedule.tile(row, piece.rows, rows.stride), columns.stride)
    return job, jobs, is_alone


def _put_lanes(
    task: DirectTask, cut: PlaneLanes, row: Row, x_row: int, y_plane: int, made: _Words
) -> tuple[Job, int, bool]:
    """The words of a sweep with planes in the lanes; its job, how many, if one thread does."""
    jobs, is_alone = put_lanes(made.call, task, cut, row, x_row, y_plane, made.keep)
    return filter_lanes(*cut.tiles(row), task.axes[2].stride), jobs, is_alone


def _put_bands(
    task: DirectTask,
    schedule: PictureSchedule,
    row: Row,
    x_steps: Strides,
    is_plain: bool,
    made: _Words,
) -> None:
    """The words of a sweep in bands; compiles what it needs."""
    sums, call, element = cast("SumType", task.sums), made.call, row.element
    size, item, tile = element.size, _item_size(sums), schedule.tile(row, 1, 1)
    stage_job = stage(sums.memory, sums.dtype)
    if sums.memory == sums.dtype and has_short_rows(task.axes, schedule):
        table = gather_table(task.axes, schedule, x_steps[2:], element.lanes)
        call[words.GATHER_TABLE] = made.keep(table)
        call[words.GATHER_VECTORS] = len(table) // element.lanes
        stage_job = gather_stage(sums.dtype, element.lanes)
    pieces = _piece_table(task, schedule, row, made)
    is_whole = is_plain and len(pieces) == 1  # strips are stored as they are computed
    counts = [-(-axis.outputs // box) for axis, box in zip(task.axes, schedule.boxes, strict=True)]
    for index, value in {
        words.BOXES_D: counts[0],
        words.BOXES_H: counts[1],
        words.BOXES_W: counts[2],
        words.PARTS_O: 1,
        words.BLOCKS_A_PART: 1,
        words.GROUP_CHANNELS: task.channels,
        words.WIDE_PIXELS: tile.columns,
        words.SCRATCH_AT: schedule.scratch_at,
        words.IS_RELU: task.is_relu,
        words.X_PART: item,
        words.X_PARTS: 1,
        words.Y_PART: item,
        words.Y_PARTS: 1,
        words.Y_IS_PLAIN: is_plain,
        words.ENTER: address_of(enter_box),
        words.STAGE: address_of(stage_job),
        words.SWEEP: address_of(at.sweep_band),
        words.RUN_TILE: address_of(at.sweep_segment),
        words.FINISH: address_of(finish(sums.dtype, sums.memory)),
        at.DILATION: task.axes[1].dilation,
        at.STRIP_ROWS: 1 if schedule.is_folded else schedule.tile_rows,
        at.SEGMENT: round_up(schedule.boxes[2], tile.columns) if is_whole else schedule.segment,
        at.PIECES: len(pieces),
        at.PIECE_TABLE: made.keep(pieces),
        at.SCRATCH_PITCH: (tile.columns if schedule.is_folded else schedule.segment) * size,
    }.items():
        call[index] = value


def runner(task: DirectTask, x: NDArray[Any], y: NDArray[Any], has_bias: bool) -> Runner:
    """What runs a task on arrays of these strides, with weights and biases from `pack`."""
    sums = task.sums
    assert sums is not None, task.dtype
    return _runner_of(task, find_row(sums.dtype), has_bias, steps_of(x), steps_of(y))


def packing_runner(task: DirectTask, x: NDArray[Any], y: NDArray[Any], has_bias: bool) -> Runner:
    """What runs a task whose sums have its own dtype, with weights and biases as they are.

    Both are contiguous. Weights that are not finite are refused: its result is then not 0.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    row = find_row(sums.dtype)
    return _runner_of(task, row, has_bias, steps_of(x), steps_of(y), packs=True)


def run(task: DirectTask, x: NDArray[Any], packed: PackedFilter, y: NDArray[Any]) -> None:
    """Compute a task into `y`.

    Parameters
    ----------
    task : DirectTask
        One that `facts` does not refuse, with at least one channel; its second axis has stride 1
        or dilation 1.
    x : ndarray, (batch, groups * channels, *spatial)
        Of the task's dtype and any strides, aligned and in native byte order.
    packed : PackedFilter
        From `pack`.
    y : ndarray, (batch, groups * filters, *spatial)
        Likewise of any strides; must not overlap `x`.
    """
    if y.size == 0:
        return
    status = runner(task, x, y, packed.has_bias)(x, y, packed.weights, packed.biases)
    assert status == 0, "unaligned input"
