"""The register tile: R output channels times S vectors of pixels, all taps, one description.

A tap is an offset from the tile's first pixel to the cell that the tap reads; the sums of the tile
stay in registers over all taps of a chunk, one fused multiply-add each, in the order of the taps.
That order and the chunks are the same for every pixel, tile, tail and thread, so an output
element has the same bits wherever it is computed.

All loads and stores are whole vectors: tiles that are not whole are stored into a scratch tile,
from where `storing` copies the part that exists.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from faltung.compiled import words as at
from faltung.compiled._jit import Intrinsic, Job, intrinsic, job
from faltung.compiled.memory import word
from faltung.compiled.simd import Element, Emitter, Interpreter, Value

__all__ = ["AHEAD", "TileShape", "column", "fetching_tile", "tile"]

# A packing tile asks for what it reads this many taps later, about 400 cycles, what a line from L3
# takes: 1×1 64→256 on 56² is a third faster than with 8. Tables of offsets go on that far.
AHEAD = 24


class TileShape(NamedTuple):
    """A register tile.

    Parameters
    ----------
    element : Element
        The lanes of its vectors.
    rows : int
        Output channels.
    vectors : int
        Vectors of pixels.
    """

    element: Element
    rows: int
    vectors: int

    @property
    def pixels(self) -> int:
        """Pixels of the tile."""
        return self.vectors * self.element.lanes

    @property
    def row_size(self) -> int:
        """Bytes of one output channel of the tile."""
        return self.vectors * self.element.vector_size

    @property
    def size(self) -> int:
        """Bytes of the tile."""
        return self.rows * self.row_size


def _sum_taps(
    machine: Any, shape: TileShape, packs: bool, fetches: int, x: Value, weight: Value,
    offsets: Value, taps: Value, panel: Value, coming: Value, coming_offsets: Value,
) -> Any:  # fmt: skip
    """The sums of the tile over all taps; with `packs` also the panel of the pixels read."""
    size, vector_size = shape.element.size, shape.element.vector_size

    def add_tap(number: Value, sums: Any) -> list[Value]:
        offset = machine.load_integer(machine.plus(offsets, machine.times(number, 8)))
        source = machine.plus(x, offset)
        steps = range(0, shape.row_size, vector_size)
        pixels = [machine.load(machine.plus(source, step)) for step in steps]
        if packs:
            target = machine.plus(panel, machine.times(number, shape.row_size))
            for step, vector in zip(steps, pixels, strict=True):
                machine.store(vector, machine.plus(target, step))
        if packs and not fetches:
            later = machine.plus(offsets, machine.times(number, 8))
            ahead = machine.plus(x, machine.load_integer(machine.plus(later, 8 * AHEAD)))
            for step in range(0, shape.row_size, 64):
                machine.prefetch(machine.plus(ahead, step))
        for place in range(fetches):
            entry = machine.plus(coming_offsets, machine.times(number, 8 * fetches))
            line = machine.load_integer(machine.plus(entry, 8 * place))
            machine.prefetch(machine.plus(coming, line), is_far=True)
        row = machine.plus(weight, machine.times(number, shape.rows * size))
        results = []
        for r in range(shape.rows):
            factor = machine.broadcast(machine.plus(row, r * size))
            for s, vector in enumerate(pixels):
                total = sums[r * shape.vectors + s]
                results.append(machine.multiply_add(factor, vector, total))
        return results

    zero = machine.zero()
    return machine.loop(taps, [zero] * (shape.rows * shape.vectors), add_tap)


def _compute(machine: Any, shape: TileShape, packs: bool, fetches: int, values: Any) -> None:
    """The whole tile: the sums, then plainly stored or with what belongs to the end of a sum."""
    x, weight, offsets, taps, panel, out, pitch, is_full, previous, bias, floor, *coming = values
    coming = coming or (0, 0)
    sums = _sum_taps(machine, shape, packs, fetches, x, weight, offsets, taps, panel, *coming)
    size, vector_size = shape.element.size, shape.element.vector_size

    def store(finish: Any) -> None:
        row = out
        for r in range(shape.rows):
            for s in range(shape.vectors):
                index = r * shape.vectors + s
                machine.store(finish(r, index), machine.plus(row, s * vector_size))
            row = machine.plus(row, pitch)

    def store_full() -> None:
        bound = machine.broadcast(floor)

        def finish(r: int, index: int) -> Value:
            before = machine.load(machine.plus(previous, index * vector_size))
            total = machine.add(before, sums[index])
            total = machine.add(total, machine.broadcast(machine.plus(bias, r * size)))
            return machine.at_least(total, bound)

        store(finish)

    machine.choose(is_full, store_full, lambda: store(lambda _r, index: sums[index]))


def tile(shape: TileShape, packs: bool) -> Intrinsic:
    """The instruction that computes one register tile of one chunk of taps.

    It takes eleven integers: the addresses of the tile's first pixel in the staged input, of the
    weights ``[tap][row]`` and of the byte offsets of the taps; the number of taps, at least one;
    the address of the panel ``[tap][pixel]`` that is written if the tile `packs`; address and row
    pitch in bytes of the output; then, used if the eighth is not 0, the addresses of a tile that is
    added, of one bias a row and of the least value.
    """

    def emit(builder: Any, *values: Any) -> None:
        _compute(Emitter(builder, shape.element), shape, packs, 0, values)

    @intrinsic(f"void({', '.join(['intp'] * 11)})", emit)
    def meaning(
        x: int, weight: int, offsets: int, taps: int, panel: int, out: int, pitch: int,
        is_full: int, previous: int, bias: int, floor: int,
    ) -> None:  # fmt: skip
        values = (x, weight, offsets, taps, panel, out, pitch, is_full, previous, bias, floor)
        _compute(Interpreter(shape.element), shape, packs, 0, values)

    return meaning  # type: ignore[return-value]


def fetching_tile(shape: TileShape, packs: bool, fetches: int) -> Intrinsic:
    """The same, which asks at each tap for so many cache lines that later tiles will read.

    It takes two integers more: an address, and that of the lines' byte offsets from there.
    """

    def emit(builder: Any, *values: Any) -> None:
        _compute(Emitter(builder, shape.element), shape, packs, fetches, values)

    @intrinsic(f"void({', '.join(['intp'] * 13)})", emit)
    def meaning(
        x: int, weight: int, offsets: int, taps: int, panel: int, out: int, pitch: int,
        is_full: int, previous: int, bias: int, floor: int, coming: int, coming_offsets: int,
    ) -> None:  # fmt: skip
        values = (
            x, weight, offsets, taps, panel, out, pitch, is_full, previous, bias, floor, coming,
            coming_offsets,
        )  # fmt: skip
        _compute(Interpreter(shape.element), shape, packs, fetches, values)

    return meaning  # type: ignore[return-value]


def column(shape: TileShape, packs: bool) -> Job:
    """The job that runs one tile of pixels and one chunk through all blocks of output channels.

    Its first argument is the address of a thread's block (`words`). With `packs`, and two
    blocks or more, the first block leaves a panel behind that the later ones stream: the staged
    rows are read once. The first at.DIRECT blocks are stored to at.OUT, the others to SCRATCH.
    """
    plain = tile(shape, False)
    packing = tile(shape, True)
    weight_size = shape.rows * shape.element.size
    row_size, tile_size = shape.row_size, shape.size

    @job
    def run_column(block: int, _arguments: int, _job: int) -> None:
        x, offsets = word(block, at.X), word(block, at.OFFSETS)
        taps, panel, blocks = word(block, at.TAPS), word(block, at.PANEL), word(block, at.BLOCKS)
        weight, previous = word(block, at.WEIGHT), word(block, at.PREVIOUS)
        bias, floor, is_full = word(block, at.BIAS), word(block, at.FLOOR), word(block, at.IS_FULL)
        direct, out, pitch = word(block, at.DIRECT), word(block, at.OUT), word(block, at.PITCH)
        previous_step, bias_step = word(block, at.PREVIOUS_STEP), word(block, at.BIAS_STEP)
        out_step = word(block, at.OUT_STEP)
        start = 0
        if packs and blocks > 1:
            if direct == 0:
                out, pitch, out_step = word(block, at.SCRATCH), row_size, tile_size
            packing(x, weight, offsets, taps, panel, out, pitch, is_full, previous, bias, floor)
            x, offsets, start = panel, word(block, at.LINEAR), 1
            weight += weight_size * taps
            out, previous, bias = out + out_step, previous + previous_step, bias + bias_step
        for number in range(start, blocks):
            if number == direct:
                out = word(block, at.SCRATCH) + number * tile_size
                pitch, out_step = row_size, tile_size
            plain(x, weight, offsets, taps, panel, out, pitch, is_full, previous, bias, floor)
            weight += weight_size * taps
            out, previous, bias = out + out_step, previous + previous_step, bias + bias_step

    return run_column
