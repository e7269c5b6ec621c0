"""The register tile with output channels in its lanes: runs of pixels times vectors of channels.

A cell of the input is broadcast and multiplied with vectors of weights, the mirror image of
`microkernel`, where pixels fill the lanes. So cells are read one by one wherever they are: nothing
is copied for a column of the kernel, strides and dilations cost nothing, and as the runs of a tile
may lie anywhere, a few shapes of tiles serve every width. The price is that sums come out channel
by channel for each pixel and have to be turned round (`lanes_store`), which pays where a sum is
long.

A neighbour on the same core often leaves a program half of the instructions that a cycle could
begin. So few are made: with one vector of weights a cell is an operand in memory of its one
multiply-add. For that its address has to be one register and a constant (an index makes the
processor split the instruction again), therefore a run's address is carried along, by the bytes
from the cells of a few taps to those of the next few: of taps that are neighbours in a row of the
kernel, where the constants differ. The weights' address is carried likewise, so that
a tile may leave out taps of which all cells are zeros around the input (`lanes_taps`).

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

__all__ = ["BLOCK_WORDS", "CALL_WORDS", "HEADER", "LanesTile", "strip", "tile"]

BLOCK_WORDS = (
    RUN_PLACES, RUN_TAPS, RUN_COUNT, RUNS_DONE, ROW_COUNT, ROW_PADDED, ROWS_A_PLANE, STORED,
) = range(50, 58)  # fmt: skip
"""Words of a thread's block beside those of `words.COLUMN_WORDS` and `words.THREAD_WORDS`.

The addresses of the distances of a box's runs and of the rows of the kernel that each of them
needs, how many runs there are, and how many are summed; pixels of a row of the output and of its
sums, and rows of a plane; pieces of rows that are stored.
"""
CALL_WORDS = (STORE, TAP_STEPS, TAPS_SIZE, TAPS_APART, KERNEL_ROWS, SKIPS) = range(
    at.DIRECT_WORDS[-1] + 1, at.DIRECT_WORDS[-1] + 7
)
"""Words of the call behind those of `words.DIRECT_WORDS`.

The job that stores sums; the tables of taps, bytes of one, bytes between the cells of taps that are
taken together, and rows of the kernel by which they are
numbered; the address of the rows of the kernel that each row of the output needs, 0 for all.
"""
HEADER = 3
"""Words before the steps of a table of taps: bytes to the first tap's cell and to its weights, and
how many steps of a channel there are."""
LINE = 64


class LanesTile(NamedTuple):
    """A register tile.

    Parameters
    ----------
    element : Element
        The lanes of its vectors.
    runs : int
        Runs of pixels.
    columns : int
        Pixels of a run.
    vectors : int
        Vectors of output channels for each pixel.
    stride : int
        Cells from one pixel of a run to the next.
    taps : int
        Taps of a row of the kernel that are taken together.
    is_dense : bool
        Whether it is one cell from one of them to the next; else a number of bytes.
    """

    element: Element
    runs: int
    columns: int
    vectors: int
    stride: int
    taps: int
    is_dense: bool

    @property
    def pixel_size(self) -> int:
        """Bytes of the sums of one pixel."""
        return self.vectors * self.element.vector_size

    @property
    def run_size(self) -> int:
        """Bytes of the sums of a run."""
        return self.columns * self.pixel_size

    @property
    def sums(self) -> int:
        """Vectors of sums."""
        return self.runs * self.columns * self.vectors

    @property
    def weight_lines(self) -> int:
        """Cache lines with the weights of the taps that are taken together."""
        return -(-self.taps * self.element.vector_size // LINE)


def _sum_taps(machine: Any, shape: LanesTile, values: Any) -> Any:
    """The sums of the tile over all taps, pixel by pixel."""
    places, source, weight, weight_step, steps, apart, taps, ahead = values[:8]
    starts = [
        machine.plus(source, machine.load_integer(machine.plus(places, 8 * run)))
        for run in range(shape.runs)
    ]

    def add_taps(number: Value, carried: Any) -> list[Value]:
        row, runs, sums = carried[0], carried[1 : 1 + shape.runs], [*carried[1 + shape.runs :]]
        cells = runs
        for tap in range(shape.taps):
            if tap:
                # Neighbouring taps share cells. Kept, they would push sums out of the registers.
                machine.forget()
            if tap and not shape.is_dense:
                further = machine.times(apart, tap)
                cells = [machine.in_register(machine.plus(run, further)) for run in runs]
            place = machine.plus(row, tap * shape.element.vector_size)
            factors: list[Value] = []
            for _ in range(shape.vectors):
                factors.append(machine.load(place))
                if not tap:
                    machine.prefetch(machine.plus(place, ahead))
                place = machine.plus(place, weight_step)
            for pixel in range(shape.runs * shape.columns):
                run, column = divmod(pixel, shape.columns)
                offset = column * shape.stride + (tap if shape.is_dense else 0)
                offset *= shape.element.size
                cell = machine.broadcast(machine.plus(cells[run], offset))
                for sum_at, factor in enumerate(factors, pixel * shape.vectors):
                    sums[sum_at] = machine.multiply_add(factor, cell, sums[sum_at])
        entry = machine.plus(steps, machine.times(number, 16))
        further = machine.load_integer(entry)
        row = machine.plus(row, machine.load_integer(machine.plus(entry, 8)))
        return [row, *(machine.plus(run, further) for run in runs), *sums]

    zero = machine.zero()
    carried = machine.loop(taps, [weight, *starts, *[zero] * shape.sums], add_taps)
    return carried[1 + shape.runs :]


def _compute(machine: Any, shape: LanesTile, values: Any) -> None:
    """The whole tile: the sums, then plainly stored or with what belongs to the end of a sum."""
    out, is_full, previous, bias, floor = values[8:]
    sums, vector_size = _sum_taps(machine, shape, values), shape.element.vector_size
    steps = range(0, shape.sums * vector_size, vector_size)

    def store_sums() -> None:
        for step, total in zip(steps, sums, strict=True):
            machine.store(total, machine.plus(out, step))

    def store_full() -> None:
        least = machine.broadcast(floor)
        size = range(0, shape.pixel_size, vector_size)
        added = [machine.load(machine.plus(bias, step)) for step in size]
        for step, last in zip(steps, sums, strict=True):
            total = machine.add(machine.load(machine.plus(previous, step)), last)
            total = machine.add(total, added[step % shape.pixel_size // vector_size])
            machine.store(machine.at_least(total, least), machine.plus(out, step))

    machine.choose(is_full, store_full, store_sums)


def tile(shape: LanesTile) -> Intrinsic:
    """The instruction that computes one register tile of one chunk of taps.

    It takes thirteen integers: the address of the distances in bytes of the tile's runs, and that
    of the staged cell of the first tap from which they count; the address of the weights
    ``[tap][lane]`` and the bytes to those of the next vector; the address of a pair of steps for
    each `taps` taps, in bytes from their cells to the next ones' and from their weights to the
    next ones; if not `is_dense`, the bytes from the cell of one of them to that of the next; how
    many such pairs there are, at least one; how many bytes further on the weights are that will be
    wanted next; the address of the sums ``[pixel][channel]``; then, used if the tenth is not 0, the
    addresses of a tile that is added, of one bias a channel and of the least value.
    """

    def emit(builder: Any, *values: Any) -> None:
        _compute(Emitter(builder, shape.element), shape, values)

    @intrinsic(f"void({', '.join(['intp'] * 13)})", emit)
    def meaning(
        places: int, source: int, weight: int, weight_step: int, steps: int, apart: int,
        taps: int, ahead: int, out: int, is_full: int, previous: int, bias: int, floor: int,
    ) -> None:  # fmt: skip
        values = (
            places, source, weight, weight_step, steps, apart, taps, ahead, out, is_full, previous,
            bias, floor,
        )  # fmt: skip
        _compute(Interpreter(shape.element), shape, values)

    return meaning  # type: ignore[return-value]


@cache
def strip(shape: LanesTile) -> Job:
    """The job that sums all runs of a box over one chunk of channels, for one block of rows.

    The chunk's cells and weights stay in L1 meanwhile; the weights of the next block are asked for.
    Runs that are left over are summed one by one, or together with some that are not there where
    that takes less. The job's arguments are the addresses of a thread's block, which has the place
    of the box, and of the call's words.
    """
    together, single = tile(shape), tile(shape._replace(runs=1))
    vectors, lanes, runs, run_size = shape.vectors, shape.element.lanes, shape.runs, shape.run_size
    taken, lines = shape.taps, shape.weight_lines

    @job
    def run_strip(block: int, call: int, _number: int) -> None:
        size, kernel, channels = word(call, at.SIZE), word(call, at.KERNEL), word(call, at.CHANNELS)
        channel, end, tap_step = (
            word(block, at.CHANNEL),
            word(block, at.CHANNEL_END),
            word(call, at.CHUNK_TAPS),
        )
        x, places, sums = word(block, at.TILE_X), word(block, RUN_PLACES), word(block, at.TILE)
        row, count = word(block, at.TILE_FIRST), word(block, RUN_COUNT)
        offsets, zeros = word(call, at.TAP_OFFSETS), word(call, at.ZEROS)
        tables, table_size, skips = (
            word(call, TAP_STEPS),
            word(call, TAPS_SIZE),
            word(call, SKIPS) != 0,
        )
        needed, apart = word(block, RUN_TAPS), word(call, TAPS_APART)
        weight_tap, chunk = word(call, at.WEIGHT_TAP), (end - channel) * kernel
        weights, first_row = word(block, at.BOX_WEIGHT), word(block, at.BOX_BLOCK) * lanes
        block_end = first_row + word(block, at.BOX_BLOCKS) * lanes
        chunk_weights = weights + channel * kernel * weight_tap
        for tap in range(0, chunk, tap_step):
            taps = min(tap_step, chunk - tap)
            is_first = channel == 0 and tap == 0
            is_final = end >= channels and tap + tap_step >= chunk
            is_full = 1 if not is_first or (is_final and word(call, at.HAS_EPILOGUE) != 0) else 0
            start = chunk_weights + tap * weight_tap + row * taps * size
            weight = start
            step = lanes * taps * size
            # Asked for is the next block's part of the chunk or, after the last, the next chunk.
            ahead = vectors * step
            if block_end <= row + vectors * lanes and end < channels:
                coming = min(channels - end, end - channel) * kernel
                ahead = weights + end * kernel * weight_tap + first_row * coming * size - weight
            source, steps = x + word(offsets, tap), tables + 8 * HEADER + 16 * (tap // taken)
            steps_taken, line = taps // taken, 0
            bias, least = zeros, word(call, at.FLOORS)
            if is_final:
                bias, least = word(block, at.BOX_BIAS) + row * size, least + size
            run, out = 0, sums
            while run < count:
                previous, place, done = zeros if is_first else out, places + 8 * run, runs
                if count - run <= runs // 2:
                    done = 1
                if skips:
                    low, high = word(needed, 2 * run), word(needed, 2 * run + 1)
                    for other in range(1, done):
                        low = min(low, word(needed, 2 * (run + other)))
                        high = max(high, word(needed, 2 * (run + other) + 1))
                    table = tables + (low * word(call, KERNEL_ROWS) + high - 1) * table_size
                    source, weight = x + word(table, 0), start + word(table, 1)
                    steps_taken, steps = (end - channel) * word(table, 2), table + 8 * HEADER
                if done > 1:
                    together(
                        place, source, weight, step, steps, apart, steps_taken, ahead + line,
                        out, is_full, previous, bias, least,
                    )  # fmt: skip
                else:
                    single(
                        place, source, weight, step, steps, apart, steps_taken, ahead + line,
                        out, is_full, previous, bias, least,
                    )  # fmt: skip
                run, out = run + done, out + done * run_size
                # Each tile asks for one of the lines of a step, the next one for the next.
                line = (line + LINE) % (lines * LINE)
                if is_final:
                    put_word(block, RUNS_DONE, min(run, count))
                    invoke(word(call, STORE), block, call, 0)

    return run_strip
