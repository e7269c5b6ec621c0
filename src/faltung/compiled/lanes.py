"""A kind of call of the direct convolution whose tiles have output channels in their lanes."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import lanes_sweep as at
from faltung.compiled import lanes_tile as tiles
from faltung.compiled import words
from faltung.compiled.call import (
    Strides,
    give_back,
    put_axes,
    take_workspace,
    tap_offsets,
)
from faltung.compiled.entry import Call, Runner, make_runner
from faltung.compiled.gathering import has_short_rows, stage_by_table
from faltung.compiled.lanes_schedule import LanesRow, LanesSchedule, cells_of, make_schedule
from faltung.compiled.lanes_store import store_pixels
from faltung.compiled.lanes_taps import needed_rows, tap_tables
from faltung.compiled.lanes_tile import LanesTile, strip
from faltung.compiled.memory import address_of
from faltung.compiled.packing import pack_fill, packing_of
from faltung.compiled.schedule import Shape
from faltung.compiled.staging import has_channels_last, stage
from faltung.compiled.storing import finish
from faltung.compiled.sweep import enter_box
from faltung.compiled.task import DirectTask, SumType, is_short

__all__ = ["runner_of", "schedule_of"]


def schedule_of(task: DirectTask, sums: SumType, row: LanesRow) -> LanesSchedule:
    """How a task is cut."""
    return make_schedule(_shape_of(task, sums), row)


def _shape_of(task: DirectTask, sums: SumType) -> Shape:
    return Shape(
        task.batch, task.groups, sums.parts * task.channels, sums.parts * task.filters, task.axes
    )


def _strip_of(tile: LanesTile, row: LanesRow) -> int:
    """The address of a strip; those for other widths are compiled beside it, once for all sizes."""
    found = {
        (runs, columns): address_of(strip(tile._replace(runs=runs, columns=columns)))
        for runs, columns in row.tiles
    }
    return found[tile.runs, tile.columns]


@lru_cache(maxsize=256)
def _words_of(
    task: DirectTask,
    sums: SumType,
    row: LanesRow,
    has_bias: bool,
    x_steps: Strides,
    y_steps: Strides,
) -> tuple[NDArray[np.int64], list[NDArray[Any]], LanesSchedule]:
    """The words of a kind of call and the arrays that they point to; compiles what it needs."""
    shape, schedule = _shape_of(task, sums), schedule_of(task, sums, row)
    call, arrays = np.zeros(at.STAMPED + at.STAMPS, np.int64), []
    element = row.element
    size, kind, tile = element.size, element.dtype, schedule.tile

    def keep(values: Any, dtype: Any = np.int64) -> int:
        arrays.append(np.ascontiguousarray(values, dtype))
        return int(arrays[-1].ctypes.data)

    axis_d, axis_h, axis_w = map(cells_of, task.axes)
    axes = axis_d, axis_h, axis_w
    put_axes(call, axes, schedule, x_steps, y_steps, keep)
    is_relu = task.is_relu and element.is_float
    least = -np.inf if element.is_float else 0
    is_same = sums.memory == sums.dtype and sums.parts == 1
    item = np.dtype("uint16" if sums.memory == "bfloat16" else sums.memory).itemsize
    is_last = has_channels_last(sums, x_steps)
    if is_same and not is_last and has_short_rows(axes, schedule):
        stage_job, table, vectors = stage_by_table(axes, schedule, x_steps[2:], element)
        call[words.GATHER_TABLE], call[words.GATHER_VECTORS] = keep(table), vectors
    else:
        stage_job = stage(sums.memory, sums.dtype, is_last)
    counts = [-(-axis.outputs // box) for axis, box in zip(task.axes, schedule.box, strict=True)]
    filled, taps = schedule.blocks * row.rows, prod(axis.kernel for axis in task.axes)
    rest, offsets = tile._replace(vectors=1), tap_offsets(schedule, size)
    is_whole = schedule.chunks.taps == schedule.chunks.channels * taps
    needed = needed_rows(task.axes[1], task.fill, is_whole)
    kernel = axis_d.kernel, axis_h.kernel, axis_w.kernel
    tables = tap_tables(offsets, kernel, element.vector_size, tile.taps, needed is not None)
    for index, value in {
        words.BATCH: task.batch,
        words.GROUPS: task.groups,
        words.BOXES_D: counts[0],
        words.BOXES_H: counts[1],
        words.BOXES_W: counts[2],
        words.PARTS_O: -(-schedule.blocks // schedule.blocks_a_part),
        words.X_BATCH: x_steps[0],
        words.X_GROUP: x_steps[1] * task.channels,
        words.X_CHANNEL: x_steps[1],
        words.X_PART: item,
        words.X_PARTS: sums.parts,
        words.Y_BATCH: y_steps[0],
        words.Y_GROUP: y_steps[1] * task.filters,
        words.Y_ROW: y_steps[1],
        words.Y_PART: item,
        words.Y_PARTS: sums.parts,
        words.Y_IS_PLAIN: is_same and y_steps[4] == size,
        words.CHANNELS: shape.channels,
        words.CHUNK_CHANNELS: schedule.chunks.channels,
        words.CHUNK_TAPS: schedule.chunks.taps,
        words.KERNEL: taps,
        words.ROWS: shape.rows,
        words.BLOCKS_ALL: schedule.blocks,
        words.BLOCKS_A_PART: schedule.blocks_a_part,
        words.BLOCK_ROWS: row.rows,
        words.WIDE_PIXELS: tile.columns,
        words.NARROW_PIXELS: tile.runs,
        words.SIZE: size,
        words.PLANE_SIZE: schedule.plane_size,
        words.TAP_OFFSETS: keep(offsets),
        words.WEIGHT_GROUP: shape.channels * taps * filled * size,
        words.WEIGHT_TAP: filled * size,
        words.BIAS_GROUP: filled * size,
        words.ZEROS: keep(np.zeros(tile.runs * tile.run_size // size), kind),
        words.FLOORS: keep([least, 0 if is_relu else least], kind),
        words.HAS_EPILOGUE: has_bias or is_relu,
        words.IS_RELU: task.is_relu,
        words.FILL: keep(pack_fill(task.fill, task.dtype, sums), kind),
        words.WORKSPACE_STEP: schedule.workspace,
        words.PANEL_AT: schedule.panel_at,
        words.SCRATCH_AT: schedule.scratch_at,
        words.STAGED_AT: schedule.staged_at,
        words.SCRATCH_KEEPS: schedule.kept_size if schedule.keeps_blocks else 0,
        words.ENTER: address_of(enter_box),
        words.STAGE: address_of(stage_job),
        words.SWEEP: address_of(at.sweep_lanes),
        words.WIDE: _strip_of(tile, row),
        words.FINISH: address_of(finish(sums.dtype, sums.memory)),
        at.STRIDE_D: task.axes[0].stride,
        at.STRIDE_H: task.axes[1].stride,
        at.STRIDE_W: task.axes[2].stride,
        at.VECTORS: tile.vectors,
        at.REST: _strip_of(rest, row) if schedule.blocks % tile.vectors else 0,
        tiles.STORE: address_of(store_pixels(element)),
        tiles.TAP_STEPS: keep(tables),
        tiles.TAPS_SIZE: tables[0].nbytes,
        tiles.TAPS_APART: int(offsets[1] - offsets[0]) if tile.taps > 1 else 0,
        tiles.KERNEL_ROWS: axis_h.kernel,
        tiles.SKIPS: keep(needed) if needed is not None else 0,
        at.TURNED_PITCH: schedule.turned_pitch,
        at.RUNS_AT: schedule.runs_at,
    }.items():
        call[index] = value
    return call, arrays, schedule


@lru_cache(maxsize=1024)
def runner_of(
    task: DirectTask,
    sums: SumType,
    row: LanesRow,
    has_bias: bool,
    x_steps: Strides,
    y_steps: Strides,
    packs: bool = False,
) -> Runner:
    """What runs a kind of call on arrays; with `packs` it takes weights that are not packed."""
    call, arrays, schedule = _words_of(task, sums, row, has_bias, x_steps, y_steps)
    is_alone = is_short(task.macs, task.moved_numbers)
    item = np.dtype("uint16" if sums.memory == "bfloat16" else sums.memory).itemsize
    kind = Call(at.convolve_lanes, call, schedule.jobs, schedule.workspace, is_alone, item)
    packing = None
    if packs:
        channels, rows = sums.parts * task.channels, sums.parts * task.filters
        packing = packing_of(task.groups, rows, channels, task.kernel_taps, row)
    return make_runner(kind, packing, take_workspace, give_back, arrays)
