"""Staging of small inputs by a table: where each staged cell comes from, found out once a shape.

`staging` finds borders, strides and copies while it runs, about 20 ns for each row of a copy. Rows
of eight pixels make that dearer than the convolution itself. Where one box is the whole output, the
same cells are seen in every call: a table of byte offsets and a gather instruction stage sixteen of
them in a few nanoseconds, whatever the border and the strides are. Where they lie side by side in
the input too, as they mostly do without strides, a masked load or two take a third of that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import words as at
from faltung.compiled._jit import Job, intrinsic, job
from faltung.compiled.image_schedule import PictureSchedule
from faltung.compiled.lanes_schedule import LanesSchedule
from faltung.compiled.memory import word
from faltung.compiled.schedule import Schedule
from faltung.compiled.simd import Element, Emitter, Interpreter, declare, memory
from faltung.compiled.task import Axis

__all__ = ["gather_stage", "gather_table", "has_short_rows", "stage_by_table"]

_MOST_SLOTS = 32
"""Cells of a row, up to which gathering takes no longer than finding out about the row."""
_MOST_CELLS = 2**13
"""Cells of a plane, so that the table stays in L2."""
_OUTSIDE = -(2**63)
_LANES_A_RUN = 4
"""A gather takes about as long for so many lanes as a masked load for all."""


def has_short_rows(
    axes: tuple[Axis, Axis, Axis], schedule: Schedule | PictureSchedule | LanesSchedule
) -> bool:
    """Whether a table stages the input sooner than rows do."""
    plane = axes[1].outputs * axes[2].outputs
    is_whole = schedule.box_pixels >= plane if schedule.is_flat else True
    is_whole &= schedule.boxes == tuple(axis.outputs for axis in axes)
    if schedule.is_direct or not is_whole:
        return False
    pairs = zip(schedule.layouts, schedule.boxes, strict=True)
    cells = prod(layout.cells(box) for layout, box in pairs)
    return schedule.boxes[2] + schedule.layouts[2].extra <= _MOST_SLOTS and cells <= _MOST_CELLS


def gather_table(
    axes: tuple[Axis, Axis, Axis],
    schedule: Schedule | PictureSchedule | LanesSchedule,
    steps: tuple[int, ...],
    lanes: int,
) -> NDArray[np.int64]:
    """Byte offsets into a channel for each staged cell of a plane, filled up to whole vectors.

    Parameters
    ----------
    axes : tuple of three Axis
        Of the convolution.
    schedule : Schedule or PictureSchedule
        One whose only box is the whole output.
    steps : tuple of three int
        Strides of the input in bytes, along the axes.
    lanes : int
        Cells of a vector.
    """
    offsets, is_outside = [], []
    for axis, layout, box, step in zip(axes, schedule.layouts, schedule.boxes, steps, strict=True):
        slots = np.arange(box + layout.extra) * axis.stride - axis.before
        positions = (np.array(layout.starts)[:, None] + slots).reshape(-1)
        shown = np.array((*axis.low, *range(axis.length), *axis.high, -1))
        cells = shown[np.minimum(positions + axis.before, len(shown) - 1)]
        offsets.append(cells * step)
        is_outside.append(cells < 0)
    copies = len(schedule.layouts[2].starts)
    columns = offsets[2].reshape(copies, 1, 1, -1), is_outside[2].reshape(copies, 1, 1, -1)
    table = offsets[0][:, None, None] + offsets[1][:, None] + columns[0]
    table[is_outside[0][:, None, None] | is_outside[1][:, None] | columns[1]] = _OUTSIDE
    padding = np.full(-table.size % lanes, _OUTSIDE)
    return np.concatenate([table.ravel(), padding])


def run_table(table: NDArray[np.int64], size: int, lanes: int) -> NDArray[np.int64] | None:
    """The same as runs of cells that lie side by side, or None where vectors have too many.

    The number of runs of a vector, two words wide; then for each run where the vector's first cell
    would be and, as bits, the lanes that come from there.
    """
    rows = table.reshape(-1, lanes)
    starts = np.where(rows == _OUTSIDE, _OUTSIDE, rows - size * np.arange(lanes))
    found = [[start for start in np.unique(row) if start != _OUTSIDE] for row in starts]
    most = max(1, *map(len, found))
    if most > max(1, lanes // _LANES_A_RUN):
        return None
    runs = np.zeros((len(rows), most, 2), np.int64)
    for row, of_row, vector in zip(starts, found, runs, strict=True):
        for run, start in enumerate(of_row):
            vector[run] = start, ((row == start) << np.arange(lanes)).sum()
    return np.concatenate([[most, 0], runs.ravel()])


@cache
def _gatherer(dtype: str, lanes: int) -> Callable[[int, int, int, int, int], None]:
    """The instruction that gathers so many vectors of cells from a source into a target."""
    element = Element(dtype, lanes, True)

    def emit(builder: Any, target: Any, source: Any, table: Any, vectors: Any, fill: Any) -> None:
        from llvmlite import ir

        machine = Emitter(builder, element)
        integers, half = ir.VectorType(ir.IntType(64), lanes), ir.IntType(32)
        zeros = ir.Constant(ir.VectorType(half, lanes), None)

        def splat(value: Any) -> Any:
            undefined = ir.Constant(integers, ir.Undefined)
            first = builder.insert_element(undefined, value, half(0))
            return builder.shuffle_vector(first, undefined, zeros)

        base, outside, rest = (
            splat(source),
            splat(ir.IntType(64)(_OUTSIDE)),
            machine.broadcast(fill),
        )
        scalar = rest.type.element
        pointers = ir.VectorType(ir.PointerType(scalar), lanes)
        flags = ir.VectorType(ir.IntType(1), lanes)
        letter = "f" if element.is_float else "i"
        name = f"llvm.masked.gather.v{lanes}{letter}{8 * element.size}.v{lanes}p0"
        kind = ir.FunctionType(rest.type, [pointers, half, flags, rest.type])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)

        def step(number: Any, _carried: Any) -> list[Any]:
            place = machine.plus(table, machine.times(number, 8 * lanes))
            offsets = builder.load(builder.inttoptr(place, ir.PointerType(integers)), align=8)
            is_inside = builder.icmp_signed("!=", offsets, outside)
            cells = builder.inttoptr(builder.add(base, offsets), pointers)
            values = builder.call(function, [cells, half(element.size), is_inside, rest])
            machine.store(values, machine.plus(target, machine.times(number, element.vector_size)))
            return []

        machine.loop(vectors, [], step)

    @intrinsic("void(intp, intp, intp, intp, intp)", emit)
    def gather(target: int, source: int, table: int, vectors: int, fill: int) -> None:
        machine = Interpreter(element)
        for number in range(vectors):
            values = machine.broadcast(fill)
            for lane, offset in enumerate(
                memory(table, "int64", vectors * lanes)[number * lanes :][:lanes]
            ):
                if offset != _OUTSIDE:
                    values[lane] = memory(source + int(offset), dtype)[0]
            machine.store(values, target + number * element.vector_size)

    return gather


@cache
def _run_loader(dtype: str, lanes: int) -> Callable[[int, int, int, int, int], None]:
    """As many vectors of cells as asked for, loaded run by run from a source into a target."""
    element = Element(dtype, lanes, True)

    def emit(builder: Any, target: Any, source: Any, table: Any, vectors: Any, fill: Any) -> None:
        from llvmlite import ir

        machine = Emitter(builder, element)
        rest, runs = machine.broadcast(fill), machine.load_integer(table)
        vector, bits, half = rest.type, ir.IntType(lanes), ir.IntType(32)
        pointer, flags = ir.PointerType(vector), ir.VectorType(ir.IntType(1), lanes)
        name = f"llvm.masked.load.v{lanes}{'f' if element.is_float else 'i'}{8 * element.size}.p0"
        load = declare(builder.module, name, vector, [pointer, half, flags, vector])

        def step(number: Any, _carried: Any) -> list[Any]:
            first = machine.plus(
                table, machine.plus(machine.times(builder.mul(number, runs), 16), 16)
            )

            def load_run(run: Any, before: Any) -> list[Any]:
                place = machine.plus(first, machine.times(run, 16))
                start = machine.plus(source, machine.load_integer(place))
                mask = builder.trunc(machine.load_integer(machine.plus(place, 8)), bits)
                cells = builder.inttoptr(start, pointer)
                shown = builder.bitcast(mask, flags)
                return [builder.call(load, [cells, half(element.size), shown, before[0]])]

            values = machine.loop(runs, [rest], load_run)[0]
            machine.store(values, machine.plus(target, machine.times(number, element.vector_size)))
            return []

        machine.loop(vectors, [], step)

    @intrinsic("void(intp, intp, intp, intp, intp)", emit)
    def load_runs(target: int, source: int, table: int, vectors: int, fill: int) -> None:
        machine = Interpreter(element)
        runs = int(memory(table, "int64")[0])
        pairs = memory(table + 16, "int64", 2 * runs * vectors).reshape(vectors, runs, 2)
        for number, of_vector in enumerate(pairs):
            values = machine.broadcast(fill)
            for start, mask in of_vector:
                for lane in range(lanes):
                    if int(mask) >> lane & 1:
                        values[lane] = memory(source + int(start) + lane * element.size, dtype)[0]
            machine.store(values, target + number * element.vector_size)

    return load_runs


@cache
def gather_stage(dtype: str, lanes: int, by_runs: bool = False) -> Job:
    """The job that stages the channels of a box by a table of cells or, if `by_runs`, of runs."""
    move = _run_loader(dtype, lanes) if by_runs else _gatherer(dtype, lanes)

    @job
    def run_gather(block: int, call: int, _job: int) -> None:
        x, staged = word(block, at.BOX_X), block + word(call, at.STAGED_AT)
        table, vectors = word(call, at.GATHER_TABLE), word(call, at.GATHER_VECTORS)
        for channel in range(word(block, at.CHANNEL), word(block, at.CHANNEL_END)):
            source = x + channel * word(call, at.X_CHANNEL)
            move(staged, source, table, vectors, word(call, at.FILL))
            staged += word(call, at.PLANE_SIZE)

    return run_gather


def stage_by_table(
    axes: tuple[Axis, Axis, Axis],
    schedule: Schedule | PictureSchedule | LanesSchedule,
    steps: tuple[int, ...],
    element: Element,
) -> tuple[Job, NDArray[np.int64], int]:
    """The job that stages by a table (see `gather_table`), the table, and its number of vectors."""
    dtype, lanes = element.dtype, element.lanes
    table = gather_table(axes, schedule, steps, lanes)
    runs = run_table(table, element.size, lanes)
    stage_job = gather_stage(dtype, lanes, runs is not None)
    return stage_job, table if runs is None else runs, len(table) // lanes
