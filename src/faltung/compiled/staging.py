"""Staging: the cells that a box of outputs sees, laid out so that every tap is an offset.

Each axis is laid out as copies of slots: slot i of the copy that begins at tap position `start`
holds the padded cell ``start + i * stride``. Neighbouring outputs so lie side by side whatever the
stride is, and a tap is a copy and a shift. Strides, borders, memory order and dtype of the input
end here.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from faltung.compiled import words as at
from faltung.compiled._jit import Job, Kernel, job, kernel
from faltung.compiled.casts import widening
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.staged_rows import VECTOR_SIZES, copy_rows, transpose_cells
from faltung.compiled.task import SumType

__all__ = ["has_channels_last", "stage"]

# Channels that are staged together, so that all copies of their rows find them in L1: of those that
# are neighbours in memory what a cache line holds.
_BAND, _LAST_BAND = 8, 16
_MOVER = "void(intp, intp, intp, intp, intp, intp, intp)"
_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


@kernel("intp(intp, intp)")
def source_of(axis: int, position: int) -> int:
    """The cell of the input that is read at a position counted from its first cell, or -1."""
    if position < 0:
        return word(word(axis, at.LOW), position + word(axis, at.BEFORE))
    beyond = position - word(axis, at.LENGTH)
    if beyond < 0:
        return position
    # Slots that no tap reads, at the end of a copy, may lie further out than any cell.
    return word(word(axis, at.HIGH), beyond) if beyond < word(axis, at.AFTER) else -1


@kernel("intp(intp)")
def _pitch(axis: int) -> int:
    """Bytes from the cell of a slot to that of the next one."""
    return word(axis, at.STRIDE) * word(axis, at.X_STEP)


@kernel("void(intp, intp, intp)")
def plan_row(block: int, call: int, copy: int) -> None:
    """What holds for all rows of a copy is found out once: moving one takes a dozen cycles."""
    axis = call + _AXIS_W
    stride, count = word(axis, at.STRIDE), word(block, at.BOX_WS) + word(axis, at.EXTRA)
    first = word(block, at.BOX_W) * stride - word(axis, at.BEFORE)
    first += word(word(axis, at.STARTS), copy)
    start = min(count, max(0, (stride - 1 - first) // stride))
    stop = max(start, min(count, (word(axis, at.LENGTH) - 1 - first) // stride + 1))
    is_filled = True
    for i in range(count - stop + start):
        slot = i if i < start else i + stop - start
        is_filled = is_filled and source_of(axis, first + slot * stride) < 0
    put_word(block, at.ROW_FIRST, first)
    put_word(block, at.ROW_SLOTS, count)
    put_word(block, at.ROW_START, start)
    put_word(block, at.ROW_WHOLE, stop - start)
    put_word(block, at.ROW_INSIDE, (first + start * stride) * word(axis, at.X_STEP))
    put_word(block, at.ROW_IS_FILLED, 1 if is_filled else 0)


@cache
def stage(dtype: str, target: str, is_last: bool = False) -> Job:  # noqa: C901  two kernels
    """The job that stages the channels and the box in a thread's block.

    Its arguments are the addresses of the thread's block and of the call's.

    Parameters
    ----------
    dtype : str
        Dtype of the input's memory; complex numbers are read as pairs of floats.
    target : {"float32", "float64", "uint32", "uint64"}
        Dtype that sums are kept in.
    is_last : bool
        Whether channels are neighbours in memory, of real numbers that are kept as they are.
    """
    stage_rows = _last_mover(target) if is_last else _row_mover(dtype, target)
    store, load_fill = storer(target), loader(target)
    size = np.dtype(target).itemsize
    band = _LAST_BAND if is_last else _BAND

    @kernel("void(intp, intp, intp, intp, intp)")
    def stage_copy(block: int, call: int, copy: int, first: int, channels: int) -> None:
        """One copy of some channels, the first of them so many behind that of the group."""
        axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
        slots_d, slots_h = word(axis_d, at.SLOTS), word(axis_h, at.SLOTS)
        stride_d, stride_h = word(axis_d, at.STRIDE), word(axis_h, at.STRIDE)
        begin_d = word(block, at.BOX_D) * stride_d - word(axis_d, at.BEFORE)
        begin_h = word(block, at.BOX_H) * stride_h - word(axis_h, at.BEFORE)
        rows_d, copies_h = word(axis_d, at.COPIES) * slots_d, word(axis_h, at.COPIES)
        used_d = word(block, at.BOX_DS) + word(axis_d, at.EXTRA)
        used_h = word(block, at.BOX_HS) + word(axis_h, at.EXTRA)
        pitch, parts = word(axis_w, at.SLOTS) * size, word(call, at.X_PARTS)
        number = word(block, at.CHANNEL) + first
        x = word(block, at.BOX_X) + number // parts * word(call, at.X_CHANNEL)
        x += number % parts * word(call, at.X_PART)
        fill_at = word(call, at.FILL) + number % parts * size
        fill, count = load_fill(fill_at, 0), word(block, at.ROW_SLOTS)
        row = block + word(call, at.STAGED_AT) + first * word(call, at.PLANE_SIZE)
        row += copy * rows_d * copies_h * slots_h * pitch
        for row_d in range(rows_d):
            copy_d, slot_d = row_d // slots_d, row_d % slots_d
            position = begin_d + word(word(axis_d, at.STARTS), copy_d) + slot_d * stride_d
            cell_d = source_of(axis_d, position) if slot_d < used_d else -1
            for copy_h in range(copies_h):
                position = begin_h + word(word(axis_h, at.STARTS), copy_h)
                top = max(0, (stride_h - 1 - position) // stride_h)
                bottom = min(used_h, (word(axis_h, at.LENGTH) - 1 - position) // stride_h + 1)
                slot_h = 0 if slot_d < used_d else used_h
                while slot_h < used_h:
                    # Rows of the input's own are staged together.
                    is_inside = slot_h >= top and slot_h < bottom
                    rows, cell_h = 1, position + slot_h * stride_h
                    if is_inside:
                        rows = bottom - slot_h
                    else:
                        cell_h = source_of(axis_h, cell_h)
                    slots = row + slot_h * pitch
                    slot_h += rows
                    if cell_d < 0 or cell_h < 0:
                        for _channel in range(channels):
                            for i in range((rows - 1) * (pitch // size) + count):
                                store(slots, i, fill)
                            slots += parts * word(call, at.PLANE_SIZE)
                    else:
                        source = x + cell_d * word(axis_d, at.X_STEP)
                        source += cell_h * word(axis_h, at.X_STEP)
                        stage_rows(block, call, slots, source, rows, channels, fill_at)
                row += slots_h * pitch

    # With loops unrolled compiling takes 2.5 times as long, on level 3 twice as long, and rows are
    # not staged sooner.
    @job(level=2, unrolled=False)
    def run_stage(block: int, call: int, _job: int) -> None:
        channels = word(block, at.CHANNEL_END) - word(block, at.CHANNEL)
        parts, copies = word(call, at.X_PARTS), word(call + _AXIS_W, at.COPIES)
        for first in range(0, channels, band):
            some = min(band, channels - first)
            for copy in range(copies):
                plan_row(block, call, copy)
                for part in range(parts):
                    stage_copy(block, call, copy, first + part, (some - part + parts - 1) // parts)

    return run_stage


def has_channels_last(sums: SumType, steps: tuple[int, ...]) -> bool:
    """Whether `stage` may take channels as neighbours; `steps` in bytes as in `call.steps_of`."""
    is_kept = sums.memory == sums.dtype and sums.parts == 1
    return is_kept and steps[1] == np.dtype(sums.dtype).itemsize < steps[4]


@cache
def _border_mover(dtype: str, target: str) -> Kernel:
    """The kernel that stages what rows of several channels show beside the input, cell by cell."""
    memory_dtype, widen = widening(dtype, target)
    load, store, load_fill = loader(memory_dtype), storer(target), loader(target)
    size = np.dtype(target).itemsize

    @kernel(_MOVER)
    def stage_borders(
        block: int, call: int, slots: int, source: int, rows: int, channels: int, fill_at: int
    ) -> None:
        axis_h, axis_w, fill = call + _AXIS_H, call + _AXIS_W, load_fill(fill_at, 0)
        pitch, source_pitch = word(axis_w, at.SLOTS) * size, _pitch(axis_h)
        plane = word(call, at.PLANE_SIZE) * word(call, at.X_PARTS)
        start, whole = word(block, at.ROW_START), word(block, at.ROW_WHOLE)
        for i in range(word(block, at.ROW_SLOTS) - whole):
            slot = i if i < start else i + whole
            cell = word(block, at.ROW_FIRST) + slot * word(axis_w, at.STRIDE)
            cell = source_of(axis_w, cell)
            for channel in range(channels):
                row = slots + channel * plane + slot * size
                cells = source + channel * word(call, at.X_CHANNEL) + cell * word(axis_w, at.X_STEP)
                for j in range(rows):
                    value = fill if cell < 0 else widen(load(cells + j * source_pitch, 0))
                    store(row + j * pitch, 0, value)

    return stage_borders


@cache
def _row_mover(dtype: str, target: str) -> Kernel:
    """The kernel that stages rows of several channels, which lie in the same place of each."""
    memory_dtype, widen = widening(dtype, target)
    load, store, stage_borders = loader(memory_dtype), storer(target), _border_mover(dtype, target)
    copy_all, copy_half = copy_rows(target, 1), copy_rows(target, 2)
    source_size = np.dtype("uint16" if dtype == "bfloat16" else dtype).itemsize
    size = np.dtype(target).itemsize
    is_same = dtype in {target, target.removeprefix("u")}
    many, some, few = (vector_size // size for vector_size in VECTOR_SIZES)

    @kernel("void(intp, intp, intp, intp)")
    def move_apart(row: int, cells: int, moved: int, count: int) -> None:
        """Cells that lie apart, four at a time: with stride 3 a tenth of the time of staging."""
        for i in range(0, count - 3, 4):
            first = widen(load(cells + i * moved, 0))
            second = widen(load(cells + (i + 1) * moved, 0))
            third = widen(load(cells + (i + 2) * moved, 0))
            fourth = widen(load(cells + (i + 3) * moved, 0))
            store(row, i, first)
            store(row, i + 1, second)
            store(row, i + 2, third)
            store(row, i + 3, fourth)
        for i in range(count - count % 4, count):
            store(row, i, widen(load(cells + i * moved, 0)))

    @kernel(_MOVER)
    def stage_rows(
        block: int, call: int, slots: int, source: int, rows: int, channels: int, fill_at: int
    ) -> None:
        pitch, source_pitch = word(call + _AXIS_W, at.SLOTS) * size, _pitch(call + _AXIS_H)
        moved, plane = _pitch(call + _AXIS_W), word(call, at.PLANE_SIZE) * word(call, at.X_PARTS)
        count, whole = word(block, at.ROW_SLOTS), word(block, at.ROW_WHOLE)
        start, channel_step = word(block, at.ROW_START), word(call, at.X_CHANNEL)
        enough = whole if moved == size else whole - 1 if moved == 2 * size else 0
        lanes = many if enough >= many else some if enough >= some else few
        is_vector, is_filled = is_same and enough >= few, word(block, at.ROW_IS_FILLED)
        if whole < count and not (is_vector and is_filled):
            stage_borders(block, call, slots, source, rows, channels, fill_at)
        before = (start + lanes - 1) // lanes if is_filled else 0
        after = (count - start - whole + lanes - 1) // lanes if is_filled else 0
        vectors, rest, end = (whole - 1) // lanes, (whole - lanes) * size, (count - lanes) * size
        source += word(block, at.ROW_INSIDE)
        for _channel in range(channels):
            if is_vector and moved == size:
                copy_all(
                    lanes, slots, pitch, source, source_pitch, rows, vectors, rest, start * size,
                    before, end, after, fill_at,
                )  # fmt: skip
            elif is_vector:
                copy_half(
                    lanes, slots, pitch, source, source_pitch, rows, vectors, rest, start * size,
                    before, end, after, fill_at,
                )  # fmt: skip
            else:
                for i in range(rows):
                    row, cells = slots + i * pitch + start * size, source + i * source_pitch
                    if moved == source_size:
                        for j in range(whole):
                            store(row, j, widen(load(cells, j)))
                    else:
                        move_apart(row, cells, moved, whole)
            slots, source = slots + plane, source + channel_step

    return stage_rows


@cache
def _last_mover(dtype: str) -> Kernel:
    """The same for channels that are neighbours in memory: squares of cells are turned over."""
    load, store, stage_borders = loader(dtype), storer(dtype), _border_mover(dtype, dtype)
    size = np.dtype(dtype).itemsize
    _, some, few = (vector_size // size for vector_size in VECTOR_SIZES)
    transpose_some, transpose_few = transpose_cells(dtype, some), transpose_cells(dtype, few)

    @kernel(_MOVER)
    def stage_rows(
        block: int, call: int, slots: int, source: int, rows: int, channels: int, fill_at: int
    ) -> None:
        pitch, source_pitch = word(call + _AXIS_W, at.SLOTS) * size, _pitch(call + _AXIS_H)
        moved, plane, whole = (
            _pitch(call + _AXIS_W),
            word(call, at.PLANE_SIZE),
            word(block, at.ROW_WHOLE),
        )
        if whole < word(block, at.ROW_SLOTS):
            stage_borders(block, call, slots, source, rows, channels, fill_at)
        enough = min(whole, channels)
        lanes = some if enough >= some else few if enough >= few else 1
        vectors, rest = (whole - 1) // lanes, whole - lanes
        source += word(block, at.ROW_INSIDE)
        slots += word(block, at.ROW_START) * size
        for number in range(0, channels, lanes):
            # The last square of channels overlaps the one before it, as the last one of cells does.
            channel = min(number, channels - lanes)
            cells, row = source + channel * size, slots + channel * plane
            for _row in range(rows):
                if lanes == some:
                    transpose_some(row, plane, cells, moved, vectors, rest * size, rest * moved)
                elif lanes == few:
                    transpose_few(row, plane, cells, moved, vectors, rest * size, rest * moved)
                else:
                    for i in range(whole):
                        store(row, i, load(cells + i * moved, 0))
                cells, row = cells + source_pitch, row + pitch

    return stage_rows
