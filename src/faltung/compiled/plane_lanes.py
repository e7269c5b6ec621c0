"""Many small planes, each with a filter of its own: a vector holds the same cell of all of them.

A row of 7 cells fills less than half of a vector, and every row has to be found and begun. Here
the cells of as many planes as a vector has lanes are turned round, so that no lane is wasted, no
row has an end, strides and borders are steps in memory, and a weight is a vector of its own. The
sums are turned back. Each sum takes the taps in the order of the other ways: it has the same bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from faltung.compiled import image_sweep as sweep
from faltung.compiled import words as at
from faltung.compiled._jit import Intrinsic, Job, intrinsic, job
from faltung.compiled.image_tile import PictureTile, sum_columns
from faltung.compiled.memory import loader, storer, word
from faltung.compiled.plane_lanes_cut import PlaneLanes, tables
from faltung.compiled.simd import Emitter, Interpreter, Value
from faltung.compiled.task import DirectTask
from faltung.compiled.turning import turner
from faltung.compiled.variants import Row

__all__ = ["LANE_WORDS", "filter_lanes", "lane_tile", "put_lanes"]

LANE_WORDS = (
    BLOCKS, PARTS, CELL_TABLE, CELL_UNITS, SUM_TABLE, SUM_UNITS, WEIGHT_TABLE, WEIGHT_UNITS,
    EDGE_TABLE, EDGE_COUNT, FILLED, OFFSETS, TAPS, WIDES, TILES, WEIGHTS_AT, PITCH,
) = range(sweep.CALL_WORDS[-1] + 1, sweep.CALL_WORDS[-1] + 18)  # fmt: skip
"""Words of the call behind those of `image_sweep.CALL_WORDS`."""

_JOB_CYCLES = 12_000  # some 4 µs
_MOST_JOBS = 64
_ALONE_CYCLES = 90_000  # a call of two threads costs some 5 µs more
_AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in (1, 2))


def put_lanes(
    call: Any, task: DirectTask, cut: PlaneLanes, row: Row, x_row: int, y_plane: int, keep: Any
) -> tuple[int, bool]:
    """Write the words of planes in lanes to those of a call; the jobs, and if one thread does.

    `x_row` are bytes from row to row of the input, `y_plane` from plane to plane of the output.
    """
    wide = task.axes[2]
    found = tables(task, cut, x_row, y_plane, row)
    vector, blocks = row.element.vector_size, -(-task.groups // row.element.lanes)
    cycles = task.batch * blocks * cut.cycles
    jobs = min(_MOST_JOBS, max(1, int(cycles / _JOB_CYCLES)))
    a_job = -(-blocks // max(1, jobs // max(1, task.batch)))
    parts = -(-blocks // a_job)
    offsets = [column * wide.dilation * vector for column in range(wide.kernel)]
    for index, value in {
        BLOCKS: a_job,
        PARTS: parts,
        CELL_TABLE: keep(found.cells),
        CELL_UNITS: len(found.cells),
        SUM_TABLE: keep(found.sums),
        SUM_UNITS: len(found.sums),
        WEIGHT_TABLE: keep(found.weights),
        WEIGHT_UNITS: len(found.weights),
        EDGE_TABLE: keep(found.edges),
        EDGE_COUNT: len(found.edges),
        FILLED: cut.slots[0] * cut.slots[1] * row.element.lanes if found.is_filled else 0,
        OFFSETS: keep(offsets),
        TAPS: wide.kernel,
        WIDES: cut.tile.wides,
        TILES: cut.tile.tiles,
        WEIGHTS_AT: cut.weights_at,
        PITCH: cut.slots[1] * vector,
        at.STAGED_AT: cut.staged_at,
        at.WORKSPACE_STEP: cut.workspace,
    }.items():
        call[index] = value
    return task.batch * parts, cycles < _ALONE_CYCLES


def _compute(machine: Any, shape: PictureTile, every: int, values: Any) -> None:
    x, row_step, pitch, weight, offsets, columns, out, out_pitch, is_full, bias, floor = values
    vector, rows = shape.element.vector_size, shape.kernel_rows

    def weights_of(number: Value) -> list[Value]:
        first = machine.plus(weight, machine.times(number, rows * vector))
        return [machine.load(machine.plus(first, i * vector)) for i in range(rows)]

    places = x, row_step, pitch, offsets, columns
    sums = sum_columns(machine, shape, places, weights_of, every * vector)

    def store(results: Any) -> None:
        place = out
        for r in range(shape.rows):
            for s in range(shape.vectors):
                machine.store(results[r * shape.vectors + s], machine.plus(place, s * vector))
            place = machine.plus(place, out_pitch)

    def store_full() -> None:
        least, added, zero = machine.broadcast(floor), machine.load(bias), machine.zero()
        totals = (machine.add(machine.add(zero, total), added) for total in sums)
        store([machine.at_least(total, least) for total in totals])

    machine.choose(is_full, store_full, lambda: store(sums))


def lane_tile(shape: PictureTile, every: int) -> Intrinsic:
    """The instruction that computes a tile of outputs of as many planes as a vector has lanes.

    It takes eleven integers: the address of the first cell that the tile's first output sees, the
    bytes from one row of outputs to the next one's cells and from row to row of the cells; the
    addresses of the weights, a vector each, ``[column][row]``, and of the byte offsets of the
    columns, and how many there are, at least one; address and row pitch of the sums; then, used
    if the ninth is not 0, the addresses of the vector of biases and of the least value. `every` is
    the step from column to column.
    """

    def emit(builder: Any, *values: Any) -> None:
        _compute(Emitter(builder, shape.element), shape, every, values)

    @intrinsic(f"void({', '.join(['intp'] * 11)})", emit)
    def meaning(
        x: int, row_step: int, pitch: int, weight: int, offsets: int, columns: int, out: int,
        out_pitch: int, is_full: int, bias: int, floor: int,
    ) -> None:  # fmt: skip
        values = (
            x, row_step, pitch, weight, offsets, columns, out, out_pitch, is_full, bias, floor,
        )  # fmt: skip
        _compute(Interpreter(shape.element), shape, every, values)

    return meaning  # type: ignore[return-value]


@cache
def filter_lanes(wide: PictureTile, narrow: PictureTile, every: int) -> Job:
    """The job that filters some vectors of planes: `number` says which.

    The last vector begins so early that it is whole: planes that two of them share are computed
    twice, with the same result.
    """
    compute_wide, compute_narrow = lane_tile(wide, every), lane_tile(narrow, every)
    element = wide.element
    turn, load, store = turner(element), loader(element.dtype), storer(element.dtype)
    lanes, size, vector, stride = element.lanes, element.size, element.vector_size, wide.stride
    tile_rows, wide_columns, narrow_columns = wide.rows, wide.vectors, narrow.vectors

    @job
    def run_lanes(thread: int, call: int, number: int) -> None:
        block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
        staged, sums = block + word(call, at.STAGED_AT), block
        factors, fill = block + word(call, WEIGHTS_AT), load(word(call, at.FILL), 0)
        for i in range(word(call, FILLED)):
            store(staged, i, fill)
        parts, blocks, groups = word(call, PARTS), word(call, BLOCKS), word(call, at.GROUPS)
        sample, part = number // parts, number % parts
        x_all = word(call, at.X_BASE) + sample * word(call, at.X_BATCH)
        y_all = word(call, at.Y_BASE) + sample * word(call, at.Y_BATCH)
        x_plane, y_plane = word(call, at.X_GROUP), word(call, at.Y_GROUP)
        rows, columns = word(call + _AXIS_H, at.OUTPUTS), word(call + _AXIS_W, at.OUTPUTS)
        pitch, tiles, wides = word(call, PITCH), word(call, TILES), word(call, WIDES)
        offsets, taps, step = word(call, OFFSETS), word(call, TAPS), word(call, at.WEIGHT_GROUP)
        is_full, floor = word(call, at.HAS_EPILOGUE), word(call, at.FLOORS) + size
        last = min((part + 1) * blocks * lanes, groups)
        for start in range(part * blocks * lanes, last, lanes):
            first = min(start, groups - lanes)
            weights = word(call, at.WEIGHTS) + first * step
            turn(weights, step, factors, vector, word(call, WEIGHT_TABLE), word(call, WEIGHT_UNITS))
            x, y = x_all + first * x_plane, y_all + first * y_plane
            turn(x, x_plane, staged, vector, word(call, CELL_TABLE), word(call, CELL_UNITS))
            edge = word(call, EDGE_TABLE)
            for _cell in range(word(call, EDGE_COUNT)):
                for i in range(lanes):
                    store(staged + word(edge, 1), i, load(staged + word(edge, 0), i))
                edge += 16
            bias = word(call, at.BIASES) + first * word(call, at.BIAS_GROUP)
            for upper in range(0, rows, tile_rows):
                row = min(upper, rows - tile_rows)
                cells, out = staged + row * stride * pitch, sums
                for place in range(tiles):
                    if place < wides:
                        compute_wide(
                            cells, stride * pitch, pitch, factors, offsets, taps, out,
                            columns * vector, is_full, bias, floor,
                        )  # fmt: skip
                        cells += wide_columns * every * vector
                        out += wide_columns * vector
                    else:
                        compute_narrow(
                            cells, stride * pitch, pitch, factors, offsets, taps, out,
                            columns * vector, is_full, bias, floor,
                        )  # fmt: skip
                        cells += narrow_columns * every * vector
                        out += narrow_columns * vector
                target = y + row * columns * size
                turn(sums, vector, target, y_plane, word(call, SUM_TABLE), word(call, SUM_UNITS))

    return run_lanes
