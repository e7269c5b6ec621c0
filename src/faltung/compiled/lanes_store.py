"""From sums with channels in their lanes to planes of pixels: blocks are turned round.

The output of `lanes_tile` lies ``[pixel][channel]``; here as many pixels as a vector has lanes are
transposed with as many channels and stored to the rows of the output or, where that has another
dtype or layout, to a tile from which `storing` takes them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from faltung.compiled import lanes_tile as tile
from faltung.compiled import words as at
from faltung.compiled._jit import Intrinsic, Job, intrinsic, job
from faltung.compiled.memory import invoke, put_word, word
from faltung.compiled.simd import Element, Emitter, Interpreter

__all__ = ["store_pixels", "transposer"]

_AXIS_D, _AXIS_H, _AXIS_W = (at.AXES + axis * at.AXIS_SIZE for axis in range(3))


def _transpose(machine: Any, values: Any) -> None:
    source, step, target, pitch, count, rows = values
    lanes = machine.element.lanes
    block = []
    for _ in range(lanes):
        block.append(machine.load(source))
        source = machine.plus(source, step)
    # Halves of halves are exchanged across the diagonal: with distance 1, then 2, 4, …
    distance = 1
    while distance < lanes:
        upper = [lane if not lane & distance else lanes + lane - distance for lane in range(lanes)]
        lower = [lane + distance if not lane & distance else lanes + lane for lane in range(lanes)]
        for first in range(lanes):
            if not first & distance:
                pair = block[first], block[first + distance]
                block[first] = machine.pick(*pair, upper)
                block[first + distance] = machine.pick(*pair, lower)
        distance *= 2
    # Rows that do not exist are written over the last one that does, which is written after them.
    places = [target]
    for row in range(1, lanes):
        places.append(machine.plus(places[-1], machine.only_below(row, rows, pitch)))
    is_whole = machine.only_below(lanes - 1, count, count)

    def store_all() -> None:
        for row in reversed(range(lanes)):
            machine.store(block[row], places[row])

    def store_some() -> None:
        for row in reversed(range(lanes)):
            machine.store_some(block[row], places[row], count)

    machine.choose(is_whole, store_all, store_some)


def transposer(element: Element) -> Intrinsic:
    """The instruction that transposes a block of as many pixels and rows as a vector has lanes.

    It takes six integers: the address of the first pixel's vector and the bytes to the next
    pixel's; the address of the first row of the output and the bytes to the next row; how many
    pixels and how many rows there are, at least one. Vectors of pixels that are not there are read.
    """

    def emit(builder: Any, *values: Any) -> None:
        _transpose(Emitter(builder, element), values)

    @intrinsic(f"void({', '.join(['intp'] * 6)})", emit)
    def meaning(source: int, step: int, target: int, pitch: int, count: int, rows: int) -> None:
        _transpose(Interpreter(element), (source, step, target, pitch, count, rows))

    return meaning  # type: ignore[return-value]


@cache
def store_pixels(element: Element) -> Job:
    """The job that stores the pixels of a box that are summed, as far as they fill vectors.

    Its arguments are the addresses of a thread's block and of the call's words. Sums begin at
    `words.TILE` and are `words.TILE_STEP` bytes apart from pixel to pixel; memory is so written to
    while the next tiles are summed.
    """
    transpose = transposer(element)
    lanes, size = element.lanes, element.size

    @job
    def run_store(block: int, call: int, _number: int) -> None:
        sums, step, y = word(block, at.TILE), word(block, at.TILE_STEP), word(block, at.TILE_Y)
        first, vectors = word(block, at.TILE_FIRST), word(block, at.TILE_BLOCKS)
        turned, turned_pitch = word(block, at.PANEL), word(block, at.TILE_PITCH)
        row_step, rows_all = word(call, at.Y_ROW), word(call, at.ROWS)
        y_depth, y_row = word(call, _AXIS_D + at.Y_STEP), word(call, _AXIS_H + at.Y_STEP)
        y_step, is_plain = word(call, _AXIS_W + at.Y_STEP), word(call, at.Y_IS_PLAIN) != 0
        count, padded = word(block, tile.ROW_COUNT), word(block, tile.ROW_PADDED)
        height, stored = word(block, tile.ROWS_A_PLANE), word(block, tile.STORED)
        runs, columns = word(block, tile.RUNS_DONE), word(call, at.WIDE_PIXELS)
        pieces = (count + lanes - 1) // lanes
        row, pixel = stored // pieces, stored % pieces * lanes
        while row * padded + min(pixel + lanes, count) <= runs * columns:
            source = sums + (row * padded + pixel) * step
            target = y + row // height * y_depth + row % height * y_row + pixel * y_step
            some = min(lanes, count - pixel)
            for vector in range(vectors):
                channel = first + vector * lanes
                rows = min(lanes, rows_all - channel)
                if is_plain:
                    transpose(source, step, target + channel * row_step, row_step, some, rows)
                else:
                    transpose(source, step, turned, turned_pitch, some, rows)
                    put_word(block, at.TILE, turned)
                    put_word(block, at.TILE_SKIP, 0)
                    put_word(block, at.TILE_VALID, some)
                    put_word(block, at.TILE_ROW, channel)
                    put_word(block, at.TILE_ROWS, rows)
                    put_word(block, at.TILE_Y, target)
                    invoke(word(call, at.FINISH), block, call, 0)
                source += lanes * size
            stored, pixel = stored + 1, pixel + lanes
            if pixel >= count:
                row, pixel = row + 1, 0
        put_word(block, tile.STORED, stored)
        put_word(block, at.TILE, sums)
        put_word(block, at.TILE_Y, y)

    return run_store
