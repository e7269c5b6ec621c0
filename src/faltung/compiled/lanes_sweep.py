"""The sweep over a box whose tiles have output channels in their lanes.

A box is staged whole, with all channels. Its jobs, each for a part of the output channels, follow
each other on one thread, which stages the box for the first of them only: so jobs are small, and
threads that are not equally fast end at the same time. Cells are staged as they are, so the words
of the axes count cells: a box of n outputs has n times the stride of them.
"""

from __future__ import annotations

from faltung.compiled import lanes_tile as tile
from faltung.compiled import words as at
from faltung.compiled._jit import job
from faltung.compiled.memory import invoke, put_word, word

__all__ = ["CALL_WORDS", "STAMPS", "convolve_lanes"]

CALL_WORDS = (
    STRIDE_D, STRIDE_H, STRIDE_W, VECTORS, REST, TURNED_PITCH, RUNS_AT, STAMPED,
) = range(tile.CALL_WORDS[-1] + 1, tile.CALL_WORDS[-1] + 9)  # fmt: skip
"""Words of the call behind those of `words.DIRECT_WORDS` and `lanes_tile`.

Strides of the outputs in cells; vectors of a tile; the strip with one vector, for a last odd one;
the bytes from row to row of what is turned round; where the distances of runs are in a thread's
workspace; and, from the last on, for each thread the number of the box it has staged, from 1 on.
"""
STAMPS = 64
"""Threads that have such a word; others stage for each job."""

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


@job
def convolve_lanes(thread: int, call: int, number: int) -> None:
    """One job of the pool: a part of the output channels of a box."""
    block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
    invoke(word(call, at.ENTER), block, call, number)
    box, stamp = number // word(call, at.PARTS_O) + 1, call + 8 * (STAMPED + thread)
    channels, together = word(call, at.CHANNELS), word(call, at.CHUNK_CHANNELS)
    if thread >= STAMPS or word(stamp, 0) != box:
        put_word(block, at.CHANNEL, 0)
        put_word(block, at.CHANNEL_END, channels)
        invoke(word(call, at.STAGE), block, call, 0)
        place_runs(block, call, 0)
        if thread < STAMPS:
            put_word(stamp, 0, box)
    for first in range(0, channels, together):
        put_word(block, at.CHANNEL, first)
        put_word(block, at.CHANNEL_END, min(channels, first + together))
        put_word(block, at.SCRATCH, block + word(call, at.SCRATCH_AT))
        invoke(word(call, at.SWEEP), block, call, 0)


@job
def place_runs(block: int, call: int, _number: int) -> None:
    """Write down where in the staged planes the runs of a box begin, and how they are stored."""
    axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
    stride_d, stride_h, stride_w = (
        word(call, STRIDE_D),
        word(call, STRIDE_H),
        word(call, STRIDE_W),
    )
    depths, rows = word(block, at.BOX_DS) // stride_d, word(block, at.BOX_HS) // stride_h
    count, columns = word(block, at.BOX_WS) // stride_w, word(call, at.WIDE_PIXELS)
    size, places, run = word(call, at.SIZE), block + word(call, RUNS_AT), 0
    pitch = word(axis_w, at.SLOTS) * size
    plane = word(axis_h, at.COPIES) * word(axis_h, at.SLOTS) * pitch
    runs_a_row = (count + columns - 1) // columns
    # Behind them, where taps are left out, the rows of the kernel that each run needs.
    needed = places + 8 * (depths * rows * runs_a_row + word(call, at.NARROW_PIXELS))
    skips = word(call, tile.SKIPS) + 16 * (word(block, at.BOX_H) // stride_h)
    for d in range(depths):
        for row in range(rows):
            place = d * stride_d * plane + row * stride_h * pitch
            for _ in range(runs_a_row):
                put_word(places, run, place)
                if word(call, tile.SKIPS) != 0:
                    put_word(needed, 2 * run, word(skips, 2 * row))
                    put_word(needed, 2 * run + 1, word(skips, 2 * row + 1))
                place += columns * stride_w * size
                run += 1
    put_word(block, tile.RUN_PLACES, places)
    put_word(block, tile.RUN_TAPS, needed)
    put_word(block, tile.RUN_COUNT, run)
    # What fills up a last tile reads the first run once more.
    for more in range(word(call, at.NARROW_PIXELS)):
        put_word(places, run + more, 0)
        put_word(needed, 2 * (run + more), word(needed, 0))
        put_word(needed, 2 * (run + more) + 1, word(needed, 1))
    padded, height = runs_a_row * columns, rows
    # Rows that follow each other in memory are stored as one.
    if padded == count and word(axis_h, at.Y_STEP) == count * word(axis_w, at.Y_STEP):
        count, padded, height = rows * count, rows * count, 1
        if word(axis_d, at.Y_STEP) == rows * word(axis_h, at.Y_STEP):
            count, padded = depths * count, depths * padded
    put_word(block, tile.ROW_COUNT, count)
    put_word(block, tile.ROW_PADDED, padded)
    put_word(block, tile.ROWS_A_PLANE, height)


@job
def sweep_lanes(block: int, call: int, _number: int) -> None:
    """All outputs of the box, from a chunk of channels; stored after the last of them."""
    axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
    lanes, size, scratch = word(call, at.BLOCK_ROWS), word(call, at.SIZE), word(block, at.SCRATCH)
    y = word(block, at.BOX_Y)
    y += word(block, at.BOX_D) // word(call, STRIDE_D) * word(axis_d, at.Y_STEP)
    y += word(block, at.BOX_H) // word(call, STRIDE_H) * word(axis_h, at.Y_STEP)
    y += word(block, at.BOX_W) // word(call, STRIDE_W) * word(axis_w, at.Y_STEP)
    staged = word(call, at.STAGED_AT) + word(block, at.CHANNEL) * word(call, at.PLANE_SIZE)
    put_word(block, at.TILE_X, block + staged)
    put_word(block, at.TILE_Y, y)
    put_word(block, at.TILE_PITCH, word(call, TURNED_PITCH))
    number, end = word(block, at.BOX_BLOCK), word(block, at.BOX_BLOCK) + word(block, at.BOX_BLOCKS)
    while number < end:
        vectors, function = word(call, VECTORS), word(call, at.WIDE)
        if end - number < vectors:
            vectors, function = 1, word(call, REST)
        put_word(block, at.TILE, scratch)
        put_word(block, at.TILE_FIRST, number * lanes)
        put_word(block, at.TILE_BLOCKS, vectors)
        put_word(block, at.TILE_STEP, vectors * lanes * size)
        put_word(block, tile.STORED, 0)
        invoke(function, block, call, 0)
        scratch += word(call, at.SCRATCH_KEEPS) * vectors
        number += vectors
