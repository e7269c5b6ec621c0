"""From sums with channels in their lanes to planes of pixels: blocks are turned round.

The output of `lanes_tile` lies ``[pixel][channel]``; here as many pixels as a vector has lanes are
transposed with as many channels and stored to the rows of the output or, where that has another
dtype or layout, to a tile from which `storing` takes them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from faltung.compiled import words as at
from faltung.compiled._jit import Intrinsic, Job, intrinsic, job
from faltung.compiled.memory import invoke, put_word, word
from faltung.compiled.simd import Element, Emitter, Interpreter

__all__ = ["store_rows", "transposer"]


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
def store_rows(element: Element) -> Job:
    """The job that stores one row of pixels, for the channels of `words.TILE_BLOCKS` vectors.

    Its arguments are the addresses of a thread's block and of the call's words. Vectors of sums
    begin at `words.TILE` and are `words.TILE_STEP` bytes apart from pixel to pixel.
    """
    transpose = transposer(element)
    lanes, size = element.lanes, element.size

    @job
    def run_store(block: int, call: int, _number: int) -> None:
        source, step = word(block, at.TILE), word(block, at.TILE_STEP)
        first, vectors = word(block, at.TILE_FIRST), word(block, at.TILE_BLOCKS)
        y, count, turned = (
            word(block, at.TILE_Y),
            word(block, at.TILE_PIXELS),
            word(block, at.PANEL),
        )
        row_step, rows_all = word(call, at.Y_ROW), word(call, at.ROWS)
        is_plain = word(call, at.Y_IS_PLAIN)
        for vector in range(vectors):
            row = first + vector * lanes
            rows = min(lanes, rows_all - row)
            for pixel in range(0, count, lanes):
                place, some = (
                    source + pixel * step + vector * lanes * size,
                    min(lanes, count - pixel),
                )
                if is_plain:
                    transpose(place, step, y + row * row_step + pixel * size, row_step, some, rows)
                else:
                    transpose(
                        place, step, turned + pixel * size, word(block, at.TILE_PITCH), some, rows
                    )
            if not is_plain:
                put_word(block, at.TILE, turned)
                put_word(block, at.TILE_SKIP, 0)
                put_word(block, at.TILE_VALID, count)
                put_word(block, at.TILE_ROW, row)
                put_word(block, at.TILE_ROWS, rows)
                invoke(word(call, at.FINISH), block, call, 0)

    return run_store
