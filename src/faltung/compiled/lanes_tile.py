"""The register tile with output channels in its lanes: pixels times S vectors of channels.

A tile is one run of pixels or two, which are neighbours in a row or lie one above the other: so few
shapes of tiles serve every width. A cell of the input is broadcast and multiplied with vectors of
weights, the mirror image of `microkernel`, where pixels fill the lanes. So cells are read one by
one wherever they are: nothing is copied for a column of the kernel, strides and dilations cost
nothing, and rows of 7 or 14 pixels fill a tile as well as long ones. The price is that sums come
out channel by channel for each pixel and have to be turned round (`lanes_store`), which pays where
a sum is long.

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

__all__ = ["BLOCK_WORDS", "LanesTile", "strip", "tile"]

BLOCK_WORDS = (X_GROUP, OUT_GROUP, COUNT, IS_STACKED, IS_LAST, GROUPS_DONE, STORED) = range(50, 57)
"""Words of a thread's block beside those of `words.COLUMN_WORDS` and `words.THREAD_WORDS`.

Bytes from a run of pixels to the next, in the staged input and in the sums; pixels of a strip;
whether its runs are rows of their own; whether its sums are whole after these channels; runs that
are summed, and runs or pixels that are stored.
"""
STORE = at.DIRECT_WORDS[-1] + 1
"""The first word of the call behind those of `words.DIRECT_WORDS`: the job that stores sums."""


class LanesTile(NamedTuple):
    """A register tile.

    Parameters
    ----------
    element : Element
        The lanes of its vectors.
    groups : {1, 2}
        Runs of pixels.
    columns : int
        Pixels of a run.
    vectors : int
        Vectors of output channels for each pixel.
    stride : int
        Cells from one pixel of a run to the next.
    asks_ahead : bool
        Whether weights are asked for before they are wanted, because they come from beyond L2.
    """

    element: Element
    groups: int
    columns: int
    vectors: int
    stride: int
    asks_ahead: bool

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
            if shape.asks_ahead:
                machine.prefetch(machine.plus(place, ahead))
            place = machine.plus(place, weight_step)
        results: list[Value] = []
        for _group in range(shape.groups):
            for column in range(shape.columns):
                cell = machine.broadcast(machine.plus(source, column * step))
                for factor in factors:
                    results.append(machine.multiply_add(factor, cell, sums[len(results)]))
            source = machine.plus(source, pitch)
        return results

    zero = machine.zero()
    return machine.loop(taps, [zero] * (shape.groups * shape.columns * shape.vectors), add_tap)


def _compute(machine: Any, shape: LanesTile, values: Any) -> None:
    """The whole tile: the sums, then plainly stored or with what belongs to the end of a sum."""
    out, out_row, is_full, previous, previous_row, bias, floor = values[7:]
    sums, vector_size = _sum_taps(machine, shape, values), shape.element.vector_size
    steps = range(0, shape.pixel_size * shape.columns, vector_size)

    def store_sums() -> None:
        place, results = out, iter(sums)
        for _group in range(shape.groups):
            for step in steps:
                machine.store(next(results), machine.plus(place, step))
            place = machine.plus(place, out_row)

    def store_full() -> None:
        least, place, before, results = machine.broadcast(floor), out, previous, iter(sums)
        size = range(0, shape.pixel_size, vector_size)
        added = [machine.load(machine.plus(bias, step)) for step in size]
        for _group in range(shape.groups):
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
    """The job that sums a strip of runs of pixels, chunk by chunk of the staged channels.

    Two runs are summed at once, a last odd one alone. The job's arguments are the addresses of a
    thread's block, which has the place of the strip, and of the call's words.
    """
    pair, single = tile(shape._replace(groups=2)), tile(shape._replace(groups=1))
    vectors, lanes = shape.vectors, shape.element.lanes

    @job
    def run_strip(block: int, call: int, _number: int) -> None:
        size, kernel, channels = word(call, at.SIZE), word(call, at.KERNEL), word(call, at.CHANNELS)
        channel_step, tap_step = word(call, at.CHUNK_CHANNELS), word(call, at.CHUNK_TAPS)
        first, end = word(block, at.CHANNEL), word(block, at.CHANNEL_END)
        x, x_group, plane = word(block, at.TILE_X), word(block, X_GROUP), word(call, at.PLANE_SIZE)
        out, out_group = word(block, at.TILE), word(block, OUT_GROUP)
        offsets, zeros = word(call, at.TAP_OFFSETS), word(call, at.ZEROS)
        weights, floor = word(block, at.BOX_WEIGHT), word(call, at.FLOORS)
        weight_tap, row = word(call, at.WEIGHT_TAP), word(block, at.TILE_FIRST)
        biases = word(block, at.BOX_BIAS) + row * size
        has_epilogue = word(call, at.HAS_EPILOGUE) != 0
        first_taps = min(channel_step, channels) * kernel
        groups = word(block, at.TILE_VALID)
        for group in range(0, groups, 2):
            is_pair = groups - group >= 2
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
                    is_final = following >= channels and tap + tap_step >= chunk
                    is_full = 1 if not is_first or (is_final and has_epilogue) else 0
                    weight = weights + (channel * kernel + tap) * weight_tap + row * taps * size
                    step, ahead = lanes * taps * size, coming - weight
                    previous = zeros if is_first else out
                    previous_group = 0 if is_first else out_group
                    bias, least = zeros, floor
                    if is_final:
                        bias, least = biases, floor + size
                    if is_pair:
                        pair(
                            source, x_group, weight, step, offsets + 8 * tap, taps, ahead, out,
                            out_group, is_full, previous, previous_group, bias, least,
                        )  # fmt: skip
                    else:
                        single(
                            source, x_group, weight, step, offsets + 8 * tap, taps, ahead, out,
                            out_group, is_full, previous, previous_group, bias, least,
                        )  # fmt: skip
            x, out = x + 2 * x_group, out + 2 * out_group
            if word(block, IS_LAST) != 0:
                put_word(block, GROUPS_DONE, min(group + 2, groups))
                invoke(word(call, STORE), block, call, 0)

    return run_strip
