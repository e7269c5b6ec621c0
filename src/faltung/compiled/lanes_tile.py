"""The register tile with output channels in its lanes: pixels times S vectors of channels.

A cell of the input is broadcast and multiplied with vectors of weights, the mirror image of
`microkernel`, where pixels fill the lanes. So cells are read one by one wherever they are: nothing
is copied for a column of the kernel, strides and dilations cost nothing, and rows of 7 or 14 pixels
fill a tile as well as long ones. The price is that sums come out channel by channel for each pixel
and have to be turned round (`lanes_store`), which pays where a sum is long.

Each sum takes the taps in the order of `microkernel` and in the same chunks, with the same
operations, so an output has the same bits from either tile.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from faltung.compiled import words as at
from faltung.compiled._jit import Intrinsic, Job, intrinsic, job
from faltung.compiled.memory import invoke, put_word, word
from faltung.compiled.simd import Element, Emitter, Interpreter, Value

_AXIS_H, _AXIS_W = (at.AXES + axis * at.AXIS_SIZE for axis in (1, 2))

__all__ = ["BLOCK_WORDS", "LanesTile", "strip", "tile"]

BLOCK_WORDS = (X_PITCH, OUT_ROW, COUNT, IS_LAST) = range(50, 54)
"""Words of a thread's block beside those of `words.COLUMN_WORDS` and `words.THREAD_WORDS`.

Bytes from a row of the tile to the next, in the staged input and in the sums; pixels of a strip;
whether its sums are whole after these channels.
"""
STORE = at.DIRECT_WORDS[-1] + 1
"""The first word of the call behind those of `words.DIRECT_WORDS`: the job that stores pixels."""


class LanesTile(NamedTuple):
    """A register tile.

    Parameters
    ----------
    element : Element
        The lanes of its vectors.
    rows, columns : int
        Pixels of the tile.
    vectors : int
        Vectors of output channels for each pixel.
    stride : int
        Cells from one pixel of a row to the next.
    """

    element: Element
    rows: int
    columns: int
    vectors: int
    stride: int

    @property
    def id(self) -> str:
        """``f32_lanes_1x14x2_s1``: what tells its machine code apart on one level."""
        short = self.element.dtype.replace("float", "f").replace("uint", "u")
        return f"{short}_lanes_{self.rows}x{self.columns}x{self.vectors}_s{self.stride}"

    @property
    def pixel_size(self) -> int:
        """Bytes of the sums of one pixel."""
        return self.vectors * self.element.vector_size


def _sum_taps(machine: Any, shape: LanesTile, values: Any) -> Any:
    """The sums of the tile over all taps, pixel by pixel."""
    x, pitch, weight, weight_step, offsets, taps, ahead = values[:7]
    step = shape.stride * shape.element.size

    def add_tap(number: Value, sums: Any) -> list[Value]:
        source = machine.plus(
            x, machine.load_integer(machine.plus(offsets, machine.times(number, 8)))
        )
        place = machine.plus(weight, machine.times(number, shape.element.vector_size))
        factors: list[Value] = []
        for _ in range(shape.vectors):
            factors.append(machine.load(place))
            machine.prefetch(machine.plus(place, ahead))
            place = machine.plus(place, weight_step)
        results: list[Value] = []
        for _row in range(shape.rows):
            for column in range(shape.columns):
                cell = machine.broadcast(machine.plus(source, column * step))
                for factor in factors:
                    results.append(machine.multiply_add(factor, cell, sums[len(results)]))
            source = machine.plus(source, pitch)
        return results

    zero = machine.zero()
    return machine.loop(taps, [zero] * (shape.rows * shape.columns * shape.vectors), add_tap)


def _compute(machine: Any, shape: LanesTile, values: Any) -> None:
    """The whole tile: the sums, then plainly stored or with what belongs to the end of a sum."""
    out, out_row, is_full, previous, previous_row, bias, floor = values[7:]
    sums, vector_size = _sum_taps(machine, shape, values), shape.element.vector_size
    steps = range(0, shape.pixel_size * shape.columns, vector_size)

    def store_sums() -> None:
        place, results = out, iter(sums)
        for _row in range(shape.rows):
            for step in steps:
                machine.store(next(results), machine.plus(place, step))
            place = machine.plus(place, out_row)

    def store_full() -> None:
        least, place, before, results = machine.broadcast(floor), out, previous, iter(sums)
        size = range(0, shape.pixel_size, vector_size)
        added = [machine.load(machine.plus(bias, step)) for step in size]
        for _row in range(shape.rows):
            for step in steps:
                total = machine.add(machine.load(machine.plus(before, step)), next(results))
                total = machine.add(total, added[step % shape.pixel_size // vector_size])
                machine.store(machine.at_least(total, least), machine.plus(place, step))
            place, before = machine.plus(place, out_row), machine.plus(before, previous_row)

    machine.choose(is_full, store_full, store_sums)


def tile(shape: LanesTile) -> Intrinsic:
    """The instruction that computes one register tile of one chunk of taps.

    It takes fourteen integers: the address of the cell of the tile's first pixel in the staged
    input and the bytes to that of its next row; the address of the weights ``[tap][lane]`` and the
    bytes to those of the next vector; the address of the byte offsets of the taps; the number of
    taps, at least one; how many bytes further on the weights are that will be wanted next; the
    address of the sums ``[pixel][channel]`` and the bytes to the next row of pixels; then, used if
    the tenth is not 0, the address of a tile that is added and the bytes to its next row, the
    addresses of one bias a channel and of the least value.
    """

    def emit(builder: Any, *values: Any) -> None:
        _compute(Emitter(builder, shape.element), shape, values)

    @intrinsic(f"void({', '.join(['intp'] * 14)})", emit)
    def meaning(
        x: int, pitch: int, weight: int, weight_step: int, offsets: int, taps: int, ahead: int,
        out: int, out_row: int, is_full: int, previous: int, previous_row: int, bias: int,
        floor: int,
    ) -> None:  # fmt: skip
        values = (
            x, pitch, weight, weight_step, offsets, taps, ahead, out, out_row, is_full, previous,
            previous_row, bias, floor,
        )  # fmt: skip
        _compute(Interpreter(shape.element), shape, values)

    return meaning  # type: ignore[return-value]


@cache
def strip(shape: LanesTile) -> Job:
    """The job that sums a strip of tiles side by side, chunk by chunk of the staged channels.

    Its arguments are the addresses of a thread's block, which has the place of the strip, and of
    the call's words.
    """
    compute = tile(shape)
    columns, vectors, lanes = shape.columns, shape.vectors, shape.element.lanes
    rows, pixel_size = shape.rows, shape.pixel_size
    step, out_step = columns * shape.stride * shape.element.size, columns * shape.pixel_size

    @job
    def run_strip(block: int, call: int, _number: int) -> None:
        size, kernel, channels = word(call, at.SIZE), word(call, at.KERNEL), word(call, at.CHANNELS)
        channel_step, tap_step = word(call, at.CHUNK_CHANNELS), word(call, at.CHUNK_TAPS)
        first, end = word(block, at.CHANNEL), word(block, at.CHANNEL_END)
        x, pitch, plane = word(block, at.TILE_X), word(block, X_PITCH), word(call, at.PLANE_SIZE)
        out, out_row = word(block, at.TILE), word(block, OUT_ROW)
        offsets, zeros, floor = (
            word(call, at.TAP_OFFSETS),
            word(call, at.ZEROS),
            word(call, at.FLOORS),
        )
        weights, biases = word(block, at.BOX_WEIGHT), word(block, at.BOX_BIAS)
        weight_tap, row = word(call, at.WEIGHT_TAP), word(block, at.TILE_FIRST)
        has_epilogue = word(call, at.HAS_EPILOGUE) != 0
        first_taps = min(channel_step, channels) * kernel
        count, is_last, done = word(block, COUNT), word(block, IS_LAST) != 0, 0
        y, y_row, y_step = (
            word(block, at.TILE_Y),
            word(call, _AXIS_H + at.Y_STEP),
            word(call, _AXIS_W + at.Y_STEP),
        )
        sums = out
        for column in range(0, count, columns):
            for channel in range(first, end, channel_step):
                chunk = min(channel_step, channels - channel) * kernel
                following = channel + channel_step
                # The next chunk or, after the last, the first one of the next channels.
                coming = weights + following * kernel * weight_tap
                coming += row * min(channel_step, channels - following) * kernel * size
                if following >= channels:
                    coming = weights + (row + vectors * lanes) * first_taps * size
                source = x + (channel - first) * plane
                for tap in range(0, chunk, tap_step):
                    taps = min(tap_step, chunk - tap)
                    is_first = channel == 0 and tap == 0
                    is_final = channel + channel_step >= channels and tap + tap_step >= chunk
                    is_full = not is_first or (is_final and has_epilogue)
                    weight = weights + (channel * kernel + tap) * weight_tap + row * taps * size
                    compute(
                        source, pitch, weight, lanes * taps * size, offsets + 8 * tap, taps,
                        coming - weight, out, out_row, 1 if is_full else 0,
                        zeros if is_first else out,
                        0 if is_first else out_row, biases + row * size if is_final else zeros,
                        floor + size if is_final else floor,
                    )  # fmt: skip
            x, out = x + step, out + out_step
            # Whole vectors of pixels are stored at once, so that memory is written to while the
            # next tile is summed.
            ready = min(column + columns, count) if is_last else 0
            while ready - done >= lanes or (ready == count and done < ready):
                put_word(block, at.TILE_PIXELS, min(lanes, ready - done))
                for r in range(rows):
                    put_word(block, at.TILE, sums + r * out_row + done * pixel_size)
                    put_word(block, at.TILE_Y, y + r * y_row + done * y_step)
                    invoke(word(call, STORE), block, call, 0)
                done += lanes

    return run_strip
