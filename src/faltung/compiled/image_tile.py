"""The register tile of a picture: R rows of outputs times S vectors, some rows of the kernel.

A row of staged cells is loaded once for all outputs of the tile that see it through the same column
of the kernel. Each sum takes the kernel column by column and in a column row by row, whatever the
tile's size, so an output has the same bits wherever it is computed.

Rows of the tile that do not exist are summed too, over whatever the workspace holds, and written
below the last one that exists, which is written after them; columns that do not exist are masked.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from faltung.compiled import words as at
from faltung.compiled._jit import Intrinsic, Job, intrinsic, job
from faltung.compiled.memory import word
from faltung.compiled.simd import Element, Emitter, Interpreter, Value

__all__ = ["BLOCK_WORDS", "PictureTile", "folded_strip", "strip", "sum_columns", "tile"]

BLOCK_WORDS = (X_PITCH, X_PHASE, COUNT, ROWS, PREVIOUS_PITCH) = range(50, 55)
"""Words of a thread's block beside those of `words.COLUMN_WORDS` and `words.THREAD_WORDS`."""


class PictureTile(NamedTuple):
    """A register tile.

    Parameters
    ----------
    element : Element
        The lanes of its vectors.
    rows, vectors : int
        Rows of outputs, and vectors in each.
    kernel_rows : int
        Rows of the kernel that are summed.
    stride : int
        Rows of the input from one output row to the next.
    """

    element: Element
    rows: int
    vectors: int
    kernel_rows: int
    stride: int

    @property
    def columns(self) -> int:
        """Outputs of a row of the tile."""
        return self.vectors * self.element.lanes

    @property
    def id(self) -> str:
        """``f32_image_8x2_k3s1``: what tells its machine code apart on one level."""
        short = self.element.dtype.replace("float", "f").replace("uint", "u")
        return f"{short}_image_{self.rows}x{self.vectors}_k{self.kernel_rows}s{self.stride}"


def sum_columns(machine: Any, shape: PictureTile, values: Any, weights_of: Any, step: int) -> Any:
    """The sums of the tile over all columns of the kernel.

    `weights_of` gives the vectors of weights of a column by its number, `step` is how many bytes
    lie between the cells of neighbouring vectors of sums.
    """
    x, pitch, phase, offsets, columns = values
    stride, vectors = shape.stride, shape.vectors

    def add_column(number: Value, before: Any) -> list[Value]:
        sums: list[Value] = list(before)
        place = machine.load_integer(machine.plus(offsets, machine.times(number, 8)))
        weights = weights_of(number)
        # Rows of a strided picture are staged by their remainder, `phase` bytes apart.
        rows = [machine.plus(x, place)]
        for _ in range(1, stride):
            rows.append(machine.plus(rows[-1], phase))
        for row in range((shape.rows - 1) * stride + shape.kernel_rows):
            seen = [r for r in range(shape.rows) if 0 <= row - r * stride < shape.kernel_rows]
            source = rows[row % stride]
            rows[row % stride] = machine.plus(source, pitch)
            for s in range(vectors if seen else 0):
                cells = machine.load(machine.plus(source, s * step))
                for r in seen:
                    factor, place = weights[row - r * stride], r * vectors + s
                    sums[place] = machine.multiply_add(factor, cells, sums[place])
        return sums

    start = [machine.zero()] * (shape.rows * vectors)
    sums: list[Any] = machine.loop(columns, start, add_column)
    return sums


def _compute(machine: Any, shape: PictureTile, values: Any) -> None:
    """The whole tile: the sums, then plainly stored or with what belongs to the end of a sum."""
    out, pitch, is_full, previous, previous_pitch, bias, floor, count, rows = values[6:]
    vectors, vector_size, lanes = shape.vectors, shape.element.vector_size, shape.element.lanes
    weight, size = values[3], shape.element.size

    def weights_of(number: Value) -> list[Value]:
        factors = machine.plus(weight, machine.times(number, shape.kernel_rows * size))
        return [machine.broadcast(machine.plus(factors, i * size)) for i in range(shape[3])]

    places = *values[:3], *values[4:6]
    sums = sum_columns(machine, shape, places, weights_of, vector_size)

    def store(results: Any) -> None:
        places = [out]
        for r in range(1, shape.rows):
            places.append(machine.plus(places[-1], machine.only_below(r, rows, pitch)))
        is_whole = machine.only_below(shape.columns - 1, count, count)

        def store_all() -> None:
            for number in reversed(range(len(results))):
                step = number % vectors * vector_size
                machine.store(results[number], machine.plus(places[number // vectors], step))

        def store_some() -> None:
            for number in reversed(range(len(results))):
                s = number % vectors
                place = machine.plus(places[number // vectors], s * vector_size)
                machine.store_some(results[number], place, machine.minus(count, s * lanes))

        machine.choose(is_whole, store_all, store_some)

    def store_full() -> None:
        least, added, row, results = machine.broadcast(floor), machine.broadcast(bias), previous, []
        for r in range(shape.rows):
            for s in range(vectors):
                before = machine.load(machine.plus(row, s * vector_size))
                total = machine.add(machine.add(before, sums[r * vectors + s]), added)
                results.append(machine.at_least(total, least))
            row = machine.plus(row, previous_pitch)
        store(results)

    machine.choose(is_full, store_full, lambda: store(sums))


def tile(shape: PictureTile) -> Intrinsic:
    """The instruction that computes one register tile of some rows of the kernel.

    It takes fifteen integers: the address of the first cell that the tile's first output sees, the
    bytes from row to row and from phase to phase; the addresses of the weights ``[column][row]``
    and of the byte offsets of the columns, and how many there are, at least one; address and row
    pitch of the output; then, used if the ninth is not 0, address and row pitch of a tile that is
    added, the addresses of a bias and of the least value; and how many columns and rows of the
    output there are.
    """

    def emit(builder: Any, *values: Any) -> None:
        _compute(Emitter(builder, shape.element), shape, values)

    @intrinsic(f"void({', '.join(['intp'] * 15)})", emit)
    def meaning(
        x: int, pitch: int, phase: int, weight: int, offsets: int, columns: int, out: int,
        out_pitch: int, is_full: int, previous: int, previous_pitch: int, bias: int, floor: int,
        count: int, rows: int,
    ) -> None:  # fmt: skip
        values = (
            x, pitch, phase, weight, offsets, columns, out, out_pitch, is_full, previous,
            previous_pitch, bias, floor, count, rows,
        )  # fmt: skip
        _compute(Interpreter(shape.element), shape, values)

    return meaning  # type: ignore[return-value]


@cache
def strip(shape: PictureTile) -> Job:
    """The job that runs tiles along a strip of outputs; its argument is a thread's block."""
    compute = tile(shape)
    columns, step = shape.columns, shape.columns * shape.element.size

    @job
    def run_strip(block: int, _arguments: int, _job: int) -> None:
        x, pitch, phase = word(block, at.X), word(block, X_PITCH), word(block, X_PHASE)
        weight, offsets, taps = (
            word(block, at.WEIGHT),
            word(block, at.OFFSETS),
            word(block, at.TAPS),
        )
        out, out_pitch = word(block, at.OUT), word(block, at.PITCH)
        is_full, bias, floor = word(block, at.IS_FULL), word(block, at.BIAS), word(block, at.FLOOR)
        previous, previous_pitch = word(block, at.PREVIOUS), word(block, PREVIOUS_PITCH)
        previous_step, rows = word(block, at.PREVIOUS_STEP), word(block, ROWS)
        left = word(block, COUNT)
        while left > 0:
            compute(
                x, pitch, phase, weight, offsets, taps, out, out_pitch, is_full, previous,
                previous_pitch, bias, floor, left, rows,
            )  # fmt: skip
            x, out, left = x + step, out + step, left - columns
            previous += previous_step

    return run_strip


@cache
def folded_strip(shape: PictureTile) -> Job:
    """The job of `strip` for a line of outputs whose pieces, a row of the tile each, are its rows.

    Rows of cells and of outputs are so far apart as a row of the tile is long. The last tiles have
    fewer rows, and the last row fewer columns.
    """
    compute = tile(shape)
    columns, rows_all = shape.columns, shape.rows
    row_size = shape.columns * shape.element.size

    @job
    def run_line(block: int, _arguments: int, _job: int) -> None:
        x, out, pitch = word(block, at.X), word(block, at.OUT), word(block, X_PITCH)
        weight, offsets, taps = (
            word(block, at.WEIGHT),
            word(block, at.OFFSETS),
            word(block, at.TAPS),
        )
        is_full, bias, floor = word(block, at.IS_FULL), word(block, at.BIAS), word(block, at.FLOOR)
        previous, previous_pitch = word(block, at.PREVIOUS), word(block, PREVIOUS_PITCH)
        left = word(block, COUNT)
        while left > 0:
            rows = max(1, min(rows_all, left // columns))
            compute(
                x, pitch, 0, weight, offsets, taps, out, row_size, is_full, previous,
                previous_pitch, bias, floor, left, rows,
            )  # fmt: skip
            x, out, left = x + rows * pitch, out + rows * row_size, left - rows * columns
            previous += rows * previous_pitch

    return run_line
