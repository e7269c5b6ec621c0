"""The sweep over a box whose tiles have output channels in their lanes.

It takes the place of `sweep.sweep_box` in the job of the direct convolution. Cells are staged as
they are, so the words of the axes count cells: a box of n outputs has n times the stride of them.
"""

from __future__ import annotations

from faltung.compiled import lanes_tile as tile
from faltung.compiled import words as at
from faltung.compiled._jit import job
from faltung.compiled.memory import invoke, put_word, word

__all__ = ["CALL_WORDS", "enter_lanes", "sweep_lanes"]

CALL_WORDS = (
    STRIDE_D, STRIDE_H, STRIDE_W, RANGE, ROW_SIZE, KEPT_D, KEPT_H, VECTORS, REST, TURNED_PITCH,
    ALL_BOXES, ENTER_BOX,
) = range(tile.STORE + 1, tile.STORE + 13)  # fmt: skip
"""Words of the call behind those of `words.DIRECT_WORDS` and `lanes_tile.STORE`.

Strides of the outputs in cells; channels whose weights stay in L2 while all tiles of a box go
through them; with one vector a pixel the bytes of the sums of a row in whole runs, and from one
depth and one row to the next, 0 where sums are stored at once; vectors of a tile; the strip with
one vector, for a last odd one; the pitch of the tile that results may be stored to; how many boxes
there are, and the job that finds out where one is.
"""

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


@job
def enter_lanes(block: int, call: int, number: int) -> None:
    """Enter a box: all boxes with a part of the output channels first, whose weights stay in L2."""
    boxes, parts = word(call, ALL_BOXES), word(call, at.PARTS_O)
    invoke(word(call, ENTER_BOX), block, call, number % boxes * parts + number // boxes)


@job
def sweep_lanes(block: int, call: int, _number: int) -> None:
    """All outputs of the box, from the channels that are staged; stored after the last of them."""
    axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
    stride_d, stride_h, stride_w = (
        word(call, STRIDE_D),
        word(call, STRIDE_H),
        word(call, STRIDE_W),
    )
    depths, rows = word(block, at.BOX_DS) // stride_d, word(block, at.BOX_HS) // stride_h
    count, size, lanes = (
        word(block, at.BOX_WS) // stride_w,
        word(call, at.SIZE),
        word(call, at.BLOCK_ROWS),
    )
    pitch = word(axis_w, at.SLOTS) * size
    rows_d = word(axis_h, at.COPIES) * word(axis_h, at.SLOTS)
    x_box, scratch = block + word(call, at.STAGED_AT), word(block, at.SCRATCH)
    y_box = word(block, at.BOX_Y) + word(block, at.BOX_D) // stride_d * word(axis_d, at.Y_STEP)
    y_box += word(block, at.BOX_H) // stride_h * word(axis_h, at.Y_STEP)
    y_box += word(block, at.BOX_W) // stride_w * word(axis_w, at.Y_STEP)
    first, staged_end = word(block, at.CHANNEL), word(block, at.CHANNEL_END)
    together, channel_size = word(call, RANGE), word(call, at.PLANE_SIZE)
    is_final = staged_end >= word(call, at.CHANNELS)
    # Runs of pixels are side by side in a row or, where a row is one run, one above the other.
    columns = word(call, at.WIDE_PIXELS)
    is_stacked = count <= columns
    groups, height = (count + columns - 1) // columns, rows
    x_group, out_group = columns * stride_w * size, columns * lanes * size
    if is_stacked:
        groups, height = rows, 1
        x_group, out_group = stride_h * pitch, word(call, ROW_SIZE)
    put_word(block, tile.IS_STACKED, 1 if is_stacked else 0)
    put_word(block, tile.X_GROUP, x_group)
    put_word(block, tile.COUNT, count)
    put_word(block, at.TILE_PITCH, word(call, TURNED_PITCH))
    number, end = word(block, at.BOX_BLOCK), word(block, at.BOX_BLOCK) + word(block, at.BOX_BLOCKS)
    while number < end:
        vectors, function = word(call, VECTORS), word(call, at.WIDE)
        if end - number < vectors:
            vectors, function = 1, word(call, REST)
        kept_d, kept_h = vectors * word(call, KEPT_D), vectors * word(call, KEPT_H)
        put_word(block, tile.OUT_GROUP, vectors * out_group)
        put_word(block, at.TILE_FIRST, number * lanes)
        put_word(block, at.TILE_BLOCKS, vectors)
        put_word(block, at.TILE_STEP, vectors * lanes * size)
        for channel in range(first, staged_end, together):
            is_last = is_final and channel + together >= staged_end
            put_word(block, at.CHANNEL, channel)
            put_word(block, at.CHANNEL_END, min(channel + together, staged_end))
            put_word(block, tile.IS_LAST, 1 if is_last else 0)
            x_range = x_box + (channel - first) * channel_size
            for d in range(depths):
                y = y_box + d * word(axis_d, at.Y_STEP)
                for row in range(height):
                    put_word(
                        block, at.TILE_X, x_range + (d * stride_d * rows_d + row * stride_h) * pitch
                    )
                    put_word(block, at.TILE, scratch + d * kept_d + row * kept_h)
                    put_word(block, at.TILE_Y, y + row * word(axis_h, at.Y_STEP))
                    put_word(block, at.TILE_VALID, groups)
                    put_word(block, tile.STORED, 0)
                    invoke(function, block, call, 0)
        scratch += word(call, at.SCRATCH_KEEPS) * vectors
        number += vectors
    put_word(block, at.CHANNEL, first)
    put_word(block, at.CHANNEL_END, staged_end)
